"""The command ``docs``: write the documentation as a site and open it."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from accelmodel.cli.options import Json, answer
from accelmodel.cli.progress import progress_bars
from accelmodel.cli.terminal import has_display, say

app = typer.Typer(add_completion=False)


@app.command("docs")
def docs_command(
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder to write, such as site; by default one in the user's cache.")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the start page in a browser.")] = True,
    strict: Annotated[bool, typer.Option("--fail-on-warning", help="Warnings of Sphinx are errors.")] = False,
    as_json: Json = False,
) -> None:
    """Write the documentation as a static site that opens offline, and open it; needs the extra ``docs``."""
    from accelmodel.cli.site.build import START, build, default_folder

    folder = output or default_folder()
    start = folder / START
    written = output is not None or strict or not start.is_file()
    if written:
        with progress_bars() as advance:
            start = build(folder, advance, strict)
    shown = show and not as_json and has_display() and webbrowser.open(start.resolve().as_uri())
    data = {"path": str(start.resolve()), "written": written, "opened": bool(shown)}
    answer(data, as_json, lambda found: say(f"documentation: {found['path']}"))
