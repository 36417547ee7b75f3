"""One step of explaining a batch: what the model says of it, of the evidence and the remainder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from earwitness.decoders.objective import Weights, distance, extent, faith, guidance, likeness
from earwitness.errors import NotApplicableError
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import HiddenLayer
from earwitness.models.model import Model
from earwitness.models.target import overall, probabilities
from earwitness.plane.domains import mask_magnitude


@dataclass
class Batch:
    """What the model makes of some sounds, and what is asked about them.

    Attributes
    ----------
    spectrum : Tensor, shape (batch, freq, frame), complex
    before : Tensor, shape (batch, output[, frame])
    maps : list of Tensor
    target : Tensor, shape (batch,), int64
    conditioning : Tensor, shape (batch, channel), or None
        Mean gradient of the target's output on each channel of the deepest layer.
    """

    spectrum: Tensor
    before: Tensor
    maps: list[Tensor]
    target: Tensor
    conditioning: Tensor | None


def evaluate_batch(
    model: Model,
    layers: Sequence[HiddenLayer],
    waves: Tensor,
    rank: Tensor,
    *,
    conditioned: bool = True,
) -> Batch:
    """Ask a model about waves (batch, samples), once, and settle what is to be explained.

    Parameters
    ----------
    rank : Tensor, shape (batch,), int64
        Which output is asked about: 0 for the decided one, 1 for the second best; of a regression,
        its number.
    conditioned : bool
        Whether the decoder is to be told what is asked.
    """
    spectrum = model.plane.analyse(waves)
    with activations_of(model, layers) as recorded:
        direct = model.frontend is not None
        outputs = model.from_magnitude(spectrum.abs()) if direct else model(waves)
        before = outputs.detach()
        target = _ranked(model, before, rank)
        conditioning = recorded.conditioning(outputs, target) if conditioned else None
    return Batch(spectrum, before, recorded.maps(), target, conditioning)


def _ranked(model: Model, outputs: Tensor, rank: Tensor) -> Tensor:
    if model.task == "regression":
        return rank
    order = overall(model, probabilities(model, outputs)).argsort(dim=1, descending=True)
    return order.gather(1, rank[:, None])[:, 0]


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
    if gains.requires_grad and not outputs.requires_grad:
        raise NotApplicableError(
            f"the answer of {model.name} does not depend differentiably on its input (a step in it "
            "cuts the graph); a decoder needs its gradients"
        )
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
    domain: str = "linear",
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
        Magnitude of the true source, for guidance; where it applies, size is not asked for. It
        applies where there is a source and the evidence is like it.
    domain : {"linear", "log1p"}
        Where gains multiply.
    """
    kept, left, start = (
        distance(model, outputs, batch.target, batch.before, scale)
        for outputs in (*sides, batch.before)
    )
    loss, size = faith(weights, kept, left, start), extent(weights, gains)
    if source is None or not weights.guidance:
        return loss + size
    scale = model.plane.n_fft / 2
    evidence = mask_magnitude(gains, batch.spectrum.abs(), domain, scale=scale)
    near = (likeness(evidence, source, scale) >= weights.alike) & (source.amax(dim=(1, 2)) > 0)
    return loss + torch.where(near, weights.guidance * guidance(evidence, source), size)
