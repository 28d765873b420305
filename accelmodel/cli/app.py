"""The command line: parse, call, print.  No physics."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from accelmodel import __version__, output
from accelmodel.cli import streams
from accelmodel.errors import Infeasible, SpecError

#: command → the module that defines it, loaded when the command or the help asks for it
COMMANDS = {
    "list": "specs", "show": "specs", "step": "step", "preserve": "step", "cake": "cake", "instances": "instances",
    "fleet": "instances", "explore": "explore", "matmul": "operators", "attention": "operators",
    "collective": "operators", "validate": "accuracy", "calibrate": "accuracy", "benchmark": "explore",
    "new": "new", "schema": "new", "docs": "docs",
}  # fmt: skip


class Commands(typer.core.TyperGroup):
    """The commands, each imported when it is asked for: a command loads only what it needs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name, or None."""
        if cmd_name not in COMMANDS:
            return None
        found = typer.main.get_command(import_module(f"accelmodel.cli.{COMMANDS[cmd_name]}").app)
        return getattr(found, "commands", {cmd_name: found})[cmd_name]


app = typer.Typer(
    name="accelmodel",
    cls=Commands,
    help="Performance model and design-space explorer for the accelerators that serve large language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"accelmodel {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Performance model and design-space explorer for the accelerators that serve large language models."""


def _usage(error: Exception) -> int:
    """Say in one line what is wrong with the options; return the exit code.  Without any command, print the help."""
    if len(sys.argv) < 2:
        error.show()  # type: ignore[attr-defined]
    else:
        reason = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        streams.complain([f"{reason.rstrip('.')}; see --help"])
    return 2


def _told(error: BaseException, kept: list[str]) -> int:
    """Say what ended a command, in one line and with the files that are whole; return the exit code."""
    rest = f"; kept: {', '.join(kept)}" if kept else ""
    if isinstance(error, SpecError | Infeasible):
        first, *more = str(error).splitlines() or [""]
        streams.complain([first, *more] if more else [first + rest])
        return 2
    if isinstance(error, streams.Unprinted):
        streams.drop()
        streams.complain([f"{error}{rest}"])
        return 2
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        streams.complain([f"interrupted{rest}"])
        return 130
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        streams.complain([f"{place}{error.strerror or error}{rest}; make room or give another place, and run it again"])
        return 2
    if hasattr(error, "format_message"):  # wrong usage, however this version of typer calls it
        return _usage(error)  # type: ignore[arg-type]
    what = f"{type(error).__name__}: {error}"
    streams.complain([f"internal error ({what}){rest}; please report it with the command you ran"])
    return 1


def main() -> None:
    """Run the command line: exit code 0 done, 2 wrong input or unwritable output, 1 our fault, 130 interrupted."""
    with output.recorded() as kept, streams.complaints():
        try:
            with streams.guarded():
                code = app(standalone_mode=False)
        except (Exception, KeyboardInterrupt) as error:
            raise SystemExit(_told(error, kept)) from None
    raise SystemExit(code or 0)
