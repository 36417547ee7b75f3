"""What the trust card and files hold that depends on the sound's length, or is rounded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.signals import scene
from earwitness.types import Audio


class Lengths(nn.Module):
    """Outputs of which one is the number of samples, so that silence is not the same at two."""

    def forward(self, waves: Tensor) -> Tensor:
        energy = waves.square().sum(dim=-1)
        return torch.stack([energy, 0 * energy + waves.shape[-1]], dim=-1)


def test_the_control_of_silence_is_as_long_as_the_sound(white: Audio) -> None:
    model = wrap(Lengths(), sample_rate=white.rate, labels=["energy", "length"], task="regression")
    for samples in (white.samples, white.samples[:8000], white.samples):
        card = explain(model, (samples, white.rate), "energy", target="length").trust
        assert card is not None
        assert card.controls["silence"].mean.evidence.audio == len(samples)


def test_gains_of_learned_masks_are_multiples_of_one_1024th() -> None:
    found = explain("esc10", scene(16000).mixture, "lmac", trust="none")
    steps = found.attribution.values * 1024
    np.testing.assert_array_equal(steps, np.round(steps))
    assert len(np.unique(steps)) > 900
    np.testing.assert_array_equal(found.mask.gains, found.attribution.values)


def test_a_function_that_has_changed_since_is_scored_anew() -> None:
    """As a classifier that is fitted again: its silence has another score then."""
    rest = [0.1]

    def share(waves: np.ndarray) -> np.ndarray:
        high = np.minimum(np.abs(waves).mean(axis=1, keepdims=True) + rest[0], 1.0)
        return np.concatenate([high, 1 - high], axis=1)

    def made() -> Model:
        return wrap(share, sample_rate=16000, labels=["on", "off"], output="probabilities")

    model, clip = made(), (0.3 * np.ones(8000, np.float32), 16000)
    for value in (0.1, 0.6):
        rest[0] = value
        for one in (model, made()):
            found = explain(one, clip, "energy", target="on", trust="light")
            assert found.trust is not None
            scored = found.trust.controls["silence"].mean.evidence.audio
            np.testing.assert_allclose(scored, value, atol=1e-6)
