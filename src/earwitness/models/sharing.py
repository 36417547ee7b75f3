"""The first layers of a network, run once for all mixtures of the same pieces.

What a convolution reads at one place depends on the few pieces near by. So pieces that never meet
in one place get the same colour; the first layers are run once for each combination of colours that
are on, and what they would give for any other mixture is put together from these, cell by cell.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earwitness.models.calls import Ask, watchable
from earwitness.models.pattern import CHECKED, Mixtures, Pattern, find_pattern, joined

_WORTH = (50, 1.5)  # mixtures, and as many more for each piece, from which on to look for a pattern
_MOST_PATTERNS = 4
_TOLERANCE = 1e-4


class Table:
    """What the first layers give for every combination of colours.

    Parameters
    ----------
    pattern : Pattern
    mixtures : Mixtures
    """

    def __init__(self, pattern: Pattern, mixtures: Mixtures) -> None:
        self._pattern = pattern
        self._mixtures = mixtures
        on = torch.arange(2 ** len(pattern.owners))[:, None] >> pattern.colours & 1
        found = mixtures.first(on.float(), pattern.place.number)
        self._shape = found.shape[1:]
        self._rows = found.reshape(-1, found.shape[-1])

    def first(self, switches: Tensor) -> Tensor:
        """Return what the first layers give, as (batch, window, ..., channel)."""
        pattern = self._pattern
        cells = len(pattern.groups)
        padded = functional.pad(switches, (0, 1)).long()  # no piece is never on
        first = sum(padded[:, own] * (cells << colour) for colour, own in enumerate(pattern.owners))
        rows = torch.as_tensor(first)[:, pattern.groups] + torch.arange(cells)
        return self._rows.index_select(0, rows.flatten()).view(len(switches), *self._shape)

    def outputs(self, switches: Tensor) -> Tensor:
        """Return the network's outputs for switches (batch, piece) of 0 and 1."""
        value = joined(self.first(switches))
        return self._pattern.script.resume(self._mixtures.ask, value, len(switches))

    def right(self) -> bool:
        """Whether a few mixtures drawn at random come out as the network itself has them."""
        generator = torch.Generator().manual_seed(0)
        some = torch.randint(0, 2, (CHECKED, self._mixtures.count), generator=generator).float()
        wanted = self._mixtures.first(some, self._pattern.place.number)
        return float((self.first(some) - wanted).abs().max()) <= _TOLERANCE * float(wanted.std())


class Sharing:
    """Decides whether mixtures of the same pieces share their first layers.

    Parameters
    ----------
    mixtures : Mixtures
    patterns : dict
        What is known of the network, by the outlines of pieces; added to.
    """

    def __init__(self, mixtures: Mixtures, patterns: dict[bytes, Pattern | None]) -> None:
        self._mixtures = mixtures
        self._patterns = patterns
        self._asked = 0
        self._table: Table | None = None
        self._refused = False

    def quick(self, switches: Tensor) -> Ask | None:
        """Return what answers to switches (batch, piece) with shared layers, if that pays.

        As much is expected to be asked yet as was asked so far.
        """
        self._asked += len(switches)
        hard = bool(((switches == 0) | (switches == 1)).all())
        if self._refused or not hard or not watchable(switches):
            return None
        enough = _WORTH[0] + _WORTH[1] * self._mixtures.count
        if self._table is None and self._asked >= enough:
            try:
                with torch.no_grad(), torch.random.fork_rng(devices=[]):
                    self._table = self._made()
            except Exception:  # a network that cannot be followed is asked as it is
                self._table = None
            self._refused = self._table is None
        return None if self._table is None else self._table.outputs

    def _made(self) -> Table | None:
        key = self._key()
        if key not in self._patterns:
            while len(self._patterns) >= _MOST_PATTERNS:
                self._patterns.pop(next(iter(self._patterns)))
            self._patterns[key] = None
            self._patterns[key] = find_pattern(self._mixtures)
        pattern = self._patterns[key]
        if pattern is None:
            return None
        table = Table(pattern, self._mixtures)
        return table if table.right() else None

    def _key(self) -> bytes:
        digest = hashlib.blake2b()
        for some in self._mixtures.outlines(torch.arange(self._mixtures.count)):
            digest.update(repr(tuple(some.shape)).encode())
            digest.update(np.packbits(some.numpy()).tobytes())
        return digest.digest()
