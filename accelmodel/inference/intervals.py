"""How far a predicted time may lie from what would be measured: from residuals to intervals.

Errors of one kind of operator go the same way, so they add up; those of different kinds do not know of each other and
add up in squares.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from accelmodel.laws import kinds
from accelmodel.laws.types import COLLECTIVE
from accelmodel.specs import facts
from accelmodel.specs.base import Residual, Spec
from accelmodel.specs.formats import plain_bits
from accelmodel.specs.hardware import Cluster

#: those of experts: whose kernels run them is not said, and they differ
EXPERTS = "experts"
#: kinds whose errors go together
KINDS = ("matmul", "attention", "memory-bound", "collective", "row", EXPERTS)
#: kind of measured operators → kind whose errors it stands for
MEASURED = {
    "matmul": "matmul",
    "prefill attention": "attention",
    "decode attention": "attention",
    "quantise": "memory-bound",
    "all-reduce": "collective",
    "all-gather": "collective",
    "reduce-scatter": "collective",
    "all-to-all": "collective",
    "custom all-reduce": "collective",
    "unsaid matmul": "matmul",
    "weight-only matmul": "matmul",
    "mla prefill": "attention",
    "mla decode": "attention",
    "moe": EXPERTS,
    "unsaid moe": EXPERTS,
    "recurrence": "memory-bound",
    "unsaid matmul of a model": "matmul",
}
#: kinds of measured operators that speak for those of a step only where it has them
SPECIAL = (
    "unsaid matmul", "unsaid matmul of a model", "weight-only matmul", "mla prefill", "mla decode", "unsaid moe",
    "recurrence",
)  # fmt: skip
#: those of kernels of which nobody said whose they are
UNSAID = ("unsaid matmul", "unsaid moe")
#: the same of a step, whose matmuls are as wide and deep as those of models
UNSAID_IN_STEP = ("unsaid matmul of a model", "unsaid moe")
#: residuals of chips that were not measured, from taking each measured one for unmeasured
UNCALIBRATED = "uncalibrated.toml"


#: kind of operator in ``laws.kinds.KINDS`` → kind whose errors stand for its own, where that has another name
_ERRORS_LIKE = {"elementwise": "memory-bound", "epilogue": "memory-bound", "grouped": EXPERTS}


def kind_of(code: Any) -> Any:
    """Return the place in ``KINDS`` of operators by their code in an operator table.

    An operator of a kind that nobody measured has the errors of memory-bound ones.
    """
    names = [_ERRORS_LIKE.get(name, name) for name in kinds.KINDS]
    places = [KINDS.index(name if name in KINDS else "memory-bound") for name in names]
    code = np.asarray(code)
    collective = code >= COLLECTIVE
    return np.where(collective, KINDS.index("collective"), np.take(places, np.where(collective, 0, code).astype(int)))


def fitted_maker(maker: str) -> bool:
    """Whether constants were fitted to kernels of any chip of a maker."""
    content, _ = facts.read_toml(facts.root() / UNCALIBRATED)
    return maker in content["another_maker"]["but"]


def _powers(maker: str, architecture: str) -> tuple[float, float]:
    """Return the powers of the lower and the upper factors for a chip of a maker."""
    if not maker or fitted_maker(maker):
        return 1.0, 1.0
    content, _ = facts.read_toml(facts.root() / UNCALIBRATED)
    told = content["another_maker"]
    powers = told["known" if architecture in told["known"]["architectures"] else "unknown"]
    return float(powers["lower"]), float(powers["upper"])


@cache
def uncalibrated(maker: str = "", architecture: str = "") -> dict[str, tuple[float, float]]:
    """Return the factors (lower, upper) of each kind for chips whose constants were not fitted.

    Those of a maker's chips that others of its chips tell; further apart where few kernels of the architecture were
    measured, and most on the slow side where none were, whose constants stand at their optimistic ends.
    """
    content, _ = facts.read_toml(facts.root() / UNCALIBRATED)
    low, high = _powers(maker, architecture)
    as_told = {entry["kind"]: (entry["lower"], entry["upper"]) for entry in content["residual"]}
    found = {kind: (lower**low, upper**high) for kind, (lower, upper) in as_told.items()}
    for kind in set(SPECIAL) & found.keys() if (low, high) != (1.0, 1.0) else ():
        # no further apart for the maker than what it stands for; runs of a maker were made with its own kernels
        lower, upper = found[MEASURED[kind]]
        own_low, own_high = (lower, upper) if kind in UNSAID else as_told[kind]
        found[kind] = min(own_low, lower), max(own_high, upper)
    return found


def on_maker(cluster: Cluster) -> tuple[str, ...]:
    """Return what to know of a cluster's interval: that few kernels of the maker's were measured, or none."""
    device = cluster.device
    if device.residuals or fitted_maker(device.vendor):
        return ()
    content, _ = facts.read_toml(facts.root() / UNCALIBRATED)
    if device.architecture in content["another_maker"]["known"]["architectures"]:
        return (
            f"no tables of kernels of {device.vendor} were fitted: its interval is that of makers of whom a few runs "
            "are known",
        )
    return (
        f"no kernel of {device.architecture} was measured, constants stand at their optimistic ends: it may be slower "
        "by much more than faster",
    )


def widest(
    residuals: tuple[Residual, ...], kind: str, phase: str, bits: float, special: tuple[str, ...] = ()
) -> tuple[float, float] | None:
    """Return the outermost factors of the residuals of a kind, of those of the phase and precision where there are.

    Of those of ``special`` alone where there are any, else of those that are not.
    """
    of_kind = [each for each in residuals if MEASURED.get(each.kind) == kind]
    own = [each for each in of_kind if each.kind in special]
    own = own or [each for each in of_kind if each.kind not in SPECIAL]
    own = [each for each in own if each.kind.startswith(phase)] or own
    own = [each for each in own if each.bits == bits] or own
    if not own:
        return None
    return min(float(each.lower) for each in own), max(float(each.upper) for each in own)


def factors(
    cluster: Cluster,
    phase: str = "",
    bits: float = 16.0,
    kv_bits: float = 16.0,
    *,
    ranks: float = 1.0,
    collective: str = "",
    special: tuple[str, ...] = UNSAID,
) -> Any:
    """Return the factors (kind of ``KINDS``, end) of a prediction between which nine tenths of measured times lie.

    Parameters
    ----------
    cluster : Cluster
        Where the device or the link was not measured, or a field of it was overridden, the factors are those found by
        taking each measured device for an unmeasured one (``hwspecs/uncalibrated.toml``), and wider where no kernel of
        the device's maker was fitted.
    phase : str
        ``"prefill"`` or ``"decode"``: which attention.
    bits, kv_bits : float
        Precision of matmuls and of the KV cache [bit].
    ranks : float
        Devices of the largest collective: where they fill more than a node, what was measured in a node says nothing.
    collective : str
        Which collective, as ``MEASURED`` names them; any where left out.
    special : tuple of str
        Those of ``SPECIAL`` that speak for the operators asked for: nobody said whose kernels run, unless told.
    """
    near = ranks <= np.min(np.asarray(cluster.link.devices))
    specs: dict[str, Spec] = {
        **dict.fromkeys(KINDS, cluster.device),
        "collective": cluster.link if near else cluster.scale_out,
    }
    table = uncalibrated(cluster.device.vendor, cluster.device.architecture)
    found = []
    for kind, spec in specs.items():
        width = float(plain_bits(kv_bits if kind == "attention" else bits))
        which = collective if kind == "collective" else phase
        # at 16 bit every framework calls the same library, and on chips of other makers the maker's
        same = width >= 16.0 or not fitted_maker(cluster.device.vendor)
        told = tuple(
            each for each in special if MEASURED[each] == kind and not (same and each.startswith("unsaid matmul"))
        )
        name = _collective(cluster, near) if kind == "collective" else [*(set(told) & table.keys()), kind][0]
        if name == "matmul" and not same:
            name = "narrow matmul"
        found.append(widest(spec.residuals, kind, which, width, told) or table[name])
    return np.array(found)


def _collective(cluster: Cluster, near: Any) -> str:
    """Return the kind in ``uncalibrated.toml`` of collectives within a node or across them."""
    if not near:
        return "collective across nodes"
    # over a bus it matters who sits where, so that one server tells less of another
    return "collective over a bus" if cluster.link.topology == "bus" else "collective"


def by_kind(cluster: Cluster, phase: str = "", bits: float = 16.0, kv_bits: float = 16.0) -> dict[str, list[float]]:
    """Return ``factors`` by kind of operator: ``{kind: [lower, upper]}`` [1].

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> low, high = by_kind(cluster("h100-sxm"))["matmul"]
    >>> low < 1.0 < high
    True
    """
    found = factors(cluster, phase, bits, kv_bits)
    return {kind: [float(low), float(high)] for kind, (low, high) in zip(KINDS, found, strict=True)}


def interval(times: Any, codes: Any, ends: Any) -> tuple[Any, Any]:
    """Return the ends of the interval of a sum of operators [s].

    Parameters
    ----------
    times, codes : ndarray (operator, ...)
        Time of each operator [s], and the code of its kind.
    ends : ndarray (kind, end)
        As from ``factors``.
    """
    found = kind_of(codes)
    low: Any = 0.0
    high: Any = 0.0
    for k in range(len(KINDS)):
        of_kind = np.sum(np.where(found == k, times, 0.0), axis=0)
        low = low + (of_kind * (1.0 - ends[k, 0])) ** 2
        high = high + (of_kind * (ends[k, 1] - 1.0)) ** 2
    total = np.sum(times, axis=0)
    return np.maximum(total - np.sqrt(low), 0.0), total + np.sqrt(high)
