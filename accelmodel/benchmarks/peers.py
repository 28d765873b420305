"""What a user would take instead: figures measured once, and peers that pip can install measured here and now."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelmodel.specs import facts

Progress = Callable[[str], None]
#: longest that an installation or a measurement may take [s]
_PATIENCE = 900.0

_TIMED = """
import json, sys, time, statistics
def rate(call):
    call()
    times, begun = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < 2.0:
        start = time.perf_counter(); call(); times.append(time.perf_counter() - start)
    json.dump(1.0 / statistics.median(times), open(sys.argv[1], "w"))
"""
#: peer → package of the index, what is timed, script that times it
INSTALLABLE: dict[str, tuple[str, str, str]] = {
    "GenZ": (
        "genz-llm",
        "decode step of Llama-3.1-70B at TP 8, batch 4, context 16384",
        """
from GenZ import decode_moddeling
chip = {"Flops": 376, "Memory_size": 64, "Memory_BW": 1600, "ICN": 196, "real_values": True}
rate(lambda: decode_moddeling(model="meta-llama/Llama-3.1-70B", batch_size=4, input_tokens=16384, output_tokens=1,
    system_name=chip, system_eff=1.0, bits="int8", tensor_parallel=8))
""",
    ),
    "llm-analysis": (
        "llm-analysis",
        "inference of a model of Llama-70B's size at TP 8, batch 4, context 16384",
        """
from llm_analysis.analysis import infer
rate(lambda: infer(model_name="upstage/Llama-2-70b-instruct-v2", gpu_name="a100-sxm-80gb", dtype_name="w8a8e16",
    batch_size_per_gpu=4, tp_size=8, seq_len=4096, num_tokens_to_generate=1, log_level="ERROR"))
""",
    ),
    "aiconfigurator": (
        "aiconfigurator-core",
        "one estimate by the Python call",
        """
from aiconfigurator.cli.api import cli_estimate
rate(lambda: cli_estimate(model_path="meta-llama/Meta-Llama-3.1-70B", system_name="h200_sxm", mode="agg", isl=16384,
    osl=2, batch_size=4, ctx_tokens=16384, tp_size=8))
""",
    ),
}


def known() -> list[dict[str, Any]]:
    """Return the peers' rates measured before: ``name``, ``steps_per_s``, ``what``, ``measured``, ``note``."""
    content, _ = facts.read_toml(facts.root() / "published" / "peers.toml")
    return [{**peer, "kind": "measured before"} for peer in content["peer"]]


def _reason(error: Exception) -> str:
    """Return one line on why a peer has no figure."""
    output = getattr(error, "stderr", None) or b""
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    last = [line.strip() for line in text.splitlines() if line.strip()]
    return (last[-1] if last else f"{type(error).__name__}: {error}")[:300]


def _measure(package: str, script: str, folder: Path) -> float:
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package],
        [str(python), "-c", _TIMED + script, str(folder / "rate.json")],
    ):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE, cwd=folder.parent, env=environment)
    return float((folder / "rate.json").read_text(encoding="utf-8"))


def measured(progress: Progress) -> list[dict[str, Any]]:
    """Install each peer that pip can install in an environment of its own, and time it.

    Returns
    -------
    list of dict
        As ``known``; ``steps_per_s`` is None and ``note`` the reason where a peer could not be measured.
    """
    rows = []
    for name, (package, what, script) in INSTALLABLE.items():
        progress(f"installing and timing {package}")
        row: dict[str, Any] = {"name": name, "steps_per_s": None, "what": what, "measured": "here and now"}
        with tempfile.TemporaryDirectory(prefix="accelmodel-", ignore_cleanup_errors=True) as folder:
            try:
                row |= {"steps_per_s": _measure(package, script, Path(folder) / "environment"), "note": package}
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                row["note"] = f"not measured: {_reason(error)}"
        rows.append({**row, "kind": "measured now"})
    return rows
