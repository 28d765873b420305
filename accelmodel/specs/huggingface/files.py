"""Files of a model as the hub has them: a folder, its ``config.json``, and what lies beside it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief
from accelmodel.specs import files

CONFIG = "config.json"
QUANTISATION = "hf_quant_config.json"
INDEX = "model.safetensors.index.json"
#: lists of modules that are quantised take a few MB
_MAX_FILE_BYTES = 32 << 20


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {brief(twice)} occurs twice; keep one")
    return table


def read_json(path: Path) -> tuple[dict[str, Any], str]:
    """Return the object that a JSON file holds, and the first 16 hex digits of the SHA-256 of the file.

    ``Infinity`` and ``NaN`` are read as Python reads them; where a size is wanted they are refused.

    Raises
    ------
    SpecError
        If the file cannot be read, is larger than 32 MiB or is not one JSON object.
    """
    raw = files.read_bytes(path, _MAX_FILE_BYTES)
    try:
        content = json.loads(files.as_text(path, raw), object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise SpecError(f"{path}: is nested too deeply for a config.json") from None
    except json.JSONDecodeError as error:
        raise SpecError(f"{path}:{error.lineno}: is not valid JSON: {error.msg}; download it again") from None
    except ValueError as error:  # a key twice, a number too long to read
        raise SpecError(f"{path}: is not valid JSON: {error}; download it again") from None
    if not isinstance(content, dict):
        raise SpecError(f"{path}: must hold one JSON object, not {brief(content)}; pass the config.json of a model")
    return content, hashlib.sha256(raw).hexdigest()[:16]


def name_of(path: Path) -> str:
    """Return the name of the model that a file describes: of its folder, of the hub's cache, or of the file.

    Examples
    --------
    >>> name_of(Path("hub/models--Qwen--Qwen3-8B/snapshots/b968826d/config.json"))
    'Qwen3-8B'
    >>> name_of(Path("configs/Qwen3-8B.json"))
    'Qwen3-8B'
    """
    for folder in path.parts[:-1]:
        found = re.fullmatch(r"models--.+?--(.+)", folder)
        if found:
            return found.group(1)
    if path.name == CONFIG:
        return path.parent.name or path.resolve().parent.name or path.stem
    return path.stem


def beside(path: Path, name: str) -> tuple[Path, dict[str, Any]] | None:
    """Return a file that lies beside a config and what it holds; None where there is none.

    Where a folder holds many models, as ``NAME_config.json``, that of NAME is meant.
    """
    prefix = path.name.removesuffix(CONFIG) if path.name.endswith(f"_{CONFIG}") else ""
    other = path.with_name(prefix + name)
    return (other, read_json(other)[0]) if files.is_file(other) else None


def total_size(path: Path) -> tuple[Path, float] | None:
    """Return the bytes of all weights that the index beside a config states [B]; None where there is none."""
    found = beside(path, INDEX)
    if found is None:
        return None
    other, content = found
    metadata = content.get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    if isinstance(size, bool) or not isinstance(size, int | float) or not math.isfinite(size) or size <= 0.0:
        raise SpecError(f"{other}: metadata.total_size: {brief(size)} is not a number of bytes; download it again")
    return other, float(size)
