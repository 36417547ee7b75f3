"""The two front ends of Pak and Teryokhina (2025): levels in dB, of bins or of mel bands.

As their code sets them (https://github.com/exile8/audio-xai), with torchaudio's conventions: a
periodic Hann window that is not divided by its sum, reflection at both ends, power, HTK's mel scale
with triangles of height 1, ``10 log10(max(x, 1e-10))``. So silence is -100 dB, and masks that
multiply ``level + 100`` fade to silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.errors import ParameterError
from earwitness.plane.domains import FLOOR_DB
from earwitness.plane.mel import mel_triangles
from earwitness.plane.stft import Plane


@dataclass(frozen=True)
class Published:
    """Settings of a front end.

    Attributes
    ----------
    rate, n_fft, hop : int
        In Hz and samples; the window is as long as the transform.
    rows : int
        Bins, or mel bands between ``low`` and ``high``.
    low, high : float
        Range of the bands in Hz; 0 for a front end without bands.
    """

    rate: int
    n_fft: int
    hop: int
    rows: int
    low: float = 0.0
    high: float = 0.0


PUBLISHED = {
    "stft-db": Published(16000, 512, 256, 257),
    "mel-db": Published(32000, 1024, 320, 64, 50.0, 14000.0),
}
SECONDS = 5.0  # of a sound; longer ones are cut, shorter ones padded with silence


def htk_edges(bands: int, low: float, high: float) -> Tensor:
    """Return the ``bands + 2`` corner frequencies in Hz, evenly spaced on HTK's mel scale.

    Examples
    --------
    >>> [round(hz, 3) for hz in htk_edges(1, 0.0, 700.0).tolist()]
    [0.0, 289.949, 700.0]
    """
    ends = 2595 * torch.log10(1 + torch.tensor([low, high], dtype=torch.float64) / 700)
    steps = torch.linspace(0, 1, bands + 2, dtype=torch.float64)
    mels: Tensor = ends[0] + (ends[1] - ends[0]) * steps
    return 700 * (10 ** (mels / 2595) - 1)


class Decibels(nn.Module):
    """Levels of bins or bands in dB, of a waveform at the front end's rate.

    Parameters
    ----------
    name : {"stft-db", "mel-db"}
    """

    window: Tensor
    filters: Tensor | None

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in PUBLISHED:
            raise ParameterError(f"front end is {' or '.join(PUBLISHED)}, got {name!r}")
        self.name, self.settings = name, PUBLISHED[name]
        set_ = self.settings
        self.plane = Plane(set_.rate, set_.n_fft, set_.hop)
        window = torch.hann_window(set_.n_fft, dtype=torch.float64).float()
        self.register_buffer("window", window, persistent=False)
        filters = None
        if set_.high:
            edges = htk_edges(set_.rows, set_.low, set_.high)
            heights = (edges[2:] - edges[:-2])[:, None] / 2
            filters = (mel_triangles(self.plane.freqs(), edges) * heights).float()
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Map waves (batch, samples) to levels (batch, 1, row, frame) in dB, -100 at least."""
        return self.levels(self.analyse(waves)).unsqueeze(1)

    def analyse(self, waves: Tensor) -> Tensor:
        """Return the transform (batch, bin, frame), complex."""
        size, hop = self.settings.n_fft, self.settings.hop
        return torch.stft(
            waves, size, hop, window=self.window, center=True, pad_mode="reflect",
            return_complex=True,
        )  # fmt: skip

    def levels(self, spectrum: Tensor) -> Tensor:
        """Return the levels (batch, row, frame) of a transform (batch, bin, frame), in dB."""
        power = spectrum.real.square() + spectrum.imag.square()
        rows = power if self.filters is None else self.filters @ power
        return 10 * rows.clamp(min=10 ** (FLOOR_DB / 10)).log10()

    @cached_property
    def _inverse(self) -> Tensor:
        assert self.filters is not None
        found: Tensor = torch.linalg.pinv(self.filters.double())
        return found.float()

    def sound(self, levels: Tensor, phase: Tensor, samples: int) -> Tensor:
        """Return waves (batch, samples) of levels, as published: with a given phase.

        Powers of bands are spread over bins by the least-squares solution of least norm, and
        negative powers are set to 0. Bins outside of all bands stay silent.

        Parameters
        ----------
        levels : Tensor, shape (batch, row, frame)
            In dB.
        phase : Tensor, shape (bin, frame)
            In radians, of the sound the levels were computed from.
        samples : int
            Length of that sound.
        """
        power = 10 ** (levels / 10)
        if self.filters is not None:
            power = (self._inverse @ power).clamp(min=0)
        spectrum = torch.polar(power.sqrt(), phase.expand_as(power).contiguous())
        size, hop = self.settings.n_fft, self.settings.hop
        return torch.istft(
            spectrum, size, hop, window=self.window, center=True, length=samples
        )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Return its name and settings as plain JSON values."""
        return {"name": self.name, **vars(self.settings)}
