"""Which experts a device holds and how many tokens come to them: on average, and on the busiest device.

Experts are spread over the ranks of expert parallelism in order; redundant ones stand beside them, and every copy of an
expert gets its share of the tokens.  Where the ranks do not divide them, the busiest rank holds one more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.columns import Shard, anywhere, ceil_div
from accelmodel.laws.exchange import EXCHANGES
from accelmodel.laws.numeric import Number, least, most, sqrt
from accelmodel.specs.language_model import LanguageModel, perceptrons
from accelmodel.specs.layer_kinds import Experts
from accelmodel.specs.workload import Workload

#: places of kernels in ``EXCHANGES``, from 1 on: 0 is what the phase asks for
LOW_LATENCY, NORMAL = (1.0 + list(EXCHANGES).index(name) for name in ("low-latency", "normal"))


def places(kind: Experts, work: Workload) -> Number:
    """Return the experts of a layer over all ranks, redundant ones included [1]."""
    return kind.experts + work.redundant_experts


def held_experts(kind: Experts, work: Workload) -> Number:
    """Return the experts that the busiest rank holds [1].

    Examples
    --------
    DeepSeek-V3 on 144 ranks, and with 32 redundant experts on them:

    >>> kind = Experts("experts", 58.0, 256.0, 8.0, 2048.0)
    >>> work = {"phase": "decode", "batch": 144.0, "context": 1.0, "dp": 144.0, "ep": 144.0}
    >>> [float(held_experts(kind, Workload(**work, redundant_experts=more))) for more in (0.0, 32.0)]
    [2.0, 2.0]
    """
    return ceil_div(places(kind, work), work.ep)


def exchanged(work: Workload) -> Number:
    """Return 1 where tokens are sent to experts, 0 where each rank has all tokens it needs or gathers all."""
    return (work.ep > 1.0) * (work.dp > 1.0) * 1.0


def kernels(work: Workload) -> Number:
    """Return which kernels exchange tokens around experts: their place in ``EXCHANGES`` from 1 on.

    Where none are named, those of low latency in decode and normal ones else.

    Examples
    --------
    >>> [kernels(Workload(phase, 1.0, 1.0)) for phase in ("decode", "prefill")]
    [1.0, 2.0]
    """
    # a mixed step without a prompt is decode
    decode = {"decode": 1.0, "mixed": (work.prefill_tokens == 0.0) * 1.0}.get(work.phase, 0.0)
    return work.exchange + (work.exchange == 0.0) * (NORMAL + decode * (LOW_LATENCY - NORMAL))


def active_experts(tokens: Number, kind: Experts, held: Number, among: Number | None = None) -> Number:
    """Return how many of the ``held`` experts get a token at all, on average, each of ``among`` being as likely."""
    return held * (1.0 - (1.0 - kind.used / (kind.experts if among is None else among)) ** tokens)


def held_share(kind: Experts, work: Workload, part: Shard) -> Number:
    """Return the experts that a device holds, relative to those that get a token [1]."""
    held = held_experts(kind, work)
    return held / active_experts(part.tokens * work.dp, kind, held, places(kind, work))


def busiest_load(tokens: Number, kind: Experts, work: Workload) -> Number:
    """Return the copies of tokens that come to the busiest rank, relative to the mean of all: the imbalance [1].

    What the workload says; where that is 0, what routing at random gives for so many tokens of all ranks.
    """
    said = np.asarray(work.imbalance)
    if not np.any(said != 1.0):
        return work.imbalance
    if not np.any(said == 0.0):
        return (work.ep > 1.0) * work.imbalance + (work.ep <= 1.0)
    random = random_imbalance(tokens, kind.used, kind.experts, work.ep)
    return (work.ep > 1.0) * (work.imbalance + (work.imbalance == 0.0) * random) + (work.ep <= 1.0)


def random_imbalance(tokens: Number, used: Number, experts: Number, ranks: Number) -> Number:
    """Return the expected load of the busiest of some ranks, relative to the mean, where tokens choose at random [1].

    Parameters
    ----------
    tokens : float
        Of all ranks [token].
    used, experts : float
        Experts that a token goes to, all different, out of those that are spread over the ranks [1].
    ranks : float
        Ranks [1].

    Notes
    -----
    The copies that come to a rank have mean N k / R and, a token's experts being drawn without return, variance
    N k / R x (1 - 1/R) x (E - k) / (E - 1).  The expected largest of R is taken from Blom's scores of the normal
    distribution (1958), moved by the skew of the binomial one (Cornish and Fisher 1938).  Within 3 % of drawn routings
    from one copy a rank on; that ranks share a sum is left out.

    Examples
    --------
    DeepSeek-V3 on 32 ranks, with 4 and with 4,096 tokens on each:

    >>> [round(float(random_imbalance(32.0 * tokens, 8.0, 256.0, 32.0)), 2) for tokens in (4.0, 4096.0)]
    [1.37, 1.01]
    """
    from scipy.special import ndtri

    mean = tokens * used / ranks
    deviation: Any = sqrt(mean * (1.0 - 1.0 / ranks) * (experts - used) / most(experts - 1.0, 1.0))
    score = ndtri((ranks - 0.375) / (ranks + 0.25))
    largest = mean + score * deviation + (score**2 - 1.0) / 6.0 * (1.0 - 2.0 / ranks)
    return (ranks > 1.0) * (least(largest, tokens * least(used, experts / ranks)) / mean - 1.0) + 1.0


def told(model: LanguageModel, work: Workload, part: Shard) -> dict[str, Any]:
    """Return how tokens come to the experts of a model, for its answers: nothing where it has none.

    ``held`` are the experts of the busiest rank, ``imbalance`` its tokens over the mean, found where routing is random.
    """
    kind = next((kind for kind in perceptrons(model) if isinstance(kind, Experts)), None)
    if kind is None:
        return {}
    names = ["none", *EXCHANGES]
    sent = np.asarray(exchanged(work) * kernels(work)).ravel()
    return {
        "held": held_experts(kind, work),
        "redundant": work.redundant_experts,
        "imbalance": busiest_load(part.tokens * work.dp, kind, work),
        "exchange": " and ".join(names[int(place)] for place in np.unique(sent)),
        "two_batch_overlap": work.two_batch,
    }


def check(model: LanguageModel, work: Workload, part: Shard) -> list[str]:
    """Return notes on how experts are spread and fed; raise SpecError where they cannot be as asked."""
    routed = [kind for kind in perceptrons(model) if isinstance(kind, Experts)]
    if not routed:
        _need_experts(model, work)
        return []
    group = work.tp * work.dp
    _refuse(
        group % work.ep != 0.0,
        f"ep must divide tp x dp, {_number(group)}, and is {_number(work.ep)}: each device is in one group of ep; "
        "choose a divisor, or change tp or dp",
    )
    _refuse(
        (work.redundant_experts > 0.0) & (work.ep <= 1.0),
        "redundant_experts needs ep above 1; raise ep, or leave it out",
    )
    for kind in routed:
        whole = work.ep * least(held_experts(kind, work) / kind.used, 1.0)
        _refuse(
            (work.ep > 1.0) & (work.imbalance > whole * (1.0 + 1e-9)),
            f"imbalance {_number(work.imbalance)} exceeds the {_least(whole)} at which one rank has all that "
            f"{_number(work.ep)} ranks can send it; lower it",
        )
        lacking = work.ep - kind.experts
        _refuse(
            lacking > work.redundant_experts,
            f"ep {_number(work.ep)} exceeds the {kind.experts:g} experts of {model.name} and the redundant ones, "
            f"{_number(work.redundant_experts)}; lower ep, or give redundant_experts {_number(lacking)} or more",
        )
    if anywhere(work.two_batch):
        halved = work.two_batch > 0.0
        _refuse(
            halved & (exchanged(work) == 0.0), "two_batch hides an exchange around experts: it needs ep and dp above 1"
        )
        _refuse(
            halved & (part.sequences < 2.0),
            "two_batch needs two sequences on each data-parallel rank; raise batch, or lower dp or pp",
        )
    return [*(note for kind in routed for note in _dealt(kind, work)), *_fed(work)]


def _dealt(kind: Experts, work: Workload) -> list[str]:
    """Return a note where ranks do not hold as many experts each."""
    number, held = places(kind, work), held_experts(kind, work)
    if not anywhere(number % work.ep):
        return []
    return [
        f"ep does not divide the {_number(number)} experts: the busiest rank, which holds {_number(held)}, is timed; "
        "vLLM deals them so, SGLang refuses"
    ]


def _fed(work: Workload) -> list[str]:
    """Return a note on how tokens come to the experts, where these are spread over ranks."""
    if not anywhere(work.ep > 1.0):
        plain = (("imbalance", 1.0), ("exchange", 0.0))
        asked = [name for name, usual in plain if anywhere(getattr(work, name) != usual)]
        return [f"ep is 1: each rank has all experts, and {' and '.join(asked)} change nothing"] if asked else []
    said = np.asarray(work.imbalance)
    load = "as random routing makes it" if anywhere(said == 0.0) else f"{float(np.max(said)):g} x the mean"
    names = list(EXCHANGES)
    used = " and ".join(names[int(place) - 1] for place in np.unique(np.asarray(kernels(work))))
    sent = f"{used} kernels send them" if anywhere(exchanged(work)) else "each rank has all tokens, none are sent"
    return [f"tokens of the busiest rank of experts: {load} (imbalance); {sent}"]


def _need_experts(model: LanguageModel, work: Workload) -> None:
    """Raise SpecError where something of experts is asked of a model that has none."""
    plain = {"ep": 1.0, "redundant_experts": 0.0, "imbalance": 1.0, "two_batch": 0.0, "exchange": 0.0}
    for name, value in plain.items():
        _refuse(getattr(work, name) != value, f"{model.name} has no experts: {name} must be {value:g}")


def _refuse(condition: Any, message: str) -> None:
    if anywhere(condition):
        raise SpecError(message)


def _least(value: Number) -> str:
    """Return the least number along axes, for a message."""
    return f"{float(np.min(np.asarray(value))):g}"


def _number(value: Number) -> str:
    """Return a number for a message, the largest along axes."""
    return f"{float(np.max(np.asarray(value))):g}"
