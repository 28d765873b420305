"""Techniques: one paper each.  A technique is a policy on the timeline; "none" is one too.

A new one is a module with a function that returns its ``laws.types.Policy``, and a line in ``TECHNIQUES``; what the
function takes are the technique's parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.inference.fused import fused
from accelmodel.inference.preserve import preserve
from accelmodel.laws.prefetch import NO_PREFETCH
from accelmodel.laws.types import Policy


@dataclass(frozen=True)
class Technique:
    """What runs beside the operators of a step, under its name; ``policy`` makes it.

    Attributes
    ----------
    name : str
        Key of ``TECHNIQUES``; results carry it.
    parameters : mapping
        Parameter → value, those left out included.
    numbers : Policy
        What the compiled loop takes: what name and parameters say, never given, so that no label can be false.

    Raises
    ------
    SpecError
        As ``policy``.

    Examples
    --------
    >>> chosen("preserve").parameters["rule"]
    'partial'
    """

    name: str
    parameters: Mapping[str, float | str] = field(default_factory=dict, hash=False)
    numbers: Policy = field(init=False)

    def __post_init__(self) -> None:
        given = dict(self.parameters)
        object.__setattr__(self, "parameters", MappingProxyType(_checked(self.name, given)))
        object.__setattr__(self, "numbers", TECHNIQUES[self.name](**given))


def none() -> Policy:
    """Return the policy under which nothing runs beside the operators."""
    return Policy(NO_PREFETCH, 1.0, 0.0)


TECHNIQUES: dict[str, Callable[..., Policy]] = {"none": none, "fused": fused, "preserve": preserve}


def policy(name: str, **parameters: float | str) -> Technique:
    """Return a technique by name, with parameters of its own.

    Parameters
    ----------
    name : {"none", "fused", "preserve"}
        ``none`` is the baseline, ``fused`` overlaps matmuls with the all-reduce that they end in, ``preserve``
        prefetches weights and KV cache into L2 while collectives run (arXiv 2501.08192).
    **parameters
        What the technique takes; its own defaults where left out.  ``preserve``: ``threshold``, the share of usable L2
        that one window's prefetches may fill, from 0 to 16 [1], and ``rule``, how operands are admitted: ``"partial"``
        (the default), ``"paper"`` or ``"best-fit"``.

    Returns
    -------
    Technique
        What ``time_step``, ``total_time`` and ``speedups`` take.

    Raises
    ------
    SpecError
        If the name is unknown, or the technique does not take the parameter or its value; the closest match is named.

    Examples
    --------
    >>> dict(policy("preserve", threshold=0.7).parameters)
    {'threshold': 0.7, 'rule': 'partial'}
    >>> policy("fused", threshold=0.7)
    Traceback (most recent call last):
    ...
    accelmodel.errors.SpecError: technique 'fused' takes no parameters, and was given threshold; leave it out
    """
    return Technique(name, parameters)


def _checked(name: Any, parameters: dict[str, Any]) -> dict[str, float | str]:
    """Return all parameters of a technique, its defaults where left out; raise SpecError where one is not its own."""
    if not isinstance(name, str) or name not in TECHNIQUES:
        raise unknown("technique", name, TECHNIQUES)
    takes = inspect.signature(TECHNIQUES[name])
    for each, value in parameters.items():
        if not takes.parameters:
            raise SpecError(f"technique {name!r} takes no parameters, and was given {each}; leave it out")
        if each not in takes.parameters:
            raise unknown(f"parameter of technique {name!r}", each, takes.parameters)
        kind: type = str if isinstance(takes.parameters[each].default, str) else Real
        if type(value) is bool or not isinstance(value, kind):
            wanted = "a word" if kind is str else "a number"
            raise SpecError(f"{each} of technique {name!r} must be {wanted}, not {brief(value)}")
    try:
        bound = takes.bind(**parameters)
    except TypeError as error:
        raise SpecError(f"technique {name!r}: {error}; it takes {', '.join(takes.parameters)}") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def chosen(technique: str | Technique) -> Technique:
    """Return the technique that a name or a technique stands for; a name takes the defaults of its parameters."""
    if isinstance(technique, Technique):
        return technique
    if not isinstance(technique, str):
        raise SpecError(
            f"technique must be a name or what policy(name, ...) returns, not a {type(technique).__name__}; "
            f"names: {', '.join(TECHNIQUES)}"
        )
    return policy(technique)
