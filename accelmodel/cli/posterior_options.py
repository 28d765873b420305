"""Options of ``explore`` about constants that are not known, and how its answer about them is printed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from accelmodel.cli.completion import one_of
from accelmodel.cli.terminal import say

#: as ``dse.posterior.priors.PRIORS``, which is not loaded for help and completion (tests hold the two together)
PRIORS = ("uniform", "triangular")

Draws = Annotated[
    int,
    typer.Option(
        "--draws",
        min=0,
        help="Joint draws of all uncertain constants, such as 1500; 0 leaves out how likely the optimum is.",
    ),
]
Prior = Annotated[
    str,
    typer.Option(
        "--prior",
        help="How a constant lies in its range: uniform or triangular, with its top at the value as given.",
        autocompletion=one_of(*PRIORS),
    ),
]


def print_posterior(data: dict[str, Any] | None) -> None:
    """Print how likely the optimum is where, in words."""
    for scope, told in (data or {}).items():
        say(f"{'one axis alone' if scope == 'alone' else 'over the best chips of the space'}:")
        for sentence in told["words"]:
            say(sentence)
