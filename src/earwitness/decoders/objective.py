"""L-MAC's loss: the evidence keeps the decision, the remainder loses it, the mask is small.

``loss = in * D(evidence) - out * max(0, D(remainder) - D(input)) + size * mean gain`` for each clip
(Paissan, Ravanelli, Subakan 2024, eq. 1 and 2). The paper's second term is ``D(remainder)``. For
the decided class this is nearly the same, but for an absent class it would reward a mask that
removes nothing. ``D`` is the distance of an output from the decision: the cross entropy of the
class for single-label models, the binary cross entropy for multi-label models, and for a regression
``ln(1 + d^2)`` with ``d`` the fall below the value of the input in units of ``scale``; the
logarithm limits the influence of single clips.

A guidance term is added for clips whose true source is known and similar to the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from earwitness.models.model import Model
from earwitness.models.target import over

_LEAST = 1e-6  # probability or sum of magnitudes; avoids log(0) and a division by zero

_TINY = 1e-20  # power; avoids a division by zero


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the loss.

    Attributes
    ----------
    inside, outside : float
        Weight of the evidence's distance, and of the remainder's.
    size : float
        Weight of the mean gain.
    smooth : float
        Weight of the total variation: the mean absolute difference of neighbouring gains.
    guidance : float
        Weight of the distance between the evidence and the true source, where it is known.
    alike : float in [0, 1]
        Similarity (``likeness``) from which the guidance term applies (the paper's CCT).
    """

    inside: float = 4.0
    outside: float = 1.0
    size: float = 20.0
    smooth: float = 0.0
    guidance: float = 4.0
    alike: float = 0.0


def distance(
    model: Model,
    outputs: Tensor,
    target: Tensor,
    before: Tensor,
    scale: Tensor | float = 1.0,
    *,
    sign: int = 1,
    frames: tuple[int, int] | None = None,
) -> Tensor:
    """Return the distance of outputs from a decision, shape (batch,).

    Parameters
    ----------
    outputs : Tensor, shape (batch, output[, frame])
    target : Tensor, shape (batch,), int64
        Index of the output to explain.
    before : Tensor, shape (batch, output[, frame])
        The outputs for the input.
    scale : Tensor, shape (output,), or float
        Unit of the values of a regression.
    sign : {1, -1}
        -1 to explain what lowers a value.
    frames : (int, int), optional
        Range of frames, for outputs per frame; all of them by default.
    """
    if outputs.ndim == 3 and frames is None:
        frames = (0, outputs.shape[-1])
    rows = torch.arange(len(outputs), device=outputs.device)
    if model.task == "regression":
        fall = sign * (over(before, frames) - over(outputs, frames)) / scale
        return fall[rows, target].relu().square().log1p()
    if model.output == "probabilities":
        chances = over(outputs, frames)[rows, target]
        return -chances.clamp(min=_LEAST).log()
    if model.task == "multi-label":
        losses = functional.softplus(-outputs)
    else:
        losses = -functional.log_softmax(outputs, dim=1)
    return over(losses, frames)[rows, target]


def faith(weights: Weights, inside: Tensor, outside: Tensor, before: Tensor | float) -> Tensor:
    """Return the first two terms of the loss, from distances of evidence, remainder and input."""
    return weights.inside * inside - weights.outside * (outside - before).relu()


def extent(weights: Weights, gains: Tensor) -> Tensor:
    """Return the size and smoothness terms for gains (batch, freq, frame), shape (batch,)."""
    size = weights.size * gains.mean(dim=(1, 2))
    return size + weights.smooth * roughness(gains) if weights.smooth else size


def roughness(gains: Tensor) -> Tensor:
    """Return the total variation per cell of gains (batch, freq, frame), shape (batch,)."""
    along = [gains.diff(dim=axis).abs().mean(dim=(1, 2)) for axis in (1, 2)]
    return along[0] + along[1]


def likeness(evidence: Tensor, source: Tensor, scale: float) -> Tensor:
    """Return the cosine similarity (batch,) of ``ln(1 + scale |X|)`` of two spectrograms.

    Parameters
    ----------
    evidence, source : Tensor, shape (batch, freq, frame)
        Linear magnitudes.
    scale : float
        Sum of the window; the plane's magnitudes are divided by it.
    """
    one, other = ((scale * each).log1p().flatten(1) for each in (evidence, source))
    return functional.cosine_similarity(one, other, dim=1)


@dataclass(frozen=True)
class Known:
    """What is known of mixtures whose source is known, in every cell (batch, freq, frame).

    Attributes
    ----------
    power : Tensor
        ``|X|^2`` of the mixture.
    along : Tensor
        ``Re(conj(X) S)``, the part of the mixture along the source.
    rest : Tensor
        ``|X - S|^2 / (|S|^2 + |X - S|^2)``, the share of the power that is not the source's.
    whole : Tensor, shape (batch,)
        Sum of ``|S|^2``.
    """

    power: Tensor
    along: Tensor
    rest: Tensor
    whole: Tensor

    @classmethod
    def of(cls, spectrum: Tensor, source: Tensor) -> Known:
        """Return it for complex spectra (batch, freq, frame) of mixture and source."""
        own, rest = _power(source), _power(spectrum - source)
        power = _power(spectrum)
        # |X - S|^2 = |X|^2 + |S|^2 - 2 Re(conj(X) S)
        along = (power + own - rest) / 2
        return cls(power, along, rest / (own + rest).clamp(min=_TINY), own.sum(dim=(1, 2)))


def guidance(gains: Tensor, known: Known) -> Tensor:
    """Return ``1 - r^2`` with the correlation ``r`` of evidence and source, shape (batch,).

    It falls as the scale-invariant signal-to-distortion ratio of the spectra rises, which is
    ``10 lg(r^2 / (1 - r^2))`` (Le Roux et al. 2019).

    Parameters
    ----------
    gains : Tensor, shape (batch, freq, frame)
        On the linear magnitude.
    known : Known
    """
    product = (gains * known.along).sum(dim=(1, 2)).relu()
    energy = (gains.square() * known.power).sum(dim=(1, 2)) * known.whole
    return 1 - product.square() / energy.clamp(min=_TINY)


def leak(gains: Tensor, known: Known) -> Tensor:
    """Return the share of gains in what is not the source's, ``sum g rest / sum g``, (batch,)."""
    return (gains * known.rest).sum(dim=(1, 2)) / gains.sum(dim=(1, 2)).clamp(min=_LEAST)


def _power(spectrum: Tensor) -> Tensor:
    return torch.view_as_real(spectrum).square().sum(dim=-1)
