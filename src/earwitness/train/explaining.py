"""Forward passes and loss of one batch: outputs for the input, the evidence and the remainder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from earwitness.decoders.objective import (
    Known,
    Weights,
    distance,
    extent,
    faith,
    guidance,
    leak,
    likeness,
)
from earwitness.errors import NotApplicableError
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import HiddenLayer
from earwitness.models.model import Model
from earwitness.models.target import DECIDED, overall, probabilities
from earwitness.plane.domains import linear_gains, mask_magnitude
from earwitness.plane.stft import magnitude_of, modulus


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

    @cached_property
    def magnitude(self) -> Tensor:
        """Linear magnitude of the spectrum."""
        return modulus(self.spectrum)


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
        outputs = model.from_magnitude(modulus(spectrum)) if direct else model(waves)
        before = outputs.detach()
        target = _ranked(model, before, rank)
        conditioning = recorded.conditioning(outputs, target) if conditioned else None
    return Batch(spectrum, before, recorded.maps(), target, conditioning)


def _ranked(model: Model, outputs: Tensor, rank: Tensor) -> Tensor:
    if model.task == "regression":
        return rank
    order = overall(model, probabilities(model, outputs)).argsort(dim=1, descending=True)
    return order.gather(1, rank[:, None])[:, 0]


def true_source(model: Model, waves: Tensor, clean: Tensor, batch: Batch) -> Tensor:
    """Return the spectrum of the target's source in each mixture; zero where it is unknown.

    It is the first sound if the target is decided for that sound alone; else the other one, if
    the target is decided for the mixture.

    Parameters
    ----------
    waves, clean : Tensor, shape (batch, samples)
        Mixtures, and their first sounds alone.
    batch : Batch
        Of the waves.

    Returns
    -------
    Tensor, shape (batch, freq, frame), complex
    """
    source = torch.zeros_like(batch.spectrum)
    mixed = ((waves - clean).abs().amax(dim=1) > 0).nonzero()[:, 0]
    if not len(mixed):
        return source
    first = model.plane.analyse(clean[mixed])
    if model.task == "regression":
        return source.index_copy(0, mixed, first)
    direct = model.frontend is not None
    with torch.no_grad():
        outputs = model.from_magnitude(modulus(first)) if direct else model(clean[mixed])
    alone, within = (
        overall(model, probabilities(model, one)).gather(1, batch.target[mixed, None])[:, 0]
        for one in (outputs, batch.before[mixed])
    )
    of_first, of_other = (alone >= DECIDED), (alone < DECIDED) & (within >= DECIDED)
    found = torch.where(of_other[:, None, None], batch.spectrum[mixed] - first, first)
    found = torch.where((of_first | of_other)[:, None, None], found, 0.0)
    return source.index_copy(0, mixed, found)


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


def evaluate_heard(
    model: Model, waves: Tensor, spectrum: Tensor, gains: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the outputs for the sounds of evidence and remainder, which add up to the input.

    Parameters
    ----------
    waves : Tensor, shape (batch, samples)
    spectrum : Tensor, shape (batch, freq, frame), complex
        Of the waves.
    gains : Tensor, shape (batch, freq, frame)
        On the linear magnitude.
    """
    evidence = model.plane.synthesise(gains * spectrum, waves.shape[1])
    if model.frontend is None:
        outputs = model(torch.cat([evidence, waves - evidence]))
    else:  # the transform is linear: one of the two is enough
        kept = model.plane.analyse(evidence)
        outputs = model.from_magnitude(magnitude_of(torch.cat([kept, spectrum - kept])))
    inside, outside = _differentiable(model, gains, outputs).chunk(2)
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
    return _differentiable(model, gains, outputs)


def _differentiable(model: Model, gains: Tensor, outputs: Tensor) -> Tensor:
    """Return outputs after checking that gradients reach gains that need them."""
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
    source : Tensor, shape (batch, freq, frame), complex, optional
        Spectrum of the true source, for guidance; zero where it is unknown. Guidance is added in
        clips with a source that is similar to the evidence.
    domain : {"linear", "log1p"}
        Domain in which gains multiply the magnitude.
    """
    kept, left, start = (
        distance(model, outputs, batch.target, batch.before, scale)
        for outputs in (*sides, batch.before)
    )
    loss = faith(weights, kept, left, start) + extent(weights, gains)
    if source is None or not weights.guidance:
        return loss
    known = (source.abs().amax(dim=(1, 2)) > 0).nonzero()[:, 0]
    if not len(known):
        return loss
    some = Known.of(batch.spectrum[known], source[known])
    own = gains[known]
    if domain != "linear":
        own = linear_gains(own, some.power.sqrt(), domain, scale=model.plane.n_fft / 2)
    away = guidance(own, some) + leak(own, some)
    if weights.alike > 0:
        scale = model.plane.n_fft / 2
        near = likeness(own * some.power.sqrt(), source[known].abs(), scale) >= weights.alike
        away = torch.where(near, away, 0.0)
    return loss.index_add(0, known, weights.guidance * away)
