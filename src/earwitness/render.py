"""From gains to sound: what the mask keeps, and what it removes."""

from __future__ import annotations

from torch import Tensor

from earwitness.plane.stft import Plane


def render(plane: Plane, spectrum: Tensor, gains: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Return evidence ``gains * X`` and remainder ``(1 - gains) * X`` as sound.

    The transform is linear, so the two add up to the input.

    Parameters
    ----------
    spectrum : Tensor, shape (freq, frame), complex
    gains : Tensor, shape (batch, freq, frame)

    Returns
    -------
    evidence, remainder : Tensor, shape (batch, samples)
    """
    evidence = plane.synthesise(gains * spectrum, samples)
    return evidence, plane.synthesise((1 - gains) * spectrum, samples)
