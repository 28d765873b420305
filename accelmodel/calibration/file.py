"""Fitted constants as a TOML file beside the specification that they complete, one line each so that it diffs well."""

from __future__ import annotations

from accelmodel.calibration.fit import FOLDS, Fit
from accelmodel.errors import plain
from accelmodel.laws.numeric import Number
from accelmodel.output import toml_string
from accelmodel.specs.base import Residual, Spec
from accelmodel.specs.load import field_units
from accelmodel.specs.names import dotted

#: digits that a fit is worth
DIGITS = 4


def _rounded(value: Number) -> str:
    return f"{float(value):.{DIGITS}g}"


def _line(name: str, constant: str, unit: str, fit: Fit, source: str, date: str) -> str:
    """Return the line of a fitted constant under its name in the file."""
    scale, shown = (1e6, "us") if unit == "s" else (1.0, unit)
    value = float(_rounded(fit.values[constant] * scale))
    low, high = (float(_rounded(end * scale)) for end in fit.spans[constant])
    part = f'unit = "{shown}", ' if shown != "1" else ""
    where = f"{date}, {fit.rows} training rows of {fit.kind}: {fit.sources}; range over {FOLDS} parts of them"
    return (
        f'{name} = {{ value = {value!r}, {part}kind = "calibrated", source = "{source}", '
        f"locator = {toml_string(where)}, "
        f"range = [{min(low, value)!r}, {max(high, value)!r}] }}"
    )


def residual_text(residual: Residual) -> str:
    """Return a table ``[[residual]]`` of a file."""
    return (
        f'[[residual]]\nkind = "{residual.kind}"\nbits = {residual.bits:g}\n'
        f"lower = {_rounded(residual.lower)}\nupper = {_rounded(residual.upper)}\nrows = {residual.rows}\n"
    )


def text(spec: Spec, table: str, fits: list[Fit], source: str, date: str) -> str:
    """Return the file's content: a table for each section, so that it serves a device and an architecture alike.

    Parameters
    ----------
    spec : Spec
        What was calibrated.
    table : str
        Name of its table, such as ``"device"``.
    fits : list of Fit
    source : str
        Key into ``sources.toml`` of the measurements, or ``"user"``.
    date : str
        Day of the fit, as 2026-11-23.
    """
    units = field_units(type(spec))
    own = [(fit, name) for fit in fits for name in fit.values if name.startswith("link.") == (table == "link")]
    tables: dict[str, list[str]] = {}
    for fit, constant in own:
        field = dotted(type(spec), constant.removeprefix("link."))
        section, _, name = field.rpartition(".")
        tables.setdefault(section or table, []).append(_line(name, constant, units[field], fit, source, date))
    blocks = [f"# Constants of {plain(spec.name)} fitted to measured kernels by `accelmodel calibrate`.\n"]
    if source == "user":
        blocks.append('[sources.user]\ntitle = "measurements given by the user"\n')
    blocks += ["\n".join([f"[{name}]", *lines]) + "\n" for name, lines in tables.items()]
    blocks += [residual_text(each) for fit in {id(fit): fit for fit, _ in own}.values() for each in fit.residuals]
    return "\n".join(blocks)
