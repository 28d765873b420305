"""Single operators that others timed, whose points the repository holds.

Series stand in ``hwspecs/published`` as ``[[series]]``; each says whether constants were fitted to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from accelmodel.calibration.errors import PRECISIONS, statistics
from accelmodel.errors import SpecError, unknown
from accelmodel.inference import operator_time
from accelmodel.inference.rowwise import LOOKED_UP, SWEEPS, blockwise, rowwise, softmax
from accelmodel.laws.roofline import roofline
from accelmodel.specs import facts
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Cluster, dense_peaks
from accelmodel.specs.load import load
from accelmodel.validation.operators import FIELD_SHARE, FIELD_TIME

Points = Annotated[list[Annotated[float, Field(gt=0.0)]], Field(min_length=1)]
#: bytes of an element of memory-bound operators and of attention, all of them at 16 bit
_WIDTH = 2.0
#: the same of collectives: share of a link, and what it adds [s]
FIELD = FIELD_SHARE, FIELD_TIME
#: shape of an operator → sweeps over a row, and whether each but the first reads it again
_SWEEPS = {"norm": (SWEEPS, 1.0), "activation": (1.0, 0.0), "rotary": (LOOKED_UP, 0.0)}


class Series(BaseModel):
    """Measured times of one operator over sizes.

    Of memory-bound ones ``elements``, or ``rows`` and ``columns``; of matmuls ``m``, ``n`` and ``k``; ``context`` of
    attention, which is causal, over ``batch`` sequences with ``heads``, ``kv_heads`` and ``head_dim`` the same in all;
    ``size_kib`` of all-reduces over ``devices``, called ``by`` whom and ``launch`` how, over ``link``.

    ``host_time_us`` is what the host takes for a launch, where that is inside the times; else they are the device's.
    ``read`` and ``written`` are bytes of an element, ``plain`` kernels load one element at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    operator: str
    kind: Literal["memory-bound", "matmul", "prefill attention", "all-reduce"]
    device: str
    bits: float = 16.0
    integer: bool = False
    shape: Literal["norm", "activation", "rotary", "softmax"] = "activation"
    host_time_us: Annotated[float, Field(ge=0.0)] | None = None
    ops_per_element: float = 0.0
    read: Annotated[float, Field(gt=0.0)] = _WIDTH
    written: Annotated[float, Field(gt=0.0)] = _WIDTH
    plain: bool = False
    split: Literal["never fitted", "held-out", "seen", "fitted"] = "never fitted"
    elements: Points | None = None
    rows: Points | None = None
    columns: Points | None = None
    m: Points | None = None
    n: Points | None = None
    k: Points | None = None
    context: Points | None = None
    batch: float = 1.0
    heads: float = 1.0
    kv_heads: float = 1.0
    head_dim: float = 128.0
    size_kib: Points | None = None
    devices: Annotated[int, Field(ge=1)] = 1
    link: str | None = None
    by: str = "library"
    launch: Literal["graph", "eager"] = "graph"
    time_us: Points
    source: str
    locator: str

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of the sizes that it gives."""
        if self.kind == "memory-bound":
            return ("rows", "columns") if self.rows is not None else ("elements",)
        return {"matmul": ("m", "n", "k"), "all-reduce": ("size_kib",)}.get(self.kind, ("context",))


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
            for name in one.asked:
                if len(getattr(one, name) or ()) != len(one.time_us):
                    raise SpecError(f"{path}: {one.operator}: {name} needs {len(one.time_us)} numbers, as time_us has")
            found.append(one)
    return found


def _asked(one: Series) -> tuple[operator_time.Columns, Any, Any]:
    """Return the columns of a series, its operations [FLOP] and the bytes that it moves."""
    if one.kind == "memory-bound":
        columns, elements = _by_rows(one)
        return columns, 0.0 * elements, (one.read + one.written) * elements
    sizes = [np.array(getattr(one, name)) for name in one.asked]
    if one.kind == "matmul":
        m, n, k = sizes
        moved = one.bits / 8.0 * (m * k + k * n) + _WIDTH * m * n
        columns = operator_time.matmul(m, n, k, one.bits, integer=float(one.integer))
        return columns, 2.0 * m * n * k, moved
    if one.kind == "all-reduce":
        size = sizes[0] * 1024.0
        return operator_time.collective("all-reduce", size, float(one.devices)), 0.0 * size, size
    (context,) = sizes
    columns = operator_time.attention("prefill", one.batch, one.heads, one.kv_heads, one.head_dim, context)
    width = one.batch * one.head_dim
    moved = 2.0 * _WIDTH * width * context * (one.heads + one.kv_heads)
    return columns, 2.0 * width * one.heads * context * context, moved


def times(one: Series) -> tuple[Any, Any, Any]:
    """Return the times of a series by the laws, by the roofline and by the roofline of the field [s].

    What the host takes for a launch stands in the place of the device's launch time, and of the field's 3 us; the bare
    roofline has it too.
    """
    chip = _chip(one)
    device = chip.device
    columns, flops, moved = _asked(one)
    law, _ = operator_time.time_columns(columns, chip)
    launch = device.compute.launch_time
    host = launch if one.host_time_us is None else one.host_time_us * 1e-6
    if one.kind == "all-reduce":
        sent = 2.0 * (1.0 - 1.0 / one.devices) * moved
        bare, field = (sent / (share * chip.link.bandwidth) + more for share, more in ((1.0, 0.0), FIELD))
        return law, bare, field
    peak = dense_peaks(device.compute, one.bits)
    bare, field = (roofline(flops, peak, moved, share * device.hbm.bandwidth) + host for share in (1.0, FIELD_SHARE))
    return law - launch + host, bare, field


def _chip(one: Series) -> Cluster:
    """Return the device of a series, or as many over its link, with who calls its collectives and how."""
    device = load("device", one.device)
    if one.kind != "all-reduce":
        return cluster(device)
    link = load("link", one.link or device.link)
    return cluster(device, one.devices, link=replace(link, by=one.by, launch=one.launch))


def _by_rows(one: Series) -> tuple[operator_time.Columns, Any]:
    """Return the columns of a memory-bound series, and its elements."""
    if one.rows is None:
        elements: Any = np.array(one.elements)
        return blockwise(elements, one.ops_per_element, one.read, one.written), elements
    rows: Any = np.array(one.rows)
    width: Any = np.array(one.columns)
    elements = rows * width
    if one.shape == "softmax":
        return softmax(rows, width, one.written), elements
    sweeps, again = _SWEEPS[one.shape]
    moved = one.read, one.written, again * _WIDTH
    columns = rowwise(rows, width, one.ops_per_element, moved, sweeps=sweeps, plain=one.plain)
    # each row of these kernels has threads of its own, however short it is
    return {**columns, "groups": rows}, elements


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
                "fitted_source": one.split != "never fitted", "left_out": 0, "split": one.split,
            }
        )  # fmt: skip
    return found
