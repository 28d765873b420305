"""What does each generation of HBM give a decode step, at the same number of stacks?"""

import argparse

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="two batches")
parser.add_argument("--device", default="h100-sxm")
parser.add_argument("--model", default="llama-3-70b")
parser.add_argument("--generation", nargs="+", default=["hbm2e", "hbm3", "hbm3e", "hbm4", "hbm4e"], help="memories")
parser.add_argument("--stacks", type=int, default=5)
parser.add_argument("--context", type=int, default=8192)
parser.add_argument("--tp", type=int, default=8)
parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16, 64, 128, 256])
parser.add_argument("--output", default="hbm-generation.nc", help=".nc, .zarr or .csv; the picture stands beside it")


def main() -> None:
    """Ask, write the numbers and the picture, and say what they say."""
    asked = parser.parse_args()

    if asked.stacks < 1:
        parser.error(f"--stacks {asked.stacks}: give one or more")
    stacks = [am.load("memory", name) for name in asked.generation]
    device = am.load("device", asked.device)
    rates = am.override(device, hbm_bandwidth=[asked.stacks * stack.bandwidth for stack in stacks]).hbm.bandwidth
    rates = rates.rename(hbm_bandwidth="generation").assign_coords(generation=asked.generation)
    sizes = rates.copy(data=[asked.stacks * stack.capacity for stack in stacks])
    chip = am.override(device, hbm_bandwidth=rates, hbm_capacity=sizes)
    batches = asked.batch[:2] if asked.quick else asked.batch
    work = am.workload(phase="decode", batch=batches, context=asked.context, tp=asked.tp)
    found = am.time_step(am.load("model", asked.model), am.cluster(chip), work)
    if not bool(found.feasible.any()):
        raise am.Infeasible(f"{asked.model} fits no {asked.stacks} stacks at tp {asked.tp}; give more of either")
    for name in asked.generation:
        times = found.step_time.where(found.feasible).sel(generation=name).dropna("batch")
        told = ", ".join(f"batch {int(at.batch)}: {am.show(float(at), 's')}" for at in times)
        print(f"{name} {told or 'does not fit'}")
    am.save(found, asked.output)
    page = asked.output.rpartition(".")[0] + ".html"
    title = f"{asked.model} on {asked.device} with {asked.stacks} stacks of other memory"
    print(am.draw(found.where(found.feasible), page, y="step_time", x="batch", lines=["generation"], title=title))


if __name__ == "__main__":
    try:
        main()
    except (am.SpecError, am.Infeasible) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
