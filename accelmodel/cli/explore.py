"""The commands ``explore`` and ``benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.benchmarks import speed
from accelmodel.benchmarks.peers import checked_out
from accelmodel.cli.completion import name_of, one_of
from accelmodel.cli.enumerate_options import Confidence, Enumerate, Keep, Scheduler, say_enumeration
from accelmodel.cli.options import Json, answer, answered
from accelmodel.cli.posterior_options import Draws, Prior, print_posterior
from accelmodel.cli.progress import in_turn, progress_bars, working
from accelmodel.cli.search_options import Pruner, Sampler, Storage, WarmStart, Workers, asked_command, store_figures
from accelmodel.cli.streams import complain
from accelmodel.cli.terminal import print_table, say
from accelmodel.dse import explore as exploration
from accelmodel.dse.enumeration.certificate import CONFIDENCE
from accelmodel.dse.enumeration.looking import Looking
from accelmodel.dse.explore import key_of, summary
from accelmodel.dse.search.optimise import Search
from accelmodel.dse.search.storage import place_of
from accelmodel.dse.studies.objectives import OBJECTIVES
from accelmodel.dse.studies.study import DEFAULT, load_study
from accelmodel.dse.told import worth
from accelmodel.errors import SpecError
from accelmodel.inference.precisions import rows_in_words
from accelmodel.inference.reading import in_words
from accelmodel.inference.request import BASELINE
from accelmodel.units import show

app = typer.Typer(add_completion=False)


def print_exploration(data: dict[str, Any]) -> None:
    """Print the best chips, what the answer hangs on, and where the report is."""
    axes = {axis["axis"]: axis for axis in data["space"]}
    objectives = [each["objective"] for each in data["objectives"]]
    figures = [name for name in ("die_area", "power", "price") if name not in objectives]
    columns = ["technique", *(axis["full"] for axis in axes.values()), *figures, *objectives]
    rows = []
    for technique, chip in data["best"].items():
        shown = [_of_axis(chip[key_of(name)], axis) for name, axis in axes.items()]
        rows.append([technique, *shown, *(worth(name, chip[key_of(name)]) for name in (*figures, *objectives))])
    print_table(
        f"Best chips of {data['study']}", columns, rows, 1 + sum(axis["kind"] == "word" for axis in axes.values())
    )
    _say_answer(data)
    say_enumeration(data)
    searched = "no regret told" if data["regret"] is None else f"Optuna's regret {data['regret']:.2%}"
    say(f"{searched}; report: {data['report'] or 'not written'}; study: {data['storage']}")
    print_posterior(data["posterior"])
    _say_models(data)


def _of_axis(value: Any, axis: dict[str, Any]) -> str:
    return str(value) if axis["kind"] == "word" else show(value, axis["unit"])


def _say_answer(data: dict[str, Any]) -> None:
    """Print the answer in words, the limits, edges of the space, and what the numbers are."""
    if data["answer"]:
        say(data["answer"])
    found = data["exhaustive"]
    said = ", ".join(f"{each['limit']} {each['excluded']:,}" for each in data["limits"] if each["excluded"])
    excluded = f" (excluded: {said})" if said else ""
    say(f"over {found['chips']:,} chips, {found['feasible']:,} keep to the limits{excluded}")
    if gained := _gains(data["gains"]):
        say(gained)
    if data["alone"]:
        axis = next(axis for axis in data["space"] if axis["axis"] == data["axis"])
        names = [name for name in data["best"] if name in data["alone"]]
        sizes = " → ".join(f"{name} {_of_axis(data['alone'][name][key_of(data['axis'])], axis)}" for name in names)
        gained = _gains(data["alone"]["gains"])
        say(f"with {axis['full']} as the only axis: {sizes}{f', {gained}' if gained else ''}")
    for line in (*data["bound_words"], *data["edge_words"], *data["missing"], data["price_words"]):
        say(line)
    if len(data["mix"]) > 1:
        say(f"mean over the mix: {data['mean']}: {data['mean_words']}")


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
    chips = data["studies"]
    say(
        f"whole studies, with costs, limits and front: {chips['chips']:.3g} chips in {chips['whole_s']:.3g} s "
        f"({chips['kind']}), {chips['cpu_s_per_million']:.3g} s of a core for a million"
    )


@app.command()
def explore(
    study: Annotated[
        str,
        typer.Option(
            "--study",
            help="Shipped name such as preserve-l2, the paper's question, or a TOML file.",
            autocompletion=name_of("study"),
        ),
    ] = DEFAULT,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            min=1,
            help="Trials that the study is to hold in all, such as 96, each technique an equal share; those of earlier "
            "runs and of other processes count; the study's own number by default.",
        ),
    ] = None,
    storage: Storage = None,
    sampler: Sampler = "tpe",
    pruner: Pruner = "none",
    workers: Workers = 1,
    warm_start: WarmStart = None,
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective",
            help="Headline, such as dollars_per_million_tokens, tpot or joules_per_token; the study's own by default.",
            autocompletion=one_of(*OBJECTIVES),
        ),
    ] = None,
    report: Annotated[Path, typer.Option("--output", help="HTML report to write, such as report.html.")] = Path(
        "accelmodel-report.html"
    ),
    enumerate_: Enumerate = "auto",
    keep: Keep = None,
    scheduler: Scheduler = None,
    confidence: Confidence = CONFIDENCE,
    draws: Draws = exploration.DRAWS,
    prior: Prior = "uniform",
    as_json: Json = False,
) -> None:
    """The design-space search: which chip is best by the study's objective, of those that keep to its limits."""
    from accelmodel.report.exploration import write_report

    asked = load_study(study, objective)
    place = place_of(storage or f"accelmodel-{asked.name}.db")
    output.writable(report, "--output")
    looking = Looking(enumerate_, keep, scheduler, confidence)
    try:
        with progress_bars() as advance:
            search = Search(sampler, pruner, workers, warm_start, asked_command())
            result = exploration.explore(asked, place, trials, advance, looking, search, draws, prior)
    except KeyboardInterrupt:
        complain([f"stopped; {place} keeps every finished batch, run the same command again to go on"])
        raise typer.Exit(130) from None
    data = summary(result, None)
    with answered(data, as_json, print_exploration):
        faults = list(result.faults)
        with working("report"):
            try:
                data["report"] = str(write_report(result, report))
            except output.NotWritten as error:
                faults.append(str(error))
            except (ValueError, KeyError, IndexError, TypeError) as error:  # the answer stands without its pictures
                faults.append(f"report not written: {type(error).__name__}: {error}")
            store_figures(result, report if data["report"] else None)
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
