"""What a user would take instead: figures measured once, and peers that can be installed measured here and now."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts

Progress = Callable[[str], None]
#: longest that an installation or a measurement may take [s]
_PATIENCE = 900.0

_TIMED = """
import statistics, sys, time
def rate(call, answers=1):
    call()
    times, begun = [], time.process_time()
    while len(times) < 3 or time.process_time() - begun < 2.0:
        start = time.process_time(); call(); times.append(time.process_time() - start)
    open(sys.argv[1], "w").write(str(answers / statistics.median(times)))
"""


@dataclass(frozen=True)
class Peer:
    """A program that can be installed, and how it is asked for what it does most like a step."""

    what: str  #: what is timed
    script: str  #: calls ``rate(call, answers)``, by what a call takes of a processor
    packages: tuple[str, ...] = ()  #: of the package index
    repository: str = ""  #: that is checked out, and looked for modules in, where the index has no package


#: peer → how it is installed and asked
INSTALLABLE = {
    "GenZ": Peer(
        "decode step of Llama-3.1-70B at TP 8, batch 4, context 16384",
        """
from GenZ import decode_moddeling
chip = {"Flops": 376, "Memory_size": 64, "Memory_BW": 1600, "ICN": 196, "real_values": True}
rate(lambda: decode_moddeling(model="meta-llama/Llama-3.1-70B", batch_size=4, input_tokens=16384, output_tokens=1,
    system_name=chip, system_eff=1.0, bits="int8", tensor_parallel=8))
""",
        ("genz-llm",),
    ),
    "llm-analysis": Peer(
        "inference of a model of Llama-70B's size at TP 8, batch 4, context 16384",
        """
from llm_analysis.analysis import infer
rate(lambda: infer(model_name="upstage_Llama-2-70b-instruct-v2", gpu_name="a100-sxm-80gb", dtype_name="w8a8e16",
    batch_size_per_gpu=4, tp_size=8, seq_len=4096, num_tokens_to_generate=1, log_level="ERROR"))
""",
        ("llm-analysis",),
    ),
    "aiconfigurator, Python": Peer(
        "one estimate by the Python call: Llama-3.1-70B on H200, TP 8, batch 4, context 16384",
        """
from aiconfigurator.cli.api import cli_estimate
rate(lambda: cli_estimate(model_path="meta-llama/Meta-Llama-3.1-70B", system_name="h200_sxm", mode="agg", isl=16384,
    osl=2, batch_size=4, ctx_tokens=16384, tp_size=8))
""",
        ("aiconfigurator",),
    ),
    "aiconfigurator, compiled": Peer(
        "decode steps from tables of one measured chip, which cannot vary: Llama-3.1-70B on H200, TP 8, batch 4",
        """
from aiconfigurator_core.sdk.engine import EngineHandle
engine = EngineHandle.compile("meta-llama/Meta-Llama-3.1-70B", "h200_sxm", "trtllm", tp_size=8)
rate(lambda: [engine.decode_step_latency(4, context, 2) for context in range(16000, 17000)], 1000)
""",
        ("aiconfigurator-core",),
    ),
    "Calculon": Peer(
        "forward pass of GPT-3 175B at TP 8, batch 4: it has no decode",
        """
import logging, os
from calculon import System, io
from calculon.llm import Llm
read = lambda name: io.read_json_file(os.path.join(sys.argv[2], name))
application, chip = Llm.Application(read("models/gpt3-175B.json")), System(read("systems/a100_80g.json"))
execution = {**read("examples/3072_t4_p64_d12_mbs4_full.json"), "num_procs": 8, "tensor_par": 8, "pipeline_par": 1,
    "data_par": 1, "batch_size": 4, "microbatch_size": 4, "training": False, "activation_recompute": "none",
    "optimizer_sharding": False}
def step():
    model = Llm(application, logging.getLogger())
    model.compile(chip, Llm.Execution.from_json(dict(execution)))
    model.run(chip)
    return model.get_total_time()
rate(step)
""",
        ("pandas", "psutil"),
        "https://github.com/calculon-ai/calculon",
    ),
    "LLM-Viewer": Peer(
        "prefill and decode together of a Llama-3-70B-like model, bare roofline of one device: no L2, no collectives",
        """
import os
os.chdir(sys.argv[2])
import model_analyzer
from easydict import EasyDict
from model_params import DiT
DiT.model_params["own"] = EasyDict(num_attention_heads=64, hidden_size=8192, num_key_value_heads=8,
    num_hidden_layers=80, intermediate_size=28672, vocab_size=128256)
model = model_analyzer.ModelAnalyzer("own", "nvidia_A100_80G", "configs/Llama.py", source="DiT")
rate(lambda: model.analyze(16384, 4, 8, 8, 8))
""",
        ("transformers", "easydict"),
        "https://github.com/hahnyuan/LLM-Viewer",
    ),
}


def known() -> list[dict[str, Any]]:
    """Return the peers' rates measured before: ``name``, ``steps_per_s``, ``what``, ``measured``, ``note``."""
    content, _ = facts.read_toml(facts.root() / "published" / "peers.toml")
    return [{**peer, "kind": "measured before"} for peer in content["peer"]]


def checked_out(given: list[str]) -> dict[str, Path]:
    """Return peer → folder of what was given as ``NAME=FOLDER``.

    Raises
    ------
    SpecError
        If there is no such peer, it comes from the package index, or there is no such folder.

    Examples
    --------
    >>> checked_out([])
    {}
    """
    found = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals:
            raise SpecError(f"--checkout {text!r}: write NAME=FOLDER, for example --checkout Calculon=../calculon")
        if name not in INSTALLABLE or not INSTALLABLE[name].repository:
            raise unknown(
                "peer with a repository", name, [each for each, peer in INSTALLABLE.items() if peer.repository]
            )
        if not Path(folder).is_dir():
            raise SpecError(
                f"--checkout {text!r}: there is no folder {folder}; check out {INSTALLABLE[name].repository}"
            )
        found[name] = Path(folder).resolve()
    return found


def _reason(error: Exception) -> str:
    """Return one line on why a peer has no figure."""
    output = getattr(error, "stderr", None) or b""
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    last = [line.strip() for line in text.splitlines() if line.strip()]
    return (last[-1] if last else f"{type(error).__name__}: {error}")[:300]


def _measure(peer: Peer, folder: Path, checkout: Path | None = None) -> float:
    """Install a peer in an environment of its own below a folder, and return its rate [1/s]."""
    environment = folder / "environment"
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    source = checkout or folder / "checkout"
    commands = [
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages],
        [str(python), "-c", _TIMED + peer.script, str(folder / "rate"), str(source)],
    ]
    if peer.repository and checkout is None:
        commands.insert(0, ["git", "clone", "--quiet", "--depth", "1", peer.repository, str(source)])
    clean = {**os.environ, "PYTHONPATH": str(source), "GIT_TERMINAL_PROMPT": "0"}
    for command in commands:
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE, cwd=folder, env=clean)
    return float((folder / "rate").read_text(encoding="utf-8"))


def measured(progress: Progress, checkouts: Mapping[str, Path] | None = None) -> list[dict[str, Any]]:
    """Install each peer that can be in an environment of its own, and time it.

    Parameters
    ----------
    progress : callable
        Called with a line on what is measured next.
    checkouts : mapping of str to Path, optional
        Peer → folder that holds its repository already; others are cloned.

    Returns
    -------
    list of dict
        As ``known``; ``steps_per_s`` is None and ``note`` the reason where a peer could not be measured.
    """
    rows = []
    for name, peer in INSTALLABLE.items():
        progress(f"installing and timing {name}")
        row: dict[str, Any] = {"name": name, "steps_per_s": None, "what": peer.what, "measured": "here and now"}
        with tempfile.TemporaryDirectory(prefix="accelmodel-", ignore_cleanup_errors=True) as folder:
            try:
                row["steps_per_s"] = _measure(peer, Path(folder), (checkouts or {}).get(name))
                row["note"] = peer.repository or peer.packages[0]
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                row["note"] = f"not measured: {_reason(error)}"
        rows.append({**row, "kind": "measured now"})
    return rows
