"""A grid of times and frequencies along one axis of a layer's output, as in a transformer.

How the tokens are arranged is tried: special tokens at either end, the number of rows, and whether
all times of one frequency are consecutive or all frequencies of one time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from earwitness.layers.positions import Response

_SPECIAL = 5  # tokens at most
_MOST_TOKENS = 4096
_PER_SPECIAL = 1.0  # share of the order, per token, that leaving it out must gain
_AT_THE_END = 0.02  # the same, for any at the end, where silence often is
_DENSE = 0.5  # share of the cells of a grid that respond, at least
_MANY = 8  # rows or columns; fewer can be in order by chance
_SURE = 0.5  # of the spread, to be explained by fewer
_LEAST = 0.1  # order of an arrangement
_LIKELY = 0.25  # by more
_SPREAD = 0.05  # of the frequencies, to be explained by single tokens if there is a grid


@dataclass(frozen=True)
class Tokens:
    """A token axis and the cells along it.

    Attributes
    ----------
    axis : int
        Of the output; the batch is axis 0.
    start, end : int
        Number of special tokens at the beginning and at the end, which are no cells.
    rows : int
        Number of frequencies; 0 if the tokens are times only.
    freq_major : bool
        Whether all times of one frequency are consecutive.
    """

    axis: int
    start: int
    end: int
    rows: int = 0
    freq_major: bool = False

    def cells(self, count: int) -> slice:
        """Return which of ``count`` tokens are cells."""
        return slice(self.start, count - self.end)

    def sizes(self, count: int) -> tuple[int, ...]:
        """Return the sizes of the axes that take the place of ``count`` tokens."""
        inside = count - self.start - self.end
        if not self.rows:
            return (inside,)
        sizes = (self.rows, inside // self.rows)
        return sizes if self.freq_major else sizes[::-1]

    def split(self, values: Tensor) -> Tensor:
        """Return an output with the token axis divided, without special tokens."""
        count = values.shape[self.axis]
        inside = values.narrow(self.axis, self.start, count - self.start - self.end)
        return inside.unflatten(self.axis, self.sizes(count))

    def join(self, cells: Tensor, like: Tensor) -> Tensor:
        """Return the inverse of ``split``; special tokens are those of ``like``."""
        count = like.shape[self.axis]
        inside = cells.flatten(self.axis, self.axis + len(self.sizes(count)) - 1)
        first = like.narrow(self.axis, 0, self.start)
        last = like.narrow(self.axis, count - self.end, self.end)
        return torch.cat([first, inside.to(like.dtype), last], dim=self.axis)


@dataclass(frozen=True)
class Arrangement:
    """How tokens are arranged, and their responses along time and frequency.

    Attributes
    ----------
    tokens : Tokens
        Of axis 0.
    time : Response
    freq : Response or None
    order : float
        How well time and frequency follow the arrangement.
    """

    tokens: Tokens
    time: Response
    freq: Response | None
    order: float


def arrange(tokens: Tokens, time: Response, freq: Response) -> tuple[Response, Response | None]:
    """Return the responses along time and frequency of tokens, from those of every token."""
    cells = tokens.cells(len(time))
    if not tokens.rows:
        return time.part(cells), None
    rows = tokens.sizes(len(time))[0]
    along = 1 if tokens.freq_major else 0
    return time.part(cells).grid(rows)[along], freq.part(cells).grid(rows)[1 - along]


def find_arrangement(layers: Sequence[tuple[Response, Response]]) -> Arrangement | None:
    """Return the arrangement that places follow best, if there is one.

    It may be plain: times in order. It is searched in the layer where single tokens show places
    best, which is usually the first: attention mixes them.

    Parameters
    ----------
    layers : sequence of (Response, Response)
        By time and by frequency, of equally many tokens.
    """
    count = len(layers[0][0])
    if not 2 < count <= _MOST_TOKENS:
        return None

    def shown(pair: tuple[Response, Response]) -> float:
        return sum(one.explained() * len(one.live) / count for one in pair)

    time, freq = (one.softened() for one in max(layers, key=shown))
    best = max(_arrangements(time, freq), key=lambda one: one.order, default=None)
    return None if best is None or best.order <= max(freq.order(), _LEAST) else best


def _arrangements(time: Response, freq: Response) -> Iterator[Arrangement]:
    count, gridded = len(time), freq.explained() >= _SPREAD
    for start, end in product(range(_SPECIAL + 1), repeat=2):
        inside = count - start - end
        if start + end > _SPECIAL or inside < 2:
            continue
        weight = 1 - _PER_SPECIAL * (start + end) / count - (_AT_THE_END if end else 0)
        cells = time.part(slice(start, count - end))
        if cells.order():
            yield Arrangement(Tokens(0, start, end), cells, None, weight * cells.order())
        for rows in range(2, inside // 2 + 1) if gridded else ():
            if inside % rows:
                continue
            for freq_major in (True, False):
                tokens = Tokens(0, start, end, rows, freq_major)
                t, f = arrange(tokens, time, freq)
                if f is not None and _fits(cells, t, f):
                    yield Arrangement(tokens, t, f, weight * (t.order() + f.order()))


def _fits(cells: Response, time: Response, freq: Response) -> bool:
    """Return whether both axes are in order, and most cells of the grid respond.

    A few cells that respond can be put into some grid by chance.
    """
    for one in (freq, time):
        if not one.order() or one.explained() < (_SURE if len(one) < _MANY else _LIKELY):
            return False
    rows, columns = len(freq.live), len(time.live)
    return len(cells.live) >= max(_DENSE * rows * columns, 2 * (rows + columns))
