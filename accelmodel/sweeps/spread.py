"""Where chunks are computed: here, by threads or processes of this machine, or by the workers of a Dask scheduler."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from importlib.util import find_spec
from typing import TypeVar

from accelmodel.errors import Infeasible, SpecError, brief
from accelmodel.sweeps.digest import sources

Answer = TypeVar("Answer")
Task = Callable[[int], Answer]
#: chunks that wait for a worker, for each of them
_AHEAD = 3


def computed(
    task: Task[Answer], numbers: list[int], workers: int = 1, scheduler: str | None = None, *, threads: bool = False
) -> Iterator[tuple[int, Answer]]:
    """Yield the number and the answer of chunks as they are done.

    Parameters
    ----------
    task : callable
        Takes the number of a chunk; for processes and for a scheduler it must go through pickle.
    numbers : list of int
        The chunks wanted.
    workers : int
        How many are computed at once on this machine [1].
    scheduler : str, optional
        Address of a Dask scheduler whose workers compute them instead.
    threads : bool
        Whether workers on this machine are threads of this process, not processes of their own.

    Raises
    ------
    SpecError
        If a worker is lost, has other code, or the scheduler cannot be reached; and what ``task`` raises.
    """
    if scheduler is None and workers <= 1:
        for number in numbers:
            yield number, task(number)
        return
    with _executor(workers, scheduler, threads) as (pool, count):
        waiting = iter(numbers)
        running: dict[Future[Answer], int] = {}

        def begin(many: int) -> None:
            for number in itertools.islice(waiting, many):
                running[pool.submit(elsewhere, task, number, sources())] = number

        # threads share this machine's memory: no answer waits beside those being computed
        begin(count if threads and scheduler is None else count * _AHEAD)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), _result(future)
                begin(1)


def elsewhere(task: Task[Answer], number: int, code: str) -> Answer:
    """Compute a chunk in another process, which must have the same code."""
    if sources() != code:
        raise SpecError("a worker has another version of accelmodel; install the same one on all of them")
    return task(number)


def _result(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except (SpecError, Infeasible):
        raise
    except Exception as error:  # whatever ends a worker or its scheduler
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SpecError(f"a worker was lost ({what}); finished chunks are kept, run the same again to go on") from None


@contextlib.contextmanager
def _executor(workers: int, scheduler: str | None, threads: bool) -> Iterator[tuple[Executor, int]]:
    """Give what runs calls elsewhere, and how many at once."""
    if scheduler is None and threads:
        with ThreadPoolExecutor(workers) as crew:
            yield crew, workers
        return
    if scheduler is None:
        # spawned, never forked: threads of compiled loops do not survive a fork
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
            yield processes, workers
        return
    if find_spec("distributed") is None:
        raise SpecError("a scheduler needs the extra sweep: pip install 'accelmodel[sweep]'")
    from distributed import Client

    try:
        client = Client(scheduler, timeout="10s", set_as_default=False)
    except Exception as error:  # whatever answers at the address need not be a scheduler
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise SpecError(
            f"scheduler {brief(scheduler)}: cannot be reached ({what}); give it as tcp://HOST:8786"
        ) from None
    with client, client.get_executor() as pool:
        yield pool, max(1, len(client.scheduler_info()["workers"]))
