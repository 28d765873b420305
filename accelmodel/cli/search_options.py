"""Options of a search with Optuna: where trials are kept, sampler and pruner, processes, and where to start."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from accelmodel.cli.completion import one_of
from accelmodel.dse.explore import Exploration
from accelmodel.dse.search.dashboard import publish
from accelmodel.errors import SpecError

_SAMPLERS = ("tpe", "gp", "nsga2", "nsga3", "cma", "qmc", "random", "auto")
_PRUNERS = ("none", "median", "hyperband", "wilcoxon")

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Where trials are kept: a path such as my.db or my.journal, or a URL of Optuna's such as "
        "postgresql://me@host/trials; resumed if it is there; accelmodel-STUDY.db by default.",
    ),
]
Sampler = Annotated[
    str,
    typer.Option(
        "--sampler",
        help=f"What chooses the chips that Optuna tries: {', '.join(_SAMPLERS[:-1])} or {_SAMPLERS[-1]}.",
        autocompletion=one_of(*_SAMPLERS),
    ),
]
Pruner = Annotated[
    str,
    typer.Option(
        "--pruner",
        help=f"What ends a trial after some models: {', '.join(_PRUNERS[:-1])} or {_PRUNERS[-1]}; one objective.",
        autocompletion=one_of(*_PRUNERS),
    ),
]
Workers = Annotated[
    int,
    typer.Option("--workers", min=1, max=256, help="Processes that search, such as 4; others may join at any time."),
]
WarmStart = Annotated[
    str | None,
    typer.Option(
        "--warm-start",
        help="Chips to try first: front, those of the enumeration; or the best of an earlier study, by its name in the "
        "storage, or by another storage such as old.db.",
    ),
]


def asked_command() -> str:
    """Return the command line as it is told with a study: without a password."""
    words = ["accelmodel", *sys.argv[1:]]
    return shlex.join(re.sub(r"(//[^:@/]*):[^@/]*@", r"\1:***@", word) for word in words)


def store_figures(result: Exploration, report: Path | None) -> None:
    """Store figures and report with the trials, where they can be: the answer stands without them."""
    from accelmodel.report.dashboard import figures_of

    if result.place is None or result.faults or not result.found:
        return
    name = next(iter(result.found.values())).name
    with contextlib.suppress(SpecError, OSError):
        publish(result.place, name, result.note, figures_of(result), [report] if report else [])
