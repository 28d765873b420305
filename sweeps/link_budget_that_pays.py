"""How much bandwidth between devices pays, without and with prefetching: per area of the die, or per dollar?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="three bandwidths")
parser.add_argument("--study", default="preserve-l2", help="shipped study, or path of one: chip, costs and workload")
parser.add_argument("--device", help="chip to start from, in place of the study's")
parser.add_argument("--model", nargs="+", help="models to serve, in place of the study's")
parser.add_argument("--bandwidth", nargs=2, default=["7GB/s", "224GB/s"], metavar=("FROM", "TO"), help="of one link")
parser.add_argument("--links", nargs="+", type=int, help="links of a device; those of the chip and twice as many")
parser.add_argument("--objective", default="throughput_per_area", choices=["throughput_per_area", "tokens_per_dollar"])
parser.add_argument(
    "--output", default="link-budget-that-pays.nc", help=".nc, .zarr or .csv; the picture stands beside it"
)


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    study = am.load_study(asked.study)
    head = study.study.model_copy(update={"device": asked.device or study.study.device})
    serving = study.workload.model_copy(update={"models": asked.model or study.workload.models})
    study = study.model_copy(update={"study": head, "workload": serving})
    low, high = (am.parse(text, "B/s", what="--bandwidth") for text in asked.bandwidth)
    if not high > low > 0.0:
        parser.error(f"--bandwidth {' '.join(asked.bandwidth)}: give a bandwidth of one link, and a larger one")
    count = 3 if asked.quick else 21
    bandwidth = [low * (high / low) ** (number / (count - 1)) for number in range(count)]
    here = int(am.load("link", am.load("device", head.device).link).links)
    counts = asked.links or [here, 2 * here]
    found = am.evaluate_study(study, link_bandwidth=bandwidth, links=counts)
    if not bool(found.feasible.any()):
        raise am.Infeasible(f"no such chip keeps to the limits of {asked.study}; give other values, or another --study")
    best = found[asked.objective].where(found.feasible)
    for name in study.techniques:
        for links in counts:
            pays = float(best.sel(technique=name, links=links).idxmax("link_bandwidth"))
            told = (
                f"{am.show(pays, 'B/s')} a link, {am.show(links * pays, 'B/s')} in all" if pays == pays else "nothing"
            )
            print(f"{name}, {links} links: {told} pays most")
    am.save(found, asked.output)
    title = "Link budget that pays"
    page = asked.output.rpartition(".")[0] + ".html"
    kept = found.where(found.feasible)
    print(am.draw(kept, page, y=asked.objective, x="link_bandwidth", lines=["technique", "links"], title=title))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
