"""PIQ against slow copies of its equations, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from earwitness.decoders.piq import PiqNetwork, Quantiser, distances, gains_of, straight_through
from earwitness.decoders.trained import Learned
from earwitness.layers.finding import HiddenLayer, find_layers
from earwitness.models.fingerprint import identity
from earwitness.models.wrapping import wrap
from earwitness.train.interpreters.piq import (
    PiqWeights,
    decided,
    loud_cells,
    mask_miss,
    total_loss,
)
from tests.reference.test_l2i import scattered, slow_norm, states
from tests.toys import RATE, TOY_PLANE, Magnitude, RegionNet, spectral

LAYER = HiddenLayer("deep", 3, 2, 6, (500.0, 1000.0, 3000.0))
TOKENS = HiddenLayer("tokens", 1, None, 5, ())


def test_vectors_become_the_nearest_codes_of_their_class() -> None:
    torch.manual_seed(0)
    quantiser = Quantiser(3, 4, 2).double()
    vectors = 2 * torch.randn(2, 2, 3, 5, dtype=torch.float64)
    target = torch.tensor([2, 1])
    codes, index = quantiser(vectors, target)
    book = quantiser.codebook.detach().numpy()
    for clip, output in enumerate(target.tolist()):
        for row in range(3):
            for frame in range(5):
                vector = vectors[clip, :, row, frame].numpy()
                away = [np.sum((code - vector) ** 2) for code in book[output]]
                assert int(index[clip, row, frame]) == int(np.argmin(away))
                np.testing.assert_array_equal(
                    codes[clip, :, row, frame].detach(), book[output][int(np.argmin(away))]
                )


def test_gradients_go_straight_through_and_the_codebook_learns_by_its_own_term() -> None:
    torch.manual_seed(0)
    quantiser = Quantiser(2, 3, 2).double()
    vectors = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    codes, index = quantiser(vectors, torch.tensor([1]))
    weights = torch.rand(1, 2, 2, 2, dtype=torch.float64)
    through = straight_through(vectors, codes)
    torch.testing.assert_close(through, codes)
    both = (vectors, quantiser.codebook)
    own, book = torch.autograd.grad((weights * through).sum(), both, allow_unused=True)
    torch.testing.assert_close(own, weights)
    assert book is None
    first, second = distances(vectors, codes)
    wanted = (codes - vectors).detach().square().mean()
    torch.testing.assert_close(first, wanted[None])
    torch.testing.assert_close(second, wanted[None])
    own, book = torch.autograd.grad(first.sum(), both, retain_graph=True, allow_unused=True)
    assert own is None
    slow = torch.zeros(2, 3, 2, dtype=torch.float64)
    for row in range(2):
        for frame in range(2):
            code = int(index[0, row, frame])
            slow[1, code] += 2 / 8 * (codes - vectors).detach()[0, :, row, frame]
    torch.testing.assert_close(book, slow)
    own, book = torch.autograd.grad(second.sum(), both, allow_unused=True)
    torch.testing.assert_close(own, 2 / 8 * (vectors - codes).detach())
    assert book is None


def test_the_loss_by_hand() -> None:
    rng = np.random.default_rng(0)
    values, logits = 3 * rng.random((2, 4, 5)), rng.normal(size=(2, 4, 5))
    loud = loud_cells(torch.from_numpy(values), 0.35).numpy()
    miss = mask_miss(torch.from_numpy(logits), torch.from_numpy(loud)).numpy()
    for clip in range(2):
        wanted = values[clip] > 0.35 * values[clip].max()
        np.testing.assert_array_equal(loud[clip], wanted)
        gains = 1 / (1 + np.exp(-logits[clip]))
        each = np.where(wanted, -np.log(gains), -np.log(1 - gains))
        np.testing.assert_allclose(miss[clip], each.mean(), rtol=1e-10)
    silence = torch.zeros(1, 4, 5)
    torch.testing.assert_close(loud_cells(silence, 0.35), silence)
    quiet = torch.tensor([[[1.0, 0.4, 0.3]], [[10.0, 4.0, 3.0]]])  # the same at another level
    torch.testing.assert_close(loud_cells(quiet, 0.35), torch.tensor([[[1.0, 1, 0]]] * 2))
    terms = [torch.tensor([one]) for one in (1.0, 10.0, 100.0, 1000.0)]
    found = total_loss(PiqWeights(2.0, 3.0, 4.0, 5.0), *terms)
    torch.testing.assert_close(found, torch.tensor([5432.0]))


def test_one_of_several_decided_labels_is_drawn() -> None:
    tagger = wrap(RegionNet(), sample_rate=RATE, features=Magnitude(), task="multi-label",
                  labels=["high", "low"])  # fmt: skip
    outputs = torch.tensor([[1.0, 3.0], [2.0, -1.0], [-3.0, -2.0]])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([decided(tagger, outputs, generator) for _ in range(400)])
    assert drawn[:, 1].unique().tolist() == [0]  # the only decided one
    assert drawn[:, 2].unique().tolist() == [1]  # none is decided: the most probable
    np.testing.assert_allclose(float(drawn[:, 0].float().mean()), 0.5, atol=0.1)  # 4 sigma
    assert decided(spectral(), outputs, generator).tolist() == [1, 0, 1]


def slow_filter(maps: Any, weight: Any, bias: Any) -> Any:
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    found = np.zeros((len(weight), *maps.shape[1:]))
    for row in range(maps.shape[1]):
        for frame in range(maps.shape[2]):
            cells = padded[:, row : row + 3, frame : frame + 3]
            found[:, row, frame] = (weight * cells).sum(axis=(1, 2, 3)) + bias
    return found


def test_the_adapter_is_as_described() -> None:
    network = scattered(PiqNetwork([LAYER], TOY_PLANE, 2, codes=3, width=4), 3)
    state = states(network.adapter)
    maps = torch.randn(2, 6, 3, 5)
    with torch.no_grad():
        found = network.vectors(maps, 40).numpy()
    for clip in range(2):
        one = maps[clip].double().numpy()
        level = slow_norm(one / np.sqrt((one**2).mean()), state, "norm")
        level = np.einsum("oc,cft->oft", state["reader.weight"][:, :, 0, 0], level)
        level = level + state["reader.bias"][:, None, None]
        level = level + slow_filter(
            np.maximum(level, 0), state["mixer.weight"], state["mixer.bias"]
        )
        level = np.einsum("oc,cft->oft", state["last.weight"][:, :, 0, 0], np.maximum(level, 0))
        level = level + state["last.bias"][:, None, None]
        level = (level - level.mean()) / np.sqrt(level.var() + 1e-5)
        level = level * state["scale.weight"][:, None, None] + state["scale.bias"][:, None, None]
        np.testing.assert_allclose(found[clip], level, rtol=1e-3, atol=1e-3)


def test_layers_of_many_frames_are_averaged_and_tokens_are_unfolded() -> None:
    network = PiqNetwork([LAYER], TOY_PLANE, 2, codes=3, width=4).eval()
    maps = torch.randn(1, 6, 3, 80)
    with torch.no_grad():
        found = network.vectors(maps, 160)
        wanted = network.vectors(maps.unflatten(3, (40, 2)).mean(dim=4), 160)
    assert found.shape == (1, 4, 3, 40)
    torch.testing.assert_close(found, wanted)
    tokens = PiqNetwork([TOKENS], TOY_PLANE, 2, codes=3, width=4).eval()
    with torch.no_grad():
        vectors = tokens.vectors(torch.randn(2, 5, 1, 7), 60)
        logits = tokens.logits(vectors, 60)
    assert vectors.shape == (2, 4, 16, 7)
    assert logits.shape == (2, TOY_PLANE.bins, 60)


def test_rows_lie_at_the_frequencies_of_the_layer() -> None:
    network = PiqNetwork([LAYER], TOY_PLANE, 2, codes=3, width=4)
    place, freqs = network.place, TOY_PLANE.freqs()
    assert place.shape == (TOY_PLANE.bins, 24)
    torch.testing.assert_close(place.sum(dim=1), torch.ones(TOY_PLANE.bins))
    # rows 3.5, 11.5 and 19.5 of 24 lie at the centres of the layer's three rows
    at = place @ torch.arange(24.0)
    for row, freq in zip((3.5, 11.5, 19.5), LAYER.freqs, strict=True):
        nearest = int((freqs - freq).abs().argmin())
        np.testing.assert_allclose(float(at[nearest]), row, atol=0.25)  # linear in Hz between rows
    step = 8 / 7.5  # rows per mel: from 500 to 1000 Hz it is linear
    low = (freqs > 300) & (freqs < 900)
    wanted = 3.5 + (freqs[low] - 500) * 3 / 200 * step
    torch.testing.assert_close(at[low], wanted, atol=0.02, rtol=0)


def test_windows_of_a_long_sound_cross_fade() -> None:
    model = wrap(RegionNet(stride=3), sample_rate=RATE, labels=["high", "low"],
                 features=Magnitude(), lengths=(0.1, 1.0))  # fmt: skip
    layers = find_layers(model, samples=RATE)[:1]
    torch.manual_seed(0)
    network = PiqNetwork(layers, model.plane, 2, codes=3, width=4).eval()
    found = Learned(network, layers, model.plane, identity(model), model.name, model.labels)
    wave = 0.1 * torch.randn(24000)
    with model.undisturbed(), torch.no_grad():
        magnitude = model.plane.analyse(wave[None]).abs()[0]
        gains, used = gains_of(found, model, magnitude, wave, 1)
        pair = [
            gains_of(found, model, model.plane.analyse(part[None]).abs()[0], part, 1)[0]
            for part in (wave[:16000], wave[8000:])
        ]
    assert gains.shape == magnitude.shape
    assert 1 <= used <= 3
    # beginning and end are those of the windows alone, except for the frames at their edges
    torch.testing.assert_close(gains[:, :40], pair[0][:, :40], atol=0.1, rtol=0)
    torch.testing.assert_close(gains[:, -40:], pair[1][:, -40:], atol=0.1, rtol=0)
