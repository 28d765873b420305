"""The command line: parse, call, print.  No physics."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from accelmodel import __version__
from accelmodel.errors import Infeasible, SpecError

#: command → the module that defines it, loaded when the command or the help asks for it
COMMANDS = {
    "list": "specs", "show": "specs", "step": "step", "preserve": "step", "cake": "cake", "instances": "instances",
    "fleet": "instances", "explore": "explore", "sweep": "sweep", "matmul": "operators", "attention": "operators",
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
        sys.stderr.write(f"accelmodel: {reason.rstrip('.')}; see --help\n")
    return 2


def main() -> None:
    """Run the command line: exit code 0 done, 2 wrong input, 1 our fault, 130 interrupted."""
    try:
        code = app(standalone_mode=False)
    except (SpecError, Infeasible) as error:
        for line in str(error).splitlines() or [""]:
            sys.stderr.write(f"accelmodel: {' '.join(line.split())}\n")
        raise SystemExit(2) from None
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("accelmodel: interrupted\n")
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception as error:
        if hasattr(error, "format_message"):  # wrong usage, however this version of typer calls it
            raise SystemExit(_usage(error)) from None
        sys.stderr.write(
            f"accelmodel: internal error ({type(error).__name__}: {error}); please report it with the command you ran\n"
        )
        raise SystemExit(1) from None
    raise SystemExit(code or 0)
