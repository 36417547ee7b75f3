"""One step of explaining a batch: what the model says of it, of the evidence and the remainder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from earwitness.masks.domains import mask_magnitude
from earwitness.methods.objective import Weights, distance, guidance, likeness, roughness
from earwitness.models.answering import over
from earwitness.models.hidden import HiddenLayer, reading
from earwitness.models.model import Model


@dataclass
class Batch:
    """What the model makes of some sounds, and what is asked about them.

    Attributes
    ----------
    spectrum : Tensor, shape (batch, freq, frame), complex
    before : Tensor, shape (batch, output[, frame])
    maps : list of Tensor
    target : Tensor, shape (batch,), int64
    """

    spectrum: Tensor
    before: Tensor
    maps: list[Tensor]
    target: Tensor


def ask_about(
    model: Model,
    layers: Sequence[HiddenLayer],
    waves: Tensor,
    others: Tensor | None = None,
) -> Batch:
    """Ask a model about waves (batch, samples), once, and settle what is to be explained.

    Parameters
    ----------
    others : Tensor, shape (batch,), bool, optional
        For which of them the second best output is asked about.
    """
    with torch.no_grad(), reading(model, layers) as maps:
        spectrum = model.plane.analyse(waves)
        direct = model.frontend is not None
        before = model.from_magnitude(spectrum.abs()) if direct else model(waves)
        heard = maps()
    frames = (0, before.shape[-1]) if model.per_frame else None
    best = over(model.probabilities(before), frames)
    if model.task == "regression":
        target = torch.zeros(len(waves), dtype=torch.int64, device=waves.device)
    else:
        order = best.argsort(dim=1, descending=True)
        target = order[:, 0]
        if others is not None and order.shape[1] > 1:
            target = torch.where(others, order[:, 1], target)
    return Batch(spectrum, before, heard, target)


def answers(
    model: Model, spectrum: Tensor, gains: Tensor, samples: int, domain: str = "linear"
) -> tuple[Tensor, Tensor]:
    """Return what a model makes of evidence and of remainder, in one pass, with gradients.

    Parameters
    ----------
    spectrum : Tensor, shape (batch, freq, frame), complex
    gains : Tensor, shape (batch, freq, frame)
    samples : int
        Length of the sounds.
    domain : {"linear", "log1p"}
        Where gains multiply.
    """
    both = torch.cat([gains, 1 - gains])
    twice = torch.cat([spectrum, spectrum])
    magnitude = mask_magnitude(both, twice.abs(), domain, scale=model.plane.n_fft / 2)
    if model.frontend is not None:
        outputs = model.from_magnitude(magnitude)
    else:
        phase = torch.polar(torch.ones_like(magnitude), twice.angle())
        outputs = model(model.plane.synthesise(magnitude * phase, samples))
    inside, outside = outputs.chunk(2)
    return inside, outside


def loss_of(
    model: Model,
    batch: Batch,
    gains: Tensor,
    sides: tuple[Tensor, Tensor],
    weights: Weights,
    scale: Tensor | float = 1.0,
    source: Tensor | None = None,
) -> Tensor:
    """Return the loss of each clip, shape (batch,).

    Parameters
    ----------
    gains : Tensor, shape (batch, freq, frame)
    sides : (Tensor, Tensor)
        What the model makes of evidence and of remainder (``answers``).
    weights : Weights
    scale : Tensor, shape (output,), or float
        Unit of values, for a regression.
    source : Tensor, shape (batch, freq, frame), optional
        Magnitude of the true source, for guidance; where it applies, size is not asked for.
    """
    inside, outside = sides
    loss = weights.inside * distance(model, inside, batch.target, batch.before, scale)
    lost = distance(model, outside, batch.target, batch.before, scale)
    lost = lost - distance(model, batch.before, batch.target, batch.before, scale)
    loss = loss - weights.outside * lost.relu()
    size = weights.size * gains.mean(dim=(1, 2))
    if weights.smooth:
        size = size + weights.smooth * roughness(gains)
    if source is None or not weights.guidance:
        return loss + size
    evidence = gains * batch.spectrum.abs()
    near = likeness(evidence, source, model.plane.n_fft / 2) >= weights.alike
    return loss + torch.where(near, weights.guidance * guidance(evidence, source), size)
