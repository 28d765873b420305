"""Runs of a GPU benchmark as it would write them, with times that a test makes up."""

from __future__ import annotations

from accelmodel.measured.rawtable import SCHEMA, write_header, write_table

PLANNED = {
    "schema": SCHEMA, "device": "h100-sxm", "l2_bytes": 50_000_000, "memory_bytes": 80_000_000_000, "seed": 0,
    "command": "none: synthetic", "accelmodel": "0", "dry": False,
}  # fmt: skip
OBSERVED = {
    "device_name": "synthetic", "driver": "0", "cuda": "0", "torch": "0", "triton": "0", "date": "1970-01-01T00:00:00Z",
    "sm_clock_before_hz": 1e9, "memory_clock_before_hz": 1e9, "sm_clock_after_hz": 1e9, "memory_clock_after_hz": 1e9,
}  # fmt: skip
HEADER = {**PLANNED, **OBSERVED}


def timed(seconds, **columns):
    return {**columns, "repeats": 20, "time_s": seconds, "low_s": seconds, "high_s": seconds, "note": ""}


def matmul_row(m, n, k, seconds, precision="bf16", cache="cold"):
    return timed(seconds, precision=precision, cache=cache, m=m, n=n, k=k, copies=4, matmuls=100)


def store(folder, header=HEADER, **tables):
    write_header(folder, header)
    for name, rows in tables.items():
        write_table(folder, name, rows)
    return folder
