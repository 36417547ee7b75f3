"""Run a function over items with one model, in this process or in several workers.

A worker loads the model once, uses one thread, and ends when its parent does, however that ends.
Items and results are plain values that can be pickled, so that another engine can take the pool's
place.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait as wait_for
from typing import Protocol, TypeVar

import torch

from earwitness.models.model import Model
from earwitness.models.registry import load_model

Item = TypeVar("Item")
Result = TypeVar("Result")
Tick = Callable[[int], None]
Work = Callable[[Model, Item, Tick], Iterator[Result]]
_AHEAD = 2  # items waiting for each worker; more would only be lost when it is stopped
_model: Model | None = None


class Source(Protocol):
    """Where workers get the model from; it can be pickled."""

    def load(self) -> Model:
        """Return the model."""


@dataclass(frozen=True)
class ModelName:
    """How a worker loads the model: as ``load_model`` takes it."""

    name: str
    device: str = "cpu"

    def load(self) -> Model:
        """Return the model."""
        return load_model(self.name, device=self.device)


def run(
    work: Work[Item, Result],
    items: Sequence[Item],
    model: Model | Source,
    *,
    workers: int = 1,
    on_passes: Tick | None = None,
) -> Generator[Result, None, None]:
    """Yield the results of all items, in order for one worker and as they come for more.

    Parameters
    ----------
    work : callable
        ``work(model, item, on_passes)`` yields results. With several workers a function at the top
        of a module.
    items : sequence
    model : Model or Source
        A source, such as a name, where there are several workers.
    workers : int >= 1
        Processes; with 1 the work is done in this one.
    on_passes : callable, optional
        Called with numbers of forward passes, in this process only.
    """
    tick = on_passes or _nothing
    if workers == 1:
        own = model if isinstance(model, Model) else model.load()
        for item in items:
            yield from work(own, item, tick)
        return
    if isinstance(model, Model):
        raise TypeError("workers load their model themselves, by its name")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(model,))
    try:
        waiting = list(items)
        running: set[Future[list[Result]]] = set()
        while waiting or running:
            while waiting and len(running) < _AHEAD * workers:
                running.add(pool.submit(partial(_done, work), waiting.pop(0)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield from future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(model: Source) -> None:
    """Prepare a worker."""
    global _model
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _model = model.load()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _done(work: Work[Item, Result], item: Item) -> list[Result]:
    assert _model is not None
    return list(work(_model, item, _nothing))


def _nothing(_count: int) -> None:
    """Ignore the number of passes."""
