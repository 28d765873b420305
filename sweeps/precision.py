"""What do fewer bits of weights and of the KV cache give a decode step, over the batch?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two batches")
parser.add_argument("--device", default="h100-sxm")
parser.add_argument("--model", default="llama-3-70b")
parser.add_argument("--context", type=int, default=8192)
parser.add_argument("--tp", type=int, default=8)
parser.add_argument("--batch", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64, 128])
parser.add_argument("--weight-bits", nargs="+", type=float, default=[16, 8, 4])
parser.add_argument("--kv-bits", nargs="+", type=float, default=[16, 8])
parser.add_argument("--output", default="precision.nc", help=".nc, .zarr or .csv; the picture stands beside it")


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    found = am.sweep(
        {
            "sweep": {"command": "step", "title": f"Precision: {asked.model} on {asked.tp} {asked.device}"},
            "fixed": {"device": asked.device, "model": asked.model, "context": asked.context, "tp": asked.tp},
            "axes": {
                "weight_bits": asked.weight_bits,
                "kv_bits": asked.kv_bits,
                "batch": asked.batch[:2] if asked.quick else asked.batch,
            },
        },
        output=asked.output,
    )
    full = found.step_time.isel(weight_bits=0, kv_bits=0)
    gain = (full / found.step_time).isel(batch=-1)
    for row in gain.stack(bits=("weight_bits", "kv_bits")):
        weights, cache = row.bits.item()
        print(
            f"weights {weights:g} bit, KV cache {cache:g} bit: {float(row):.3f} times as fast at batch {int(row.batch)}"
        )
    page = asked.output.rpartition(".")[0] + ".html"
    print(
        am.draw(found, page, y="step_time", x="batch", lines=["weight_bits", "kv_bits"], title=found.attrs["title"]),
    )


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
