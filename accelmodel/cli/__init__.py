"""The command line: parse, call, print."""

from typing import Any


def main() -> Any:
    """Run the command line."""
    from accelmodel.cli.app import main as run

    return run()
