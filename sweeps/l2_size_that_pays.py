"""Which L2 size gives the most performance per area, without and with prefetching, as SRAM gets denser or sparser?"""

import argparse

import numpy as np
import xarray as xr

import accelmodel as am

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a few sizes, and three densities of SRAM")
parser.add_argument("--study", default="preserve-l2", help="shipped study, or path of one: chip, costs and workload")
parser.add_argument("--device", help="chip to start from, in place of the study's")
parser.add_argument("--model", nargs="+", help="models to serve, in place of the study's")
parser.add_argument("--l2", nargs=3, default=["8MB", "256MB", "8MB"], metavar=("FROM", "TO", "STEP"))
parser.add_argument("--output", default="l2-size-that-pays.nc", help="NetCDF file; the picture stands beside it")
asked = parser.parse_args()

study = am.load_study(asked.study)
head = study.study.model_copy(update={"device": asked.device or study.study.device})
serving = study.workload.model_copy(update={"models": asked.model or study.workload.models})
study = study.model_copy(update={"study": head, "workload": serving})
low, high, step = (am.parse(text, "B") for text in asked.l2)
sizes = np.arange(low, high + step / 2, 4 * step if asked.quick else step)
found = am.evaluate_study(study, l2_capacity=sizes)

process = am.load("process", am.load("device", head.device).process)
densities = np.geomspace(*process.facts["sram_area"].range, 3 if asked.quick else 12)
area_of_sram = xr.DataArray(
    densities, dims="sram_area", coords={"sram_area": ("sram_area", densities, {"units": "m2/B"})}
)
die = found.die_area + found.area_l2 * (area_of_sram / process.sram_area - 1.0)
per_area = (found.throughput / die).assign_attrs(
    units="token/(s m2)", long_name="throughput per area", description="tokens per second and area of the die"
)
found["per_area"] = per_area
best, top = per_area.idxmax("l2_capacity"), per_area.max("l2_capacity")
for density in densities:
    sizes_there = ", ".join(
        f"{name} {am.show(float(best.sel(sram_area=density, technique=name)), 'B')}" for name in study.techniques
    )
    gain = float(top.sel(sram_area=density, technique=study.candidate) / top.sel(sram_area=density, technique="none"))
    print(f"SRAM of {am.show(density, 'm2/B')}: best L2 {sizes_there}; gain {gain:.3f}")
found.to_netcdf(asked.output)
shown = found.sel(sram_area=densities[[0, -1]])
title = "L2 size that pays, by the area of SRAM"
page = asked.output.rpartition(".")[0] + ".html"
print(am.draw(shown, page, y="per_area", x="l2_capacity", lines=["technique", "sram_area"], title=title))
