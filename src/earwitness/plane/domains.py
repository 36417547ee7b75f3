"""Where gains multiply: what the masked magnitude is, in each domain.

``linear`` is the default and the only one in which evidence and remainder add up to the input.
``log1p`` (L-MAC: Paissan et al. 2024) and ``dB`` (Pak and Teryokhina 2025) are there
to repeat published figures. In both, how far a gain of one half turns a cell down depends on the
cell's level, and so on the scale of the transform: they were published for transforms that are not
divided by the sum of the window, which ``scale`` undoes.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.registry import unknown

FLOOR_DB = -100.0


def mask_magnitude(
    gains: Tensor, magnitude: Tensor, domain: str = "linear", *, scale: float = 1.0
) -> Tensor:
    """Return the masked magnitude.

    Parameters
    ----------
    gains : Tensor, shape (batch, freq, frame)
        In [0, 1].
    magnitude : Tensor, shape (freq, frame) or (batch, freq, frame)
    domain : {"linear", "log1p", "dB"}
    scale : float > 0
        What magnitudes are multiplied by before the logarithm, and divided by after it. The sum of
        a Hann window is ``n_fft / 2``.

    Returns
    -------
    Tensor, shape (batch, freq, frame)
        ``linear``: ``g |X|``. ``log1p``: ``exp(g ln(1 + |X|)) - 1``. ``dB``: the level
        ``(L - b) g + b`` with ``L = 10 log10(max(|X|^2, 1e-10))`` and ``b`` = -100 dB, so that
        nothing is ever quieter than -100 dB.
    """
    if domain not in DOMAINS:
        raise unknown("mask domain", domain, DOMAINS)
    if not scale > 0:
        raise ParameterError(f"scale must be positive, got {scale}")
    return DOMAINS[domain](gains, magnitude * scale) / scale


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
