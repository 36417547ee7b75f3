"""LRP of networks that compute in half precision, compared with single precision."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from earwitness.backward.calls import Call
from earwitness.backward.completeness import account
from earwitness.backward.rules import Entry, Ledger
from earwitness.errors import NotApplicableError
from earwitness.models.wrapping import wrap
from earwitness.probe import Probe
from earwitness.types import Target
from tests.reference.nets import explained, randomised
from tests.toys import RATE, TOY_PLANE

HALVES = [torch.bfloat16, torch.float16]


class Mixed(nn.Module):
    """A residual network with norms after a log spectrogram in single precision."""

    def __init__(self, cast: torch.dtype | None = None, blocks: int = 1) -> None:
        super().__init__()
        self.cast = cast
        self.first, self.norm = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(blocks))
        self.head = nn.Linear(8, 2)
        randomised(self, scale=0.3)
        self.norm.running_mean += 0.2
        self.norm.running_var *= 1.5

    def forward(self, waves: Tensor) -> Tensor:
        bands = (TOY_PLANE.analyse(waves.float()).abs() + 1e-3).log().unsqueeze(1)
        with torch.autocast("cpu", self.cast or torch.bfloat16, enabled=self.cast is not None):
            return self.body(bands.to(self.head.weight.dtype))

    def body(self, bands: Tensor) -> Tensor:
        maps = torch.relu(self.norm(self.first(bands)))
        for block in self.blocks:
            maps = torch.relu(maps + block(maps))
        return self.head(maps.mean(dim=(2, 3)) + 0.5)


def probe_of(network: nn.Module) -> Probe:
    model = wrap(network.eval(), sample_rate=RATE, labels=["a", "b"], plane=TOY_PLANE)
    wave = 0.1 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    return Probe(model, wave, Target(0, "a", "probability"))


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("how", ["autocast", "weights"])
@pytest.mark.parametrize(
    "options", [{}, {"rule": "epsilon"}, {"rule": "gamma", "biases": "keep"}], ids=str
)
def test_lrp_in_half_precision_crashed_or_was_called_compiled_code(
    options: dict[str, Any], how: str, half: torch.dtype
) -> None:
    wanted = explained("lrp", probe_of(Mixed()), **options).values
    network = Mixed(half) if how == "autocast" else Mixed().to(half)
    found = explained("lrp", probe_of(network), **options).values
    # rounded at every one of eight functions
    tolerance = 8 * torch.finfo(half).eps
    distance = (found - wanted).norm() / wanted.norm()
    torch.testing.assert_close(distance, torch.tensor(0.0), rtol=0, atol=tolerance)
    size = float(wanted.abs().sum())
    torch.testing.assert_close(found.sum(), wanted.sum(), rtol=0, atol=tolerance * size)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (torch.bfloat16, "computes in bfloat16.* 10% of the score; use the network in single"),
        (torch.float16, "computes in float16, whose rounding"),
        (torch.float32, r"cannot be intercepted \(compiled code"),
    ],
)
def test_what_rounding_loses_is_not_called_compiled_code(kind: torch.dtype, words: str) -> None:
    result = torch.ones(1, dtype=kind)
    ledger = Ledger(entries=[Entry(cast(Call, None), [], [], [], [result])])
    with pytest.raises(NotApplicableError, match=words):
        account("lrp", ledger, [], 0.1, 1.0)


class Levels(nn.Module):
    """Mean levels in dB above the tones of a sound, computed in single precision."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, waves: Tensor) -> Tensor:
        above = TOY_PLANE.analyse(waves.float()).abs()[:, 40:]
        level = 20 * (above + 1e-9).log10().mean(dim=(1, 2))
        return self.head(level[:, None].to(self.head.weight.dtype))


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_a_network_that_computes_its_features_itself_gets_the_waveform_in_single(
    half: torch.dtype,
) -> None:
    # faint noise beside a loud tone, which rounding to half precision covers
    time = torch.arange(4000) / RATE
    wave = 0.5 * torch.sin(2 * torch.pi * RATE / TOY_PLANE.n_fft * 8.3 * time)
    wave += 1e-6 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    network = Levels().eval().to(half)
    model = wrap(network, sample_rate=RATE, labels=["a", "b"], output="logits", plane=TOY_PLANE)
    with torch.no_grad():
        exact, rounded = network(wave[None]), network(wave[None].to(half))
        torch.testing.assert_close(model(wave[None]), exact, rtol=0, atol=0)
    assert float((exact - rounded).abs().max()) > 1


def test_a_network_that_takes_half_precision_only_gets_it() -> None:
    network = nn.Sequential(nn.Linear(4000, 2)).bfloat16()
    model = wrap(network, sample_rate=RATE, labels=["a", "b"], output="logits", plane=TOY_PLANE)
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(wave.bfloat16())
        for _ in range(2):
            torch.testing.assert_close(model(wave), wanted, rtol=0, atol=0)
