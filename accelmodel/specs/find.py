"""Where a specification stands: a shipped name, a path, a name in the working directory, or beside the file that
names it.

A shipped name means the shipped file, so that an answer does not depend on where a command runs; a path is never
taken for a name.  Inside a file the files beside it come first: whoever wrote it knew them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts, files

#: kind of specification → folder of hwspecs
FOLDERS = {
    "device": "devices",
    "link": "links",
    "model": "models",
    "process": "processes",
    "bill": "bills",
    "storage": "storage",
    "instance": "instances",
    "engine": "engines",
    "library": "kernel_libraries",
    "study": "studies",
    "sweep": "sweeps",
    "architecture": "architectures",
}
#: what comes after the name of a specification in the name of the file of its fitted constants
_FITTED = ".calibrated"
_CONFIG = "config.json"


def calibrated_path(path: Path) -> Path:
    """Return where the fitted constants of a specification stand: beside its file."""
    return path.with_name(f"{path.stem}{_FITTED}.toml")


@cache
def _shipped(kind: str) -> tuple[str, ...]:
    if kind not in FOLDERS:
        raise unknown("kind of specification", kind, FOLDERS)
    stems = (path.stem for path in (facts.root() / FOLDERS[kind]).glob("*.toml"))
    return tuple(sorted(stem for stem in stems if not stem.endswith(_FITTED)))


def available(kind: str) -> list[str]:
    """Return the names of a kind that ship with the package, sorted.

    Parameters
    ----------
    kind : str
        A key of ``FOLDERS``: device, link, model, process, bill, storage, instance, engine, library, study …

    Returns
    -------
    list of str

    Raises
    ------
    SpecError
        If there is no such kind; the closest match is named.

    Examples
    --------
    >>> available("bill")
    ['a100', 'ascend-910b']
    """
    return list(_shipped(kind))


def is_shipped(path: Path) -> bool:
    """Tell whether a file is one of the package's own."""
    return facts.root().resolve() in path.resolve().parents


def kind_of(path: Path) -> str | None:
    """Return the kind of specification that a file holds, by its tables; None where it is none, or cannot be read."""
    if path.name == _CONFIG or (files.is_folder(path) and files.is_file(path / _CONFIG)):
        return "model"
    try:
        content, _ = facts.read_toml(path)
    except SpecError:
        return None
    return next((kind for kind in FOLDERS if kind in content), None)


def _in(folder: Path, kind: str, name: str) -> Path | None:
    """Return the file of a kind that stands under a name in a folder: ``NAME.toml``, or ``NAME/config.json``."""
    if name != Path(name).name:
        return None
    try:
        own, config = folder / f"{name}.toml", folder / name / _CONFIG
        if own.is_file() and kind_of(own) in (kind, None):
            return own
        return config if kind == "model" and config.is_file() else None
    except (OSError, ValueError):  # no file can have that name
        return None


def is_path(name: str) -> bool:
    """Tell whether a text is a path and not a name."""
    return "/" in name or Path(name).suffix in (".toml", ".json")


def path_of(kind: str, name: str) -> Path:
    """Return the file that a name or a path stands for: a shipped name, a path, or a name in the working directory.

    Raises
    ------
    SpecError
        If it is none of these; the closest shipped name is given.
    """
    if name in _shipped(kind):
        return facts.root() / FOLDERS[kind] / f"{name}.toml"
    if is_path(name):
        path = Path(name)
        return path / _CONFIG if kind == "model" and files.is_folder(path) else path
    own = _in(Path(), kind, name)
    if own is None:
        raise unknown(kind, name, available(kind))
    return own


def is_known(kind: str, name: str) -> bool:
    """Tell whether a text stands for a file that is there: by shipped name, by path or in the working directory."""
    try:
        return path_of(kind, name).is_file()
    except (SpecError, OSError, ValueError):
        return False


def seen_from(path: Path, kind: str, name: str) -> str:
    """Return what a name in a file stands for: a path to a file beside it, or else the name as it is."""
    if is_path(name):
        return str(path.parent / name)
    own = None if is_shipped(path) else _in(path.parent, kind, name)
    return name if own is None else str(own)
