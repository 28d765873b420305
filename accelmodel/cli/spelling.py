"""What to write in place of a number that cannot be read, told from how people write numbers elsewhere."""

from __future__ import annotations

import re

_THOUSANDS = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM])i?")
_BITS = re.compile(r"(?:(?:u?int|fp|bf|f|i|w|a|e\dm\d_?fp|float|mxfp|nvfp)_?)(\d+)|(\d+)\s*-?bits?", re.IGNORECASE)
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_UNIT = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*[a-zA-Z/$%].*")
_POWERS = {"k": 1, "m": 2}


def spelling(text: str, many: bool = False) -> str:
    """Return what to write for a number, or with ``many`` for a list of them; empty where it is like none.

    Examples
    --------
    >>> spelling("16k")
    'write 16384 (16 x 1024) or 16000'
    >>> spelling("int8"), spelling("1e3"), spelling("[1, 2]", many=True)
    ('write 8', 'write 1000', 'write 1,2')
    >>> spelling("1,2")
    'it takes one number, and other commands take lists (accelmodel preserve, matmul); write 1'
    """
    text = text.strip()
    if share := _SHARE.fullmatch(text):
        return f"write {float(share[1]) / 100.0:.12g} for {text}"
    if thousands := _THOUSANDS.fullmatch(text):
        number, power = float(thousands[1]), _POWERS[thousands[2].lower()]
        binary, decimal = number * 1024.0**power, number * 1000.0**power
        return f"write {binary:.12g} ({thousands[1]} x {1024**power}) or {decimal:.12g}"
    if bits := _BITS.fullmatch(text):
        return f"write {bits[1] or bits[2]}"
    parts = [part for part in re.split(r"[\s,;]+", text.strip("[](){}")) if part]
    if len(parts) > 1 and all(part.isdecimal() for part in parts):
        if many:
            return f"write {','.join(parts[:10])}"
        return f"it takes one number, and other commands take lists (accelmodel preserve, matmul); write {parts[0]}"
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        unit = _UNIT.fullmatch(text)
        return f"its unit is the one that --help names; write {unit[1]}" if unit else ""
    return f"write {number:.0f}" if number.is_integer() and abs(number) < 1e15 else "write a whole number"
