"""From which bandwidth on is loading a stored KV cache faster than computing it, and what does doing both gain?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two devices, two lengths")
parser.add_argument(
    "--device", nargs="+", default=["a100-sxm-80gb", "h100-sxm", "h200-sxm", "b200-sxm", "mi300x", "l40s"]
)
parser.add_argument("--model", default="llama-3.1-8b")
parser.add_argument("--tier", default="nvme", help="storage tier")
parser.add_argument("--tokens", nargs="+", type=int, default=[4096, 8192, 16384, 32768, 65536])
parser.add_argument("--bandwidth", nargs="+", default=["1GB/s", "2GB/s", "4GB/s", "8GB/s", "16GB/s", "32GB/s"])
parser.add_argument("--utilisation", nargs="+", type=float, default=[0.25, 1.0], help="share of the engine")
parser.add_argument("--output", default="cake-crossover.nc", help=".nc, .zarr or .csv; the picture stands beside it")


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    few = slice(2) if asked.quick else slice(None)
    found = am.sweep(
        {
            "sweep": {"command": "cake", "title": f"Compute or load the KV cache of {asked.model}"},
            "fixed": {"model": asked.model, "tier": asked.tier},
            "axes": {
                "device": asked.device[few],
                "tokens": asked.tokens[few],
                "utilisation": asked.utilisation,
                "bandwidth": asked.bandwidth,
            },
        },
        output=asked.output,
    )
    both = found.ttft.sel(policy=["compute_only", "load_only"]).min("policy") / found.ttft.sel(policy="cake")
    for device in found.device.values:
        for tokens in asked.tokens[few]:
            here = {"device": device, "tokens": tokens, "utilisation": asked.utilisation[-1]}
            crossing = float(found.crossover_bandwidth.sel(here).isel(bandwidth=0))
            words = f"loading wins above {am.show(crossing, 'B/s')}" if crossing == crossing else "loading never wins"
            gain = float(both.sel(here).max())
            best = f"up to {gain:.2f} x as fast" if gain > 1.0 else f"slower by {1.0 / gain - 1.0:.0%} at best"
            print(f"{device}, {tokens} tokens: {words}; both at once is {best}")
    page = asked.output.rpartition(".")[0] + ".html"
    found = found.isel(bandwidth=0)
    lines = ["device", "utilisation"]
    print(am.draw(found, page, y="crossover_bandwidth", x="tokens", lines=lines, title=found.attrs["title"]))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
