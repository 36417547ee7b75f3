"""The game that estimators play: switches of pieces in, the model's score out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Pieces
from earwitness.probe import Probe

_SILENT = 1e-9  # of the loudest cell: what no float32 model can hear
_SMALLEST = 1e-30


class Game:
    """A sound whose pieces are switched on and off.

    Only *live* pieces are played: a piece in which the sound and the background are equal changes
    nothing, so its weight is zero by definition and no evaluation is spent on it.

    Parameters
    ----------
    probes : sequence of Probe
        One for each background; scores are averaged over them.
    pieces : Pieces

    Attributes
    ----------
    live : Tensor, shape (player,), int64
        The numbers of the pieces that are played.
    evaluations : int
        Sounds that the model was asked about so far; the same draw is never asked about twice.
    """

    def __init__(self, probes: Sequence[Probe], pieces: Pieces) -> None:
        self._probes = list(probes)
        self._pieces = pieces
        self._known: dict[bytes, float] = {}
        self.live = self._find_live()
        self.evaluations = 0

    @cached_property
    def _asks(self) -> list[Callable[[Tensor], Tensor]]:
        """What scores switches of all pieces, one for each background."""
        return [probe.mixture(self._pieces.mix, len(self._pieces)) for probe in self._probes]

    @property
    def players(self) -> int:
        """How many pieces are played."""
        return len(self.live)

    @property
    def generator(self) -> torch.Generator:
        """Seeded source of chance on the CPU."""
        return self._probes[0].generator

    @property
    def seed(self) -> int:
        """Seed of everything drawn at random."""
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
        asked = switches[[first[key] for key in fresh]] if fresh else switches[:0]
        if fresh:
            whole = self._full(asked.float())
            found = torch.stack([ask(whole).double() for ask in self._asks]).mean(dim=0).tolist()
            self._known.update(zip(fresh, found, strict=True))
            self.evaluations += len(fresh) * len(self._probes)
        return torch.tensor([self._known[key] for key in keys], dtype=torch.float64)

    def _full(self, switches: Tensor) -> Tensor:
        """Return switches of all pieces, those of the others on."""
        whole = switches.new_ones(len(switches), len(self._pieces))
        return whole.index_copy(1, self.live.to(switches.device), switches)

    def _find_live(self) -> Tensor:
        first = self._probes[0]
        change = torch.zeros_like(first.magnitude)
        for probe in self._probes:
            other = 0 if probe.background is None else probe.background
            change = torch.maximum(change, (probe.spectrum - other).abs())
        change = change / change.max().clamp_min(_SMALLEST)
        audible = self._pieces.energies(change) > _SILENT**2
        return torch.nonzero(audible)[:, 0].cpu()
