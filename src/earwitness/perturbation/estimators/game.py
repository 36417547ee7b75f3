"""The cooperative game of an explanation: from switches of pieces to the model's score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Pieces
from earwitness.probe import Probe

_SILENT = 1e-9  # gain, relative to the largest change (-180 dB); below float32 resolution
_SMALLEST = 1e-30  # avoids a division by zero for a sound equal to its background


class Game:
    """A sound whose pieces are switched on and off.

    Only *live* pieces are players. A piece in which the sound equals the background cannot change
    the score: its weight is zero by definition, and no evaluation is spent on it.

    Parameters
    ----------
    probes : sequence of Probe
        One for each background; scores are averaged over them.
    pieces : Pieces

    Attributes
    ----------
    live : Tensor, shape (player,), int64
        Indices of the pieces that are players.
    evaluations : int
        Number of evaluations of the model so far; scores of repeated draws are cached.
    """

    def __init__(self, probes: Sequence[Probe], pieces: Pieces) -> None:
        self._probes = list(probes)
        self._pieces = pieces
        self._known: dict[bytes, float] = {}
        self.live = self._find_live()
        self.evaluations = 0

    @cached_property
    def _scorers(self) -> list[Callable[[Tensor], Tensor]]:
        """Functions from switches of all pieces to scores, one for each background."""
        return [probe.mixture(self._pieces.mix, len(self._pieces)) for probe in self._probes]

    @property
    def players(self) -> int:
        """Number of pieces that are players."""
        return len(self.live)

    @property
    def generator(self) -> torch.Generator:
        """Seeded random generator on the CPU."""
        return self._probes[0].generator

    @property
    def seed(self) -> int:
        """Seed of all random numbers."""
        return self._probes[0].seed

    def scores(self, switches: Tensor) -> Tensor:
        """Return the score of every draw.

        Parameters
        ----------
        switches : Tensor, shape (draw, player), bool

        Returns
        -------
        Tensor, shape (draw,), float64, on the CPU
        """
        keys = [row.tobytes() for row in switches.cpu().numpy()]
        fresh = list(dict.fromkeys(key for key in keys if key not in self._known))
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        rows = switches[[first[key] for key in fresh]] if fresh else switches[:0]
        if fresh:
            whole = self._full(rows.float())
            found = torch.stack([one(whole).double() for one in self._scorers]).mean(dim=0).tolist()
            self._known.update(zip(fresh, found, strict=True))
            self.evaluations += len(fresh) * len(self._probes)
        return torch.tensor([self._known[key] for key in keys], dtype=torch.float64)

    def _full(self, switches: Tensor) -> Tensor:
        """Return switches of all pieces; pieces that are not players are on."""
        whole = switches.new_ones(len(switches), len(self._pieces))
        return whole.index_copy(1, self.live.to(switches.device), switches)

    def _find_live(self) -> Tensor:
        first = self._probes[0]
        change = torch.zeros_like(first.magnitude)
        for probe in self._probes:
            other = 0 if probe.background is None else probe.background
            change = torch.maximum(change, (probe.spectrum - other).abs())
        change = change / change.max().clamp_min(_SMALLEST)
        changed = self._pieces.energies(change) > _SILENT**2
        return torch.nonzero(changed)[:, 0].cpu()
