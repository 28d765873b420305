"""Constants fitted to what was measured, written beside the specification, with the errors they leave."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelmodel.calibration import file, libraries
from accelmodel.calibration import fit as calibration
from accelmodel.errors import SpecError
from accelmodel.measured import aiconfigurator
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Device, Link
from accelmodel.specs.load import calibrated_path, field_units, load, path_of
from accelmodel.specs.names import flat
from accelmodel.validation import operators


def calibrate(
    device: str,
    measurements: str | Path | None = None,
    output: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Fit the constants that no data sheet gives to measured kernels, and write them beside the device.

    Parameters
    ----------
    device : str
        Name, or path of a TOML file.
    measurements : str or Path, optional
        CSV of one's own with the columns ``kind``, those of the shape, ``bits`` and ``time_s``; else the installed
        tables of that device.
    output : str or Path, optional
        TOML file to write; by default ``NAME.calibrated.toml`` beside the device's.
    progress : callable, optional
        Told which kind is fitted.

    Returns
    -------
    dict
        ``constants`` with value, unit, range and what they were fitted to; ``rows``: the error on rows that were not
        fitted; ``files`` that were written; ``device``.

    Raises
    ------
    SpecError
        If the name is unknown, the device is not among the measured ones and no measurements are given, or a row of
        them is wrong.

    Notes
    -----
    Constants hold for the clocks and the software of the measurements; a range says how far each is known.

    Examples
    --------
    >>> calibrate("my-chip.toml", "rows.csv")["constants"]  # doctest: +SKIP
    """
    measurements = Path(measurements) if measurements is not None else None
    output = Path(output) if output is not None else None
    base = load("device", device, fitted=False)
    path = output or calibrated_path(path_of("device", device))
    own = measurements is not None
    if not own and base.name not in aiconfigurator.SYSTEMS:
        raise SpecError(
            f"{base.name} is not among the measured devices ({', '.join(aiconfigurator.SYSTEMS)}); "
            "give --measurements rows.csv with the columns kind, the shape, bits and time_s"
        )
    measured = calibration.read_csv(measurements) if measurements else calibration.measured_rows(base)
    chip = cluster(base, link=load("link", base.link, fitted=False))
    fits = calibration.calibrate(chip, measured, progress)
    fitted = calibration.calibrated(chip, fits)
    source = "user" if own else "aiconfigurator-core"
    today = datetime.date.today().isoformat()
    files = [path]
    file.write(path, file.text(base, "device", fits, source, today))
    if any(name.startswith("link.") for fit in fits for name in fit.values):
        files.append(calibrated_path(path.parent / base.link if output else path_of("link", base.link)))
        file.write(files[1], file.text(chip.link, "link", fits, source, today))
    rows = [
        row for kind, frame in measured.items() for row in operators.rows_of(base, kind, fitted, "held-out", (frame, 0))
    ]
    return {"device": base.name, "files": [str(each) for each in files], "constants": _constants(fits), "rows": rows}


def calibrate_library(name: str, output: Path | None, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Fit a framework's own matmuls over all fitted devices, write them, and return what was fitted."""
    library, path = load("library", name), output or path_of("library", name)
    found, spans, fitted_to = libraries.fit(library, progress)
    file.write(path, libraries.text(found, spans, fitted_to, datetime.date.today().isoformat()))
    units = field_units(type(library))
    constants = {
        field: {"value": getattr(found, field), "unit": units[field], "range": list(span), "fitted_to": fitted_to}
        for field, span in spans.items()
    }
    return {"device": name, "files": [str(path)], "constants": constants, "rows": []}


def _constants(fits: list[calibration.Fit]) -> dict[str, Any]:
    units = {flat(Device, name): unit for name, unit in field_units(Device).items()}
    units |= {f"link.{name}": unit for name, unit in field_units(Link).items()}
    return {
        name: {"value": value, "unit": units[name], "range": list(fit.spans[name]), "fitted_to": fit.kind}
        for fit in fits
        for name, value in fit.values.items()
    }
