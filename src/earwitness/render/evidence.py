"""Resynthesis of evidence, remainder and pieces from gains."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.plane.stft import Plane
from earwitness.types import Played

MOST_HEARD = 12  # pieces with a sound of their own; more are not listened to


def render(plane: Plane, spectrum: Tensor, gains: Tensor, wave: Tensor) -> tuple[Tensor, Tensor]:
    """Return the evidence, the resynthesis of ``gains * X``, and input minus evidence.

    The STFT is linear, so the remainder is the resynthesis of ``(1 - gains) * X``.

    Parameters
    ----------
    spectrum : Tensor, shape (freq, frame), complex
    gains : Tensor, shape (freq, frame)
    wave : Tensor, shape (samples,)
        The input.

    Returns
    -------
    evidence, remainder : Tensor, shape (samples,)
    """
    evidence = plane.synthesise((gains * spectrum)[None], wave.shape[-1])[0]
    return evidence, wave - evidence


def strongest(weights: list[float]) -> list[int]:
    """Return the indices of the twelve pieces of largest absolute weight, largest first.

    Pieces of weight zero are excluded.
    """
    some = [piece for piece, weight in enumerate(weights) if weight]
    return sorted(some, key=lambda piece: -abs(weights[piece]))[:MOST_HEARD]


def render_pieces(
    plane: Plane, spectrum: Tensor, played: Played, samples: int
) -> tuple[list[int], Tensor]:
    """Return the sounds of the twelve strongest pieces, and the sum of all others.

    Their sum is the input.

    Returns
    -------
    list of int
        Indices of the pieces, strongest first.
    Tensor, shape (piece or piece + 1, samples)
        The last one is the sum of all other pieces, if there are any.
    """
    chosen = strongest([piece.weight for piece in played.table])
    switches = torch.eye(len(played.table), dtype=torch.float32, device=spectrum.device)[chosen]
    if len(played.table) > len(chosen):
        switches = torch.cat([switches, 1 - switches.sum(dim=0, keepdim=True)])
    sounds = [plane.synthesise(played.mix(row[None]) * spectrum, samples) for row in switches]
    return chosen, torch.cat(sounds)
