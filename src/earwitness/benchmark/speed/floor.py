"""Cost of a computation in multiples of a floor, measured in alternation; the ratio is a median.

Other load on the machine then affects both alike.
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

BATCHES = (1, 2, 4, 8, 16, 32)  # batch sizes to try; the fastest is the floor
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
        Largest ratio allowed; None for a row that is only for comparison.
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
    """The model's own passes on inputs of one kind, in eager torch.

    Parameters
    ----------
    evaluate : callable
        A pass on inputs (batch, ...); its result is not used.
    inputs : Tensor
        One batch of the largest batch size to try; all sizes are tried on it.
    """

    evaluate: Callable[[Tensor], Any]
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
        """Make passes on ``count`` inputs."""
        done = 0
        while done < count:
            some = self.inputs[: min(self.batch, count - done)]
            self.evaluate(some)
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
    """Measure floor and work in alternation; each is first every other time."""
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
    """Return the time that it takes, in s."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """Set the number of torch's threads; 0 for its default."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)
