"""Which instance makes the cheapest tokens, over batch and prompt length, and what do fewer bits change?

Prints the winner and the cost of a million input and output tokens at static batches, without a service level.
"""

from __future__ import annotations

import argparse
import math

from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market
from accelmodel.cloud.ranking import Inputs, Slo
from accelmodel.report.instance_figures import winner_points
from accelmodel.specs.load import load

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one model, 16 bits")
quick = parser.parse_args().quick

offered = Market().offers()
engine = load("engine", "in-flight")
models = ["llama-3.1-8b"] if quick else ["opt-2.7b", "llama-3.1-8b", "llama-3.1-70b"]
bits = [(16.0, 16.0)] if quick else [(16.0, 16.0), (8.0, 16.0), (8.0, 8.0)]
for model in models:
    for weights, cache in bits:
        inputs = Inputs(load("model", model), 1024, 256, Slo(), batch=1, max_price=math.inf)
        found = winner_points(inputs, offered, Setup(engine, "infersave", weights, cache))
        print(f"\n{model}, {weights:g}-bit weights, {cache:g}-bit KV cache: USD per million tokens, instance")
        print("prompt  " + "".join(f"{'batch ' + str(batch):>22}" for batch in found["batch"][::4]))
        for context, costs, winners in zip(found["context"], found["cost"], found["winner"], strict=True):
            pairs = zip(costs, winners, strict=True)
            cells = [f"{cost:7.3g} {name:>14}" if name else " " * 16 + "no fit" for cost, name in pairs]
            print(f"{context:6d}  " + "".join(cells[::4]))
