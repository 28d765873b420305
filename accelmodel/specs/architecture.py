"""What word names which architecture: its own name, chips and compute capabilities that tell a generation."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from accelmodel.errors import SpecError
from accelmodel.specs import facts, find

#: what holds for any chip, with wide ranges
GENERIC = "generic"
#: what several makers or generations have in common: no architecture of a chip
_COMMON = {GENERIC, "amd", "nvidia", "unfitted"}
#: from how many letters on a word is a name and not a letter with a number, and from what likeness on it is mistyped
_NAME = 3
_ALIKE = 0.8


def _key(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


@cache
def words_known() -> dict[str, tuple[str, str]]:
    """Return each word for an architecture by its letters and digits: the file that it stands for, and as written."""
    found = {}
    for name in find.available("architecture"):
        content, _ = facts.read_toml(find.path_of("architecture", name))
        for word in (name, *content.get("architecture", {}).get("words", ())):
            found[_key(word)] = name, word
    return found


@cache
def _vendors() -> tuple[str, ...]:
    """Return the makers of the architectures that are known, in small letters."""
    contents = (facts.read_toml(find.path_of("architecture", name))[0] for name in find.available("architecture"))
    named = (content["architecture"].get("vendor") for content in contents)
    return tuple(sorted({_key(vendor["value"]) for vendor in named if vendor}))


def known_architectures() -> list[str]:
    """Return the names of the architectures of one maker's generation, sorted."""
    return sorted({name for name, _ in words_known().values()} - _COMMON)


def plain(word: str) -> str:
    """Return the letters and digits of a word without its maker's name (NVIDIA Hopper → hopper)."""
    key = _key(word)
    for vendor in _vendors():
        if key.startswith(vendor) and key != vendor:
            return key.removeprefix(vendor)
    return key


def _letters(key: str) -> str:
    return re.sub(r"\d", "", key)


def _number(key: str) -> int:
    return int("0" + re.sub(r"\D", "", key)[:9])


def _meant(key: str) -> str:
    """Return the known word that a mistyped one most likely is; empty where it is like none."""
    letters = _letters(key)
    known = {_letters(each): each for each in reversed(words_known()) if len(_letters(each)) >= _NAME}
    near = difflib.get_close_matches(letters, known, n=1, cutoff=_ALIKE)
    near = near or [each for each in known if sorted(each) == sorted(letters)]
    return known[near[0]] if near and len(letters) >= _NAME else ""


def architecture_of(word: str) -> tuple[str, bool]:
    """Return the architecture file that a word stands for, and whether it is that one and not the closest.

    Case, blanks, hyphens and the maker's name do not count; chips and compute capabilities that tell a generation
    are words for it.  The closest has the same name and the nearest number (CDNA 4 → cdna3); where there is none it
    is ``generic``.

    Raises
    ------
    SpecError
        If the word is nearly a known one: that is a typing error, not another chip.

    Examples
    --------
    >>> architecture_of("NVIDIA Hopper"), architecture_of("sm_90"), architecture_of("H100")
    (('hopper', True), ('hopper', True), ('hopper', True))
    >>> architecture_of("Blackwell RTX"), architecture_of("CDNA 7"), architecture_of("my own")
    (('blackwell-rtx', True), ('cdna4', False), ('generic', False))
    """
    words, key = words_known(), plain(word)
    if key in words:
        return words[key][0], True
    letters = _letters(key)
    alike = [each for each in words if _letters(each) == letters and len(letters) >= _NAME]
    if alike:
        return words[min(alike, key=lambda each: abs(_number(each) - _number(key)))][0], False
    if meant := _meant(key):
        known = ", ".join(known_architectures())
        raise SpecError(f"unknown architecture {word!r}, did you mean {words[meant][1]!r}? Known: {known}")
    return GENERIC, False


def is_of(architecture: str, words: Iterable[str]) -> bool:
    """Return whether a chip's architecture is one that words stand for, however they are written.

    Examples
    --------
    >>> is_of("Hopper", ["sm_90"]), is_of("Blackwell RTX", ["Blackwell"]), is_of("my own", ["My-Own"])
    (True, False, True)
    """
    name, exact = architecture_of(architecture)
    known = (architecture_of(word) for word in words)
    return (exact and (name, True) in known) or plain(architecture) in map(plain, words)


def architecture_file(path: Path, word: str) -> tuple[Path, bool]:
    """Return the file of an architecture as the file of a device names it, and whether it is that.

    First one beside it, then the shipped ones by any of their words, then one in the working directory.

    Raises
    ------
    SpecError
        If it is a path and no architecture is there, or if it is nearly a known word.
    """
    beside = Path(find.seen_from(path, "architecture", word)) if word else path
    if word and find.is_path(word):
        if find.kind_of(beside) != "architecture":
            raise SpecError(f"{word!r}: no architecture is there ({beside}); check the path, or name a known one")
        return beside, True
    if beside != Path(word) and find.kind_of(beside) == "architecture":
        return beside, True
    if plain(word) not in words_known() and find.is_known("architecture", word):
        return find.path_of("architecture", word), True
    name, exact = architecture_of(word)
    return find.path_of("architecture", name), exact
