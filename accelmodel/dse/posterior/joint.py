"""The optimum with its probability: a study answered under constants that are all drawn at once.

One constant at a time tells which way the optimum moves (``sensitivity``); what an architect decides on is how likely
it is where, and which chip is the safest to build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.posterior.answers import (
    Chips,
    Progress,
    along,
    lead_axis,
    need_draws,
    need_whole,
    no_progress,
    numbers_of,
    scored,
    tables,
)
from accelmodel.dse.posterior.decision import Choice, best_design, choice, expected, interval, robust, worth
from accelmodel.dse.posterior.draws import DRAW, Draws, draw_possible
from accelmodel.dse.posterior.influence import LEAST_BASE, Index, first_order, leading, saltelli
from accelmodel.dse.posterior.priors import PRIORS, Prior, named, priors, replaced
from accelmodel.dse.studies.axes import axis_name, role_of
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.errors import SpecError, brief, unknown
from accelmodel.inference.attributes import behind
from accelmodel.laws.numeric import Array
from accelmodel.specs.base import Spec

if TYPE_CHECKING:
    import xarray as xr

#: points of Saltelli's base sample, times designs and tables of operators of each, at most
_BASE = 2**16


@dataclass(frozen=True, repr=False)
class Posterior:
    """What constants that are not known leave of a study's answer.

    Attributes
    ----------
    study : Study
    axis : str
        The axis of the chip that is decided on.
    unit : str
    words : tuple of str
        Words of that axis, none where its values are numbers; numbers of the answer are then places among them.
    chips : dict
        Axis → its value for each design that is compared.
    prior, seed
        As asked.
    names : tuple of str
        Each constant, by its part and its field in one word.
    draws : Draws
    impossible : float
        Share of all draws that were left out, since the study's chip itself, which exists, cannot be by them [1].
    score : dict
        Technique → (draw, design): the study's objective, turned so that more is better; 0 where a design breaks a
        limit or serves nothing.
    nominal : dict
        Technique → (design,): the same with every constant as it is given.
    about : dict
        Version, digests, sources and the weakest kind of fact behind it.
    sobol : dict
        Number of the answer → Sobol indices by Saltelli's design of the groups of constants that lead, and all others.

    Examples
    --------
    >>> found = posterior("preserve-l2", draws=4)
    >>> found.axis, len(found.draws), found.at_least(0.0) == found.answered
    ('l2_capacity', 4, True)
    """

    study: Study
    axis: str
    unit: str
    words: tuple[str, ...]
    chips: Mapping[str, Chips]
    prior: str
    seed: int
    names: tuple[str, ...]
    draws: Draws
    impossible: float
    score: Mapping[str, Array]
    nominal: Mapping[str, Array]
    about: Mapping[str, str]
    sobol: Mapping[str, list[Index]]

    def __repr__(self) -> str:
        """Return what was drawn, without the numbers."""
        drawn = f"{len(self.draws)} draws of {len(self.names)} constants"
        return f"<Posterior of {self.study.name} along {self.axis}: {drawn}>"

    @property
    def values(self) -> Array:
        """Value of the axis for each design, of words the place of each."""
        values = self.chips[self.axis]
        return np.array([float(self.words.index(str(word))) for word in values]) if self.words else values

    @property
    def techniques(self) -> list[str]:
        """Techniques of the study."""
        return list(self.score)

    @cached_property
    def numbers(self) -> dict[str, Array]:
        """Number of the answer → its value in each draw, NaN where no chip is allowed: see ``numbers_of``."""
        return numbers_of(self.study, self.score, self.values)

    @cached_property
    def as_given(self) -> dict[str, float]:
        """Number of the answer → its value with every constant as it is given."""
        alone = {technique: each[None] for technique, each in self.nominal.items()}
        return {name: float(each[0]) for name, each in numbers_of(self.study, alone, self.values).items()}

    @property
    def answered(self) -> float:
        """Share of the draws in which some chip is allowed with every technique [1]."""
        return float(np.isfinite(self.sample).all(axis=1).mean())

    @property
    def sample(self) -> Array:
        """All numbers of the answer (draw, number)."""
        return np.array(list(self.numbers.values())).T

    def at_least(self, value: float, technique: str | None = None) -> float:
        """Return the probability that the best chip of a technique has so much of the axis, or more [1].

        The study's candidate by default; a draw in which no chip is allowed counts as not.
        """
        return float(np.mean(self.numbers[self._known(technique)] >= value))

    def _known(self, technique: str | None) -> str:
        """Return a technique of the study, its candidate where none is named."""
        name = technique or self.study.candidate
        if name not in self.score:
            raise unknown("technique of this study", name, self.score)
        return name

    def interval(self, number: str, level: float = 0.9) -> tuple[float, float]:
        """Return the ends between which a number of the answer lies with a probability, as likely below as above."""
        if number not in self.numbers:
            raise unknown("number of the answer", number, self.numbers)
        known = self.numbers[number][np.isfinite(self.numbers[number])]
        return interval(known, level) if len(known) else (float("nan"), float("nan"))

    def feasible(self, technique: str | None = None) -> Array:
        """Return in what share of the draws each design keeps to all limits and serves every model [1]."""
        return np.asarray((self.score[self._known(technique)] > 0.0).mean(axis=0))

    def robust(self, technique: str | None = None) -> Choice:
        """Return the design of least expected regret, with what it costs over the draws."""
        return robust(self.score[self._known(technique)])

    def of_nominal(self, technique: str | None = None) -> Choice | None:
        """Return the design that is best with every constant as it is given, with what it costs over the draws.

        None where no design is allowed then.
        """
        name = self._known(technique)
        place = int(best_design(self.nominal[name][None])[0])
        return choice(self.score[name], place) if place >= 0 else None

    @cached_property
    def first(self) -> dict[str, Array]:
        """Number of the answer → first-order Sobol index of each constant, from the draws themselves [1]."""
        return {name: first_order(self.draws, each) for name, each in self.numbers.items()}

    @cached_property
    def worth(self) -> Array:
        """By how much the expected regret of the candidate falls if one constant is known, for each constant [1]."""
        return worth(self.score[self.study.candidate], self.draws.values, self.seed)

    def to_dataset(self) -> xr.Dataset:
        """Return everything as one labelled dataset over ``draw``, ``design``, ``technique`` and ``constant``.

        ``constants`` hold what was drawn, each in its own SI unit (``unit`` along ``constant``); ``score`` the
        objective, more of which is better and 0 not allowed; ``best`` the axis's value of the best design of each draw
        and ``gain``, both 0 where not ``answered``, since no chip is allowed; of each design ``feasible_share``, in
        what share of the draws it is allowed, and the mean of its ``regret``.
        """
        import xarray as xr

        dims = ("technique", DRAW, "design")
        answered = np.asarray(np.isfinite(self.sample).all(axis=1))

        def known(number: str) -> Array:
            return np.where(answered, self.numbers.get(number, np.ones(len(answered))), 0.0)

        missed = [expected(self.score[name]) for name in self.techniques]
        data: dict[str, Any] = {
            "constants": ((DRAW, "constant"), self.draws.values),
            "score": (dims, np.array(list(self.score.values()))),
            "best": (dims[:2], np.array([known(name) for name in self.techniques]), {"units": self.unit}),
            "gain": (DRAW, known("gain"), {"units": "1"}),
            "answered": (DRAW, answered, {"units": "1"}),
            "feasible_share": (dims[::2], np.array([self.feasible(name) for name in self.techniques]), {"units": "1"}),
            "regret": (dims[::2], np.array(missed), {"units": "1"}),
        }
        coords: dict[str, Any] = {
            "technique": self.techniques,
            "constant": list(self.names),
            "unit": ("constant", [each.unit for each in self.draws.priors]),
            "prior": ("constant", [each.words for each in self.draws.priors]),
            **{name: ("design", values) for name, values in self.chips.items()},
        }
        asked = {"study": self.study.name, "study_digest": self.study.digest, "axis": self.axis}
        drawn = {"prior": self.prior, "seed": self.seed, "objective": self.study.headline}
        return xr.Dataset(data, coords=coords, attrs={**self.about, **asked, **drawn})


def posterior(
    study: str | Study = "preserve-l2",
    parts: Parts | None = None,
    draws: int = 1500,
    seed: int = 0,
    prior: str | Sequence[Prior] = "uniform",
    *,
    chips: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> Posterior:
    """Return how likely the optimum lies where, if all constants that have a range and all residuals are drawn at once.

    Parameters
    ----------
    study : str or Study
        Name of a shipped study, path of a TOML file, or what ``load_study`` returns.
    parts : Parts, optional
        What its chips are made of; those of the study by default.
    draws : int
    seed : int
        The same seed gives the same answer.
    prior : {"uniform", "triangular"} or sequence of Prior
        How a constant lies in its range; see ``priors.priors``, which also says how residuals are drawn.
    chips : mapping, optional
        Designs that are compared: axis of the chip → values, all of one length.  The axis that is decided on (L2 where
        the study has it, else its first) with all else as in the reference chip by default.
    progress : callable
        Called with how many more draws are done.

    Returns
    -------
    Posterior

    Raises
    ------
    SpecError
        If the prior is unknown, a number of draws or a seed is not allowed, or the designs are none along that axis.

    Notes
    -----
    Constants of one kind (times that a kernel or a link loses, areas, powers and prices of a bill) have a rank
    correlation of ``priors.TOGETHER`` by a Gaussian copula; errors of one kind of operator are one number.  Draws are a
    Latin hypercube, without those by which the study's chip itself could not be: its PHYs need more edge than it has.

    Examples
    --------
    >>> found = posterior("preserve-l2", draws=16)
    >>> low, high = found.interval("gain")
    >>> bool(1.0 <= low <= high)
    True
    """
    study = load_study(study) if isinstance(study, str) else study
    parts = parts_of_study(study) if parts is None else parts
    need_draws(study, draws, least=1)
    need_whole("seed", seed, 0)
    known = _believed(study, parts, prior)
    axis = study.axes()[lead_axis(study)]
    compared = along(study, axis.name, {}) if chips is None else _designs(chips, axis.name)
    known = [each for each in known if not replaced(each, compared)]
    drawn, impossible = draw_possible(known, parts, draws, seed)
    score = scored(study, parts, compared, drawn, progress)
    nominal = scored(study, parts, compared, Draws((), np.empty((1, 0))))
    found = Posterior(
        study=study,
        axis=axis.name,
        unit=axis.unit,
        words=tuple(map(str, axis.values)) if axis.kind == "word" else (),
        chips=compared,
        prior=prior if isinstance(prior, str) else "given",
        seed=seed,
        names=tuple(named(each, parts) for each in known),
        draws=drawn,
        impossible=impossible,
        score=score,
        nominal={technique: each[0] for technique, each in nominal.items()},
        about=behind({name: spec for name, spec in vars(parts).items() if isinstance(spec, Spec)}),
        sobol={},
    )
    return replace(found, sobol=_decided(found, parts, draws, progress))


def _believed(study: Study, parts: Parts, prior: Any) -> list[Prior]:
    """Return what is believed of each constant: by the name of a shape, or as given."""
    if isinstance(prior, str):
        return priors(study, parts, prior)
    if not isinstance(prior, list | tuple) or not all(isinstance(each, Prior) for each in prior):
        raise SpecError(f"prior: {brief(prior)} is neither {' nor '.join(PRIORS)} nor a list of Prior")
    return list(prior)


def _designs(chips: Mapping[str, Any], axis: str) -> dict[str, Chips]:
    """Return designs that a caller gives: the axes by their names in results, numbers as floats and words as they are.

    Raises
    ------
    SpecError
        If the axis that is decided on is not among them, or they are not of one length.
    """
    found: dict[str, Chips] = {}
    for given, each in chips.items():
        values, words = np.atleast_1d(np.asarray(each)), role_of(axis_name(given)).words
        if (values.dtype.kind in "iuf") == bool(words) or not values.size:
            raise SpecError(f"chips.{given}: {brief(each)} are no {'names' if words else 'numbers in SI'}")
        found[axis_name(given)] = values.astype(str if words else float)
    lengths = {name: len(values) for name, values in found.items()}
    if axis not in found or len(set(lengths.values())) > 1:
        raise SpecError(f"chips: {lengths or 'none'}; give {axis}, and as many values of each axis as there are chips")
    return found


def _decided(found: Posterior, parts: Parts, draws: int, progress: Progress) -> dict[str, list[Index]]:
    """Return Sobol indices by Saltelli's design of the constants that lead by the draws themselves."""
    firsts = np.array(list(found.first.values()))
    lead = leading(found.draws, firsts)
    if not lead:
        return {}

    def outcomes(design: Draws) -> Array:
        score = scored(found.study, parts, found.chips, design, progress)
        numbers = np.array(list(numbers_of(found.study, score, found.values).values()))
        return np.where(design.possible(parts), numbers, np.nan)

    affordable = _BASE / (len(found.values) * tables(found.study))
    if min(0.5 * draws, affordable) < LEAST_BASE:
        return {}
    base = 2 ** int(np.log2(min(0.5 * draws, affordable)))
    told = saltelli(found.draws.priors, lead, outcomes, base, found.seed)
    return dict(zip(found.numbers, told, strict=True)) if told else {}
