"""Domains of masking: linear magnitude, ``ln(1 + |X|)``, or dB.

``linear`` is the default and the only domain in which evidence and remainder sum to the input.
``log1p`` (L-MAC: Paissan et al. 2024) and ``dB`` (Pak and Teryokhina 2025) reproduce published
results. In both, the attenuation of a cell by a given gain depends on its level, and so on the
scale of the transform. They were published for an STFT that is not divided by the sum of the
window; ``scale`` restores that scale.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.registry import unknown

FLOOR_DB = -100.0  # dB, lowest level of the published dB masking
_QUIETEST = 1e-12  # magnitude; quieter cells keep their gain, as their ratio is undefined


def mask_magnitude(
    gains: Tensor, magnitude: Tensor, domain: str = "linear", *, scale: float = 1.0
) -> Tensor:
    """Return the magnitude masked in a domain.

    Parameters
    ----------
    gains : Tensor, shape (batch, freq, frame)
        In [0, 1].
    magnitude : Tensor, shape (freq, frame) or (batch, freq, frame)
        Linear magnitude of the input.
    domain : {"linear", "log1p", "dB"}
    scale : float > 0
        Factor on magnitudes before the logarithm, divided out afterwards; ``n_fft / 2``, the sum of
        a Hann window, gives the published scale.

    Returns
    -------
    Tensor, shape (batch, freq, frame)
        ``linear``: ``g |X|``. ``log1p``: ``exp(g ln(1 + |X|)) - 1``. ``dB``: the level
        ``(L - b) g + b`` with ``L = 10 log10(max(|X|^2, 1e-10))`` and ``b`` = -100 dB, the lowest
        level of the result.

    Examples
    --------
    >>> import torch
    >>> mask_magnitude(torch.full((1, 1, 1), 0.5), torch.full((1, 1), 3.0), "log1p").item()
    1.0
    """
    if domain not in DOMAINS:
        raise unknown("mask domain", domain, DOMAINS)
    if not scale > 0:
        raise ParameterError(f"scale must be positive, got {scale}")
    return DOMAINS[domain](gains, magnitude * scale) / scale


def linear_gains(gains: Tensor, magnitude: Tensor, domain: str, *, scale: float) -> Tensor:
    """Convert gains that apply in another domain to gains on the linear magnitude.

    Parameters
    ----------
    gains, magnitude : Tensor, shape (freq, frame)
        In [0, 1], and linear magnitude.
    domain : {"linear", "log1p", "dB"}
    scale : float
        As in ``mask_magnitude``.
    """
    if domain == "linear":
        return gains
    masked = mask_magnitude(gains, magnitude, domain, scale=scale)
    ratio = masked / magnitude.clamp(min=_QUIETEST)
    return torch.where(magnitude > _QUIETEST, ratio, gains).clamp(0, 1)


def _linear(gains: Tensor, magnitude: Tensor) -> Tensor:
    return gains * magnitude


def _log1p(gains: Tensor, magnitude: Tensor) -> Tensor:
    return (gains * magnitude.log1p()).expm1()


def _decibels(gains: Tensor, magnitude: Tensor) -> Tensor:
    level = 10 * (magnitude**2).clamp(min=10 ** (FLOOR_DB / 10)).log10()
    return 10 ** (((level - FLOOR_DB) * gains + FLOOR_DB) / 20)


DOMAINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "linear": _linear,
    "log1p": _log1p,
    "dB": _decibels,
}
