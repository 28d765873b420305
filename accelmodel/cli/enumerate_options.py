"""Options of the command ``explore`` that say how many chips are looked at, where, and what is kept of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel.cli.completion import one_of
from accelmodel.cli.terminal import say
from accelmodel.dse.enumeration.plan import WAYS

Enumerate = Annotated[
    str,
    typer.Option(
        "--enumerate",
        help="Chips to look at: all, a sample such as sample=10000, or none; auto is all if that takes minutes.",
        autocompletion=one_of(*WAYS),
    ),
]
Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        help="Where every chip is kept, such as chips.zarr, or the front alone, such as a.front.zarr; resumed.",
    ),
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="Address of a Dask scheduler, such as tcp://host:8786.")
]
Confidence = Annotated[
    float, typer.Option("--confidence", help="Probability with which what a sample proves must hold, such as 0.99.")
]


def say_enumeration(data: dict[str, Any]) -> None:
    """Print that not all chips were looked at, what that proves, and where they are kept."""
    looked = data["enumeration"]
    if looked["way"] == "none":
        say(f"none of {looked['chips']:,} chips looked at but those that Optuna tried")
    if looked["certificate"]:
        say(looked["certificate"]["words"])
    if looked["kept"]:
        say(f"chips: {looked['kept']}")
