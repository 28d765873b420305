"""A step prepared in numbers, before anything is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelmodel.inference.axes import Axes, carried, spread
from accelmodel.inference.operators import OperatorTable
from accelmodel.inference.run import Machines
from accelmodel.laws.numeric import Array, Number
from accelmodel.laws.types import Operator
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Workload

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Inputs:
    """A step prepared in numbers: what the kernel needs, and what puts labels on its answer."""

    model: LanguageModel
    cluster: Cluster
    work: Workload
    table: OperatorTable
    axes: Axes
    operators: Array
    machines: Machines
    memory: Number
    fits: Number
    #: the operators by the law alone, where kernels of the checkpoint's format took its place
    by_law: Array | None = None
    #: kinds of ``intervals.UNSAID_IN_STEP`` whose kernels somebody named
    said: frozenset[str] = frozenset()

    def column(self, name: str) -> Array:
        """Return a column of the operator table over (operator, *axes)."""
        values = self.operators[Operator._fields.index(name)]
        designs = self.machines.designs
        return np.repeat(values[:, :, None], designs, axis=2).reshape(-1, *self.axes.shape)

    def over_work(self, value: Number) -> Array:
        """Return the value as an array over the axes of the workload."""
        shape = tuple(len(labels) for labels in self.axes.workload.values())
        return np.broadcast_to(spread(value, self.axes.workload), shape)

    def carried(self) -> xr.Coordinates | None:
        """Return what the caller put on the axes."""
        cluster = self.cluster
        return carried(self.work, self.model, cluster.device, cluster.link, cluster.scale_out)

    def over_axes(self, value: Number | Array) -> Array:
        """Return the value as an array over all axes."""
        own = value if isinstance(value, np.ndarray) else spread(value, {**self.axes.workload, **self.axes.machine})
        return np.broadcast_to(own, self.axes.shape).astype(float)
