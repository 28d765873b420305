"""What software may choose for a chip: degrees of parallelism, batch, technique with its parameters."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError
from accelmodel.inference.operators import operator_table
from accelmodel.inference.policies import TECHNIQUES, Technique, policy
from accelmodel.inference.request import BASELINE
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel

#: degrees of parallelism, in the order in which results name them
DEGREES = ("tp", "pp", "ep", "dp")


def variants(study: Study, technique: str) -> list[Technique]:
    """Return a technique with every combination of the parameters that it takes and the study lets software choose."""
    software, takes = study.software, inspect.signature(TECHNIQUES[technique]).parameters
    offered: dict[str, Sequence[float | str] | None] = {"threshold": software.threshold, "rule": software.rule}
    chosen = {name: values for name, values in offered.items() if name in takes and values is not None}
    return [policy(technique, **dict(zip(chosen, each, strict=True))) for each in itertools.product(*chosen.values())]


def policies(study: Study, technique: str) -> list[Technique]:
    """Return what software may choose from under a technique: its variants, and to leave it off."""
    off = variants(study, BASELINE)
    return off if technique == BASELINE else off + variants(study, technique)


@dataclass(frozen=True)
class Degrees:
    """Degrees of parallelism that may be chosen: one array for each, a place for each combination."""

    values: dict[str, npt.NDArray[np.float64]]

    @property
    def devices(self) -> npt.NDArray[np.float64]:
        """Devices that each combination takes [1]."""
        return self.values["tp"] * self.values["pp"] * self.values["dp"]


def degrees(study: Study, cluster: Cluster) -> Degrees:
    """Return the combinations that the devices allow; powers of two within a node where ``tp`` is left to software.

    Raises
    ------
    SpecError
        If a degree, or each combination, takes more devices than there are.
    """
    software, most = study.software, int(float(cluster.devices))
    node = min(most, int(np.max(np.asarray(cluster.link.devices))))
    usual = [1 << i for i in range(node.bit_length()) if 1 << i <= node]
    given = {"tp": software.tp or usual, "pp": software.pp, "ep": software.ep, "dp": software.dp}
    for name, values in given.items():
        if max(values) > most:
            raise SpecError(
                f"software.{name}: {max(values)} is more than the {most} devices; lower it, or raise software.devices"
            )
    chosen = [each for each in itertools.product(*given.values()) if _allowed(each, most)]
    if not chosen:
        raise SpecError(
            f"software: no combination of tp, pp, ep and dp keeps to {most} devices with ep dividing tp x dp; "
            "lower a degree, or raise software.devices"
        )
    columns = np.array(chosen, dtype=float).T
    return Degrees(dict(zip(DEGREES, columns, strict=True)))


def _allowed(chosen: tuple[int, ...], most: int) -> bool:
    tp, pp, ep, dp = chosen
    return tp * pp * dp <= most and tp * dp % ep == 0


def possible(model: LanguageModel, cluster: Cluster, chosen: Degrees, **work: float) -> Degrees:
    """Return the combinations by which a model can be cut.

    Raises
    ------
    SpecError
        If it can be by none.
    """
    kept, why = [], None
    for place in range(len(chosen.devices)):
        each = {name: float(values[place]) for name, values in chosen.values.items()}
        try:
            operator_table(
                model, workload(phase="decode", batch=each["dp"], context=2.0, **each, **work), cluster.device
            )
            kept.append(place)
        except SpecError as error:
            why = why or error
    if not kept:
        raise SpecError(f"software: {model.name} can be cut by no combination of tp, pp, ep and dp: {why}")
    return Degrees({name: values[kept] for name, values in chosen.values.items()})
