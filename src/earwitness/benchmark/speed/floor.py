"""What work costs in multiples of a floor: the two take turns, and the median ratio counts.

What else the machine does falls on both alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

BATCHES = (1, 2, 4, 8, 16, 32)
Work = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    work, model : str
    count : int
        Evaluations, or gradients.
    floor, taken : float
        Seconds of the floor and of the work, medians over the turns.
    ratio : float
        Median over the turns of work over floor.
    bar : float or None
        What it may be at most; None where it is only for comparison.
    note : str
    """

    work: str
    model: str
    count: int
    floor: float
    taken: float
    ratio: float
    bar: float | None = None
    note: str = ""


@dataclass
class Floor:
    """The model's own passes on inputs of one kind, in plain eager torch.

    Parameters
    ----------
    ask : callable
        From inputs (batch, ...) to anything.
    inputs : Tensor
        One batch of them, as large as the largest batch size to try; every size is tried on it.
    """

    ask: Callable[[Tensor], Any]
    inputs: Tensor
    passed: int = field(default=0, init=False)
    batch: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        times = {}
        for size in (size for size in BATCHES if size <= len(self.inputs)):
            self.batch = size
            self.run(size)  # the first pass allocates
            times[size] = min(seconds_of(lambda: self.run(len(self.inputs))) for _ in range(2))
        self.batch = min(times, key=lambda size: times[size])

    def run(self, count: int) -> None:
        """Pass ``count`` inputs."""
        done = 0
        while done < count:
            some = self.inputs[: min(self.batch, count - done)]
            self.ask(some)
            done += len(some)
        self.passed += done


def in_turns(
    name: str,
    model: str,
    count: int,
    floor: Callable[[int], None],
    work: Work,
    repeats: int,
    bar: float | None,
    note: str,
) -> Row:
    """Let floor and work take turns, each going first every other time."""
    pairs = []
    for turn in range(repeats):
        gc.collect()
        order: list[Work] = [partial(floor, count), work]
        times = [seconds_of(one) for one in (order if turn % 2 == 0 else order[::-1])]
        pairs.append(times if turn % 2 == 0 else times[::-1])
    ratio = median(taken / least for least, taken in pairs)
    least, taken = (median(column) for column in zip(*pairs, strict=True))
    return Row(name, model, count, least, taken, ratio, bar, note)


def seconds_of(work: Work) -> float:
    """Return how long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """Let torch have so many threads; 0 for its own choice."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)
