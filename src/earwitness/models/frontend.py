"""Front ends: from the plane's magnitude to the input of a network.

A model with such a front end computes features directly from a masked magnitude, without the
inverse transform.
"""

from __future__ import annotations

from typing import Protocol, TypeGuard

import torch
from torch import Tensor, nn

from earwitness.plane.mel import mel_filterbank
from earwitness.plane.stft import Plane


class FrontEnd(Protocol):
    """Protocol of a model's features on the plane.

    Calling it maps magnitudes (batch, freq, frame) on ``plane`` to features; time is last, so that
    a long sound can be read in windows of frames.
    """

    plane: Plane

    def __call__(self, magnitude: Tensor) -> Tensor:
        """Map magnitudes to features."""
        ...


class LinearFrontEnd(FrontEnd, Protocol):
    """A front end that begins with something linear, such as mel bands.

    Calling it returns ``nonlinear(linear(magnitude))``. ``linear`` works on single frames and maps
    silence to zeros. The linear part is computed once for all mixtures of the same pieces, and once
    for the sum of many gradients.
    """

    def linear(self, magnitude: Tensor) -> Tensor:
        """Map magnitudes (batch, freq, frame) to bands (batch, band, frame), linearly."""
        ...

    def nonlinear(self, linear: Tensor) -> Tensor:
        """Map bands (batch, band, frame) to features."""
        ...


def is_linear(frontend: FrontEnd | None) -> TypeGuard[LinearFrontEnd]:
    """Whether a front end has a linear part."""
    return hasattr(frontend, "linear") and hasattr(frontend, "nonlinear")


class LogMel(nn.Module):
    """Logarithm of the mean magnitude in mel bands: ``ln(1 + mel / floor)``.

    Silence is exactly 0 and full scale about 8. The default floor of -80 dB is below the noise of
    most recordings, so the logarithm is smooth down to silence and masked cells equal silence.

    Parameters
    ----------
    plane : Plane
    mels : int > 0
        Number of bands from 0 Hz to half the rate.
    floor : float > 0
        Magnitude at which the scale turns from logarithmic to linear.
    """

    filters: Tensor

    def __init__(self, plane: Plane, mels: int, floor: float = 1e-4) -> None:
        super().__init__()
        self.plane = plane
        self.mels = mels
        self.floor = floor
        filters = mel_filterbank(plane, mels) * (plane.rate / plane.n_fft)
        self.register_buffer("filters", filters.float(), persistent=False)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Map magnitude (batch, freq, frame) to features (batch, 1, mel, frame)."""
        return self.nonlinear(self.linear(magnitude))

    def linear(self, magnitude: Tensor) -> Tensor:
        """Map magnitude (batch, freq, frame) to its mean in every band (batch, mel, frame)."""
        return self.filters @ magnitude

    def nonlinear(self, linear: Tensor) -> Tensor:
        """Map bands (batch, mel, frame) to their logarithms (batch, 1, mel, frame)."""
        return torch.log1p(linear / self.floor).unsqueeze(1)
