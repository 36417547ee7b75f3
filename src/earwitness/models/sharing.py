"""The first layers of a network, run once for all mixtures of the same pieces.

What a convolution reads at one place depends on the few pieces near by. So pieces that never meet
in one place get the same colour; the first layers are run once for each combination of colours that
are on, and what they would give for any other mixture is put together from these, cell by cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earwitness.models.agreement import outputs_agree
from earwitness.models.calls import Ask, watchable
from earwitness.models.pattern import TRIED, Mixtures, Pattern, find_pattern, in_order

_WORTH = (50, 1.5)  # mixtures, and as many more for each piece, from which on to look for a pattern
_MOST_PATTERNS = 4
_TOLERANCE = 1e-4
_BLANKS = (float("nan"), 0.0, float("inf"), -float("inf"))


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
        self._inputs = mixtures.whole().shape[1:]
        on = torch.arange(2 ** len(pattern.owners))[:, None] >> pattern.colours & 1
        found = mixtures.computed(on.float(), pattern.prefix)
        self._shape = found.shape[1:]
        self._cells = found.reshape(-1, found.shape[-1])

    def put_together(self, switches: Tensor) -> Tensor:
        """Return what the first layers give, as (batch, window, ..., channel)."""
        groups = self._pattern.groups
        padded = functional.pad(switches, (0, 1)).long()  # no piece is never on
        starts = torch.zeros(len(switches), self._pattern.owners.shape[1], dtype=torch.int64)
        for colour, own in enumerate(self._pattern.owners):
            starts += padded[:, own] * (len(groups) << colour)
        which = starts[:, groups] + torch.arange(len(groups))
        return self._cells.index_select(0, which.flatten()).view(len(switches), *self._shape)

    def outputs(self, switches: Tensor, blank: float = _BLANKS[0]) -> Tensor:
        """Return the network's outputs for switches (batch, piece) of 0 and 1."""
        value = in_order(self.put_together(switches))
        inputs = torch.Size([len(switches), *self._inputs])
        return self._pattern.prefix.resume(self._mixtures.ask, value, inputs, blank)

    def right(self) -> bool:
        """Whether a few mixtures drawn at random come out as the network itself has them, in every
        cell, and nothing that was left out makes a difference.
        """
        generator = torch.Generator().manual_seed(0)
        some = torch.randint(0, 2, (TRIED, self._mixtures.count), generator=generator).float()
        wanted = self._mixtures.computed(some, self._pattern.prefix)
        wrong = (self.put_together(some) - wanted).abs().max()
        if not float(wrong) <= _TOLERANCE * float(wanted.std()):
            return False
        few = some[:2]
        answers = self._mixtures.ask(self._mixtures.mix(few))
        return all(outputs_agree(self.outputs(few, blank), answers) for blank in _BLANKS)


class Sharing:
    """Decides whether mixtures of the same pieces share their first layers.

    Parameters
    ----------
    mixtures : Mixtures
    patterns : dict
        What is known of the network, by the outlines of pieces; added to. None where nothing can
        be shared.
    pays : callable
        Whether it has not been measured that sharing does not pay.
    """

    def __init__(
        self,
        mixtures: Mixtures,
        patterns: dict[bytes, Pattern | None],
        pays: Callable[[], bool] = lambda: True,
    ) -> None:
        self._mixtures = mixtures
        self._pays = pays
        self._patterns = patterns
        self._asked = 0
        self._table: Table | None = None
        self._refused = False

    def quick(self, switches: Tensor) -> Ask | None:
        """Return what answers to switches (batch, piece) with shared layers, if that pays.

        It begins once so much was asked that as much again would be worth the work before it.
        """
        self._asked += len(switches)
        hard = bool(((switches == 0) | (switches == 1)).all())
        if self._refused or not hard or not watchable(switches) or not self._pays():
            return None
        enough = _WORTH[0] + _WORTH[1] * self._mixtures.count
        if self._table is None and self._asked >= enough:
            # a network that cannot be followed is asked as it is
            with suppress(Exception), torch.no_grad(), torch.random.fork_rng(devices=[]):
                self._table = self._made()
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
        self._patterns[key] = None  # until it has been seen to be right
        table = Table(pattern, self._mixtures)
        if not table.right():
            return None
        self._patterns[key] = pattern
        return table

    def _key(self) -> bytes:
        digest = hashlib.blake2b()
        for some in self._mixtures.outlines(torch.arange(self._mixtures.count)):
            digest.update(repr(tuple(some.shape)).encode())
            digest.update(np.packbits(some.numpy()).tobytes())
        return digest.digest()
