"""Which pieces of a sound the cells of a network's early layers depend on.

This is seen by repeating the network's first calls with a piece full of NaN, which spreads exactly
as far as the piece does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from earwitness.models.agreement import outputs_agree
from earwitness.models.calls import CONVOLUTIONS, Ask, Call, Prefix, UnknownCallsError, Use, record

LEAST_WORK = 2_000_000  # multiplications per item, below which there is nothing to gain
TRIED = 8  # mixtures that a pattern is tried on

_MOST_COLOURS = 7
_MOST_KEPT = 16_000_000  # values of all combinations, 64 MB
_MOST_MARKS = 64_000_000  # pieces times cells
_LEAST_SHARE = 0.05  # of the work
_SCOUTS = 8  # pieces by which places too deep to share are passed over
_UNEVEN = 1.3  # pieces of the cell with most, over the mean of all cells, at least
_TOUCH = 20  # multiplications that reading and writing one value is as dear as
_USUAL = 1000  # mixtures that a pattern is chosen for
_CELLS = 100_000  # whose pieces are compared at once


@dataclass(frozen=True)
class Place:
    """A value that a convolution reads, and through which all goes that comes after.

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
        return mixtures * each - (2**colours + TRIED) * self.cost


@dataclass(frozen=True)
class Pattern:
    """Where to cut a network, and which pieces each cell there depends on.

    Attributes
    ----------
    place : Place
    prefix : Prefix
    colours : Tensor, shape (piece,)
    owners : Tensor, shape (colour, group)
        The piece of that colour on which cells of a group depend; the number of pieces for none.
    groups : Tensor, shape (cell,)
        Which group a cell is of.
    """

    place: Place
    prefix: Prefix
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

    def computed(self, switches: Tensor, prefix: Prefix) -> Tensor:
        """Return what the first calls give, as (batch, window, ..., channel)."""
        parts = (prefix(self.mix(some)) for some in switches.split(self.chunk))
        sizes = (len(some) for some in switches.split(self.chunk))
        return torch.cat(
            [_windows(part, items).movedim(2, -1) for part, items in zip(parts, sizes, strict=True)]
        )


def in_order(cells: Tensor) -> Tensor:
    """Return (batch, window, ..., channel) as a network has it, (window x batch, channel, ...)."""
    return cells.movedim(-1, 2).transpose(0, 1).flatten(0, 1)


def _windows(result: Tensor, items: int) -> Tensor:
    """Return what a network has as (window x batch, ...) as (batch, window, ...)."""
    return result.unflatten(0, (-1, items)).transpose(0, 1)


def find_pattern(mixtures: Mixtures) -> Pattern | None:
    """Return where to cut a network and what each cell depends on there; None if nowhere."""
    if mixtures.count < 2:
        return None
    two, answer = record(mixtures.ask, mixtures.whole(2))
    places = _places(two)
    if not places or not outputs_agree(mixtures.ask(mixtures.whole(2)), answer):
        return None  # nothing to gain, or it keeps something or draws at random
    three, _ = record(mixtures.ask, mixtures.whole(3))
    scouts = torch.linspace(0, mixtures.count - 1, min(_SCOUTS, mixtures.count)).long().unique()
    likely = []
    for place in places:
        try:
            prefix = Prefix(two, three, place.number)
        except UnknownCallsError:
            break
        marks = _marks(mixtures, prefix, scouts)
        most = ceil(_UNEVEN * float(marks.float().mean()) * mixtures.count)
        if most <= _MOST_COLOURS and marks.shape[1] * mixtures.count <= _MOST_MARKS:
            likely.append((place.gain(_USUAL, most), place, prefix))
        else:
            break  # what comes after depends on more
    for gain, place, prefix in sorted(likely, key=lambda one: -one[0]):
        if gain <= 0:
            break
        marks = _marks(mixtures, prefix, torch.arange(mixtures.count))
        if int(marks.sum(dim=0).max()) > _MOST_COLOURS:
            continue  # there are no fewer colours than pieces in one cell
        colours = _coloured(marks)
        number = int(colours.max()) + 1
        if (
            number <= _MOST_COLOURS
            and 2**number * place.values <= _MOST_KEPT
            and place.gain(_USUAL, number) > 0
        ):
            owners, groups = _owners(marks, colours).unique(dim=1, return_inverse=True)
            return Pattern(place, prefix, colours, owners, groups)
    return None


def _places(calls: Sequence[Call]) -> list[Place]:
    """Return the places where a network that makes these calls, with two items, can be cut."""
    costs, total = [], 0.0
    for call in calls:
        if call.result is not None:
            each = _TOUCH
            if call.function in CONVOLUTIONS:
                each += _filters(call)[0].numel()
            total += call.result.numel() / 2 * each
        costs.append(total)
    if total < LEAST_WORK:
        return []
    read = {
        call.args[0].number
        for call in calls
        if call.function in CONVOLUTIONS and call.args and isinstance(call.args[0], Use)
    }
    # the earliest result that each call and those after it read
    earliest = [len(calls)] * (len(calls) + 1)
    for number in range(len(calls) - 1, -1, -1):
        earliest[number] = min(earliest[number + 1], *calls[number].reads)
    places = []
    for number, (call, cost) in enumerate(zip(calls, costs, strict=True)):
        one = call.result
        if not call.local or one is None:
            break
        if (
            number in read
            and earliest[number + 1] >= number
            and one.is_floating_point()
            and one.ndim >= 3
            and cost > _LEAST_SHARE * total
        ):
            places.append(Place(number, cost, cost / total, one.numel() // 2))
    return places


def _filters(call: Call) -> Tensor:
    """Return the filters of a convolution."""
    found: Tensor = call.args[1] if len(call.args) > 1 else call.kwargs["weight"]
    return found


def _marks(mixtures: Mixtures, prefix: Prefix, pieces: Tensor) -> Tensor:
    """Return which cells depend on which pieces, shape (piece, cell)."""
    whole = mixtures.whole()
    found = []
    for outline in mixtures.outlines(pieces):
        result = prefix(torch.where(outline, torch.nan, whole), sparse=True)
        found.append(_windows(result.sum(dim=1).isnan(), len(outline)).flatten(1))
    return torch.cat(found)


def _coloured(marks: Tensor) -> Tensor:
    """Return colours (piece,) such that no cell has two pieces of one colour."""
    import networkx  # takes long, and most never need it

    meet = torch.zeros(len(marks), len(marks))
    for some in marks.split(_CELLS, dim=1):
        meet += some.float() @ some.float().T
    graph = networkx.from_numpy_array((meet > 0).fill_diagonal_(False).numpy())
    colours = networkx.greedy_color(graph, strategy="DSATUR")
    return torch.tensor([colours[k] for k in range(len(marks))])


def _owners(marks: Tensor, colours: Tensor) -> Tensor:
    """Return the piece (colour, cell) of every colour in a cell; the number of pieces for none."""
    count, cells = marks.shape
    owners = torch.full((int(colours.max()) + 1, cells), count)
    for piece, (own, colour) in enumerate(zip(marks, colours.tolist(), strict=True)):
        owners[colour, own] = piece
    return owners
