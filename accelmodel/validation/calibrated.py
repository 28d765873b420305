"""Constants fitted to what was measured, written beside the specification, with the errors they leave."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from accelmodel.calibration import beside, file, libraries, taken_over
from accelmodel.calibration import fit as calibration
from accelmodel.calibration.errors import fitted
from accelmodel.calibration.rows import measured_rows, read_csv
from accelmodel.errors import SpecError
from accelmodel.inference.intervals import UNCALIBRATED
from accelmodel.measured import aiconfigurator
from accelmodel.output import NotWritten, writable, write
from accelmodel.specs import facts
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import calibrated_path, field_units, load, path_of
from accelmodel.specs.names import flat
from accelmodel.validation import operators, unmeasured


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
        ``constants`` with value, unit, range, what they were fitted to and the ``bound`` of what makes sense that they
        ended on (``lowest`` or ``highest``, else empty); ``rows``: the error on rows that were not fitted; ``files``
        that were written; ``device``.

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
    place = Path(output) if output is not None else None
    data, files = fit_device(device, Path(measurements) if measurements is not None else None, place, progress)
    return {**data, "files": list(written(files))}


def written(files: Mapping[Path, str]) -> Iterator[str]:
    """Write the files of a fit and yield their names; what could not be written is said after the others are.

    Raises
    ------
    NotWritten
        If one cannot be written.
    """
    faults = []
    for path, content in files.items():
        try:
            yield str(write(path, content, "--output"))
        except NotWritten as error:
            faults.append(error)
    if faults:
        raise faults[0]


def fit_device(
    device: str, measurements: Path | None, output: Path | None, progress: Callable[[str], None] | None
) -> tuple[dict[str, Any], dict[Path, str]]:
    """Return the answer of ``calibrate`` and the files that it is to write, after a check that it may."""
    base = load("device", device, fitted=False)
    path = output or calibrated_path(path_of("device", device))
    writable(path, "--output")
    own = measurements is not None
    if not own and base.name not in aiconfigurator.SYSTEMS:
        raise SpecError(
            f"{base.name} is not among the measured devices ({', '.join(aiconfigurator.SYSTEMS)}); "
            "give --measurements rows.csv with the columns kind, the shape, bits and time_s"
        )
    measured = read_csv(measurements) if measurements else measured_rows(base)
    link = None
    if any(kind in aiconfigurator.COLLECTIVES for kind in measured):
        link = (
            _link_path(path, aiconfigurator.link_of(base))
            if output
            else calibrated_path(path_of("link", aiconfigurator.link_of(base)))
        )
        writable(link, "--output")
    chip = cluster(base, link=load("link", aiconfigurator.link_of(base), fitted=False))
    fits = calibration.calibrate(chip, measured, progress)
    fitted = calibration.calibrated(chip, fits)
    source = "user" if own else "aiconfigurator-core"
    today = datetime.date.today().isoformat()
    files = {path: file.text(base, "device", fits, source, today)}
    if link and any(name.startswith("link.") for fit in fits for name in fit.values):
        files[link] = file.text(chip.link, "link", fits, source, today)
    rows = [
        row for kind, frame in measured.items() for row in operators.rows_of(base, kind, fitted, "held-out", (frame, 0))
    ]
    return {"device": base.name, "files": [], "constants": _constants(fits), "rows": rows}, files


def _link_path(path: Path, link: str) -> Path:
    """Return where the constants of a device's link go: beside the file that was asked for, under the link's name."""
    found = path.parent / calibrated_path(path_of("link", link)).name
    if found.name == path.name:
        raise SpecError(f"{path}: would hold the constants of both device and link; choose another name with --output")
    return found


def fit_library(
    name: str, output: Path | None, progress: Callable[[str], None] | None = None
) -> tuple[dict[str, Any], dict[Path, str]]:
    """Fit a framework's own matmuls over all fitted devices; return the answer and the file that is to be written."""
    library, path = load("library", name), output or path_of("library", name)
    writable(path, "--output")
    found, spans, fitted_to = libraries.fit(library, progress)
    files = {path: libraries.text(found, spans, fitted_to, datetime.date.today().isoformat())}
    units = field_units(type(library))
    possible = libraries.constants(library)
    constants = {
        field: {
            "value": getattr(found, field),
            "unit": units[field],
            "range": list(span),
            "fitted_to": fitted_to,
            "bound": calibration.ended(getattr(found, field), possible[field]),
        }
        for field, span in spans.items()
    }
    return {"device": name, "files": [], "constants": constants, "rows": []}, files


def fit_shared(progress: Callable[[str], None] | None = None) -> tuple[dict[str, Any], dict[Path, str]]:
    """Return what chips without fits take over from those that have them, and the files that are to be written."""
    files = {
        path: text for path, text in taken_over.files(progress).items() if text != path.read_text(encoding="utf-8")
    }
    for path in files:
        writable(path, "the file of a fit")
    for name in fitted():
        if progress:
            progress(f"{name}: kernels beside those that are fitted")
        path = calibrated_path(path_of("device", name))
        device = load("device", name)
        chip = cluster(device, link=aiconfigurator.link_of(device))
        files[path] = beside.with_residuals(path.read_text(encoding="utf-8"), beside.residuals(chip))
    place = facts.root() / UNCALIBRATED
    factors = unmeasured.uncalibrated(progress)
    files[place] = taken_over.told(place.read_text(encoding="utf-8"), factors)
    return {"device": "", "files": [], "constants": {}, "rows": []}, files


def _constants(fits: list[calibration.Fit]) -> dict[str, Any]:
    units = {flat(Device, name): unit for name, unit in field_units(Device).items()}
    units |= {f"link.{name}": unit for name, unit in field_units(Link).items()}
    return {
        name: {
            "value": value,
            "unit": units[name],
            "range": list(fit.spans[name]),
            "fitted_to": fit.kind,
            "bound": fit.bound(name),
        }
        for fit in fits
        for name, value in fit.values.items()
    }
