"""The tensor-parallel degree of a step where nobody named one: the smallest that fits."""

from __future__ import annotations

from typing import Any

from accelmodel.inference.placement import fits
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel

#: degrees that are tried
_DEGREES = tuple(1 << i for i in range(11))


def smallest_degree(model: LanguageModel, cluster: Cluster, **work: Any) -> int:
    """Return the smallest tensor-parallel degree, 1 or a power of two within a node, at which a step fits.

    Parameters
    ----------
    model, cluster
        What runs where; its fields are numbers, not axes.
    **work
        Fields of ``Workload`` other than ``tp``.

    Returns
    -------
    int
        Where none fits the largest that was tried, whose need of memory is the least.

    Raises
    ------
    SpecError
        If a value is not allowed.

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> from accelmodel.specs.load import load
    >>> smallest_degree(load("model", "llama-3-70b"), cluster("h100-sxm"), phase="decode", batch=1, context=2048)
    2
    """
    pp, dp, ep = (int(work.get(name, 1)) for name in ("pp", "dp", "ep"))
    most = min(int(float(cluster.devices)) // (pp * dp), int(float(cluster.link.devices)), int(float(model.heads)))
    able = [tp for tp in _DEGREES if tp <= most and tp * dp % ep == 0] or [1]
    return next((tp for tp in able if holds(model, cluster, tp=tp, **work)), able[-1])


def holds(model: LanguageModel, cluster: Cluster, **work: Any) -> bool:
    """Return whether the memory of each device holds its part of a step.

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> from accelmodel.specs.load import load
    >>> holds(load("model", "llama-3-70b"), cluster("h100-sxm"), phase="decode", batch=1, context=2048, tp=1)
    False
    """
    return bool(fits(model, cluster.device, workload(**work)) > 0.5)


def largest_degree(cluster: Cluster) -> int:
    """Return the largest tensor-parallel degree, 1 or a power of two, that a node of the cluster has devices for.

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> largest_degree(cluster("h100-sxm", devices=6))
    4
    """
    most = max(1, min(int(float(cluster.devices)), int(float(cluster.link.devices))))
    return max(tp for tp in _DEGREES if tp <= most)
