"""Options of a search with Optuna: where trials are kept, which sampler and pruner, how many processes, where to start."""

from __future__ import annotations

from typing import Annotated

import typer

from accelmodel.cli.completion import one_of

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
        help=f"What chooses the chips that Optuna tries: {', '.join(_SAMPLERS)}.",
        autocompletion=one_of(*_SAMPLERS),
    ),
]
Pruner = Annotated[
    str,
    typer.Option(
        "--pruner",
        help=f"What ends a trial after some of its models: {', '.join(_PRUNERS)}; of studies with one objective.",
        autocompletion=one_of(*_PRUNERS),
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, max=256, help="Processes that search, such as 4; others may join at any time.")
]
WarmStart = Annotated[
    str | None,
    typer.Option(
        "--warm-start",
        help="Chips to try first: front, those of the enumeration; or the best of an earlier study, by its name in the "
        "storage, or by another storage such as old.db.",
    ),
]
