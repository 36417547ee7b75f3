"""The masked loss in the training of l2i, against slow copies in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from earwitness.decoders.components import Theta
from earwitness.decoders.objective import Weights
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.train.interpreters.masking import filters, masked_loss, soft_selection
from earwitness.train.interpreters.objective import InterpreterWeights
from earwitness.types import Audio
from tests.toys import RATE, Magnitude, RegionNet, spectral, waveform

Array = NDArray[np.float64]


def tagger() -> Model:
    return wrap(RegionNet(), sample_rate=RATE, labels=["high", "low"], features=Magnitude(),
                task="multi-label")  # fmt: skip


def slow_kept(theta: Theta, h: Array, target: int, centred: bool) -> Array:
    """Return sigmoids of the relevance of one clip, from the definition of Theta."""
    state = {name: one.double().numpy() for name, one in theta.state_dict().items()}
    gates = []
    for column in h.T:
        gate = 1 / (1 + np.exp(-(state["gate.weight"] @ column)))
        signal = np.tanh(state["signal.weight"] @ column)
        gates.append(float(state["weight.weight"][0] @ (signal * gate)))
    powers = np.exp(np.array(gates) - max(gates))
    z = h @ (powers / powers.sum())
    weights = state["theta.weight"]
    row = weights[target] - (weights.mean(axis=0) if centred else 0)
    relevance = z * row / max(z * row)
    return np.array([1 / (1 + math.exp(-(one - 0.4) / 0.1)) for one in relevance])


@pytest.mark.parametrize("build", [spectral, tagger])
def test_components_are_kept_by_a_sigmoid_of_their_relevance(build: Any) -> None:
    torch.manual_seed(3)
    theta, h = Theta(5, 2), torch.rand(2, 5, 11) * 3
    found = soft_selection(build(), theta, h, torch.tensor([1, 0]))
    for clip, target in enumerate((1, 0)):
        wanted = slow_kept(theta, h[clip].double().numpy(), target, build is spectral)
        assert wanted.max() > 0.99
        np.testing.assert_allclose(found[clip].detach(), wanted, rtol=1e-3, atol=1e-6)


def test_filters_are_those_of_the_explanation() -> None:
    rng = np.random.default_rng(0)
    patterns, h, kept = rng.random((7, 3)), rng.random((2, 3, 5)), rng.random((2, 3))
    found = filters(*map(torch.from_numpy, (patterns, h, kept)))
    for clip in range(2):
        parts = np.expm1(patterns[:, :, None] * h[clip][None]) ** 2
        wanted = np.einsum("k,fkt->ft", kept[clip], parts) / (parts.sum(axis=1) + 0.01)
        np.testing.assert_allclose(found[clip], wanted, atol=1e-12)


@pytest.mark.parametrize("build", [spectral, waveform, tagger])
def test_the_masked_loss_is_l_macs_for_the_decided_class(build: Any, white: Audio) -> None:
    model: Model = build()
    waves = torch.from_numpy(np.stack([white.samples, 0.5 * white.samples[::-1]]))
    weights = Weights(inside=3.0, outside=0.7, size=2.0)
    with model.undisturbed(), torch.no_grad():
        outputs = model(waves)
        spectrum = model.plane.analyse(waves)
        gains = torch.rand(spectrum.shape, generator=torch.Generator().manual_seed(1))
        found = masked_loss(model, spectrum, outputs, gains, 24000, weights)
        kept, left = (
            model(model.plane.synthesise(g * spectrum, 24000)) if build is waveform
            else model.from_magnitude(g * spectrum.abs())
            for g in (gains, 1 - gains)
        )  # fmt: skip
    for clip in range(2):
        rows = [one[clip].double().numpy() for one in (kept, left, outputs)]
        target = int(rows[2].argmax())
        if build is tagger:
            entropy = [math.log1p(math.exp(-row[target])) for row in rows]
        else:
            entropy = [math.log(np.exp(row - row[target]).sum()) for row in rows]
        wanted = 3 * entropy[0] - 0.7 * max(0.0, entropy[1] - entropy[2])
        wanted += 2 * float(gains[clip].double().mean())
        np.testing.assert_allclose(float(found[clip]), wanted, rtol=1e-3)


def test_the_paper_has_no_such_term_and_here_it_begins_at_epoch_20_of_35() -> None:
    weights = InterpreterWeights(faithfulness=0.3)
    assert [weights.masked(k, 35) for k in (0, 19, 20, 34)] == [0.0, 0.0, 0.3, 0.3]
    assert InterpreterWeights(faithfulness=0.0).masked(34, 35) == 0.0
