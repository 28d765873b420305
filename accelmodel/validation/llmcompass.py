"""Single operators that others timed on their hosts, whose points the repository holds.

Series stand in ``hwspecs/published`` as ``[[series]]``.  A series that a constant was fitted to says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from accelmodel.calibration.errors import PRECISIONS, statistics
from accelmodel.errors import SpecError, unknown
from accelmodel.inference import operator_time
from accelmodel.laws.roofline import roofline
from accelmodel.specs import facts
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import dense_peaks
from accelmodel.specs.load import load
from accelmodel.validation.operators import FIELD_SHARE

Points = Annotated[list[Annotated[float, Field(gt=0.0)]], Field(min_length=1)]
#: bytes of an element of memory-bound operators and of attention, all of them at 16 bit
_WIDTH = 2.0
#: kind of series → its lists of sizes
_SIZES = {"memory-bound": ("elements",), "matmul": ("m", "n", "k"), "prefill attention": ("context",)}


class Series(BaseModel):
    """Measured times of one operator over sizes: ``elements``, ``m``, ``n`` and ``k``, or ``context`` of attention.

    Attention is causal, over ``batch`` sequences with ``heads``, ``kv_heads`` and ``head_dim`` the same in all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    operator: str
    kind: Literal["memory-bound", "matmul", "prefill attention"]
    device: str
    bits: float = 16.0
    host_time_us: Annotated[float, Field(ge=0.0)]
    ops_per_element: float = 0.0
    elements: Points | None = None
    m: Points | None = None
    n: Points | None = None
    k: Points | None = None
    context: Points | None = None
    batch: float = 1.0
    heads: float = 1.0
    kv_heads: float = 1.0
    head_dim: float = 128.0
    calibrated_on_it: bool = False
    time_us: Points
    source: str
    locator: str


def series() -> list[Series]:
    """Return all series of ``hwspecs/published``; raises SpecError naming file and field."""
    found: list[Series] = []
    for path in sorted((facts.root() / "published").glob("*.toml")):
        content, _ = facts.read_toml(path)
        for entry in content.get("series", []):
            try:
                one = Series.model_validate(entry)
            except pydantic.ValidationError as error:
                raise SpecError(f"{path}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
            if one.source not in facts.sources():
                raise SpecError(f"{path}: {unknown('source', one.source, facts.sources())}")
            for name in _SIZES[one.kind]:
                if len(getattr(one, name) or ()) != len(one.time_us):
                    raise SpecError(f"{path}: {one.operator}: {name} needs {len(one.time_us)} numbers, as time_us has")
            found.append(one)
    return found


def _asked(one: Series) -> tuple[Any, Any, Any, float]:
    """Return the columns of a series, its operations [FLOP], the bytes that it moves, and its precision [bit]."""
    sizes = [np.array(getattr(one, name)) for name in _SIZES[one.kind]]
    if one.kind == "memory-bound":
        (elements,) = sizes
        columns = operator_time.pointwise(elements, one.ops_per_element, _WIDTH, _WIDTH)
        return columns, 0.0 * elements, 2.0 * _WIDTH * elements, 16.0
    if one.kind == "matmul":
        m, n, k = sizes
        moved = one.bits / 8.0 * (m * k + k * n) + 2.0 * m * n
        return operator_time.matmul(m, n, k, one.bits), 2.0 * m * n * k, moved, one.bits
    (context,) = sizes
    columns = operator_time.attention("prefill", one.batch, one.heads, one.kv_heads, one.head_dim, context)
    width = one.batch * one.head_dim
    moved = 2.0 * _WIDTH * width * context * (one.heads + one.kv_heads)
    return columns, 2.0 * width * one.heads * context * context, moved, 16.0


def times(one: Series) -> tuple[Any, Any, Any]:
    """Return the times of a series by the laws, by the roofline and by the roofline of the field [s].

    What the host takes for a launch stands in the place of the device's launch time, and of the field's 3 us; the bare
    roofline has it too.
    """
    chip = cluster(load("device", one.device))
    device = chip.device
    columns, flops, moved, bits = _asked(one)
    law, _ = operator_time.time_columns(columns, chip)
    host = one.host_time_us * 1e-6
    peak = dense_peaks(device.compute, bits)
    bare, field = (roofline(flops, peak, moved, share * device.hbm.bandwidth) + host for share in (1.0, FIELD_SHARE))
    return law - device.compute.launch_time + host, bare, field


def rows() -> list[dict[str, Any]]:
    """Return a row of the accuracy table for each series."""
    found = []
    for one in series():
        measured = np.array(one.time_us) * 1e-6
        law, bare, field = times(one)
        found.append(
            {
                "device": one.device, "kind": one.kind, "precision": PRECISIONS[one.bits],
                "source": f"{one.source}, {one.operator}", "locator": one.locator, **statistics(law, measured),
                "roofline_median_ape": statistics(bare, measured)["median_ape"],
                "roofline_mean_ape": statistics(bare, measured)["mean_ape"],
                "field_median_ape": statistics(field, measured)["median_ape"],
                "field_mean_ape": statistics(field, measured)["mean_ape"],
                "fitted_source": one.calibrated_on_it, "left_out": 0,
                "split": "calibrated" if one.calibrated_on_it else "never fitted",
            }
        )  # fmt: skip
    return found
