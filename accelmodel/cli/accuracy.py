"""The commands ``calibrate`` and ``validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.cli.completion import name_of
from accelmodel.cli.examples import needs
from accelmodel.cli.options import Json, answered
from accelmodel.cli.progress import in_turn
from accelmodel.cli.terminal import print_table, say
from accelmodel.errors import SpecError
from accelmodel.specs.names import FORMER
from accelmodel.units import show
from accelmodel.validation import calibrated, engines, table
from accelmodel.validation.table import _ACCURACY, accuracy_cells, parts, validation_markdown

app = typer.Typer(add_completion=False)


@app.command()
def calibrate(
    device: Annotated[
        str | None, typer.Argument(help="Name such as h100-sxm, or a TOML file.", autocompletion=name_of("device"))
    ] = None,
    measurements: Annotated[
        Path | None, typer.Option("--measurements", help="CSV of your own such as rows.csv: kind, shape, bits, time_s.")
    ] = None,
    place: Annotated[
        Path | None,
        typer.Option("--output", help="TOML file such as my-chip.calibrated.toml; beside the device's by default."),
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(
            "--library",
            help="Fit a framework's own matmuls, such as vllm-8bit, over all devices instead.",
            autocompletion=name_of("library"),
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            help="Fit what an engine such as vllm adds to its kernels, over all models and devices instead.",
            autocompletion=name_of("engine"),
        ),
    ] = None,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help="Write what files of other chips take over from fits, and intervals of unmeasured chips, instead.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit the constants that no data sheet gives to measured kernels, and write them beside the device."""
    if sum((device is not None, library is not None, engine is not None, shared)) != 1:
        raise SpecError(needs("calibrate", "either a DEVICE, a --library, an --engine or --shared"))
    if shared and (measurements is not None or place is not None):
        raise SpecError("--shared writes shipped files from installed tables: leave --measurements and --output out")
    if device is None and measurements is not None:
        one = "library" if library else "n --engine"
        raise SpecError(
            f"--measurements are of one device, and a{' --' if library else ''}{one} is fitted to installed tables: "
            "leave one out"
        )
    with in_turn() as begin:
        if library:
            data, files = calibrated.fit_library(library, place, begin)
        elif engine:
            data, files = engines.fit_engine(engine, place, begin)
        elif shared:
            data, files = calibrated.fit_shared(begin)
        else:
            data, files = calibrated.fit_device(str(device), measurements, place, begin)
    shown = with_former_names(data)
    with answered(shown, as_json, print_calibration):
        shown["files"].extend(calibrated.written(files))


@app.command()
def validate(
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Constants from other devices of the nearest architecture.")
    ] = False,
    end_to_end: Annotated[
        bool, typer.Option("--end-to-end", help="Whole servers: time per token and to the first token.")
    ] = False,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Law times interpolated residual, leave one out.")] = False,
    claims: Annotated[bool, typer.Option("--claims", help="Published claims alone, no measured kernels.")] = False,
    markdown: Annotated[
        Path | None, typer.Option("--output", help="Also write the tables as Markdown, such as accuracy.md.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write pictures, as one HTML file such as accuracy.html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The accuracy table: what others published and measured, beside the model."""
    wanted = {"transfer": transfer, "end_to_end": end_to_end, "hybrid": hybrid, "claims": claims}
    chosen = [name for name, asked in wanted.items() if asked]
    output.writable(markdown, "--output")
    output.writable(report, "--report")
    with in_turn() as begin:
        data = table.validate(*chosen, progress=begin)
    with answered(data, as_json, print_validation):
        if markdown is not None:
            output.write(markdown, validation_markdown(data), "--output")
        if report is not None:
            from accelmodel.report.accuracy import write_report

            write_report(data, report)


def print_accuracy(rows: list[dict[str, Any]], title: str) -> None:
    """Print the accuracy of kernels; the columns from median to bias are the laws', the last two others'."""
    print_table(title, list(_ACCURACY), accuracy_cells(rows))


def with_former_names(data: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of ``calibrate`` with constants under the names of earlier versions as well."""
    constants = data["constants"]
    former = {
        f"{part}{old}": constants[f"{part}{now}"]
        for kind, part in (("Device", ""), ("Link", "link."))
        for old, now in FORMER[kind].items()
        if f"{part}{now}" in constants
    }
    return {**data, "constants": {**constants, **former}}


def print_calibration(data: dict[str, Any]) -> None:
    """Print fitted constants and how far they hold on held-out rows."""
    cells = [
        [name, show(each["value"], each["unit"]), " to ".join(show(end, each["unit"]) for end in each["range"]),
         each["fitted_to"], each.get("bound", "")]
        for name, each in data["constants"].items()
    ]  # fmt: skip
    columns = ["constant", "value", "range", "fitted to", "ended on its bound"]
    print_table(f"Constants of {data['device']}", columns, cells)
    if data["rows"]:
        print_accuracy(data["rows"], "Error on rows that were not fitted")
    if data["files"]:
        say(f"written to {', '.join(data['files'])}")


def print_validation(data: dict[str, Any]) -> None:
    """Print the tables of an answer of ``validate``."""
    for title, columns, cells in parts(data):
        print_table(title, columns, cells)
    if data["region"]:
        share = f"{data['region']['holds']} of {data['region']['tested']}"
        say(f"all claims of PRESERVE hold at once in {share} sets of the unpublished constants")
        for each in data["region"]["volumes"]:
            drawn = "those of kernels among them" if each["kernels_drawn"] else "kernels as they are"
            found = f"{each['shares']['all']:.1%} of {each['draws']}"
            say(f"  drawn from {each['prior']} priors over their ranges, {drawn}: in {found} sets")
    for note in data["notes"]:
        say(note)
