"""Where does prefetching during collectives pay: which device, how many of them, which batch and length?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two devices, two batches, two lengths")
parser.add_argument(
    "--device", nargs="+", default=["ascend-910b2", "ascend-910b4", "a100-sxm-80gb", "h100-sxm", "b200-sxm"]
)
parser.add_argument("--model", default="llama-3-70b")
parser.add_argument("--tp", nargs="+", type=int, default=[4, 8])
parser.add_argument("--batch", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
parser.add_argument("--context", nargs="+", type=int, default=[2048, 8192, 32768])
parser.add_argument("--bits", type=float, default=8, help="of weights, activations and KV cache")
parser.add_argument("--output", default="preserve-gain-map.nc", help=".nc, .zarr or .csv; the picture stands beside it")


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    few = slice(2) if asked.quick else slice(None)
    bits = dict.fromkeys(("weight_bits", "activation_bits", "kv_bits"), asked.bits)
    found = am.sweep(
        {
            "sweep": {"command": "preserve", "title": f"Speed-up of a decode step of {asked.model} by prefetching"},
            "fixed": {"model": asked.model, "phase": "decode", **bits},
            "axes": {
                "device": asked.device[few],
                "tp": asked.tp[few],
                "batch": asked.batch[few],
                "context": asked.context[few],
            },
        },
        output=asked.output,
    ).load()
    for device in found.device.values:
        for tp in asked.tp[few]:
            gain = found.speedup.sel(device=device, tp=tp)
            if not bool(gain.notnull().any()):
                print(f"{device}, tp {tp}: does not fit")
                continue
            at = gain[gain.argmax(...)]
            place = f"batch {int(at.batch)}, {int(at.context)} tokens"
            print(f"{device}, tp {tp}: {float(gain.min()):.3f} to {float(at):.3f}, most at {place}")
    page = asked.output.rpartition(".")[0] + ".html"
    at = {"tp": asked.tp[few][-1], "context": asked.context[few][-1]}
    title = f"{found.attrs['title']}: tp {at['tp']}, {at['context']} tokens"
    print(am.draw(found, page, y="speedup", x="batch", lines=["device"], at=at, title=title))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
