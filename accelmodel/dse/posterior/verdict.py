"""What a posterior says, as data that is ready for JSON and in an architect's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelmodel.dse.posterior.decision import Choice, level_of, region
from accelmodel.dse.posterior.influence import REST, Index, by_chance
from accelmodel.dse.posterior.joint import Posterior
from accelmodel.dse.studies.terms import axis_words, technique_words, words
from accelmodel.laws.numeric import Array
from accelmodel.units import show

#: share of the draws that a region holds
LEVEL = 0.9
#: bars of a histogram of the gain
_BARS = 24
#: how often the best is at an end of the axis that this is said
_OFTEN = 0.1
#: an influence below this is not told, however many draws tell it [1]
_TOLD = 0.02
#: draws from which a share need not be told with its uncertainty
_MANY = 400


def _median(values: Array) -> float:
    return float(np.quantile(values, 0.5, method="inverted_cdf"))


def _finite(numbers: Array) -> Array:
    return numbers[np.isfinite(numbers)]


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _spread(found: Posterior, number: str) -> dict[str, Any]:
    """Return median, nine tenths and today's value of a number of the answer; None where no chip is ever allowed."""
    known = _finite(found.numbers[number])
    low, high = found.interval(number, LEVEL)
    return {
        "median": _median(known) if len(known) else None,
        "low": _or_none(low),
        "high": _or_none(high),
        "as_given": _or_none(found.as_given[number]),
    }


def _value(found: Posterior, number: float) -> float | str | None:
    """Return a number of the answer as a value of the axis: its word where it has words, None where there is none."""
    if not np.isfinite(number):
        return None
    return found.words[int(number)] if found.words else float(number)


def _best(found: Posterior, technique: str) -> dict[str, Any]:
    """Return middle, nine tenths and today's value along the axis; of words, which have no order, the likeliest."""
    told = _spread(found, technique)
    if not found.words:
        return told
    known = _finite(found.numbers[technique])
    places, counts = np.unique(known, return_counts=True)
    likeliest = float(places[counts.argmax()]) if len(known) else float("nan")
    return {
        "median": _value(found, likeliest),
        "low": None,
        "high": None,
        "as_given": _value(found, found.as_given[technique]),
    }


def _sizes(found: Posterior, technique: str) -> dict[str, Any]:
    """Return how likely the best design of a technique is where along the axis."""
    best, feasible = found.numbers[technique], found.feasible(technique)
    rows = [
        {
            "value": _value(found, value),
            "probability": float(np.mean(best == value)),
            "at_least": None if found.words else found.at_least(float(value), technique),
            "feasible": float(feasible[found.values == value].max()),
        }
        for value in np.unique(found.values)
    ]
    ordered = len(rows) > 1 and not found.words
    ends = {"lowest": rows[0]["probability"], "highest": rows[-1]["probability"]} if ordered else {}
    return {**_best(found, technique), "at_end": ends, "along": rows}


def _histogram(known: Array) -> tuple[Array, Array]:
    """Return how many values lie in each bar, and the edges; one bar where all differ by rounding alone."""
    if not len(known):
        return np.zeros(0), np.zeros(0)
    low, high = float(known.min()), float(known.max())
    if high - low < 1e-9 * high:
        return np.array([float(len(known))]), np.array([low, high])
    counts, edges = np.histogram(known, bins=_BARS)
    return counts.astype(float), edges


def _gain(found: Posterior) -> dict[str, Any] | None:
    """Return how the gain is distributed; None where there is no technique beside the baseline."""
    if "gain" not in found.numbers:
        return None
    known = _finite(found.numbers["gain"])
    counts, edges = _histogram(known)
    bars = [
        {"from": float(low), "to": float(high), "probability": float(count) / len(found.draws)}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return {**_spread(found, "gain"), "bars": bars}


def _claim(found: Posterior, claim: Mapping[str, float] | None) -> dict[str, Any]:
    """Return whether an answer lies where nine tenths of the draws lie with all their numbers at once."""
    asked = {name: found.as_given[name] for name in found.numbers} if claim is None else claim
    # words have no order, and so no region
    names = [name for name in found.numbers if name in asked and np.isfinite(asked[name])]
    names = [name for name in names if name == "gain" or not found.words]
    sample = np.array([found.numbers[name] for name in names]).T if names else np.empty((0, 0))
    sample = sample[np.isfinite(sample).all(axis=1)]
    about = {"of": "constants as given" if claim is None else "published", "level": LEVEL}
    if not names or not len(sample):
        return {**about, "numbers": {}, "inside": None, "region": {}, "outside": [], "holds_at": None}
    point = np.array([asked[name] for name in names])
    held = region(sample, LEVEL)
    inside = held.holds(point)
    return {
        **about,
        "numbers": {name: float(asked[name]) for name in names},
        "inside": bool(inside.all()),
        "region": {name: [float(held.low[i]), float(held.high[i])] for i, name in enumerate(names)},
        "outside": [name for name, ok in zip(names, inside, strict=True) if not ok],
        "holds_at": level_of(sample, point),
    }


def _choice(found: Posterior, chosen: Choice | None) -> dict[str, Any] | None:
    if chosen is None:
        return None
    return {
        "value": _value(found, found.values[chosen.design]),
        "chip": {name: _plain(values[chosen.design]) for name, values in found.chips.items()},
        "expected_regret": _or_none(chosen.expected),
        "high_regret": _or_none(chosen.high),
        "feasible": chosen.feasible,
    }


def _plain(value: Any) -> float | str:
    return str(value) if isinstance(value, str) else float(value)


def constants(found: Posterior) -> list[dict[str, Any]]:
    """Return of each constant its prior, how much of the answer it decides, and what knowing it is worth.

    Those worth most come first; of equals those that decide most.
    """
    candidate = found.study.candidate
    first, gain = found.first[candidate], found.first.get("gain", found.first[candidate])
    rows = [
        {
            "constant": name,
            "kind": prior.kind,
            "unit": prior.unit,
            "prior": prior.words,
            "low": prior.low,
            "as_given": prior.nominal,
            "high": prior.high,
            "group": prior.group,
            "decides_best": float(first[i]),
            "decides_gain": float(gain[i]),
            "regret_saved": float(found.worth[i]),
        }
        for i, (name, prior) in enumerate(zip(found.names, found.draws.priors, strict=True))
    ]
    return sorted(rows, key=lambda row: (-row["regret_saved"], -max(row["decides_best"], row["decides_gain"])))


def _sobol(found: Posterior) -> list[dict[str, Any]]:
    """Return Sobol indices by number of the answer: of the best value with the candidate, and of the gain."""
    asked = {"best": found.study.candidate, "gain": "gain"}
    told: list[dict[str, Any]] = []
    for number, name in asked.items():
        for index in found.sobol.get(name, []):
            told.append(_index(found, number, index))
    return sorted(told, key=lambda row: (row["of"], row["group"] == REST, -row["total"]))


def _index(found: Posterior, number: str, index: Index) -> dict[str, Any]:
    one_word = dict(zip((prior.name for prior in found.draws.priors), found.names, strict=True))
    alone = len(index.constants) == 1
    return {
        "of": number,
        "group": one_word[index.constants[0]] if alone else index.group,
        "constants": [one_word[name] for name in index.constants],
        "first": index.first,
        "first_error": index.first_error,
        "total": index.total,
        "total_error": index.total_error,
    }


def verdict(found: Posterior, claim: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return what a posterior says, JSON-ready and in SI.

    Parameters
    ----------
    found : Posterior
    claim : mapping, optional
        A published answer: technique → value of the axis, and ``gain``; whether it lies in the region of nine tenths is
        said of it.  By default of the answer with every constant as it is given.
    """
    told: dict[str, Any] = {
        "axis": found.axis,
        "unit": found.unit,
        "objective": found.study.headline,
        "prior": found.prior,
        "draws": len(found.draws),
        "seed": found.seed,
        "designs": len(found.values),
        "answered": found.answered,
        "impossible": found.impossible,
        "candidate": found.study.candidate,
        "best": {technique: _sizes(found, technique) for technique in found.techniques},
        "gain": _gain(found),
        "claim": _claim(found, claim),
        "robust": {
            technique: {
                **(_choice(found, found.robust(technique)) or {}),
                "as_given": _choice(found, found.of_nominal(technique)),
            }
            for technique in found.techniques
        },
        "constants": constants(found),
        "sobol": _sobol(found),
    }
    return {**told, "words": sentences(told)}


def sentences(told: Mapping[str, Any]) -> list[str]:
    """Return what a verdict says as sentences, the most important first.

    Made of the verdict alone, so that words never say another thing than its numbers.
    """
    found = [*_where(told), *_at_the_end(told), *_gained(told), *_claimed(told), *_safest(told), *_to_measure(told)]
    if told["draws"] < _MANY:
        found.append(f"So few draws leave each share uncertain by up to {_share(min(1.0, told['draws'] ** -0.5))}.")
    if told["impossible"] > 0.0:
        found.append(
            f"{_share(told['impossible'])} of all draws were left out: by them the reference chip, which exists, could "
            "not be, since its PHYs would need more edge than it has."
        )
    if told["answered"] < 1.0:
        found.append(f"In {_share(1.0 - told['answered'])} of the draws no chip keeps to the limits.")
    return found


def _share(value: float) -> str:
    """Return a probability in words, which never calls what happened impossible nor what did not certain."""
    if 0.0 < value < 0.01:
        return "under 1 %"
    if 0.99 < value < 1.0:
        return "over 99 %"
    return f"{value:.0%}".replace("%", " %")


def _shown(told: Mapping[str, Any], value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}" if told["unit"] == "1" else show(value, told["unit"])


def _where(told: Mapping[str, Any]) -> list[str]:
    name = axis_words(told["axis"])
    found = []
    for technique, best in told["best"].items():
        if best["median"] is None:
            found.append(f"No chip keeps to the limits in any draw {technique_words(technique)}.")
            continue
        at = next(row for row in best["along"] if row["value"] == best["median"])
        exact = at["probability"] >= 0.5 or best["low"] is None
        low, high = best["low"], best["high"]
        between = "" if low is None else f"; {_between(_shown(told, low), _shown(told, high))}"
        drawn = f"{told['draws']:,} joint draw{'s' * (told['draws'] > 1)}"
        found.append(
            f"Best {name} {technique_words(technique)}: {_shown(told, best['median'])}{'' if exact else ' or more'} in "
            f"{_share(at['probability' if exact else 'at_least'])} of {drawn} of "
            f"{len(told['constants'])} constants ({told['prior']} priors){between}."
        )
    return found


def _at_the_end(told: Mapping[str, Any]) -> list[str]:
    """Return whether the best is often the end of the axis, beyond which it may go on."""
    name, best = axis_words(told["axis"]), told["best"][told["candidate"]]
    return [
        f"In {_share(share)} of the draws the best {name} {technique_words(told['candidate'])} is the {end} of the "
        "space: a wider axis may go further."
        for end, share in best["at_end"].items()
        if share >= _OFTEN
    ]


def _between(low: str, high: str) -> str:
    return "so in nine tenths of all draws" if low == high else f"nine tenths of all draws lie between {low} and {high}"


def _gained(told: Mapping[str, Any]) -> list[str]:
    gain = told["gain"]
    if gain is None or gain["median"] is None:
        return []
    between = _between(f"{gain['low']:.3g}×", f"{gain['high']:.3g}×")
    return [f"Gain {technique_words(told['candidate'])}: {gain['median']:.3g}× in the middle; {between}."]


def _claimed(told: Mapping[str, Any]) -> list[str]:
    claim = told["claim"]
    if claim["inside"] is None:
        return []
    shown = {name: _number(told, name, value) for name, value in claim["numbers"].items()}
    whose = "The published answer" if claim["of"] == "published" else "The answer with every constant as given"
    answer = f"{whose} ({', '.join(shown.values())})"
    if claim["inside"]:
        return [f"{answer} lies in the region that holds 90 % of the draws."]
    outside = [
        f"{shown[name]} beside {' to '.join(_plain_number(told, name, end) for end in claim['region'][name])}"
        for name in claim["outside"]
    ]
    tail = f"; that of {_share(claim['holds_at'])} holds it" if claim["holds_at"] < 1.0 else ""
    return [f"{answer} lies outside the region that holds 90 % of the draws: {'; '.join(outside)}{tail}."]


def _plain_number(told: Mapping[str, Any], name: str, value: float) -> str:
    return f"{value:.3g}×" if name == "gain" else _shown(told, value)


def _number(told: Mapping[str, Any], name: str, value: float) -> str:
    shown = _plain_number(told, name, value)
    return f"gain {shown}" if name == "gain" else f"{shown} {technique_words(name)}"


def _safest(told: Mapping[str, Any]) -> list[str]:
    chosen = told["robust"][told["candidate"]]
    if chosen["expected_regret"] is None:
        return []
    given = chosen["as_given"]

    def costs(each: Mapping[str, Any]) -> str:
        broken = f", all where it breaks a limit ({_share(1.0 - each['feasible'])})" if each["feasible"] < 1.0 else ""
        return f"{_share(each['expected_regret'])} of the best on average{broken}"

    name, candidate = axis_words(told["axis"]), technique_words(told["candidate"])
    safest = f"Safest {name} to build {candidate}: {_shown(told, chosen['value'])}, which misses {costs(chosen)}"
    if given is None:
        return [f"{safest}; with every constant as given no chip keeps to the limits."]
    if given["chip"] == chosen["chip"]:
        return [f"{safest}; it is the best with every constant as given as well."]
    return [f"{safest}; {_shown(told, given['value'])}, the best with every constant as given, misses {costs(given)}."]


def _to_measure(told: Mapping[str, Any]) -> list[str]:
    ranked = told["constants"]
    if not ranked:
        return []
    now = told["robust"][told["candidate"]]["expected_regret"]
    name, found = axis_words(told["axis"]), []
    top = ranked[0]
    if now and top["regret_saved"] > 0.0:
        found.append(
            f"To measure first: {words(top['constant'])}, which would take {_share(top['regret_saved'] / now)} off the "
            f"expected regret."
        )
    for key, of in (("decides_best", f"the best {name}"), ("decides_gain", "the gain")):
        least = max(_TOLD, by_chance(told["draws"]))
        lead = sorted((row for row in ranked if row[key] >= least), key=lambda row: -row[key])[:3]
        if lead and (key == "decides_best" or told["gain"] is not None):
            listed = ", ".join(f"{words(row['constant'])} {_share(row[key])}" for row in lead)
            found.append(f"What decides {of} (share of its variance): {listed}.")
    return found
