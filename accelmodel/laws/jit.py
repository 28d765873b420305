"""How laws and kernels are compiled, and when: only where it is worth it.

The decorators leave a law a plain Python function, and note how it is to be compiled.  A compiled form is made when it
is first asked for, of copies of the functions in whose scopes stand the compiled forms of what they call; until then
Numba is not even imported.

A kernel is a loop that Python calls.  Each call tells how long the plain interpreter would take for it; a small
question is answered by the interpreter, a large one by the compiled form, by the one decision in
``Kernel.worth_compiling``.  The answer is the same.
"""

from __future__ import annotations

import dis
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType, FunctionType
from typing import Any, TypeVar

import numpy as np

from accelmodel.laws import compile_cache

F = TypeVar("F", bound=Callable[..., Any])

#: what ``range`` is called in a loop that all cores share; to the interpreter it is ``range``
prange = range

#: no way in from C: nothing asks for it, and compiling it takes a tenth of the time in all
_ALL: dict[str, Any] = {
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
    # a multiply and an add as one, and sums in any order: the last digits of an answer.  Infinity and NaN stay
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
}
#: options of ``numba.njit`` for each law and kernel
_OPTIONS: dict[Callable[..., Any], dict[str, Any]] = {}

#: time to import Numba [s], and to read a compiled kernel back
_IMPORT, _READ = 0.4, 0.2
#: time that the interpreter may take where nothing is compiled yet [s].  Compiling takes three times as long, but later
#: questions find it done
_PATIENCE = 4.0

#: how kernels run in this context: "interpreted", "compiled", or by what is quicker
_form: ContextVar[str] = ContextVar("form", default="quicker")
#: who is told, before a kernel is compiled that was not, of its name
_listeners: list[Callable[[str], None]] = []
_lock = threading.RLock()


def law(function: F) -> F:
    """Note a scalar law: compiled, it is inlined into its caller, so that the loop over designs vectorises."""
    return _noted(function, forceinline=True)


def inner_kernel(function: F) -> F:
    """Note a loop that kernels alone call: it has no way in from Python, and is cached as part of its callers."""
    return _noted(function)


def glue(function: F) -> F:
    """Note what is compiled as part of its caller: kernels that call kernels would be optimised anew at every level.

    Not to be called from a parallel loop: what it writes there is lost (numba 0.68).
    """
    return _noted(function, inline="always")


def _noted(function: F, **options: Any) -> F:
    _OPTIONS[function] = options
    return function


class Kernel:
    """A loop that Python calls: interpreted where that is quicker, else compiled.

    Attributes
    ----------
    name : str
        Module and function.
    plain : callable
        The loop as a plain Python function.
    interpreting : callable
        Of the same arguments: how long the interpreter takes for them, by estimate [s].
    spent : float
        Time that the interpreter has taken in this process [s].
    """

    def __init__(self, function: Callable[..., Any], interpreting: Callable[..., float], **options: Any) -> None:
        functools.update_wrapper(self, function)
        self.plain = function
        self.interpreting = interpreting
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        self.spent = 0.0
        self.is_compiled = False
        _OPTIONS[function] = {"nogil": True, **options}

    def __call__(self, *arguments: Any) -> Any:
        return self.form(self.interpreting(*arguments))(*arguments)

    def form(self, seconds: float) -> Callable[..., Any]:
        """Return the form that is quicker where the interpreter takes so long; threads may call it part by part."""
        return self.compiled() if self.worth_compiling(seconds) else self._interpreted

    def worth_compiling(self, seconds: float) -> bool:
        """Whether compiling, or reading what was compiled before, takes less time than the interpreter.

        What the interpreter has spent on earlier calls counts, so that many small questions are a large one.
        """
        form = _form.get()
        if form != "quicker":
            return form == "compiled"
        if self.is_compiled:
            return True
        estimate = self.spent + seconds
        ready = _READ + (0.0 if "numba" in sys.modules else _IMPORT)
        return estimate > ready and (estimate > _PATIENCE or compile_cache.holds(self.name))

    def compiled(self) -> Any:
        """Return the compiled form; who listens is told if it is not there yet."""
        if not self.is_compiled and not compile_cache.holds(self.name):
            for listener in _listeners:
                listener(self.name)
        found = compiled(self)
        self.is_compiled = True
        return found

    def _interpreted(self, *arguments: Any) -> Any:
        before = [(array, array.copy()) for array in _arrays(arguments)]
        start = time.perf_counter()
        try:
            with running("interpreted"), np.errstate(all="ignore"):
                return _numbers(self.plain(*arguments))
        except (ArithmeticError, ValueError):
            # a plain float refuses what the compiled form answers with inf or NaN
            for array, content in before:
                array[...] = content
            return self.compiled()(*arguments)
        finally:
            self.spent += time.perf_counter() - start


def kernel(interpreting: Callable[..., float]) -> Callable[[Callable[..., Any]], Kernel]:
    """Return the decorator of a serial loop that releases the GIL; see ``Kernel`` for its argument."""
    return functools.partial(Kernel, interpreting=interpreting)


def parallel_kernel(interpreting: Callable[..., float]) -> Callable[[Callable[..., Any]], Kernel]:
    """Return the decorator of a loop over ``prange`` that uses all cores; see ``Kernel`` for its argument."""
    return functools.partial(Kernel, interpreting=interpreting, parallel=True)


@contextmanager
def running(form: str) -> Iterator[None]:
    """Run all kernels called inside in one form, ``"interpreted"`` or ``"compiled"``, whatever is quicker."""
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


@contextmanager
def telling(listener: Callable[[str], None]) -> Iterator[None]:
    """Tell a listener the name of each kernel before it is compiled, unless its compiled form is there to be read."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _numbers(result: Any) -> Any:
    """Return Python's numbers for NumPy's, as the compiled form does."""
    if isinstance(result, tuple):
        return tuple(map(_numbers, result))
    return result.item() if isinstance(result, np.generic) else result


def _arrays(arguments: tuple[Any, ...]) -> Iterator[Any]:
    for each in arguments:
        if isinstance(each, np.ndarray):
            yield each
        elif isinstance(each, tuple):
            yield from _arrays(each)


def compiled(function: Callable[..., Any]) -> Any:
    """Return the compiled form of a law or kernel, of which there is one."""
    with _lock:
        return _compiled(getattr(function, "plain", function), called=True)


@functools.cache
def _compiled(function: Callable[..., Any], *, called: bool) -> Any:
    """Return the compiled form of a plain function, with a way in from Python only if it is called from there."""
    import numba

    from accelmodel.laws.kept import tolerant, uncollected

    options = _ALL | _OPTIONS[function] | {"no_cpython_wrapper": not called}
    kept = compile_cache.folder()
    if "nogil" in options and kept is not None:
        options["cache"] = True
    before = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(kept or "")  # type: ignore[attr-defined]
    try:
        found = numba.njit(**options)(_linked(function, numba.prange))
        # NUMBA_DISABLE_JIT leaves a plain function
        if "nogil" in options and hasattr(found, "py_func"):
            uncollected(found)
            return tolerant(found) if "cache" in options else found
        return found
    finally:
        numba.config.CACHE_DIR = before  # type: ignore[attr-defined]


def _linked(function: Any, shared_range: Any) -> FunctionType:
    """Return a copy of a function in whose scope laws and kernels are their compiled forms."""
    scope = dict(function.__globals__)
    for name in _names(function.__code__) & scope.keys():
        value = scope[name]
        if value is prange:
            scope[name] = shared_range
        elif isinstance(value, Kernel):
            scope[name] = compiled(value)
        elif isinstance(value, FunctionType) and value in _OPTIONS:
            scope[name] = _compiled(value, called=False)
    copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    functools.update_wrapper(copy, function)
    return copy


def _names(code: CodeType) -> set[str]:
    """Return the global names that a function, and those defined in it, look up."""
    found = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    return found.union(*(_names(each) for each in code.co_consts if isinstance(each, CodeType)))
