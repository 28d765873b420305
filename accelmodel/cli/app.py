"""The command line: parse, call, print.  No physics."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from accelmodel import __version__, output
from accelmodel.cli import streams
from accelmodel.cli.examples import EXAMPLES, epilog
from accelmodel.cli.spelling import spelling
from accelmodel.cli.terminal import any_encoding
from accelmodel.cli.usage import need_each_once, said
from accelmodel.errors import Infeasible, SpecError, brief, unknown
from accelmodel.laws.jit import telling

#: command → the module that defines it, loaded when the command or the help asks for it
COMMANDS = {
    "list": "specs", "show": "specs", "step": "step", "preserve": "preserve", "cake": "cake", "instances": "instances",
    "fleet": "instances", "explore": "explore", "dashboard": "dashboard", "sweep": "sweep", "cost": "cost",
    "matmul": "operators", "attention": "operators", "collective": "operators", "validate": "accuracy",
    "calibrate": "accuracy", "check": "check", "benchmark": "explore", "new": "new", "schema": "new", "docs": "docs",
    "warm-up": "warm_up",
}  # fmt: skip
#: what a message says of what is no number; one out of range is a number
_UNREAD = " valid "
#: how a message of wrong usage names the option
_OPTION = re.compile(r"Invalid value for '(--[\w-]+)'")


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
        command = getattr(found, "commands", {cmd_name: found})[cmd_name]
        command.epilog = epilog(cmd_name)
        command.rich_markup_mode = None  # plain, so that the examples of the help stay on their lines
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return what a name stands for; SpecError with the closest where there is no such command."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise unknown("command", name, COMMANDS)
        found = super().resolve_command(ctx, args)
        if found[1] is not None and not ctx.resilient_parsing:
            need_each_once(found[1].params, found[2])
        return found


app = typer.Typer(
    name="accelmodel",
    cls=Commands,
    help="Performance model and design-space explorer for the accelerators that serve large language models.",
    epilog=f"\b\nExamples:\n  {EXAMPLES['list'][0]}\n  {EXAMPLES['step'][0]}\n  accelmodel step --help",
    context_settings={"help_option_names": ["--help", "-h"]},
    no_args_is_help=True,
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
        reason = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
        option = _OPTION.match(reason)
        text = _given(option[1]) if option else ""
        if option and text and _UNREAD in reason and (hint := spelling(text)):
            streams.complain([f"{option[1]}: {brief(text)} is not one number; {hint}; see --help"])
        else:
            streams.complain([said(error, sys.argv)])
    return 2


def _given(option: str) -> str:
    """Return what stands behind an option on the command line; empty where nothing does."""
    for place, word in enumerate(sys.argv):
        name, equals, text = word.partition("=")
        if name == option:
            return text if equals else (sys.argv[place + 1] if place + 1 < len(sys.argv) else "")
    return ""


def _say_compiling(kernel: str) -> None:
    streams.complain([f"compiling {kernel}, once on this machine; `accelmodel warm-up` does it ahead"])


def _told(error: BaseException, kept: list[str]) -> int:
    """Say what ended a command, in one line and with the files that are whole; return the exit code."""
    rest = f"; kept: {', '.join(kept)}" if kept else ""
    if isinstance(error, SpecError | Infeasible):
        first, *more = getattr(error, "lines", ()) or [str(error)]
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
    any_encoding()
    with output.recorded() as kept, streams.complaints():
        try:
            with streams.guarded(), telling(_say_compiling):
                code = app(standalone_mode=False, prog_name="accelmodel")
        except (Exception, KeyboardInterrupt) as error:
            raise SystemExit(_told(error, kept)) from None
    raise SystemExit(code or 0)
