"""Examples of a page: its files written, its commands and Python run in this process, in order."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError

#: a fenced block, the file that its caption names, and whether the page shows what it prints
_BLOCK = re.compile(
    r"^```(?P<language>sh|python|\{code-block\} \w+)\n(?P<text>.*?)^```$(?P<shown>\n\n<!-- output -->)?",
    flags=re.MULTILINE | re.DOTALL,
)
_CAPTION = re.compile(r"\A:caption: (\S+)\n\n?")
OUTPUT = "<!-- output -->"


@dataclass(frozen=True)
class Block:
    """One fenced block: ``sh``, ``python``, or a ``file`` of the name of its caption."""

    language: str
    text: str
    shown: bool = False
    name: str = ""


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page that can be run or written.

    Examples
    --------
    >>> [each.language for each in blocks("```sh\\naccelmodel list\\n```\\n\\n<!-- output -->\\n")]
    ['sh']
    """
    found = []
    for match in _BLOCK.finditer(page):
        caption = _CAPTION.match(match["text"])
        if caption:
            found.append(Block("file", match["text"][caption.end() :], name=caption[1]))
        elif match["language"] in ("sh", "python"):
            found.append(Block(match["language"], match["text"], bool(match["shown"])))
    return found


def commands(block: Block) -> list[list[str]]:
    """Return the ``accelmodel`` lines of a block of the shell, split into words."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("accelmodel ")]


@contextlib.contextmanager
def _inside(folder: Path, argv: list[str]) -> Iterator[None]:
    before, words = Path.cwd(), sys.argv
    os.chdir(folder)
    sys.argv = argv
    try:
        yield
    finally:
        os.chdir(before)
        sys.argv = words


def run_command(argv: list[str], folder: Path) -> str:
    """Run one command in a folder; return what it prints, or raise SpecError with what it complained of."""
    from accelmodel.cli.app import main

    printed, complaints = io.StringIO(), io.StringIO()
    with _inside(folder, argv), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaints):
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise SpecError(f"{shlex.join(argv)}: {complaints.getvalue().strip()}") from None
    return printed.getvalue()


def _run_python(block: Block, folder: Path, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    with _inside(folder, sys.argv), contextlib.redirect_stdout(printed):
        exec(compile(block.text, "example", "exec"), names)
    return printed.getvalue()


def run(
    page: str, folder: Path, skipped: Callable[[list[str]], bool] = lambda argv: False, *, only_shown: bool = False
) -> list[str]:
    """Run the blocks of a page in order, in a folder; return what each prints that the page shows.

    Parameters
    ----------
    page : str
        Markdown.  Blocks of Python share their names.
    folder : Path
        Where files are written and commands run.
    skipped : callable
        Command, as words → whether to leave it out.
    only_shown : bool
        Run only those commands whose output the page shows.

    Raises
    ------
    SpecError
        If a command fails.  What Python raises goes through.
    """
    shown, names = [], {"__name__": "example"}
    for block in blocks(page):
        printed = ""
        if block.language == "file":
            (folder / block.name).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            printed = _run_python(block, folder, names)
        elif block.shown or not only_shown:
            printed = "".join(run_command(argv, folder) for argv in commands(block) if not skipped(argv))
        if block.shown:
            shown.append(printed)
    return shown


def with_outputs(page: str, folder: Path) -> str:
    """Return a page with what its examples print in place of the marks that ask for it; only those commands run."""
    if OUTPUT not in page:
        return page
    printed = iter(run(page, folder, only_shown=True))
    return re.sub(re.escape(OUTPUT), lambda _: f"```text\n{_trimmed(next(printed))}\n```", page)


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line)
