"""What the commands share: types of options, and the printing of JSON."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
DeviceName = Annotated[str, typer.Option("--device", help="Name, or path of a TOML file.")]
LinkName = Annotated[str | None, typer.Option("--link", help="Interconnect inside the node, name or path.")]
ModelName = Annotated[str, typer.Option("--model", help="Name, TOML file, or Hugging Face config.json.")]
WeightBits = Annotated[float, typer.Option("--weight-bits")]


def emit(data: dict[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")
