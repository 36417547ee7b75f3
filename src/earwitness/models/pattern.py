"""Which pieces of a sound the cells of a network's early layers depend on.

This is seen by filling a piece with NaN, which spreads exactly as far as the piece does, whatever
the layers are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import networkx
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from earwitness.models.calls import Ask, Call, Script, depends, result_of, watch

CHECKED = 4  # mixtures that a pattern is tried on

_CONVOLUTION = {torch.conv1d, functional.conv1d, torch.conv2d, functional.conv2d}
_PRODUCT = {torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__}
_MOST_COLOURS = 7
_MOST_KEPT = 16_000_000  # values of all combinations, 64 MB
_MOST_MARKS = 64_000_000  # pieces times cells
_LEAST_WORK = 2_000_000  # multiplications per item, below which there is nothing to gain
_LEAST_SHARE = 0.05  # of the work
_SCOUTS = 8  # pieces by which places too deep to share are passed over
_UNEVEN = 1.3  # pieces of the cell with most, over the mean of all cells, at least
_TOUCH = 20  # multiplications that reading and writing one value is as dear as
_USUAL = 1000  # mixtures that a pattern is chosen for


@dataclass(frozen=True)
class Place:
    """A value that a convolution reads.

    Attributes
    ----------
    number : int
        Of the call that made it.
    cost : float
        Multiplications of one item up to there.
    share : float
        Of all multiplications.
    values : int
        Of one item.
    """

    number: int
    cost: float
    share: float
    values: int

    def gain(self, mixtures: int, colours: int) -> float:
        """Return how many multiplications are saved."""
        each = self.cost - _TOUCH * self.values
        return mixtures * each - (2**colours + CHECKED) * self.cost


@dataclass(frozen=True)
class Pattern:
    """Where to cut a network, and which pieces each cell there depends on.

    Attributes
    ----------
    place : Place
    script : Script
    colours : Tensor, shape (piece,)
    owners : Tensor, shape (colour, group)
        The piece of that colour on which cells of a group depend; the number of pieces for none.
    groups : Tensor, shape (cell,)
        Which group a cell is of.
    """

    place: Place
    script: Script
    colours: Tensor
    owners: Tensor
    groups: Tensor


@dataclass(frozen=True)
class Mixtures:
    """What answers to mixtures of pieces.

    Attributes
    ----------
    ask, mix : callable
        From inputs to outputs, and from switches (batch, piece) to inputs, item by item.
    count : int
        Number of pieces.
    chunk : int
        Items at once.
    """

    ask: Ask
    mix: Ask
    count: int
    chunk: int

    def whole(self, items: int = 1) -> Tensor:
        """Return inputs with all pieces on."""
        return self.mix(torch.ones(items, self.count))

    def outlines(self, pieces: Tensor) -> Iterator[Tensor]:
        """Yield where inputs (piece, ...) of each piece alone are not zero, some at a time."""
        for some in pieces.split(self.chunk):
            yield self.mix(functional.one_hot(some, self.count).float()) != 0

    def first(self, switches: Tensor, number: int) -> Tensor:
        """Return the result of one call as (batch, window, ..., channel)."""
        parts = (
            (result_of(self.ask, self.mix(some), number), len(some))
            for some in switches.split(self.chunk)
        )
        return torch.cat([_windows(found, items).movedim(2, -1) for found, items in parts])


def joined(first: Tensor) -> Tensor:
    """Return (batch, window, ..., channel) as a network has it, (window x batch, channel, ...)."""
    return first.movedim(-1, 2).transpose(0, 1).flatten(0, 1)


def _windows(result: Tensor, items: int) -> Tensor:
    """Return what a network has as (window x batch, ...) as (batch, window, ...)."""
    return result.unflatten(0, (-1, items)).transpose(0, 1)


def find_pattern(mixtures: Mixtures) -> Pattern | None:
    """Return where to cut a network and what each cell depends on there; None if nowhere."""
    places = _places(mixtures)
    count = mixtures.count
    if not places or count < 2:
        return None
    scouts = torch.linspace(0, count - 1, min(_SCOUTS, count)).long().unique()
    local = []
    for place, marks in zip(places, _marks(mixtures, places, scouts), strict=True):
        most = _UNEVEN * float(marks.float().mean()) * count
        if most <= _MOST_COLOURS and marks.shape[1] * count <= _MOST_MARKS:
            local.append(place)
    if not local:
        return None
    best, found = 0.0, None
    everything = torch.arange(count)
    for place, marks in zip(local, _marks(mixtures, local, everything), strict=True):
        if place.gain(_USUAL, int(marks.sum(dim=0).max())) <= best:
            continue  # there are no fewer colours than pieces in one cell
        colours = _coloured(marks)
        number = int(colours.max()) + 1
        gain = place.gain(_USUAL, number)
        fits = number <= _MOST_COLOURS and 2**number * place.values <= _MOST_KEPT
        if fits and gain > best:
            best, found = gain, (place, colours, _owners(marks, colours))
    if found is None:
        return None
    place, colours, owners = found
    script = Script(mixtures.ask, mixtures.whole(3), place.number)
    return Pattern(place, script, colours, *owners.unique(dim=1, return_inverse=True))


def _places(mixtures: Mixtures) -> list[Place]:
    """Return what convolutions read, in order, if there is something to be saved.

    A network that keeps something from one call for the next, or draws at random, has no places:
    NaN would stay in it.
    """
    costs: list[float] = []
    sizes: list[int] = []
    read: set[int] = set()
    kept = False

    def note(call: Call) -> bool:
        nonlocal kept
        kept = kept or call.writes
        one = call.result
        size = one.numel() if isinstance(one, Tensor) else 0
        each = _TOUCH
        if call.function in _CONVOLUTION:
            each += call.args[1][0].numel()
            read.add(call.reads[0])
        costs.append(size * each + (costs[-1] if costs else 0.0))
        sizes.append(size if size and one.is_floating_point() and one.ndim >= 3 else 0)
        return False

    answer = watch(mixtures.ask, mixtures.whole(), note)
    if kept or not costs or costs[-1] < _LEAST_WORK:
        return []
    if answer is None or not torch.equal(mixtures.ask(mixtures.whole()), answer):
        return []
    places = [
        Place(number, costs[number], costs[number] / costs[-1], sizes[number])
        for number in sorted(read)
        if number >= 0 and sizes[number]
    ]
    return [place for place in places if place.share > _LEAST_SHARE]


def _marks(mixtures: Mixtures, places: list[Place], pieces: Tensor) -> list[Tensor]:
    """Return for every place which cells depend on which pieces, shape (piece, cell)."""
    whole = mixtures.whole()
    found: dict[int, list[Tensor]] = {place.number: [] for place in places}

    def note(call: Call) -> bool:
        if call.number in found:
            spoiled = call.result.sum(dim=1).isnan()
            found[call.number].append(_windows(spoiled, len(inputs)).flatten(1))
        return call.number == places[-1].number

    for outline in mixtures.outlines(pieces):
        inputs = torch.where(outline, torch.nan, whole)
        with _SparseProducts():
            watch(mixtures.ask, inputs, note)
    return [torch.cat(parts) for parts in found.values()]


class _SparseProducts(TorchFunctionMode):
    """Let zeros in a network's own matrices, such as mel filters, stop NaN."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func not in _PRODUCT or len(args) != 2 or all(map(depends, args)):
            return func(*args, **(kwargs or {}))
        spoiled = [one.isnan() for one in args]
        result = func(*(one.nan_to_num(nan=0.0) for one in args))
        reach = [bad if depends(one) else one != 0 for one, bad in zip(args, spoiled, strict=True)]
        return result.masked_fill(func(*(one.to(result) for one in reach)) > 0, torch.nan)


def _coloured(marks: Tensor) -> Tensor:
    """Return colours (piece,) such that no cell has two pieces of one colour."""
    some = marks.float()
    meet = (some @ some.T > 0).fill_diagonal_(False)
    graph = networkx.from_numpy_array(meet.numpy())
    colours = networkx.greedy_color(graph, strategy="DSATUR")
    return torch.tensor([colours[k] for k in range(len(marks))])


def _owners(marks: Tensor, colours: Tensor) -> Tensor:
    """Return the piece (colour, cell) of every colour in a cell; the number of pieces for none."""
    count, cells = marks.shape
    owners = torch.full((int(colours.max()) + 1, cells), count)
    for piece, (own, colour) in enumerate(zip(marks, colours.tolist(), strict=True)):
        owners[colour, own] = piece
    return owners
