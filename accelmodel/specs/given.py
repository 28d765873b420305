"""A specification where a name is as good: what functions for users take."""

from __future__ import annotations

from typing import Any

from accelmodel.specs.base import Spec
from accelmodel.specs.load import load


def spec_of(kind: str, given: str | Spec) -> Any:
    """Return the specification that a name, a path or a specification itself stands for.

    Raises
    ------
    SpecError
        As ``load``.

    Examples
    --------
    >>> spec_of("engine", "tgis") is spec_of("engine", spec_of("engine", "tgis"))
    True
    """
    return given if isinstance(given, Spec) else load(kind, given)
