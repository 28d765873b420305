"""What does tensor parallelism buy in latency, and what does it cost in tokens per device?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two batches")
parser.add_argument("--device", default="h100-sxm")
parser.add_argument("--model", default="llama-3-70b")
parser.add_argument("--context", type=int, default=8192)
parser.add_argument("--tp", nargs="+", type=int, default=[1, 2, 4, 8])
parser.add_argument("--batch", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64, 128])
parser.add_argument("--bits", type=float, default=8, help="of weights, activations and KV cache")
parser.add_argument(
    "--output", default="tp-against-latency.nc", help=".nc, .zarr or .csv; the picture stands beside it"
)


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    bits = dict.fromkeys(("weight_bits", "activation_bits", "kv_bits"), asked.bits)
    found = am.sweep(
        {
            "sweep": {"command": "step", "title": f"Tensor parallelism: {asked.model} on {asked.device}"},
            "fixed": {"device": asked.device, "model": asked.model, "context": asked.context, **bits},
            "axes": {"tp": asked.tp, "batch": asked.batch[:2] if asked.quick else asked.batch},
        },
        output=asked.output,
    )
    per_device = found.batch / found.step_time / found.tp
    for tp in asked.tp:
        for batch in found.batch.values[[0, -1]]:
            time, rate = (float(each.sel(tp=tp, batch=batch)) for each in (found.step_time, per_device))
            feasible = bool(found.feasible.sel(tp=tp, batch=batch))
            told = f"{am.show(time, 's')} a token, {rate:.0f} tokens/s and device" if feasible else "does not fit"
            print(f"tp {tp}, batch {batch}: {told}")
    page = asked.output.rpartition(".")[0] + ".html"
    print(am.draw(found, page, y="step_time", x="batch", lines=["tp"], title=found.attrs["title"]))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
