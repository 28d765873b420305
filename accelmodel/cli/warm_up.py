"""The command ``warm-up``: compile ahead what large questions need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import typer

from accelmodel.cli.options import Json, answer
from accelmodel.cli.progress import in_turn
from accelmodel.cli.terminal import say
from accelmodel.errors import SpecError
from accelmodel.laws import compile_cache
from accelmodel.laws.jit import running, telling

app = typer.Typer(add_completion=False)


def _steps() -> None:
    """Whole steps; one kernel serves few designs and many."""
    from accelmodel.inference.named import as_cluster, as_model, as_workload
    from accelmodel.inference.run import run_kernel
    from accelmodel.inference.step import NONE, prepare

    work: Any = {"phase": "decode", "batch": 1, "context": 128, "tp": 8}
    inputs = prepare(as_model("llama-3-8b"), as_cluster("h100-sxm"), as_workload(work))
    run_kernel(inputs.operators, inputs.machines, NONE)


def _cake() -> None:
    """Every policy, at constant rates and along traces."""
    import numpy as np

    from accelmodel.kvcache.policies import POLICIES
    from accelmodel.kvcache.prompt import Computing, Loading, Prompt
    from accelmodel.kvcache.traces import Trace

    times = np.array([0.05, 0.06])
    budget = Trace(np.zeros(1), np.ones(1), hold=True)
    for share in (None, budget):
        tier = Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.0)
        prompt = Prompt(1024, 1024, Computing(times, budget=share), tier)
        for policy in POLICIES.values():
            policy(prompt)


def _serving() -> None:
    """Continuous batching, and prompts and answers on servers of their own."""
    import numpy as np

    from accelmodel.laws.kernels.batching import Rules, Times
    from accelmodel.laws.kernels.disaggregated import serve_disaggregated
    from accelmodel.serving.simulate import closed_loop, simulate

    times = Times(np.full(8, 0.01), np.zeros((8, 8)), np.zeros((8, 8)))
    asked = closed_loop(1, 2, 4, 4)
    simulate(times, Rules(8, 1e6, 0, 0, 0.0, 0.0, 0.0, False), asked)
    step = np.full(8, 0.01)
    serve_disaggregated(asked, step[:2], step, np.array([1, 1]), 0.0, np.zeros(2), np.zeros(2))


#: what is compiled → what asks for it
STAGES: dict[str, Callable[[], None]] = {"steps": _steps, "storing the KV cache": _cake, "serving": _serving}


@app.command("warm-up")
def warm_up(as_json: Json = False) -> None:
    """Compile ahead what large questions need, once for this version on this machine."""
    kept = compile_cache.folder()
    if kept is None:
        raise SpecError(
            "compiled code cannot be kept: no folder for it is yours alone; set XDG_CACHE_HOME to a folder that you "
            "own and nobody else can write"
        )
    compiled: list[str] = []
    start = time.perf_counter()
    with in_turn() as begin, telling(compiled.append), running("compiled"):
        for stage, ask in STAGES.items():
            begin(stage)
            ask()
    seconds = time.perf_counter() - start
    answer({"folder": str(kept), "compiled": compiled, "time_s": seconds}, as_json, print_warm_up)


def print_warm_up(data: dict[str, Any]) -> None:
    """Print how much was compiled, and where it is kept."""
    count = len(data["compiled"])
    many = f"{count} kernel{'s' * (count > 1)} compiled" if count else "all was compiled before"
    say(f"{many}, in {data['time_s']:.1f} s; kept in {data['folder']}")
