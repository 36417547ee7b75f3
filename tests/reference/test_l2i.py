"""Listen to Interpret against slow copies of the paper's equations, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from earwitness.decoders.components import (
    Components,
    Psi,
    Theta,
    normalised,
    select,
)
from earwitness.explanation import Explanation
from earwitness.layers.finding import HiddenLayer
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.train.interpreters.objective import (
    InterpreterWeights,
    fidelity,
    reconstruction,
    relative_miss,
    total_loss,
)
from earwitness.types import Audio
from tests.interpreters import BANDS, WEIGHTS, gain, known
from tests.toys import RATE, TOY_PLANE, Magnitude, RegionNet, spectral

Array = NDArray[np.float64]
LAYERS = (
    HiddenLayer("deep", 3, 2, 6, (500.0, 2000.0, 5000.0)),
    HiddenLayer("last", 1, None, 7, (), (), False),
    HiddenLayer("tokens", 1, None, 5, ()),
)


def states(module: nn.Module) -> dict[str, Array]:
    return {name: one.double().numpy() for name, one in module.state_dict().items()}


def scattered(module: nn.Module, seed: int) -> nn.Module:
    """Set all weights and statistics at random, so that none is at its neutral value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in [*module.parameters(), *module.buffers()]:
            if one.is_floating_point():
                one.copy_(0.3 * torch.rand(one.shape, generator=generator) + 0.1)
                one.mul_(torch.randint(2, one.shape, generator=generator) * 2 - 1)
        for name, one in module.named_buffers():
            if name.endswith("running_var"):
                one.abs_()
    return module.eval()


def slow_norm(maps: Array, state: dict[str, Array], name: str) -> Array:
    shape = (-1, *[1] * (maps.ndim - 1))
    mean, variance, weight, bias = (
        state[f"{name}.{part}"].reshape(shape)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (maps - mean) / np.sqrt(variance + 1e-5) * weight + bias


def slow_filter(rows: Array, weight: Array, bias: Array | None = None) -> Array:
    reach = weight.shape[2] // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)))
    found = np.zeros((len(weight), rows.shape[1]))
    for frame in range(rows.shape[1]):
        found[:, frame] = (weight * padded[:, frame : frame + 2 * reach + 1]).sum(axis=(1, 2))
    return found if bias is None else found + bias[:, None]


def slow_resize(rows: Array, size: int) -> Array:
    count = rows.shape[1]
    at = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
    return np.stack([np.interp(at, np.arange(count), row) for row in rows])


def slow_psi(psi: Psi, maps: Sequence[Array], frames: int) -> Array:
    state = states(psi)
    sizes = [math.sqrt((one**2).mean()) for one in maps]
    levels = slow_norm(np.log(sizes)[:, None], state, "levels")
    total = state["level.weight"] @ levels
    for k, one in enumerate(maps):
        normal = slow_norm(one / sizes[k], state, f"norms.{k}")
        few = np.einsum("oc,cft->oft", state[f"readers.{k}.weight"][:, :, 0, 0], normal)
        few = few + state[f"readers.{k}.bias"][:, None, None]
        column = state[f"columns.{k}.weight"][:, :, 0] @ few.reshape(-1, one.shape[2])
        total = total + slow_resize(column, frames)
    level = np.maximum(slow_norm(total, state, "begin"), 0)
    whole = np.concatenate([level.mean(axis=1), level.max(axis=1)])
    context = state["context.weight"] @ whole + state["context.bias"]
    level = slow_filter(np.maximum(level + context[:, None], 0), state["middle.weight"])
    level = np.maximum(slow_norm(level, state, "end"), 0)
    return np.maximum(slow_filter(level, state["last.weight"], state["last.bias"]), 0)


def slow_theta(theta: Theta, h: Array) -> tuple[Array, Array, Array]:
    """Return attention (frame,), z (component,) and logits (output,) of one clip."""
    state = states(theta)
    gates = []
    for column in h.T:
        signal = np.tanh(state["signal.weight"] @ column)
        gate = 1 / (1 + np.exp(-(state["gate.weight"] @ column)))
        gates.append(float(state["weight.weight"][0] @ (signal * gate)))
    powers = np.exp(np.array(gates) - max(gates))
    attention = powers / powers.sum()
    z = sum(a * column for a, column in zip(attention, h.T, strict=True))
    return attention, z, state["theta.weight"] @ z


def test_psi_is_as_described() -> None:
    psi = scattered(Psi(LAYERS, 4, width=9), 1)
    maps = [torch.randn(2, 6, 3, 5), torch.randn(2, 5, 1, 8)]
    with torch.no_grad():
        found = psi(maps, 17).numpy()
    assert found.shape == (2, 4, 17)
    assert found.max() > 0.1
    for clip in range(2):
        wanted = slow_psi(psi, [one[clip].double().numpy() for one in maps], 17)
        np.testing.assert_allclose(found[clip], wanted, rtol=1e-3, atol=1e-4)


def test_theta_is_the_papers() -> None:
    theta = scattered(Theta(5, 3), 2)
    h = torch.rand(2, 5, 11) * 3
    with torch.no_grad():
        attention, z, logits = theta.attention(h), theta.pooled(h), theta(h)
        shares, versus = theta.shares(h, 2), theta.shares(h, 2, 0)
    for clip in range(2):
        wanted = slow_theta(theta, h[clip].double().numpy())
        for found, truth in zip((attention, z, logits), wanted, strict=True):
            np.testing.assert_allclose(found[clip], truth, rtol=1e-4, atol=1e-6)
        weights = states(theta)["theta.weight"]
        np.testing.assert_allclose(shares[clip], wanted[1] * weights[2], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(float(shares[clip].sum()), wanted[2][2], rtol=1e-4)
        np.testing.assert_allclose(
            versus[clip], wanted[1] * (weights[2] - weights[0]), rtol=1e-4, atol=1e-6
        )
    torch.testing.assert_close(theta(0 * h), torch.zeros(2, 3))  # there is no bias
    before = theta(h).softmax(dim=1)
    theta.centre()
    torch.testing.assert_close(theta(h).softmax(dim=1), before)
    parts = torch.stack([theta.shares(h, output) for output in range(3)])
    torch.testing.assert_close(parts.sum(dim=0), torch.zeros(2, 5), atol=1e-6, rtol=0)


def test_relevance_is_divided_by_the_largest_and_keeps_its_sign() -> None:
    shares = torch.tensor([0.5, -1.0, 0.25, 0.0])
    torch.testing.assert_close(normalised(shares), torch.tensor([1.0, -2.0, 0.5, 0.0]))
    torch.testing.assert_close(normalised(-shares.abs()), torch.tensor([-0.5, -1.0, -0.25, 0.0]))
    torch.testing.assert_close(normalised(0 * shares), torch.zeros(4))
    relevance = torch.tensor([0.3, 1.0, -2.0, 0.6, 0.6, 0.1])
    assert select(relevance, 0.2, 0).tolist() == [True, True, False, True, True, False]
    assert select(relevance, 0.2, 2).tolist() == [False, True, False, True, False, False]
    assert select(relevance, 0.7, 5).tolist() == [False, True, False, False, False, False]
    assert select(-relevance.abs(), 0.0, 5).tolist() == [False] * 6


def test_components_are_their_share_of_the_reconstruction() -> None:
    rng = np.random.default_rng(0)
    patterns, h = rng.random((7, 3)), rng.random((3, 5))
    patterns[2] = 0  # a bin in no component
    pieces = Components(torch.from_numpy(patterns), torch.from_numpy(h), ["a", "b", "c"])
    assert pieces.names == ("a", "b", "c", "rest")
    switches = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=torch.float64)
    found = pieces.mix(switches).numpy()
    wanted, rest = np.zeros((7, 5)), np.zeros((7, 5))
    for freq in range(7):
        for frame in range(5):
            parts = np.expm1(patterns[freq] * h[:, frame]) ** 2
            wanted[freq, frame] = (parts[0] + parts[2]) / (parts.sum() + 0.01)
            rest[freq, frame] = 0.01 / (parts.sum() + 0.01)
    np.testing.assert_allclose(found[0], wanted, atol=1e-12)
    np.testing.assert_allclose(found[1], rest, atol=1e-12)
    assert rest[2].min() == 1.0
    np.testing.assert_allclose(found[2], 1.0, atol=1e-12)


def test_the_loss_is_the_papers() -> None:
    rng = np.random.default_rng(1)
    values, patterns, h = rng.random((2, 7, 5)), rng.random((7, 3)), rng.random((2, 3, 5))
    outputs, scores = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    model = spectral()
    weights = InterpreterWeights(reconstruction=5.0, sparsity=0.4)
    distance = fidelity(model, torch.from_numpy(outputs), torch.from_numpy(scores))
    miss = reconstruction(*map(torch.from_numpy, (values, patterns, h)))
    found = total_loss(weights, 0.5, distance, miss, torch.from_numpy(h))
    for clip in range(2):
        p = np.exp(outputs[clip]) / np.exp(outputs[clip]).sum()
        q = np.exp(scores[clip]) / np.exp(scores[clip]).sum()
        wanted = 0.5 * -(p * np.log(q)).sum()
        wanted += 5 * ((values[clip] - patterns @ h[clip]) ** 2).mean()
        wanted += 0.4 * h[clip].mean()
        np.testing.assert_allclose(float(found[clip]), wanted, rtol=1e-10)
    several = wrap(RegionNet(), sample_rate=RATE, features=Magnitude(), task="multi-label")
    distance = fidelity(several, torch.from_numpy(outputs), torch.from_numpy(scores)).numpy()
    for clip in range(2):
        p, q = (1 / (1 + np.exp(-one[clip])) for one in (outputs, scores))
        wanted = -(p * np.log(q) + (1 - p) * np.log(1 - q)).sum()
        np.testing.assert_allclose(distance[clip], wanted, rtol=1e-10)
    error = relative_miss(*map(torch.from_numpy, (values, patterns, h))).numpy()
    wanted = ((values - patterns @ h) ** 2).sum(axis=(1, 2)) / (values**2).sum(axis=(1, 2))
    np.testing.assert_allclose(error, wanted, rtol=1e-10)


def test_the_weight_of_the_fidelity_rises_at_epoch_20_of_35() -> None:
    weights = InterpreterWeights()
    assert [weights.fidelity(k, 35) for k in (0, 19, 20, 34)] == [0.5, 0.5, 1.0, 1.0]


@pytest.fixture
def explained(white: Audio, monkeypatch: pytest.MonkeyPatch) -> Any:
    model = spectral()
    interpreter = known(model, WEIGHTS)
    monkeypatch.setattr("earwitness.methods.l2i.FOLDERS.load", lambda _folder: interpreter)

    def made(**given: Any) -> Explanation:
        return explain(model, white, "l2i", interpreter="x", **given)

    return made


def test_the_map_is_the_component_that_the_decision_depends_on(explained: Any) -> None:
    for target, (low, high), (start, end) in ((0, BANDS[0], (20, 40)), (1, BANDS[1], (60, 80))):
        found = explained(target=target)
        wanted = np.zeros(found.mask.gains.shape)
        wanted[low:high, start:end] = gain(target)
        if target == 1:  # 0.5 against 6 * 20 / frames: the third is relevant too, 0.79
            wanted[100:129] = gain(2)
        np.testing.assert_allclose(found.mask.gains, wanted, atol=5e-4)  # half precision
        total = found.evidence.samples + found.remainder.samples
        np.testing.assert_allclose(total, found.input.samples, atol=1e-6)
    few = explained(target=1, top=1).mask.gains
    assert few[100:129].max() == 0.0
    np.testing.assert_allclose(few[40:60, 60:80], gain(1), atol=5e-4)
    np.testing.assert_allclose(explained(target=1, threshold=0.9).mask.gains, few)


def test_pieces_are_the_components_with_their_relevance(explained: Any, white: Audio) -> None:
    found = explained(target=1)
    frames = TOY_PLANE.frames(24000)
    share = 0.5 / (6 * 20 / frames)
    weights = [piece.weight for piece in found.pieces]
    np.testing.assert_allclose(weights, [0.0, 1.0, share, 0.0], rtol=1e-5)
    assert found.pieces[0].name == "component 1 (peak 500 Hz, learnt on all sounds)"
    assert found.pieces[2].name == "component 3 (peak 6250 Hz, learnt on noise)"
    assert [sound.name for sound in found.piece_sounds[:2]] == [
        "component 2 (peak 2500 Hz, learnt on all sounds)",
        "component 3 (peak 6250 Hz, learnt on noise)",
    ]
    total = sum(sound.samples for sound in found.piece_sounds)
    np.testing.assert_allclose(total, white.samples, atol=1e-6)
    contrast = explained(target=1, versus=0)
    weights = [piece.weight for piece in contrast.pieces]
    parts = [10 * one for one in ((0 - 3) * 2 * 20 / frames, 6 * 20 / frames, (1 + 4) * 0.5, 0)]
    np.testing.assert_allclose(weights, np.array(parts) / max(parts), rtol=1e-5)
    np.testing.assert_allclose(
        contrast.attribution.details["interpreter_score"], math.fsum(parts), rtol=1e-5
    )


def test_negative_relevance_is_kept_and_nothing_for_a_class_is_said(explained: Any) -> None:
    found = explained(target=0)
    weights = [piece.weight for piece in found.pieces]
    frames = TOY_PLANE.frames(24000)
    np.testing.assert_allclose(weights[:3], [1.0, 0.0, -4 * 0.5 / (3 * 2 * 20 / frames)], rtol=1e-5)
    assert found.attribution.details["kept"] == [0]


def test_an_interpreter_that_disagrees_says_so(
    white: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spectral()
    with torch.no_grad():
        decided = int(model(torch.from_numpy(white.samples)[None]).argmax())
    rows = [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    rows[decided] = [-1.0, -1.0, -1.0]
    interpreter = known(model, rows)
    monkeypatch.setattr("earwitness.methods.l2i.FOLDERS.load", lambda _folder: interpreter)
    found = explain(model, white, "l2i", interpreter="x")
    notes = " ".join(found.notes)
    assert f"it decides {model.labels[1 - decided]}, not {model.labels[decided]}" in notes
    assert f"no component speaks for {model.labels[decided]}" in notes
    assert found.mask.gains.max() == 0.0
