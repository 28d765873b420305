"""Write down the JSON answers of every command, and compare two such folders number by number.

For changes that must not move a number: run ``make`` with the package before and after, then ``compare``.

    python tests/answers.py make before      # with the interpreter of the environment that holds the package
    python tests/answers.py compare before after

A number of the first folder that the second lacks, or that differs in its last digit, is a difference.  Digests,
versions, texts and what the second has beside may differ.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

DEVICES = (
    "a100-sxm-40gb", "a100-sxm-80gb", "a10g", "ascend-910b1", "ascend-910b2", "ascend-910b3", "ascend-910b4",
    "b200-sxm", "b300-sxm", "gb200", "gb300", "h100-pcie", "h100-sxm", "h200-sxm", "l4", "l40s", "mi210", "mi300x",
    "rtx-pro-6000-server", "t4", "tpu-v5e", "tpu-v5p", "v100-sxm-16gb",
)  # fmt: skip
MODELS = (
    "deepseek-v3", "gpt-3-175b", "gpt-oss-120b", "mixtral-8x7b", "qwen3-235b-a22b", "phi-3-small", "opt-2.7b",
    "qwen2-72b",
)  # fmt: skip
_EIGHT = "--weight-bits 8 --activation-bits 8 --kv-bits 8"
_ASCEND = f"step --device ascend-910b2 --devices 8 --tp 8 --model llama-3-70b --batch 4 --context 16384 {_EIGHT}"
COMMANDS = (
    *(f"show {name}" for name in DEVICES),
    *(f"step --device {name} --model llama-3-8b --batch 8 --context 512 {_EIGHT}" for name in DEVICES),
    *(f"step --device {name} --devices 2 --tp 2 --model opt-2.7b --phase prefill --context 2048" for name in DEVICES),
    *(f"matmul --device {name} --m 1:4096 --n 1024,8192 --k 512,8192 --bits 8" for name in DEVICES),
    *(f"attention --device {name} --phase prefill --context 128:8192 --window 1024" for name in DEVICES),
    *(
        f"step --device b200-sxm --devices 8 --tp 8 --model {name} --batch 2 --context 1024 --weight-bits 4"
        for name in MODELS
    ),
    "list",
    "show nvlink4-switch", "show hccs-mesh-8", "show n5", "show a100", "show cloud-ssd", "show deepseek-v3",
    *(f"{_ASCEND} --technique {name}" for name in ("none", "fused", "preserve")),
    *(f"{_ASCEND} --technique preserve --threshold 0.7 --rule {rule}" for rule in ("paper", "partial", "best-fit")),
    f"{_ASCEND} --technique preserve --l2 104MB --hbm-bandwidth 2TB/s --l2-bandwidth 7TB/s --cores 30",
    f"{_ASCEND} --set link.start_up=40us --set device.l2_usable=0.8 --set scale_out.hop_latency=9us --hbm-capacity 80GB",
    "step --device h100-sxm --devices 16 --tp 8 --pp 2 --model llama-3.1-405b --batch 16 --context 4096 --weight-bits 8",
    "step --device h100-sxm --devices 32 --tp 32 --model llama-3.1-405b --phase prefill --context 8192 --prefix 4096",
    f"step --device h200-sxm --devices 8 --tp 1 --dp 8 --ep 8 --model deepseek-v3 --batch 256 --context 4096 {_EIGHT}",
    f"step --device h100-sxm --model llama-3.1-8b --batch 8 --context 4096 {_EIGHT} --library vllm-8bit",
    "step --device h100-sxm --model llama-3.1-8b --batch 8 --context 4096 --hybrid vLLM",
    "preserve --device ascend-910b2 --models llama-3-8b,llama-3-70b --tp 2,4,8 --batch 1:64 --context 2048:32768",
    "preserve --device ascend-910b2 --models llama-3-70b --l2 104MB --set link.start_up=40us --rule partial",
    "preserve --device h100-sxm --models qwen2-72b --phase decode --tp 4,8 --batch 1,16",
    "preserve --device a100-sxm-80gb --models mixtral-8x7b --phase prefill --tp 4 --batch 1",
    "matmul --device h100-sxm --m 1,256,4096 --n 8192 --k 8192 --library vllm-8bit --bits 8",
    "matmul --device b200-sxm --m 1,256,4096 --n 8192 --k 8192 --bits 4 --library sglang-4bit",
    "attention --device h100-sxm --batch 32 --heads 64 --kv-heads 8 --head-dim 128 --context 8192 --kv-bits 8",
    *(
        f"collective --device {name} --devices {count} --kind {kind} --bytes 1KB:1GB"
        for name, count in (("a100-sxm-80gb", 8), ("h100-sxm", 16), ("ascend-910b2", 8), ("l40s", 4), ("tpu-v5e", 4))
        for kind in ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")
    ),
    "cake --device a100-sxm-80gb --model longalpaca-13b --tokens 16384 --bandwidth 7Gibps,32Gibps --utilisation 0.5,1.0 --policies all",
    "cake --device h100-sxm --tp 2 --model llama-3.1-70b --tokens 4096:32768 --tier nvme --policies all --kv-bits 16,8 --compression 2",
    "cake --device a100-sxm-80gb --bandwidth-trace random:0Gibps:25Gibps:100ms --seed 3 --budget-trace random:0.2:1:50ms --stored 8192",
    "instances --model opt-2.7b --input 128 --output 512 --batch 32 --slo-tps 400 --region us-east-1 --max-price 3.0",
    "instances --model llama-3.1-8b --input 1024 --output 256 --rate 2.0 --slo-ttft 500ms --slo-tpot 50ms --percentile 95",
    "instances --model llama-3.1-8b --batch 16 --region us-east-1,eastus --offload flexgen --weight-bits 16,8 --kv-bits 16,8",
    "instances --model opt-2.7b --batch 32 --time-model as-published --memory-rule released-code --slo-tps 100",
    "instances --model llama-3.1-8b --batch 16 --offload kvpr --engine flexgen --price-kind spot",
    "fleet --workload mix.csv --slo-ttft 500ms --slo-tpot 50ms --region us-east-1",
    "explore --study preserve-l2 --trials 8 --storage one.journal --output one.html",
    "explore --study preserve-l2 --trials 8 --storage two.journal --output two.html --objective tokens_per_dollar",
    "validate --claims", "validate", "validate --transfer", "validate --end-to-end", "validate --hybrid",
    "calibrate l40s --output calibrated.toml",
    "calibrate --library vllm-4bit --output library.toml",
)  # fmt: skip
#: field of a specification by its earlier name → by its name now
RENAMED = {
    "unhidden": "exposed", "crowding": "contention", "handshake": "rendezvous", "most_sequences": "max_num_seqs",
    "chunk": "max_num_batched_tokens", "memory_share": "gpu_memory_utilization",
}  # fmt: skip
#: fields that nothing read, and that are gone
GONE = {"core_buffer"}
#: what a run says of itself, not of the physics
UNSTABLE = {"digest", "digests", "accelmodel_version", "seconds", "wall_s", "report", "storage", "as_of", "age_days"}


def answer(command: str) -> str:
    """Return what a command prints, run in this process."""
    from accelmodel import cli

    sys.argv = ["accelmodel", *shlex.split(command), "--json"]
    told, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(complaints):
        try:
            cli.main()
        except SystemExit as ended:
            if ended.code:
                return json.dumps({"exit": ended.code, "said": complaints.getvalue()})
    return told.getvalue()


def make(folder: Path, only: str = "") -> None:
    """Write one file for each command, numbered in order."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        Path("mix.csv").write_text("input,output,rate\n128,128,4\n1024,256,2\n4096,64,0.5\n", encoding="utf-8")
        for number, command in enumerate(COMMANDS):
            if only in command:
                (folder / f"{number:03d}.json").write_text(answer(command), encoding="utf-8")
                sys.stderr.write(f"{number + 1}/{len(COMMANDS)} {command}\n")


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """Return where a number of ``before`` is missing or another one in ``after``."""
    if isinstance(before, dict):
        if not isinstance(after, dict):
            return [f"{where}: no table any more"]
        inner = [key for key in before if key not in UNSTABLE | GONE]
        return [line for key in inner for line in differences(before[key], after.get(key), f"{where}.{key}")]
    if isinstance(before, list):
        if before and isinstance(before[0], dict) and "field" in before[0]:
            # fields of a specification: by name, since their order says nothing
            named = [{RENAMED.get(row["field"], row["field"]): row for row in rows} for rows in (before, after or [])]
            return differences(*named, where)
        if not isinstance(after, list) or len(after) != len(before):
            return [f"{where}: no list of {len(before)} any more"]
        return [line for i, row in enumerate(before) for line in differences(row, after[i], f"{where}[{i}]")]
    if isinstance(before, bool | int | float) and before != after:
        return [f"{where}: {before!r} became {after!r}"]
    return []


def compare(before: Path, after: Path) -> int:
    """Print every difference; return how many there are."""
    total = numbers = 0
    for path in sorted(before.glob("*.json")):
        old, new = (json.loads((folder / path.name).read_text(encoding="utf-8")) for folder in (before, after))
        numbers += path.read_text(encoding="utf-8").count(":")
        found = differences(old, new)
        total += len(found)
        for line in found[:10]:
            sys.stdout.write(f"{path.name} ({COMMANDS[int(path.stem)]}) {line}\n")
    files = len(list(before.glob("*.json")))
    sys.stdout.write(f"{files} answers, some {numbers} values, {total} differences\n")
    return total


if __name__ == "__main__":
    verb, *folders = sys.argv[1:]
    if verb == "make":
        make(Path(folders[0]), *folders[1:])
    else:
        sys.exit(min(compare(*map(Path, folders)), 1))
