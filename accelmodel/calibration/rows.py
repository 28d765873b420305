"""Rows to fit constants to: the installed measurements of a device, or a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.measured import aiconfigurator
from accelmodel.specs import files
from accelmodel.specs.hardware import Device

if TYPE_CHECKING:
    import pandas as pd


def measured_rows(device: Device) -> dict[str, pd.DataFrame]:
    """Return the installed measurements of a device by kind; kinds that were not measured are left out."""
    found = {}
    for kind in aiconfigurator.SHAPES:
        frame, _ = aiconfigurator.rows(device, kind)
        if len(frame):
            found[kind] = frame
    return found


def read_csv(path: Path) -> dict[str, pd.DataFrame]:
    """Return a user's own measurements by kind.

    Columns: ``kind`` (a key of ``aiconfigurator.SHAPES``), the shape columns of the kind, ``bits`` and ``time_s``;
    other columns are ignored, and columns of other kinds may be empty.

    Raises
    ------
    SpecError
        Names the file, the line and what is wrong.
    """
    import pandas as pd

    _, lines = files.read_table(path)
    table: dict[str, list[dict[str, float]]] = {}
    for number, line in lines:
        where, kind = f"{path}:{number}", line.get("kind", "")
        if kind not in aiconfigurator.SHAPES:
            raise SpecError(f"{where}: {unknown('kind', kind, aiconfigurator.SHAPES)}")
        row = {name: _number(line, name, where) for name in (*aiconfigurator.SHAPES[kind], "bits", "time_s")}
        table.setdefault(kind, []).append(row)
    if not table:
        raise SpecError(f"{path}: holds no rows; give the columns kind, the shape, bits and time_s")
    return {
        kind: pd.DataFrame(rows).rename(columns={"time_s": "time"}).assign(source=f"given {path.name}")
        for kind, rows in table.items()
    }


def _number(line: Mapping[str, str], name: str, where: str) -> float:
    text = line.get(name, "")
    try:
        value = float(text)
    except ValueError:
        raise SpecError(f"{where}: {name} is {brief(text)}; a number is needed") from None
    least = 0.0 if name == "window" else 1e-12
    if not least <= value < 1e15:
        raise SpecError(f"{where}: {name} is {brief(text)}; it must be finite and above 0")
    return value
