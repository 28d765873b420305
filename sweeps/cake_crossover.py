"""From which bandwidth on is loading a stored KV cache faster than computing it, and what does doing both gain there?

Answers for devices, lengths and shares of the engine: the crossover bandwidth, and Cake's speed-up at it.
"""

from __future__ import annotations

import argparse
import math

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two devices, two lengths")
quick = parser.parse_args().quick

devices = ["a100-sxm-80gb", "h100-sxm"]
if not quick:
    devices += ["h100-pcie", "h200-sxm", "b200-sxm", "mi300x", "l40s", "ascend-910b2"]
lengths = [4096.0, 16384.0] if quick else [4096.0, 8192.0, 16384.0, 32768.0, 65536.0]
shares = [0.25, 1.0]
model, storage = am.load("model", "llama-3.1-8b"), am.load("storage", "nvme")
back = am.loading(model, storage)

print("device           tokens  share  crossover [GB/s]  Cake there, x the better one")
for name in devices:
    curve = am.chunk_times(model, am.cluster(am.load("device", name), 1), max(lengths))
    for tokens in lengths:
        for share in shares:
            here = {"tokens": [tokens], "utilisation": [share]}
            found = am.ttft_grid({name: curve}, back, bandwidth=[storage.bandwidth], **here)
            crossover = float(found.crossover_bandwidth.squeeze())
            if math.isinf(crossover):
                print(f"{name:15s} {tokens:7.0f} {share:6.2f}  computing is always faster than the tail of a load")
                continue
            found = am.ttft_grid({name: curve}, back, bandwidth=[crossover], **here)
            ttft = found.ttft.squeeze()
            both = float(ttft.sel(policy="compute_only") / ttft.sel(policy="cake"))
            print(f"{name:15s} {tokens:7.0f} {share:6.2f} {crossover * 1e-9:17.2f} {both:29.2f}")
