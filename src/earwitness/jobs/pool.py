"""Run a function over items with one model, in this process or in several workers.

Items and results are plain values that can be pickled, and nothing is kept between items, so that
another engine can take the pool's place. A worker that ends, by a crash or for want of memory,
costs nothing but its item, which is tried once more when no other is worked on.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any

from earwitness.errors import ParameterError
from earwitness.jobs.workers import Item, ModelName, Result, Source, Tick, Work, Worker, WorkerError
from earwitness.models.model import Model

__all__ = ["ModelName", "Pool", "Source", "Tick", "WorkerError", "run"]

Lost = Callable[[Item, str], Iterable[Result]]
_PER_CORE = 2  # workers, at most: one may wait for the disk
_LOOK = 1.0  # s after which workers are looked at, should the system not tell of an end
_LOG = logging.getLogger("earwitness")


def run(
    work: Work[Item, Result],
    items: Sequence[Item],
    model: Model | Source,
    *,
    workers: int = 1,
    on_passes: Tick | None = None,
    lost: Lost[Item, Result] | None = None,
) -> Generator[Result, None, None]:
    """Yield the results of all items; see ``Pool.run``."""
    with (
        Pool(model, workers) as pool,
        closing(pool.run(work, items, on_passes=on_passes, lost=lost)) as found,
    ):
        yield from found


class Pool:
    """Workers with a model each, for one or several runs; with one, the work is done here.

    Parameters
    ----------
    model : Model or Source
        A source, such as a name, where there are several workers.
    workers : int >= 1
        Processes; no more than two for each core are started, and no more than there are items.
    """

    def __init__(self, model: Model | Source, workers: int = 1) -> None:
        if workers < 1:
            raise ParameterError(f"workers is a number of processes from 1 on, got {workers}")
        if workers > 1 and isinstance(model, Model):
            raise TypeError("workers load their model themselves, by its name")
        self._model, self._here = model, workers == 1
        self._most = min(workers, _PER_CORE * _cores())
        self._failures = 0  # of starts
        self._workers: list[Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all workers; what they were writing is removed."""
        ending, self._workers = self._workers, []
        atexit.unregister(self.stop)
        try:
            for worker in ending:
                worker.stop()
            for worker in ending:
                worker.end()
        finally:  # stopped twice
            for worker in ending:
                worker.kill()

    def run(
        self,
        work: Work[Item, Result],
        items: Sequence[Item],
        *,
        on_begin: Callable[[Item], None] | None = None,
        on_passes: Tick | None = None,
        lost: Lost[Item, Result] | None = None,
    ) -> Generator[Result, None, None]:
        """Yield the results of all items, in order for one worker and as they come for more.

        Parameters
        ----------
        work : callable
            ``work(model, item, on_passes)`` yields results. With several workers a function at the
            top of a module.
        items : sequence
            In messages they are called by their ``name``, if they have one.
        on_begin : callable, optional
            Called with each item before it is worked on, in this process.
        on_passes : callable, optional
            Called with numbers of forward passes, if the work is done in this process.
        lost : callable, optional
            ``lost(item, reason)`` gives the results of an item that ended its worker twice.

        Raises
        ------
        WorkerError
            If workers cannot start; or at the end, without ``lost``, for items that ended theirs.
        """
        begin = on_begin or _nothing
        if self._here:
            model = self._model if isinstance(self._model, Model) else self._model.load()
            self._model = model
            for item in items:
                begin(item)
                yield from work(model, item, on_passes or _nothing)
            return
        atexit.register(self.stop)  # if this is never closed, the interpreter would wait for ever
        finished = False
        try:
            yield from _Spread(self, work, items, begin, lost).results()
            finished = True
        finally:
            if not finished:
                self.stop()

    def staff(self, wanted: int) -> list[Worker]:
        """Return the workers, of which new ones are started while there are fewer than wanted."""
        assert not isinstance(self._model, Model)
        while len(self._workers) < min(wanted, self._most):
            self._workers.append(Worker(self._model))
        return self._workers

    def leave(self, worker: Worker, error: WorkerError) -> None:
        """Give up a worker that has ended.

        Raises
        ------
        WorkerError
            If no worker can be started.
        """
        self._workers.remove(worker)
        if worker.ready:
            return
        self._failures += 1
        if worker.crashed and self._failures <= self._most:
            return  # it is replaced
        self._most = len(self._workers)
        if not self._most:
            raise WorkerError(
                f"a process ended before it had loaded the model ({error}); a script that starts "
                'processes does its work below if __name__ == "__main__":'
            ) from error

    def alone(self) -> None:
        """End all workers but one, so that an item has the memory to itself."""
        for worker in self._workers[1:]:
            self._workers.remove(worker)
            worker.stop()
            worker.end()


class _Spread:
    """The items of one run on the workers of a pool."""

    def __init__(
        self, pool: Pool, work: Work[Any, Any], items: Sequence[Any],
        begin: Callable[[Any], None], lost: Lost[Any, Any] | None,
    ) -> None:  # fmt: skip
        self.pool, self.work, self.items, self.begin, self.lost = pool, work, items, begin, lost
        self.waiting = deque(range(len(items)))
        self.again: deque[int] = deque()  # ended their worker once
        self.tried: set[int] = set()
        self.twice: list[str] = []  # what is said of others that did

    def results(self) -> Generator[Any, None, None]:
        """Yield results as they come."""
        while self.waiting or self.again or self._busy():
            if self.again and not self.waiting and not self._busy():
                self.pool.alone()
                self._hand_out(self.again, self.pool.staff(1))
            else:
                self._hand_out(self.waiting, self.pool.staff(len(self.waiting) + self._busy()))
            for worker in self._stirring():
                yield from self._results_of(worker)
        if self.twice:
            raise WorkerError("; ".join(self.twice))

    def _busy(self) -> int:
        return sum(worker.item is not None for worker in self.pool.staff(0))

    def _hand_out(self, numbers: deque[int], workers: list[Worker]) -> None:
        for worker in workers:
            if numbers and worker.ready and worker.item is None:
                number = numbers.popleft()
                if number not in self.tried:
                    self.begin(self.items[number])
                worker.begin(number, self.work, self.items[number])

    def _stirring(self) -> list[Worker]:
        """Wait until something happens, and return all workers."""
        workers = list(self.pool.staff(0))
        ends: list[Any] = [one.connection for one in workers]
        wait([*ends, *(one.sentinel for one in workers)], _LOOK)
        return workers

    def _results_of(self, worker: Worker) -> Iterable[Any]:
        try:
            message = worker.receive()
        except WorkerError as error:
            self.pool.leave(worker, error)
            return [] if worker.item is None else self._ended(worker.item, str(error))
        if message is None:
            return []
        if message.error is not None:
            raise message.error
        if message.results is None:
            worker.ready = True
            return []
        worker.item = None
        return message.results

    def _ended(self, number: int, how: str) -> Iterable[Any]:
        """Return the results of an item whose worker ended: none yet if it is the first time."""
        item = self.items[number]
        name = str(getattr(item, "name", item))
        if number not in self.tried:
            self.tried.add(number)
            self.again.append(number)
            _LOG.warning("%s: its process ended (%s); it is tried once more, alone", name, how)
            return []
        reason = f"its process ended twice ({how}); left out"
        if self.lost is not None:
            return self.lost(item, reason)
        self.twice.append(f"{name}: {reason}")
        return []


def _cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if affinity is None else len(affinity(0))


def _nothing(_value: Any) -> None:
    """Do nothing with it."""
