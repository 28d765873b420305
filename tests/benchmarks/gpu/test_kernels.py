"""The Triton kernels, where PyTorch and Triton are installed: they compile without a GPU, and read each byte once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

ROOT = Path(__file__).resolve().parent.parent.parent.parent
COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from accelmodel.benchmarks.gpu import kernels

def ptx(kernel, constants):
    names = kernel.arg_names
    kinds = {"data": "*i32", "sums": "*i32", "source": "*i32", "target": "*i32"}
    signature = {name: "constexpr" if name in constants else kinds.get(name, "i32") for name in names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    return compile(source, target=GPUTarget("cuda", CAPABILITY, 32), options={"num_warps": 8}).asm["ptx"]

normal = ptx(kernels.read_kernel, {"block": 4096, "cache": ".cg", "policy": ""})
kept = ptx(kernels.read_kernel, {"block": 4096, "cache": "", "policy": "evict_last"})
held = ptx(kernels.hold_kernel, {"block": 4096})
print(normal.count("ld.global.cg") > 0, kept.count("L2::evict_last") > 0, held.count("globaltimer") >= 3)
"""
READ = """
import torch
from accelmodel.benchmarks.gpu import kernels
from accelmodel.benchmarks.gpu.plan import BLOCK_BYTES

data = torch.randint(-(2**31), 2**31 - 1, (10 * BLOCK_BYTES // 4,), dtype=torch.int32)
same = True
for hint in ("normal", "evict-last"):
    for blocks, passes, programs in ((10, 1, 3), (7, 3, 4), (1, 5, 4), (2, 1, 8)):
        sums = torch.full((programs,), 7, dtype=torch.int32)
        kernels.read(data, sums, blocks * BLOCK_BYTES, passes=passes, hint=hint)
        wanted = passes * int(data[: blocks * BLOCK_BYTES // 4].sum(dtype=torch.int64))
        same = same and (int(sums.sum(dtype=torch.int64)) - wanted) % 2**32 == 0
print(same)
"""


def run(code, **environment):
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **paths, **environment}
    )


@pytest.mark.parametrize("capability", [80, 90])
def test_loads_bypass_l1_keep_lines_in_l2_and_the_timer_is_read_again(capability, tmp_path):
    done = run(COMPILE.replace("CAPABILITY", str(capability)), TRITON_CACHE_DIR=str(tmp_path))
    assert done.stdout.split() == ["True"] * 3


def test_the_read_sums_up_each_block_as_often_as_asked():
    # exact: sums of 32-bit words modulo 2³²
    assert run(READ, TRITON_INTERPRET="1").stdout.strip() == "True"
