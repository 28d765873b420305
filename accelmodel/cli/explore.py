"""The commands ``explore`` and ``benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.benchmarks import speed
from accelmodel.benchmarks.peers import checked_out
from accelmodel.cli.completion import name_of, one_of
from accelmodel.cli.options import Json, answer, answered
from accelmodel.cli.posterior_options import Draws, Prior, print_posterior
from accelmodel.cli.progress import in_turn, progress_bars, working
from accelmodel.cli.streams import complain
from accelmodel.cli.terminal import print_table, say
from accelmodel.dse import explore as exploration
from accelmodel.dse.explore import summary
from accelmodel.dse.study import load_study
from accelmodel.errors import SpecError
from accelmodel.inference.precisions import rows_in_words
from accelmodel.inference.reading import in_words
from accelmodel.inference.request import BASELINE
from accelmodel.units import show

app = typer.Typer(add_completion=False)


def print_exploration(data: dict[str, Any]) -> None:
    """Print the best chips and where the report is."""
    rows = []
    for technique, chip in data["best"].items():
        rows.append(
            [
                technique,
                show(chip["l2_bytes"], "B"),
                f"{chip.get('cores', float('nan')):g}",
                f"{chip.get('hbm_stacks', float('nan')):g}",
                show(chip["die_area_m2"], "m2"),
                f"{chip['power_w']:.0f} W",
                f"{chip['price_usd']:.0f} USD",
                f"{chip['tokens_per_s_per_device']:.4g}",
                f"{chip['tokens_per_s_per_m2'] * 1e-6:.4g}",
            ]
        )
    columns = ["technique", "L2", "cores", "HBM stacks", "die", "power", "price", "tokens/s", "tokens/s/mm²"]
    print_table(f"Best chips of {data['study']}", columns, rows)
    alone = data["l2_alone"]
    sizes = " → ".join(f"{name} {show(alone[name]['l2_bytes'], 'B')}" for name in data["best"])
    say(f"over {data['exhaustive']['chips']} chips: {_gains(data['gains'])}")
    say(f"with L2 as the only axis: {sizes}, {_gains(alone['gains'])}")
    say(f"Optuna's regret {data['regret']:.2%}; report: {data['report'] or 'not written'}; study: {data['storage']}")
    print_posterior(data["posterior"])
    _say_models(data)


def _say_models(data: dict[str, Any]) -> None:
    """Print how the models were read, and at which precisions they work, of those that are alike once."""
    alike: dict[str, list[str]] = {}
    for found in data["read"]:
        name = found["model"]
        told = rows_in_words([row for row in data["precision"] if row["model"] == name])
        say(f"{name} {in_words(found, by_class=bool(told))}")
        if told:
            alike.setdefault(told, []).append(name)
    for told, names in alike.items():
        say(f"{'all models' if len(names) == len(data['read']) else ', '.join(names)}: {told}")


def _gains(gains: dict[str, float]) -> str:
    """Return the gain of each technique over the baseline, in words."""
    return ", ".join(f"gain of {name} {gain:.3f}" for name, gain in gains.items() if name != BASELINE)


def print_benchmark(data: dict[str, Any]) -> None:
    """Print rates and ratios."""
    rates = [[name, "not measured" if rate is None else f"{rate:,.0f}"] for name, rate in data["rates"].items()]
    print_table("Full decode steps per second", ["form", "steps/s"], rates)
    ratios = [[name, "not measured" if ratio is None else f"{ratio:,.3g}"] for name, ratio in data["ratios"].items()]
    print_table("Ratios", ["ratio", "value"], ratios)
    cake = [
        [name, "not measured" if value is None else f"{value:,.0f}"] for name, value in data["cake"]["rates"].items()
    ]
    print_table("Cake decisions per second", ["form", "decisions/s"], cake)
    rows = [
        [
            what,
            row["model"],
            *(f"{row[key]:,.0f}" for key in ("designs", "operators", "layers", "steps_per_s")),
            f"{row['bytes_per_step']:.0f} B",
        ]
        for what, group in data["growth"].items()
        for row in group
    ]
    columns = ["growth with", "model", "designs", "operators", "layers", "steps/s", "memory a step"]
    print_table("Whole steps as total_time answers them, on all cores", columns, rows, 2)
    waits = [
        [name.replace("_", " "), "not measured" if wait is None else f"{wait:.2f} s"]
        for name, wait in data["startup_s"].items()
    ]
    print_table("What a user waits for", ["", "time"], waits)
    whole = data["exhaustive"]
    taken = f"{whole['whole_s']:.3g} s ({whole['kind']})"
    say(f"{whole['designs']:.3g} designs in {taken}, {whole['designs_per_s']:,.0f} a second")


@app.command()
def explore(
    study: Annotated[
        str,
        typer.Option(
            "--study", help="Shipped name such as preserve-l2, or a TOML file.", autocompletion=name_of("study")
        ),
    ] = "preserve-l2",
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", min=1, help="Optuna trials for each technique, such as 500; the study's own by default."
        ),
    ] = None,
    storage: Annotated[
        Path | None, typer.Option("--storage", help="Optuna journal such as my.journal; resumed if it is there.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective",
            help="throughput_per_area or tokens_per_dollar; the study's own by default.",
            autocompletion=one_of("throughput_per_area", "tokens_per_dollar"),
        ),
    ] = None,
    report: Annotated[Path, typer.Option("--output", help="HTML report to write, such as report.html.")] = Path(
        "accelmodel-report.html"
    ),
    draws: Draws = exploration.DRAWS,
    prior: Prior = "uniform",
    as_json: Json = False,
) -> None:
    """The design-space search: which chip gives the most performance per cost, with each technique of the study."""
    from accelmodel.report.exploration import write_report

    asked = load_study(study, objective)
    journal = storage or Path(f"accelmodel-{asked.name}.journal")
    output.writable(report, "--output")
    try:
        with progress_bars() as advance:
            result = exploration.explore(asked, journal, trials, advance, draws, prior)
    except KeyboardInterrupt:
        complain([f"stopped; {journal} keeps every finished batch, run the same command again to go on"])
        raise typer.Exit(130) from None
    data = summary(result, None)
    with answered(data, as_json, print_exploration):
        faults = list(result.faults)
        with working("report"):
            try:
                data["report"] = str(write_report(result, report))
            except output.NotWritten as error:
                faults.append(str(error))
        if faults:
            raise output.NotWritten("; ".join(faults))


@app.command()
def benchmark(
    peers: Annotated[bool, typer.Option("--peers", help="Install and time the peers that can be.")] = False,
    checkout: Annotated[
        list[str] | None,
        typer.Option(
            "--checkout", help="Where a repository is that --peers else clones, such as Calculon=../calculon."
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Enumerate all of 1e8 designs instead of a part.")] = False,
    as_json: Json = False,
) -> None:
    """Speed on this machine, as ratios: fused kernel, its twins, and the peers."""
    folders = checked_out(checkout or [])
    if folders and not peers:
        raise SpecError("--checkout says where a peer is that --peers measures; give --peers as well")
    with in_turn() as begin:
        data = speed.benchmark(peers=peers, full=full, checkouts=folders, progress=begin)
    answer(data, as_json, print_benchmark)
