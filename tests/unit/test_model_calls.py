"""Networks that overwrite their input, or whose outputs change from call to call."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from tests.toys import RATE, Magnitude


class Overwriting(nn.Module):
    """A network that works in the memory of its input, as some do to save some."""

    def forward(self, data: Tensor) -> Tensor:
        data -= data.mean()
        data.clamp_(min=0)
        return torch.stack([data.flatten(1).square().mean(dim=1), -data.flatten(1)[:, 0]], dim=1)


@pytest.mark.parametrize("kind", ["waveforms", "magnitudes", "windows"])
def test_a_network_that_overwrites_its_input_leaves_the_sound_alone(kind: str) -> None:
    lengths = (None, 0.25) if kind == "windows" else (None, None)
    features = Magnitude() if kind == "magnitudes" else None
    model = wrap(Overwriting(), sample_rate=RATE, features=features, lengths=lengths)
    waves = torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))
    before, spectra = waves.clone(), model.plane.analyse(waves).abs()
    outputs = model(waves)
    torch.testing.assert_close(waves, before, rtol=0, atol=0)
    torch.testing.assert_close(model(waves), outputs, rtol=0, atol=0)
    if kind == "magnitudes":
        kept = spectra.clone()
        torch.testing.assert_close(model.from_magnitude(spectra), outputs)
        torch.testing.assert_close(spectra, kept, rtol=0, atol=0)


class Changing(nn.Module):
    """A network whose outputs for a sound change: by a draw, by a count of its calls, or not."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.calls = kind, 0

    def forward(self, waves: Tensor) -> Tensor:
        self.calls += 1
        level = waves.abs().mean(dim=1, keepdim=True)
        change = {"draw": 0.1 * float(torch.rand(1)), "count": 0.01 * self.calls, "none": 0.0}
        return torch.cat([level, 2 * level + change[self.kind]], dim=1)


@pytest.mark.parametrize("kind", ["draw", "count", "none"])
def test_outputs_that_change_from_call_to_call_are_noted(kind: str) -> None:
    model = wrap(Changing(kind), sample_rate=RATE, labels=["a", "b"])
    wave = torch.randn(RATE, generator=torch.Generator().manual_seed(0)).numpy()
    for trust in ("none", "light"):
        found = explain(model, (wave, RATE), "energy", trust=trust)  # type: ignore[arg-type]
        noted = [note for note in found.notes if "from call to call" in note]
        assert len(noted) == (kind != "none")
