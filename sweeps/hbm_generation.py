"""What does each generation of HBM give a decode step, at the same number of stacks?"""

import argparse

import accelmodel as am

#: what one stack delivers: pins of the standard times their rate (JESD235D, JESD238, its extension, JESD270-4)
GENERATIONS = {"HBM2E": 1024 * 3.6e9 / 8, "HBM3": 1024 * 6.4e9 / 8, "HBM3E": 1024 * 9.6e9 / 8, "HBM4": 2048 * 8e9 / 8}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two batches")
parser.add_argument("--device", default="h100-sxm")
parser.add_argument("--model", default="llama-3-70b")
parser.add_argument("--stacks", type=int, default=5)
parser.add_argument("--context", type=int, default=8192)
parser.add_argument("--tp", type=int, default=8)
parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16, 64, 128])
parser.add_argument("--output", default="hbm-generation.nc", help=".nc, .zarr or .csv; the picture stands beside it")


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    if asked.stacks < 1:
        parser.error(f"--stacks {asked.stacks}: give one or more")
    found = am.sweep(
        {
            "sweep": {"command": "step", "title": f"{asked.model} on {asked.device} with other memory"},
            "fixed": {"device": asked.device, "model": asked.model, "context": asked.context, "tp": asked.tp},
            "axes": {
                "hbm.bandwidth": [asked.stacks * rate for rate in GENERATIONS.values()],
                "batch": asked.batch[:2] if asked.quick else asked.batch,
            },
        },
        output=asked.output,
    )
    named = found.assign_coords(hbm_bandwidth=list(GENERATIONS)).rename(hbm_bandwidth="generation")
    for name in GENERATIONS:
        times = named.step_time.sel(generation=name).dropna("batch")
        print(name, ", ".join(f"batch {int(at.batch)}: {am.show(float(at), 's')}" for at in times))
    page = asked.output.rpartition(".")[0] + ".html"
    print(am.draw(named, page, y="step_time", x="batch", lines=["generation"], title=found.attrs["title"]))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
