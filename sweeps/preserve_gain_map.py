"""Where does prefetching during collectives pay: which device, how many of them, which batch and length?

Prints the largest and smallest speed-up of a decode step over batch and context, for devices in their own nodes.
"""

from __future__ import annotations

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two devices, two degrees")
quick = parser.parse_args().quick

devices = ["ascend-910b2", "h100-sxm"]
if not quick:
    devices += ["ascend-910b4", "a100-sxm-80gb", "h200-sxm", "b200-sxm", "mi300x", "l40s"]
degrees = [4, 8] if quick else [2, 4, 8]
batches = [1, 8] if quick else [1, 2, 4, 8, 16, 32, 64]
contexts = [2048, 8192] if quick else [2048, 4096, 8192, 16384, 32768]
bits = {"weight_bits": 8.0, "activation_bits": 8.0, "kv_bits": 8.0}

print("device            tp  largest  at batch, context      smallest")
for name in devices:
    found = am.speedups(
        [am.load("model", "llama-3-70b")], am.cluster(am.load("device", name), 8), degrees, batches, contexts,
        phase="decode", precision=bits,
    )  # fmt: skip
    gain = found.speedup.where(found.feasible).isel(model=0)
    for tp in degrees:
        at = gain.sel(tp=tp)
        if not bool(at.notnull().any()):
            print(f"{name:16s}  {tp:2d}  does not fit")
            continue
        where = at.fillna(0.0).argmax(...)
        batch, context = int(at.batch[where["batch"]]), int(at.context[where["context"]])
        print(f"{name:16s}  {tp:2d}  {float(at.max()):7.3f}  {batch:5d}, {context:6d} tokens  {float(at.min()):10.3f}")
