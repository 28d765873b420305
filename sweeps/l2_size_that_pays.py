"""Which L2 size gives the most performance per area, without and with prefetching, as SRAM gets denser or sparser?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a few sizes, and three densities of SRAM")
parser.add_argument("--study", default="preserve-l2", help="shipped study, or path of one: chip, costs and workload")
parser.add_argument("--device", help="chip to start from, in place of the study's")
parser.add_argument("--model", nargs="+", help="models to serve, in place of the study's")
parser.add_argument("--l2", nargs=3, default=["8MB", "256MB", "8MB"], metavar=("FROM", "TO", "STEP"))
parser.add_argument("--output", default="l2-size-that-pays.nc", help=".nc, .zarr or .csv; the picture stands beside it")


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    study = am.load_study(asked.study)
    head = study.study.model_copy(update={"device": asked.device or study.study.device})
    serving = study.workload.model_copy(update={"models": asked.model or study.workload.models})
    study = study.model_copy(update={"study": head, "workload": serving})
    low, high, step = (am.parse(text, "B", what="--l2") for text in asked.l2)
    if not (high > low and 0.0 < step <= high - low):
        parser.error(f"--l2 {' '.join(asked.l2)}: give a size, a larger one, and a step between them")
    step = 4.0 * step if asked.quick else step
    sizes = [low + number * step for number in range(int((high - low) / step + 1.5))]
    process = am.load("process", am.load("device", head.device).process)
    least, most = process.facts["sram_area"].range or (0.5 * process.sram_area, 2.0 * process.sram_area)
    count = 3 if asked.quick else 12
    densities = [least * (most / least) ** (number / (count - 1)) for number in range(count)]
    found = am.evaluate_study(study, l2_capacity=sizes, process_sram_area=densities)
    if not bool(found.feasible.any()):
        raise am.Infeasible(f"no such chip keeps to the limits of {asked.study}; give other values, or another --study")
    found["per_area"] = (found.throughput / found.die_area).assign_attrs(
        units="token/(s m2)", long_name="throughput per area", description="tokens per second and area of the die"
    )
    per_area = found.per_area.where(found.feasible)
    best, top = per_area.idxmax("l2_capacity"), per_area.max("l2_capacity")
    for density in densities:
        at, most_there = best.sel(process_sram_area=density), top.sel(process_sram_area=density)
        told = ", ".join(f"{name} {am.show(float(at.sel(technique=name)), 'B')}" for name in study.techniques)
        gain = float(most_there.sel(technique=study.candidate) / most_there.sel(technique="none"))
        print(f"SRAM of {am.show(density, 'm2/B')}: best L2 {told}; gain {gain:.3f}")
    am.save(found, asked.output)
    shown = found.sel(process_sram_area=[densities[0], densities[-1]])
    title = "L2 size that pays, by the area of SRAM"
    page = asked.output.rpartition(".")[0] + ".html"
    print(am.draw(shown, page, y="per_area", x="l2_capacity", lines=["technique", "process_sram_area"], title=title))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
