"""Sampling designs: which pieces are on in which draw, with reduced variance.

Draws come in antithetic pairs (a draw and its complement), so interactions of two pieces cancel.
Within a block of pairs the design is orthogonal: any two pieces are on together as often as apart
(columns of a Hadamard matrix with random signs), so their main effects are not confounded. In each
single draw every piece is on with probability one half.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

_MOST_ENUMERATED = 12  # players up to which all 2^n combinations are evaluated (4096)


def all_draws(players: int) -> Tensor:
    """Return all combinations of pieces, shape (2^players, players), bool."""
    numbers = torch.arange(2**players)
    return (numbers[:, None] >> torch.arange(players)) & 1 > 0


def can_enumerate(players: int, samples: int) -> bool:
    """Return whether all combinations fit into the number of samples."""
    return players <= _MOST_ENUMERATED and 2**players <= samples


def fair_draws(players: int, count: int, generator: torch.Generator) -> Tensor:
    """Return draws in antithetic pairs, in orthogonal blocks of ``block_size`` draws.

    Returns
    -------
    Tensor, shape (count, players), bool
        Row ``2 k + 1`` is the complement of row ``2 k``.
    """
    matrix = _hadamard(_order(players + 1))
    rows: list[Tensor] = []
    found = 0
    while found < count:
        columns = 1 + torch.randperm(len(matrix) - 1, generator=generator)[:players]
        signs = 2 * torch.randint(0, 2, (players,), generator=generator) - 1
        order = torch.randperm(len(matrix), generator=generator)
        half = (matrix[order][:, columns] * signs) > 0
        rows.append(torch.stack([half, ~half], dim=1).flatten(0, 1))
        found += 2 * len(half)
    return torch.cat(rows)[:count]


def block_size(players: int) -> int:
    """Return the number of draws in a complete orthogonal block."""
    return 2 * _order(players + 1)


def _order(least: int) -> int:
    """Return the smallest multiple of four, at least ``least``, that is a prime plus one."""
    size = -(-max(least, 4) // 4) * 4
    while any((size - 1) % k == 0 for k in range(2, int((size - 1) ** 0.5) + 1)):
        size += 4
    return size


@cache
def _hadamard(size: int) -> Tensor:
    """Return a matrix of 1 and -1 with orthogonal rows and columns, the first column all 1.

    Paley's first construction: quadratic residues modulo the prime ``size - 1``, which is 3 modulo
    4.
    """
    prime = size - 1
    squares = {k * k % prime for k in range(1, prime)}
    residue = torch.tensor([0, *(1 if k in squares else -1 for k in range(1, prime))])
    places = torch.arange(prime)
    matrix = torch.eye(size, dtype=torch.int64)
    matrix[0, 1:] = 1
    matrix[1:, 0] = -1
    matrix[1:, 1:] += residue[(places[:, None] - places[None, :]) % prime]
    return matrix * matrix[:, :1]
