"""Decompositions: the gains of every piece on the plane, and mixtures of pieces.

The gains of all pieces sum to one in every cell, so all pieces on is the input. They are stored as
factors (component, frequency, time) or as labels, never as one map per piece, so memory does not
grow with the number of pieces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.mixing import one_by_one

_NOTHING = 1e-7  # gain (-140 dB); a combination that nowhere exceeds it is dropped
_KINDS = ("components", "frequency", "time")  # order of the factors in memory


class Pieces(ABC):
    """The pieces of one sound.

    Attributes
    ----------
    names : tuple of str
        One label for each piece.
    """

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def mix(self, switches: Tensor) -> Tensor:
        """Return gains (batch, freq, frame): the sum over pieces of switch times gain.

        Parameters
        ----------
        switches : Tensor, shape (batch, piece), on the device of the plane
            Usually 0 or 1; any weights are allowed. Differentiable.
        """

    def labels(self) -> Tensor | None:
        """Return the index of the piece that a cell belongs to most, shape (freq, frame), int64.

        None if the pieces overlap by their nature and not in cross-fades only.
        """
        return None

    def energies(self, plane: Tensor) -> Tensor:
        """Return the energy (piece,) of each piece of a magnitude spectrogram (freq, frame)."""
        power = plane.square()
        alone = one_by_one(len(self), plane.device)
        return torch.cat([(self.mix(some).square() * power).sum(dim=(1, 2)) for some in alone])


@dataclass(frozen=True)
class Partition:
    """A partition of unity along one kind of axis: gains that sum to one over its pieces.

    Attributes
    ----------
    kind : str
        What is partitioned: ``time``, ``frequency``, or the sound into ``components``.
    names : tuple of str
    gains : Tensor
        Shape (piece, frame), (piece, freq) or (piece, freq, frame).
    """

    kind: str
    names: tuple[str, ...]
    gains: Tensor


class Product(Pieces):
    """All combinations of one piece from each partition, except those whose gains are zero.

    Parameters
    ----------
    shape : (int, int)
        Shape (freq, frame) of the plane.
    partitions : sequence of Partition
        At most one of each kind.
    """

    def __init__(self, shape: tuple[int, int], partitions: Sequence[Partition]) -> None:
        own = {partition.kind: partition for partition in partitions}
        if len(own) != len(partitions):
            twice = next(k for k in own if sum(partition.kind == k for partition in partitions) > 1)
            raise ParameterError(
                f"pieces: two cuts of the same kind ({twice}); combine at most one of time, one of "
                "frequency and one into components"
            )
        device = partitions[0].gains.device
        whole = torch.ones(1, 1, dtype=torch.float32, device=device)
        gains = [own[kind].gains.float() if kind in own else whole for kind in _KINDS]
        self._shape = shape
        self._components = gains[0] if "components" in own else whole.unsqueeze(0)
        self._rows, self._columns = gains[1:]
        self._sizes = (len(self._components), len(self._rows), len(self._columns))
        peaks = torch.stack([self._peaks(component) for component in self._components])
        self._used = torch.nonzero(peaks.flatten() > _NOTHING)[:, 0]
        self.names = tuple(self._name(own, index) for index in self._used.tolist())

    def _peaks(self, component: Tensor) -> Tensor:
        """Return the largest gain of a component in every band and segment, (band, segment)."""
        bands = torch.stack([(row[:, None] * component).amax(dim=0) for row in self._rows])
        return torch.stack([(bands * column).amax(dim=1) for column in self._columns], dim=1)

    def _name(self, own: dict[str, Partition], index: int) -> str:
        at = dict(zip(_KINDS, torch.unravel_index(torch.tensor(index), self._sizes), strict=True))
        order = [kind for kind in ("components", "time", "frequency") if kind in own]
        return ", ".join(own[kind].names[int(at[kind])] for kind in order)

    def energies(self, plane: Tensor) -> Tensor:
        """Return the energy (piece,) of each piece, contracted one axis after the other."""
        power = self._components.square() * plane.square()
        rows = self._rows.square().expand(-1, self._shape[0])
        columns = self._columns.square().expand(-1, self._shape[1])
        return (rows @ power @ columns.T).flatten()[self._used]

    def labels(self) -> Tensor | None:
        """Return the index of the piece of largest gain of each cell; None with components."""
        if len(self._components) > 1:
            return None
        row, column = self._rows.argmax(dim=0), self._columns.argmax(dim=0)
        found = self._used.new_full((self._sizes[1] * self._sizes[2],), -1)
        found[self._used] = torch.arange(len(self._used), device=found.device)
        cells = row[:, None] * self._sizes[2] + column
        return found[cells].expand(self._shape)

    def mix(self, switches: Tensor) -> Tensor:
        """Return gains (batch, freq, frame), contracted one axis after the other."""
        batch, size = len(switches), self._sizes[0] * self._sizes[1] * self._sizes[2]
        grid = switches.new_zeros(batch, size).index_copy(1, self._used, switches)
        grid = grid.reshape(batch, *self._sizes) @ self._columns  # (batch, component, band, frame)
        grid = self._rows.T @ grid  # (batch, component, freq, frame)
        total = grid[:, 0] * self._components[0]
        for component in range(1, len(self._components)):
            total = total + grid[:, component] * self._components[component]
        return total.expand(batch, *self._shape)


class Regions(Pieces):
    """Regions of any shape that tile the plane, with cross-fades two cells wide.

    Parameters
    ----------
    names : sequence of str
    labels : Tensor, shape (freq, frame), int64
        Index of the region of each cell, from 0 without gaps.
    """

    def __init__(self, names: Sequence[str], labels: Tensor) -> None:
        self.names = tuple(names)
        self._labels = labels

    def labels(self) -> Tensor | None:
        """Return the index of the region of each cell."""
        return self._labels

    def mix(self, switches: Tensor) -> Tensor:
        """Return gains (batch, freq, frame), smoothed over neighbouring cells ([1, 2, 1] / 4)."""
        hard = switches[:, self._labels]
        for axis in (1, 2):
            last = hard.shape[axis] - 1
            before = torch.cat([hard.narrow(axis, 0, 1), hard.narrow(axis, 0, last)], dim=axis)
            after = torch.cat([hard.narrow(axis, 1, last), hard.narrow(axis, last, 1)], dim=axis)
            hard = hard / 2 + (before + after) / 4
        return hard
