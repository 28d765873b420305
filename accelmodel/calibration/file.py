"""Fitted constants as a TOML file beside the specification that they complete, one line each so that it diffs well."""

from __future__ import annotations

from pathlib import Path

from accelmodel.calibration.fit import FOLDS, Fit
from accelmodel.errors import SpecError
from accelmodel.specs.base import Residual, Spec
from accelmodel.specs.load import field_units

#: digits that a fit is worth
DIGITS = 4


def _rounded(value: float) -> str:
    return f"{value:.{DIGITS}g}"


def _line(name: str, unit: str, fit: Fit, source: str, date: str) -> str:
    scale, shown = (1e6, "us") if unit == "s" else (1.0, unit)
    value = float(_rounded(fit.values[name] * scale))
    low, high = (float(_rounded(end * scale)) for end in fit.spans[name])
    part = f'unit = "{shown}", ' if shown != "1" else ""
    where = f"{date}, {fit.rows} training rows of {fit.kind}: {fit.sources}; range over {FOLDS} parts of them"
    return (
        f'{name.removeprefix("link.")} = {{ value = {value!r}, {part}kind = "calibrated", source = "{source}", '
        f'locator = "{where}", '
        f"range = [{min(low, value)!r}, {max(high, value)!r}] }}"
    )


def _residual(residual: Residual) -> str:
    return (
        f'[[residual]]\nkind = "{residual.kind}"\nbits = {residual.bits:g}\n'
        f"lower = {_rounded(residual.lower)}\nupper = {_rounded(residual.upper)}\nrows = {residual.rows}\n"
    )


def text(spec: Spec, table: str, fits: list[Fit], source: str, date: str) -> str:
    """Return the file's content.

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
    lines = [f"# Constants of {spec.name} fitted to measured kernels by `accelmodel calibrate`.", "", f"[{table}]"]
    own = [(fit, name) for fit in fits for name in fit.values if name.startswith("link.") == (table == "link")]
    lines += [_line(name, units[name.removeprefix("link.")], fit, source, date) for fit, name in own]
    if source == "user":
        lines[2:2] = ["[sources.user]", 'title = "measurements given by the user"', ""]
    residuals = [_residual(residual) for fit in {id(fit): fit for fit, _ in own}.values() for residual in fit.residuals]
    return "\n".join(lines) + "\n\n" + "\n".join(residuals)


def write(path: Path, content: str) -> None:
    """Write the file; SpecError if that is not possible."""
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path}: cannot be written ({error.strerror}); choose another place with --output") from None
