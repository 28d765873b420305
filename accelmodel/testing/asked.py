"""Hypothesis strategies for what invariants are tried on: steps that fit, stored prompts, batches on rented servers."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import assume, reject
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.degree import holds
from accelmodel.inference.policies import Technique
from accelmodel.specs.cloud import Engine, Instance
from accelmodel.specs.hardware import Cluster, Storage
from accelmodel.specs.language_model import LanguageModel
from accelmodel.testing.case import Case, Stored
from accelmodel.testing.servers import Rented
from accelmodel.testing.strategies import (
    DEGREES,
    MODELS,
    begun,
    clusters,
    factors,
    fields,
    shipped_models,
    storages,
    techniques,
)

#: rented servers and engines of a batch of requests
INSTANCES = ("p5.48xlarge", "g6e.xlarge", "p4d.24xlarge", "g5.12xlarge", "g4dn.xlarge")
ENGINES = ("in-flight", "tgis")


def _fitting(case: Case) -> Case:
    """Return the case cut so that memory holds it, with the fewest stages; what cannot be is no example."""
    whole = float(case.cluster.devices)
    most = int(min(whole // case.work["tp"], float(case.model.layers)))
    for stages in (1, 2, 4, 8, 16, 32, 64):
        if stages > most:
            break
        cut = case.asking(pp=stages) if stages > 1 else case
        try:
            cut.inputs()
        except (SpecError, Infeasible):  # it does not fit, or cannot be cut so
            continue
        return cut
    return reject()


@st.composite
def cases(
    draw: DrawFn,
    cluster: SearchStrategy[Cluster] | None = None,
    model: SearchStrategy[LanguageModel] | None = None,
    technique: SearchStrategy[Technique] | None = None,
    names: Mapping[str, str] | None = None,
) -> Case:
    """Return a strategy for cases: steps that fit, on which the invariants of steps are tried.

    Parameters
    ----------
    cluster, model, technique : strategy, optional
        ``clusters()``, shipped models and ``techniques()`` by default.
    names : mapping, optional
        Part → name or path by which a command calls it.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(cases(), lambda case: case.work["tp"] == 2).command
    'accelmodel step --device h100-sxm --devices 8 --model llama-3.2-1b --phase decode --batch 1 --context 128 --tp 2'
    """
    chips = draw(clusters() if cluster is None else cluster)
    shape = draw(shipped_models(MODELS) if model is None else model)
    work = draw(fields())
    assume(work["tp"] <= chips.devices)
    asked = Case(
        chips,
        shape,
        work,
        draw(techniques() if technique is None else technique),
        draw(st.sampled_from(_FACTORS)),
        names or {},
    )
    return _fitting(asked)


#: by how much more of a resource is tried
_FACTORS = (2.0, 1.01, 1.25, 16.0)


@st.composite
def stored(
    draw: DrawFn,
    cluster: SearchStrategy[Cluster] | None = None,
    model: SearchStrategy[LanguageModel] | None = None,
    tier: SearchStrategy[Storage] | None = None,
    names: Mapping[str, str] | None = None,
) -> Stored:
    """Return a strategy for prompts whose KV cache is stored, on which the invariants of Cake are tried.

    Parameters
    ----------
    cluster, model, tier : strategy, optional
        ``clusters()``, shipped models and ``storages()`` by default.
    names : mapping, optional
        Part → name or path by which a command calls it.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(stored(), lambda case: case.tokens > 1000.0).tier.name
    'nvme'
    """
    chips = draw(clusters() if cluster is None else cluster)
    shape = draw(shipped_models(MODELS[:3]) if model is None else model)
    place = draw(storages() if tier is None else tier)
    tokens = float(draw(st.sampled_from([1024, 4096]) | st.integers(64, 8192)))
    held = {"phase": "prefill", "batch": 1, "context": tokens}
    degree = next((tp for tp in DEGREES if tp <= chips.devices and holds(shape, chips, tp=tp, **held)), 0)
    assume(degree)
    rate, share = float(place.bandwidth) * draw(factors(16.0)), draw(st.sampled_from([1.0, 0.5, 0.1]))
    return Stored(chips, shape, place, tokens, rate, share, degree, draw(st.sampled_from(_FACTORS)), names or {})


@st.composite
def rented(
    draw: DrawFn,
    instance: SearchStrategy[Instance] | None = None,
    engine: SearchStrategy[Engine] | None = None,
    names: Mapping[str, str] | None = None,
) -> Rented:
    """Return a strategy for batches of requests on rented servers, on which the invariants of these are tried.

    Parameters
    ----------
    instance, engine : strategy, optional
        Shipped ones by default.
    names : mapping, optional
        Part → name or path by which a command calls it.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(rented(), lambda case: case.batch > 1).instance.name
    'p5.48xlarge'
    """
    server = draw(begun(None, "instance", INSTANCES) if instance is None else instance)
    serving = draw(begun(None, "engine", ENGINES) if engine is None else engine)
    shape = draw(shipped_models(MODELS[:2]))
    batch, prompt, answer = (draw(st.sampled_from(few) | st.integers(1, most)) for few, most in _REQUESTS)
    return Rented(server, serving, shape, batch, prompt, answer, draw(st.sampled_from(_FACTORS)), names or {})


#: requests at once, tokens of a prompt and of an answer: usual ones, and the most
_REQUESTS = (([1, 4, 32], 128), ([128, 1024], 4096), ([32, 256], 1024))
