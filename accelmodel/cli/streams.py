"""Standard output and standard error as they are: closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from accelmodel.errors import SpecError, plain

#: longest message on standard error
_LONGEST = 1200


class Unprinted(Exception):
    """The answer could not be printed; no OSError, which the libraries below would answer each in its own way."""


class _Stream:
    """A stream whose failure is the same whoever writes to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text."""
        with self._failing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what was held back."""
        with self._failing():
            self._stream.flush()

    def _failing(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError


class _Output(_Stream):
    """Standard output: what cannot be printed ends the command, by ``Unprinted``."""

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise Unprinted("standard output was closed before the answer was printed whole") from None
        except OSError as error:
            raise Unprinted(
                f"standard output: cannot be written ({error.strerror}); the answer was not printed whole"
            ) from None


class _Error(_Stream):
    """Standard error: bars and complaints that nobody can read are no reason to stop the work."""

    def _failing(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.suppress(OSError)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Run the block with both streams guarded, and print all that it prints before the end.

    Raises
    ------
    Unprinted
        If standard output does not take all of it.
    SpecError
        If standard output is closed, before any work.
    """
    output: Any = _Output(sys.stdout)
    with contextlib.redirect_stdout(output):
        if output._stream is None:
            raise SpecError("standard output is closed; give it a place, such as > /dev/null")
        yield
        output.flush()


@contextlib.contextmanager
def complaints() -> Iterator[None]:
    """Run the block with a standard error that never fails, whatever it is."""
    with contextlib.ExitStack() as stack:
        real = sys.stderr or stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        error: Any = _Error(real)
        stack.enter_context(contextlib.redirect_stderr(error))
        yield


def complain(lines: Iterable[str]) -> None:
    """Print lines on standard error, each shortened where it is longer than anyone reads."""
    for text in lines:
        line = plain(" ".join(text.split()))
        if len(line) > _LONGEST:
            line = f"{line[: _LONGEST * 3 // 4]} … {line[-_LONGEST // 4 :]}"
        sys.stderr.write(f"accelmodel: {line}\n")
    sys.stderr.flush()


def drop() -> None:
    """Drop what is still held back for standard output: the interpreter would complain of it as it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
