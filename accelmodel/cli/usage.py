"""What is wrong with a command line, in one line: the option, the closest one, and what to give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from accelmodel.cli.examples import EXAMPLES, needs
from accelmodel.errors import SpecError, unknown


def said(error: Any, argv: Sequence[str]) -> str:
    """Return a usage error of the command line's library as one line, whatever version of it raised the error."""
    context = getattr(error, "ctx", None)
    options = context.command.params if context is not None else []
    name = next((word for word in argv[1:] if word in EXAMPLES), "")
    kind = type(error).__name__
    if kind == "MissingParameter" and name:
        *most, last = [_shown(each) for each in options if each.required]
        return needs(name, f"{', '.join(most)} and {last}" if most else last)
    reason = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")
    if kind == "NoSuchOption" and context is not None and context.parent is None and name:
        reason = f"{error.option_name} stands before the command; write accelmodel {name} {error.option_name}"
    elif kind == "NoSuchOption" and options:
        reason = str(unknown("option", error.option_name, _written(options)))
        if context is not None and (there := _elsewhere(error.option_name, context)):
            reason = f"{reason}; {there} has {error.option_name}"
    elif "unexpected extra argument" in reason and name:
        reason = f"{reason}; for example: {EXAMPLES[name][0]}"
    return f"{reason}; see accelmodel {name} --help" if name else f"{reason}; see accelmodel --help"


def need_each_once(options: Iterable[Any], words: Sequence[str]) -> None:
    """Check that nothing given would be dropped: an empty value reads as none given, the second of two hides the first.

    Raises
    ------
    SpecError
        If a value is empty, or an option that takes one value stands twice.
    """
    once = {name for each in options if not getattr(each, "multiple", False) for name in each.opts}
    flags = {name for each in options if getattr(each, "is_flag", False) for name in each.opts}
    seen: set[str] = set()
    before = ""
    for word in words:
        name, equals, text = word.partition("=")
        is_option = name.startswith("--")
        if not (text if is_option and equals else word).strip():
            where = name if is_option else before
            what = where if where.startswith("--") else "a word of the command line"
            raise SpecError(f"{what} is empty; give it a value, or leave it out")
        if is_option and name in seen:
            raise SpecError(f"{name} is given twice; give it once")
        if name in once - flags:
            seen.add(name)
        before = word


def _elsewhere(option: str, context: Any) -> str:
    """Return the first other command that has an option of that name; "" if none has."""
    above = context.parent
    if above is None:
        return ""
    known = (name for name in above.command.list_commands(above) if name != context.command.name)
    return next((name for name in known if option in _written(above.command.get_command(above, name).params)), "")


def _written(options: Iterable[Any]) -> list[str]:
    """Return the options of a command, as they are written."""
    found = [word for each in options for word in (*each.opts, *each.secondary_opts)]
    return [word for word in found if word.startswith("--")]


def _shown(parameter: Any) -> str:
    """Return how a user writes a parameter."""
    return str(parameter.opts[0]) if parameter.opts[0].startswith("-") else str(parameter.name).upper()
