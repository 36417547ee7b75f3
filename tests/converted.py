"""The default model as one network from waveforms, as it is converted to other formats."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earwitness.models.registry import load_model


class Whole(nn.Module):
    """A transform by convolution, which every format has, then front end and network."""

    def __init__(self, name: str, samples: int) -> None:
        super().__init__()
        model = load_model(name)
        plane = model.plane
        self.samples = samples
        self.hop, self.half = plane.hop, plane.n_fft // 2
        self.frames = plane.frames(self.samples)
        time = torch.arange(plane.n_fft).double()
        phase = 2 * torch.pi * torch.arange(plane.bins).double()[:, None] * time / plane.n_fft
        window = torch.hann_window(plane.n_fft, dtype=torch.float64)
        window = window / window.sum()
        self.register_buffer("cosine", (phase.cos() * window).float()[:, None])
        self.register_buffer("sine", (phase.sin() * window).float()[:, None])
        self.frontend, self.network = model.frontend, model.module

    def forward(self, waves: Tensor) -> Tensor:
        after = (self.frames - 1) * self.hop - self.samples + self.half
        waves = nn.functional.pad(waves[:, None], (self.half, after))
        parts = [nn.functional.conv1d(waves, one, stride=self.hop)
                 for one in (self.cosine, self.sine)]  # fmt: skip
        magnitude = (parts[0].square() + parts[1].square()).sqrt()
        logits: Tensor = self.network(self.frontend(magnitude))
        return logits


def whole_network(name: str, samples: int) -> Whole:
    """The network for sounds of a number of samples."""
    return Whole(name, samples).eval()
