"""The chips of a space, by number: every combination of its axes, those that are one chip once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelmodel.dse.studies.study import Study
from accelmodel.specs.link import GRIDS
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import xarray as xr

#: axes of which only the product counts, where links do not stand along axes of a torus
_PRODUCT = ("links", "link_bandwidth")


@dataclass(frozen=True)
class Group:
    """Axes that are counted together: most stand alone; name → value at each place."""

    values: dict[str, npt.NDArray[Any]]

    @property
    def places(self) -> int:
        """How many different combinations its axes have."""
        return len(next(iter(self.values.values())))


def groups(study: Study) -> list[Group]:
    """Return the axes of a space in order, links and their bandwidth together where only their product counts."""
    grids = {name: np.asarray(axis.grid) for name, axis in study.axes().items()}
    joint = tuple(name for name in grids if name in _PRODUCT)
    if len(joint) < 2 or not _by_product(study, grids):
        return [Group({name: values}) for name, values in grids.items()]
    first, second = (grids[name] for name in joint)
    pairs = np.array([(one, other) for one in first for other in second])
    _, kept = np.unique((pairs[:, 0] * pairs[:, 1]).round(3), return_index=True)
    pairs = pairs[np.sort(kept)]
    found = []
    for name, values in grids.items():
        if name == joint[0]:
            found.append(Group(dict(zip(joint, pairs.T, strict=True))))
        elif name != joint[1]:
            found.append(Group({name: values}))
    return found


def _by_product(study: Study, grids: dict[str, Any]) -> bool:
    """Whether only the product of links and bandwidth counts: not on a torus, whose exchanges count links."""
    device = load("device", study.study.device)
    names = [str(name) for name in grids.get("link", [device.link])]
    return all(load("link", name).topology not in GRIDS for name in names)


def size(study: Study) -> int:
    """Return how many chips the space holds; of axes without steps as many as are enumerated."""
    return math.prod(group.places for group in groups(study))


def points(study: Study, start: int, stop: int) -> dict[str, xr.DataArray]:
    """Return chips ``start`` to ``stop`` of the space in row-major order, as arrays over ``design``."""
    import xarray as xr

    parts = groups(study)
    index = np.unravel_index(np.arange(start, stop), tuple(group.places for group in parts))
    found = {
        name: xr.DataArray(values[i], dims="design")
        for group, i in zip(parts, index, strict=True)
        for name, values in group.values.items()
    }
    return {name: found[name] for name in study.axes()}
