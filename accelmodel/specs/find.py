"""Where a specification stands: a shipped name, a path, a name in the working directory, or beside the file that
names it.

A shipped name means the shipped file, so that an answer does not depend on where a command runs; a path is never
taken for a name.  Inside a file the files beside it come first: whoever wrote it knew them.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs import facts, files

#: kind of specification → folder of hwspecs
FOLDERS = {
    "device": "devices",
    "link": "links",
    "model": "models",
    "process": "processes",
    "bill": "bills",
    "memory": "memories",
    "phy": "phys",
    "package": "packages",
    "site": "sites",
    "storage": "storage",
    "instance": "instances",
    "cpu": "cpus",
    "engine": "engines",
    "library": "kernel_libraries",
    "study": "studies",
    "sweep": "sweeps",
    "architecture": "architectures",
    "cluster": "clusters",
}
#: what comes after the name of a specification in the name of the file of its fitted constants
_FITTED = ".calibrated"
_CONFIG = "config.json"
#: files of weights, of which no one reads what the model is
_WEIGHTS = (".gguf", ".safetensors", ".bin", ".pt", ".pth")
#: files of the hub that end like the config of a model
_OF_OTHERS = tuple(
    f"{word}_{_CONFIG}" for word in ("generation", "tokenizer", "preprocessor", "processor", "adapter", "quantize")
)
#: what a folder without a config has instead → how it is told, and what to do
_INSTEAD = {
    "holds an adapter (adapter_config.json)": ("adapter_config.json", f"give the {_CONFIG} of its base model"),
    "holds a pipeline of images (model_index.json)": ("model_index.json", "only language models are read"),
    "has Mistral's own params.json": ("params.json", f"give the {_CONFIG} that the hub has beside it"),
    "holds weights alone": ("*.gguf", f"give the {_CONFIG} of the model, its bits with --weight-bits"),
    "holds weights alone (safetensors)": ("*.safetensors", f"download the {_CONFIG} of the model beside them"),
}


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
    >>> available("site")
    ['data-centre']
    """
    return list(_shipped(kind))


def is_shipped(path: Path) -> bool:
    """Tell whether a file is one of the package's own."""
    return facts.root().resolve() in path.resolve().parents


def model_file(path: Path) -> Path:
    """Return the ``config.json`` of a folder: its own, or that of a snapshot in a folder of the hub's cache.

    Raises
    ------
    SpecError
        If the folder has none, or several and does not say which is meant; says what it has.
    """
    if path.name == "snapshots" and not files.is_file(path / _CONFIG):
        path = path.parent
    snapshots = path / "snapshots"
    if files.is_file(path / _CONFIG):
        return path / _CONFIG
    if not files.is_folder(snapshots):
        return _inside(path)
    main = path / "refs" / "main"
    if files.is_file(main):
        chosen = snapshots / main.read_text(encoding="utf-8", errors="replace").strip() / _CONFIG
        if chosen.is_file():
            return chosen
    found = sorted(each.parent for each in snapshots.glob(f"*/{_CONFIG}"))
    if len(found) != 1:
        named = f": {_some(found)}" if found else ""
        raise SpecError(f"{path}: has {len(found)} snapshots with a {_CONFIG}{named}; give the path of one of them")
    return found[0] / _CONFIG


def _some(found: list[Path]) -> str:
    names = [each.name for each in found]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _inside(path: Path) -> Path:
    """Return the config of the one model of the hub's cache, or raise SpecError with what a folder has instead."""
    for folder in (path, path / "hub"):
        cached = sorted(each for each in folder.glob("models--*") if files.is_folder(each / "snapshots"))
        if len(cached) == 1:
            return model_file(cached[0])
        if cached:
            raise SpecError(f"{folder}: holds {len(cached)} models: {_some(cached)}; give the path of one of them")
    if (path / _CONFIG).is_symlink():
        raise SpecError(f"{path / _CONFIG}: links to a file that is not there; download it again")
    inner = sorted(each.parent for each in path.glob(f"*/{_CONFIG}"))
    configs = sorted(each for each in path.glob(f"*_{_CONFIG}") if each.name not in _OF_OTHERS)
    instead = "give the folder of a model, or its config.json"
    for what, (pattern, remedy) in _INSTEAD.items():
        if any(path.glob(pattern)):
            raise SpecError(f"{path}: has no {_CONFIG}, and {what}; {remedy}")
    if inner or configs:
        instead = f"give one of {_some(inner or configs)}"
    raise SpecError(f"{path}: has no {_CONFIG}; {instead}")


def need_local(name: str) -> None:
    """Raise SpecError where a text is a model's id on the Hugging Face hub and no path.

    Examples
    --------
    >>> need_local("Qwen/Qwen3-8B")
    Traceback (most recent call last):
    ...
    accelmodel.errors.SpecError: 'Qwen/Qwen3-8B' is no path, and nothing is downloaded; run hf download ...
    """
    path = Path(name)
    if "://" in name:
        raise SpecError(f"{brief(name)} is an address, and nothing is downloaded; give the path of a {_CONFIG}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith(".") or path.suffix in (".toml", ".json"):
        return
    if not path.exists() and not path.parent.exists():
        raise SpecError(
            f"{brief(name)} is no path, and nothing is downloaded; run "
            f"hf download {name} {_CONFIG} --local-dir {path.name}, and give ./{path.name}"
        )


def kind_of(path: Path) -> str | None:
    """Return the kind of specification that a file holds, by its tables; None where it is none, or cannot be read."""
    if path.suffix == ".json" or files.is_folder(path):
        return "model"
    try:
        content, _ = facts.read_toml(path)
    except SpecError:
        return None
    return next((kind for kind in FOLDERS if kind in content), "link" if "level" in content else None)


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
    if kind == "model" and Path(name).suffix.lower() in _WEIGHTS:
        raise SpecError(
            f"{brief(name)} holds weights, which are not read; give the {_CONFIG} of the model, its bits with "
            "--weight-bits or in a TOML file"
        )
    if is_path(name):
        path = Path(name)
        if kind != "model":
            return path
        need_local(name)
        return model_file(path) if files.is_folder(path) else path
    own = _in(Path(), kind, name)
    if own is None and kind == "model" and name and files.is_folder(Path(name)):
        return model_file(Path(name))
    if own is None:
        raise unknown(kind, name, available(kind))
    return own


def is_known(kind: str, name: str) -> bool:
    """Tell whether a text stands for a file that is there: by shipped name, by path or in the working directory."""
    try:
        return path_of(kind, name).is_file()
    except (SpecError, OSError, ValueError):
        return False


def is_cluster(name: str) -> bool:
    """Tell whether a text that may stand for a device or a link stands for a whole cluster."""
    if is_path(name):
        path = Path(name)
        return path.suffix == ".toml" and files.is_file(path) and kind_of(path) == "cluster"
    if any(name in available(kind) for kind in ("device", "link")):
        return False
    return name in available("cluster") or _in(Path(), "cluster", name) is not None


def seen_from(path: Path, kind: str, name: str) -> str:
    """Return what a name in a file stands for: a path to a file beside it, or else the name as it is."""
    if is_path(name):
        return str(path.parent / name)
    own = None if is_shipped(path) else _in(path.parent, kind, name)
    return name if own is None else str(own)
