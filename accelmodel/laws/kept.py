"""A compile cache that is never in the way: what cannot be read is compiled anew, what cannot be written is left."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

from numba.core.caching import FunctionCache


class _Tolerant(FunctionCache):
    """Numba's cache of one function; a file of it may be cut off, and the disk full."""

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return the compiled form that is kept, None where there is none that can be read."""
        try:
            return super().load_overload(signature, target)  # type: ignore[no-untyped-call]
        except Exception:  # whatever unpickling meets in a damaged file
            with contextlib.suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep a compiled form, if the disk takes it."""
        with contextlib.suppress(OSError):
            super().save_overload(signature, data)  # type: ignore[no-untyped-call]


def tolerant(dispatcher: Any) -> Any:
    """Return a compiled function whose cache is tolerant; Numba has no public way to say so."""
    dispatcher._cache = _Tolerant(dispatcher.py_func)  # type: ignore[no-untyped-call]
    return dispatcher


def uncollected(dispatcher: Any) -> None:
    """Let a function be compiled without the collector of cycles, which takes a fifth of the time and finds little."""
    compiler = dispatcher._compiler
    compile_it = compiler.compile

    def compiled(arguments: Any, returned: Any) -> Any:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return compile_it(arguments, returned)
        finally:
            if collecting:
                gc.enable()

    compiler.compile = compiled
