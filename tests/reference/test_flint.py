"""FLINT against slow copies of its equations, in float64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from earwitness.decoders.components import rms
from earwitness.decoders.flint import (
    BANDS,
    Attributes,
    AttributeShares,
    FlintNetwork,
    attributes_of,
    coarse,
    segments,
)
from earwitness.decoders.trained import Learned
from earwitness.explanation import Explanation
from earwitness.layers.finding import find_layers
from earwitness.models.fingerprint import identity
from earwitness.models.model import Model
from earwitness.pipeline import explain
from earwitness.plane.mel import hz_to_mel
from earwitness.train.interpreters.flint import FlintWeights, entropy, total_loss
from earwitness.types import Audio
from tests.reference.test_l2i import LAYERS, scattered, slow_norm, states
from tests.toys import RATE, TOY_PLANE, spectral

SAMPLES = 8000  # of a segment
FRAMES = TOY_PLANE.frames(SAMPLES)
ROWS = (slice(0, 20), slice(30, 40), slice(30, 50))  # bands of each pattern
HEIGHTS = (2.0, 3.0, 1.0)  # ln(1 + |X|) of an attribute of 1


class Known(nn.Module):
    """A decoder of known patterns, linear in the attributes."""

    def forward(self, attributes: torch.Tensor) -> torch.Tensor:
        patterns = torch.zeros(3, BANDS, FRAMES).to(attributes)
        for k, rows in enumerate(ROWS):
            patterns[k, rows] = HEIGHTS[k]
        return torch.einsum("bj,jft->bft", attributes, patterns)


class Given(nn.Module):
    """Attributes of known values: of every segment its loudness, of all alike, and none."""

    def forward(self, maps: Any) -> torch.Tensor:
        level = maps[0].abs().amax(dim=(1, 2, 3))
        return torch.stack([level, torch.ones_like(level), 0 * level], dim=1)


def known(model: Model, weights: list[list[float]]) -> Learned[FlintNetwork]:
    layers = find_layers(model, samples=SAMPLES)
    network = FlintNetwork(layers, model.plane, 2, attributes=3, samples=SAMPLES)
    network.attributes, network.decoder = Given(), Known()
    with torch.no_grad():
        network.theta.weight.copy_(torch.tensor(weights))
    return Learned(network.eval(), layers, model.plane, identity(model), model.name, model.labels)


def slow_attributes(network: Attributes, maps: list[np.ndarray[Any, Any]]) -> Any:
    state = states(network)
    total = np.zeros(len(state["begin.weight"]))
    for k, one in enumerate(maps):
        normal = slow_norm(one / np.sqrt((one**2).mean()), state, f"norms.{k}")
        few = np.einsum("oc,cft->oft", state[f"readers.{k}.weight"][:, :, 0, 0], normal)
        few = np.maximum(few + state[f"readers.{k}.bias"][:, None, None], 0)
        pooled = np.concatenate([few.mean(axis=2), few.max(axis=2)]).ravel()
        total += state[f"pools.{k}.weight"] @ pooled + state[f"pools.{k}.bias"]
    level = (total - total.mean()) / np.sqrt(total.var() + 1e-5)
    level = np.maximum(level * state["begin.weight"] + state["begin.bias"], 0)
    level = np.maximum(state["middle.weight"] @ level + state["middle.bias"], 0)
    return np.maximum(state["last.weight"] @ level + state["last.bias"], 0)


def test_the_attribute_network_is_as_described() -> None:
    network = scattered(Attributes(LAYERS, 12), 3)
    maps = [torch.randn(2, 6, 3, 5), torch.randn(2, 5, 1, 8)]
    with torch.no_grad():
        found = network(maps).numpy()
    assert found.shape == (2, 12)
    assert found.max() > 0.1
    assert found.min() == 0.0
    for clip in range(2):
        wanted = slow_attributes(network, [one[clip].double().numpy() for one in maps])
        np.testing.assert_allclose(found[clip], wanted, rtol=1e-3, atol=1e-3)
    louder = network([3 * one for one in maps])
    torch.testing.assert_close(louder, torch.from_numpy(found), rtol=1e-4, atol=1e-4)
    assert float(rms(torch.zeros(1, 2, 3, 4))) > 0


def test_an_attribute_alone_has_one_pattern_that_scales() -> None:
    layers = find_layers(spectral(), samples=SAMPLES)
    network = FlintNetwork(layers, TOY_PLANE, 2, attributes=4, samples=SAMPLES).eval()
    with torch.no_grad():
        patterns = network.patterns()
        decoded = network.decoder(torch.tensor([[0.0, 3.0, 0, 0], [0, 0, 0, 0]]))
    assert patterns.shape == (4, BANDS, FRAMES)
    assert float(patterns.max()) > 0
    torch.testing.assert_close(decoded[0], 3 * patterns[1])
    torch.testing.assert_close(decoded[1], torch.zeros(BANDS, FRAMES))
    place = network.place.double()
    torch.testing.assert_close(place.sum(dim=1), torch.ones(TOY_PLANE.bins).double())
    mels = hz_to_mel(TOY_PLANE.freqs().double()) / float(hz_to_mel(torch.tensor(RATE / 2)))
    centre = place @ ((torch.arange(BANDS) + 0.5) / BANDS).double()
    torch.testing.assert_close(centre[3:-3], mels[3:-3], atol=2e-3, rtol=0)


def test_the_loss_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    phi = 2 * rng.random((3, 4))
    distance, miss = rng.random(3), rng.random(3)

    def slow(row: Any) -> float:
        p = np.exp(row) / np.exp(row).sum()
        return float(-(p * np.log(p)).sum())

    weights = FlintWeights(2.0, 3.0, 0.5, 0.7, 0.11)
    found = total_loss(weights, *map(torch.from_numpy, (distance, miss, phi)))
    np.testing.assert_allclose(
        entropy(torch.from_numpy(phi)), [slow(row) for row in phi], rtol=1e-12
    )
    for clip in range(3):
        wanted = 2 * miss[clip] + 3 * distance[clip] + 0.5 * slow(phi[clip])
        wanted += -0.7 * slow(phi.mean(axis=0)) + 0.11 * phi[clip].mean()
        np.testing.assert_allclose(float(found[clip]), wanted, rtol=1e-12)


def test_segments_cover_a_sound_and_overlap_by_half() -> None:
    assert segments(10, 4) == [0, 2, 4, 6]
    assert segments(9, 4) == [0, 2, 3, 5]
    assert segments(4, 4) == segments(3, 4) == [0]
    assert segments(5, 4) == [0, 1]
    for samples in (100, 317, 4000):
        starts = segments(samples, 100)
        assert starts[-1] == samples - 100 or samples == 100
        assert all(0 < after - before <= 50 for before, after in pairwise(starts))


def faded(rows: list[Any], starts: list[int], frames: int) -> Any:
    """Return rows (segment, value), constant in each segment, cross-faded to (value, frame)."""
    whole, cover = np.zeros((len(rows[0]), frames)), np.zeros(frames)
    for row, start in zip(rows, starts, strict=True):
        for t in range(FRAMES):
            weight = min(t + 1, FRAMES - t)
            cover[start + t] += weight
            whole[:, start + t] += weight * np.array(row)
    return whole / cover


def test_the_gain_of_an_attribute_is_its_share_of_the_power() -> None:
    network = known(spectral(), [[1.0, 0, 0], [0, 1, 0]]).network.double()
    network.place = torch.eye(BANDS, dtype=torch.float64)
    starts, frames = [0, 4096], 32 + FRAMES  # a hop is 128 samples
    phi = [[0.5, 0.2, 0.7], [0.0, 1.0, 0.3]]
    heard = [1.3, 0.4]  # ln(1 + |X|) of the sound, in every band
    levels = torch.tensor(heard, dtype=torch.float64)[:, None, None].expand(2, BANDS, FRAMES)
    pieces = AttributeShares(
        network, torch.tensor(phi, dtype=torch.float64), levels, starts, 128, frames,
        ["a", "b", "c"],
    )  # fmt: skip
    assert pieces.names == ("a", "b", "c", "rest")
    found = pieces.mix(torch.eye(4, dtype=torch.float64)).numpy()
    powers, decoded = np.zeros((4, BANDS, frames)), np.zeros((2, BANDS))
    for k, rows in enumerate(ROWS):
        powers[k, rows] = np.expm1(HEIGHTS[k] * faded(phi, [0, 32], frames)[k]) ** 2
        for segment in range(2):
            decoded[segment, rows] += HEIGHTS[k] * phi[segment][k]
    missing = [np.maximum(heard[segment] - decoded[segment], 0) for segment in range(2)]
    powers[3] = np.expm1(faded(missing, [0, 32], frames)) ** 2 + 0.01
    np.testing.assert_allclose(found, powers / powers.sum(axis=0), atol=1e-12)
    assert 0.1 < found[1, 35, 10] < 0.9
    assert found[3, 60].min() > 0.9  # nothing is decoded there


def test_the_sound_is_averaged_to_the_resolution_of_the_decoder() -> None:
    rng = np.random.default_rng(0)
    values, place = rng.random((1, 4, 20)), rng.random((4, 2))
    found = coarse(torch.from_numpy(values), torch.from_numpy(place))[0].numpy()
    for band in range(2):
        weights = place[:, band] / place[:, band].sum()
        row = weights @ values[0]
        wanted = [row[max(0, t - 4) : t + 5].mean() for t in range(20)]
        np.testing.assert_allclose(found[band], wanted, rtol=1e-12)


def explained(monkeypatch: pytest.MonkeyPatch, clip: Audio, weights: Any, **given: Any) -> Any:
    model = spectral()
    found = known(model, weights)
    monkeypatch.setattr("earwitness.methods.flint.FOLDERS.load", lambda _folder: found)
    made: Explanation = explain(model, clip, "flint", interpreter="x", trust="none", **given)
    wave = torch.from_numpy(clip.samples)
    with model.undisturbed():
        phi, _, _ = attributes_of(found, model, wave)
    return made, phi.double().numpy()


def test_relevance_is_the_share_of_the_logit(white: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [[1.0, -0.5, 9.0], [-1.0, 2.0, 0.0]]
    for target, versus in ((0, None), (1, None), (1, 0)):
        made, phi = explained(monkeypatch, white, weights, target=target, versus=versus)
        assert len(phi) == len(segments(24000, SAMPLES)) == 5
        np.testing.assert_allclose(phi[:, 1], 1.0)
        row = np.array(weights[target])
        if versus is not None:
            row = row - np.array(weights[versus])
        shares = phi.mean(axis=0) * row
        wanted = shares / max(shares)
        relevance = [piece.weight for piece in made.pieces]
        np.testing.assert_allclose(relevance, [*wanted, 0.0], rtol=1e-4, atol=1e-6)
        details = made.attribution.details
        np.testing.assert_allclose(details["interpreter_score"], shares.sum(), rtol=1e-4)
        assert details["kept"] == [int(np.argmax(shares))]


def test_the_map_is_the_gain_of_the_kept_attributes(
    white: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, phi = explained(monkeypatch, white, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], target=0)
    frames = TOY_PLANE.frames(24000)
    assert phi.shape == (5, 3)
    mels = hz_to_mel(TOY_PLANE.freqs()) / float(hz_to_mel(torch.tensor(RATE / 2))) * BANDS
    rows = ((mels > 31) & (mels < 39)).numpy()  # inside the second pattern, outside of the first
    power = np.expm1(3.0) ** 2
    assert made.mask.gains[rows].max() <= power / (power + 0.01) + 5e-4  # half precision
    assert made.mask.gains[rows].min() > 0.5
    assert made.mask.gains.shape == (TOY_PLANE.bins, frames)
    np.testing.assert_allclose(made.mask.gains[(mels < 19).numpy()], 0.0, atol=1e-6)
    total = made.evidence.samples + made.remainder.samples
    np.testing.assert_allclose(total, made.input.samples, atol=1e-6)
    kept, _ = explained(monkeypatch, white, [[0.0, 1.0, 0.0], [1.0, 0, 0]], target=0, top=1)
    np.testing.assert_array_equal(kept.mask.gains, made.mask.gains)


def test_a_network_that_disagrees_says_so(white: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = explained(monkeypatch, white, [[0.0, -1.0, 0.0], [0.0, -1.0, 0.0]])
    assert f"no component speaks for {made.target.label}, so nothing is kept" in made.notes
    assert made.mask.gains.max() == 0.0
    rows = [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    rows[made.target.index] = [0.0, 0.5, 0.0]
    made, _ = explained(monkeypatch, white, rows)
    assert any("does not agree with the model" in note for note in made.notes)


def test_centred_weights_give_the_same_softmax_and_parts_that_cancel() -> None:
    network = known(spectral(), [[1.0, -0.5, 9.0], [-1.0, 2.0, 0.0]]).network
    phi = torch.rand(4, 3)
    before = network.theta(phi).softmax(dim=1)
    network.centre()
    torch.testing.assert_close(network.theta(phi).softmax(dim=1), before)
    total = network.shares(phi, 0) + network.shares(phi, 1)
    torch.testing.assert_close(total, torch.zeros(4, 3), atol=1e-6, rtol=0)
