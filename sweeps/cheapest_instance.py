"""Which instance makes the cheapest tokens, over batch and prompt length, and what do fewer bits change?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two batches, one length, one precision")
parser.add_argument("--model", default="llama-3.1-8b")
parser.add_argument("--input", nargs="+", type=int, default=[256, 1024, 4096], help="tokens of a prompt")
parser.add_argument("--tokens-out", type=int, default=256, help="tokens of an answer")
parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16, 64, 256])
parser.add_argument("--weight-bits", nargs="+", type=float, default=[16, 8])
parser.add_argument("--region", default="us-east-1")
parser.add_argument("--output", default="cheapest-instance.nc", help=".nc, .zarr or .csv; the picture stands beside it")


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    found = am.sweep(
        {
            "sweep": {"command": "instances", "title": f"What a token of {asked.model} costs on its cheapest instance"},
            "fixed": {"model": asked.model, "output": asked.tokens_out, "region": asked.region},
            "axes": {
                "weight_bits": asked.weight_bits[:1] if asked.quick else asked.weight_bits,
                "input": asked.input[:1] if asked.quick else asked.input,
                "batch": asked.batch[:2] if asked.quick else asked.batch,
            },
        },
        output=asked.output,
    ).load()
    for cost in found.least_cost_per_token.stack(at=("weight_bits", "input", "batch")):
        bits, prompt, batch = cost.at.item()
        name = str(found.cheapest.sel(weight_bits=bits, input=prompt, batch=batch).item()) or "none fits"
        print(f"{bits:g} bit, prompt {prompt}, batch {batch}: {name}, {float(cost) * 1e6:.3g} USD per million tokens")
    page = asked.output.rpartition(".")[0] + ".html"
    lines = ["weight_bits", "input"]
    print(am.draw(found, page, y="least_cost_per_token", x="batch", lines=lines, title=found.attrs["title"]))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
