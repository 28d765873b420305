"""Which L2 size gives the most performance per area, as SRAM gets denser or sparser?

Answers for each SRAM density of the published range: the best L2 without and with prefetching, and the gain.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import xarray as xr

from accelmodel.dse.enumeration import evaluate, parts_of_study
from accelmodel.dse.study import load_study
from accelmodel.specs.given import override

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="three densities and every fourth size")
quick = parser.parse_args().quick

study = load_study("preserve-l2")
parts = parts_of_study(study)
sizes = study.axes()["l2_capacity"][:: 4 if quick else 1]
low, high = parts.process.facts["sram_area"].range
density = np.geomspace(low, high, 3 if quick else 12)
axis = xr.DataArray(density, dims="sram_area", coords={"sram_area": density})
moved = replace(parts, process=override(parts.process, sram_area=axis))
result = evaluate(study, moved, l2_capacity=xr.DataArray(sizes, dims="l2", coords={"l2": sizes}))
score = result[study.study.objective]
best, top = score.idxmax("l2"), score.max("l2")

print("mm2/MB  best L2 without  with prefetch   gain")
for area in density:
    none, prefetch = (best.sel(sram_area=area, technique=name) / 1e6 for name in ("none", "preserve"))
    gain = top.sel(sram_area=area, technique="preserve") / top.sel(sram_area=area, technique="none")
    print(f"{area * 1e12:6.2f}  {float(none):12.0f} MB  {float(prefetch):10.0f} MB  {float(gain):5.3f}")
