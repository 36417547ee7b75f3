"""A convolutional network with an LSTM behind it (CRNN), as many detectors of sound events are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.plane.mel import mel_filterbank
from earwitness.plane.stft import Plane
from earwitness.types import Audio

RATE, N_FFT, HOP, MELS = 16000, 512, 160, 40
HEARD = (900.0, 1100.0)  # Hz, what the first class depends on; the second depends on 3 kHz


class CRNN(nn.Module):
    """Bands are averaged in pairs; an LSTM adds up the tanh of two of them over time."""

    def __init__(self, *, per_frame: bool) -> None:
        super().__init__()
        self.per_frame = per_frame
        self.plane = Plane(RATE, N_FFT, HOP)
        filters = mel_filterbank(self.plane, MELS, 50.0, 8000.0).float()
        self.register_buffer("filters", filters)
        self.conv = nn.Conv2d(1, 8, (3, 3), padding=1, bias=False)
        self.pool = nn.AvgPool2d((2, 1))
        self.rnn = nn.LSTM(8 * MELS // 2, 2, batch_first=True)
        self.head = nn.Linear(2, 2)
        nn.init.constant_(self.conv.weight, 1 / 9)
        centres = filters @ torch.linspace(0, RATE / 2, N_FFT // 2 + 1) / filters.sum(dim=1)
        for parameter in self.rnn.parameters():
            nn.init.zeros_(parameter)
        with torch.no_grad():
            # gates in order input, forget, cell, output: the first, second and last are open
            self.rnn.bias_ih_l0.copy_(torch.tensor([6.0, 6, 6, 6, 0, 0, 6, 6]))
            for unit, hz in ((0, 1000.0), (1, 3000.0)):
                band = int((centres - hz).abs().argmin()) // 2
                columns = torch.arange(8) * (MELS // 2) + band
                self.rnn.weight_ih_l0[4 + unit, columns] = 0.25
            self.head.weight.copy_(4 * torch.eye(2))
            self.head.bias.zero_()

    def forward(self, waves: Tensor) -> Tensor:
        bands = (self.filters @ self.plane.analyse(waves).abs()).unsqueeze(1)
        maps = self.pool(self.conv(200 * bands).relu())
        found, _ = self.rnn(maps.flatten(1, 2).transpose(1, 2))
        logits: Tensor = self.head(found if self.per_frame else found[:, -1])
        return logits


def crnn(*, per_frame: bool = False) -> Model:
    return wrap(
        CRNN(per_frame=per_frame).eval(), sample_rate=RATE, labels=["kilohertz", "three"],
        output="logits", task="multi-label", plane=Plane(RATE, N_FFT, HOP), per_frame=per_frame,
    )  # fmt: skip


def bursts() -> Audio:
    """Return 1.2 s: 3 kHz from 0.1 to 0.4 s, then 1 kHz from 0.6 to 0.9 s, and a little noise."""
    times = np.arange(round(1.2 * RATE)) / RATE
    wave = 0.001 * np.random.default_rng(0).standard_normal(len(times))
    for hz, start in ((3000.0, 0.1), (1000.0, 0.6)):
        on = (times >= start) & (times < start + 0.3)
        wave += 0.05 * np.sin(2 * np.pi * hz * times) * on
    return Audio(wave.astype(np.float32), RATE)


@pytest.mark.parametrize("per_frame", [False, True])
@pytest.mark.parametrize(
    "method", ["integrated-gradients", "input-x-gradient", "lrp", "deep-shap", "lime", "occlusion"]
)
def test_the_planted_burst_is_found_through_an_lstm(method: str, per_frame: bool) -> None:
    found = explain(crnn(per_frame=per_frame), bursts(), method, target="kilohertz", trust="none")
    values = found.attribution.values.clip(min=0)
    freqs, times = found.attribution.freqs, found.attribution.times
    near = np.ix_((freqs > 600) & (freqs < 1500), (times > 0.5) & (times < 1.0))
    assert values[near].sum() / values.sum() > 0.8
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert 700 < freqs[row] < 1400
    assert 0.45 < times[column] < 0.95  # pieces are wider than the burst


def test_gradcam_takes_the_convolution_and_not_the_lstm() -> None:
    found = explain(crnn(), bursts(), "gradcam", target="kilohertz", trust="none").attribution
    assert found.details["axes"] == "time, frequency"
