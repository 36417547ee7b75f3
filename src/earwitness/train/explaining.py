"""Forward passes and loss of one batch: outputs for the input, the evidence and the remainder."""

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
    """Spectrograms, outputs and activations of some sounds, and their targets.

    Attributes
    ----------
    spectrum : Tensor, shape (batch, freq, frame), complex
    before : Tensor, shape (batch, output[, frame])
        Outputs for the unmasked input.
    maps : list of Tensor, shape (batch, channel, freq, frame)
        Activations, deepest layer first.
    target : Tensor, shape (batch,), int64
    conditioning : Tensor, shape (batch, channel), or None
        Mean gradient of the target's output with respect to each channel of the deepest layer.
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
    """Evaluate a model on waves (batch, samples), once, and choose the targets.

    Parameters
    ----------
    rank : Tensor, shape (batch,), int64
        Rank of the target among the outputs: 0 for the decided one, 1 for the second; for a
        regression, its index.
    conditioned : bool
        Whether to compute the conditioning.
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


def evaluate_sides(
    model: Model, spectrum: Tensor, gains: Tensor, samples: int, domain: str = "linear"
) -> tuple[Tensor, Tensor]:
    """Return the outputs for evidence and remainder, in one forward pass with gradients.

    Parameters
    ----------
    spectrum : Tensor, shape (batch, freq, frame), complex
    gains : Tensor, shape (batch, freq, frame)
    samples : int
        Length of the sounds.
    domain : {"linear", "log1p"}
        Domain in which gains multiply the magnitude.
    """
    both = torch.cat([gains, 1 - gains])
    twice = torch.cat([spectrum, spectrum])
    outputs = evaluate_masked(model, twice, both, samples, domain)
    inside, outside = outputs.chunk(2)
    return inside, outside


def evaluate_masked(
    model: Model, spectrum: Tensor, gains: Tensor, samples: int, domain: str = "linear"
) -> Tensor:
    """Return the outputs for masked sounds, in one forward pass with gradients.

    The parameters are those of ``evaluate_sides``.
    """
    magnitude = mask_magnitude(gains, spectrum.abs(), domain, scale=model.plane.n_fft / 2)
    if model.frontend is not None:
        outputs = model.from_magnitude(magnitude)
    else:
        phase = torch.polar(torch.ones_like(magnitude), spectrum.angle())
        outputs = model(model.plane.synthesise(magnitude * phase, samples))
    if gains.requires_grad and not outputs.requires_grad:
        raise NotApplicableError(
            f"the output of {model.name} does not depend differentiably on its input (an operation "
            "in it detaches the graph); the training needs its gradients"
        )
    return outputs


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
        Outputs for evidence and remainder (``evaluate_sides``).
    weights : Weights
    scale : Tensor, shape (output,), or float
        Unit of the values of a regression.
    source : Tensor, shape (batch, freq, frame), optional
        Magnitude of the true source, for guidance; zero where it is unknown. Guidance replaces the
        size term in clips with a source that is similar to the evidence.
    domain : {"linear", "log1p"}
        Domain in which gains multiply the magnitude.
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
