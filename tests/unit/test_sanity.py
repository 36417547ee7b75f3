"""Repeating explanations under changed conditions: random weights, seeds, noise, encoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from earwitness.benchmark.sanity.disturbed import encoded_copy, noisy_copies, repeated_maps
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.evaluation.cases import measure
from earwitness.evaluation.scrambling import find_blocks, scrambled, scrambled_maps
from earwitness.methods.registry import METHODS
from earwitness.metrics.localisation import si_sdr
from earwitness.models.fingerprint import fingerprint, held_fingerprint
from earwitness.models.model import Model
from earwitness.models.prepare import prepared
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.probe import Probe
from earwitness.signals import scene
from tests.toys import RATE, spectral


class Deep(nn.Module):
    """Registered in another order than it is passed through; shares nothing with its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.late = nn.Conv1d(6, 4, 9, stride=4)
        self.early = nn.Conv1d(1, 6, 15, stride=8)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for tensor in (*self.parameters(), self.norm.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            self.norm.running_var.copy_(torch.rand(4, generator=generator) + 0.5)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.early(waves[:, None]))
        return self.head(torch.relu(self.norm(self.late(maps))).mean(dim=2))


def deep() -> tuple[Model, torch.Tensor]:
    wave = 0.3 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    return wrap(Deep(), sample_rate=RATE), wave


def state(model: Model) -> dict[str, torch.Tensor]:
    assert model.module is not None
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def changed(model: Model, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in state(model).items() if not torch.equal(value, before[name])}


def test_blocks_go_from_the_logits_down() -> None:
    assert find_blocks(*deep()) == [("head",), ("late", "norm"), ("early",)]
    model, wave = deep()
    assert model.module is not None
    model.module.train()
    find_blocks(model, wave)
    assert model.module.training
    assert not any(module._forward_pre_hooks for module in model.module.modules())


def test_weights_that_are_read_and_not_called_have_a_block() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Parameter(torch.arange(8.0))
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 2)

        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            steps = waves[:, :80].unflatten(1, (10, 8)) + self.place
            return self.head(self.attention(steps, steps, steps)[0].mean(dim=1))

    model = wrap(Attends(), sample_rate=RATE)
    wanted = [("head",), ("attention", "attention.out_proj"), ("",)]
    assert find_blocks(model, torch.zeros(8000)) == wanted


def test_a_scrambled_model_keeps_its_name_and_has_no_faster_copy() -> None:
    model, _ = deep()
    name = fingerprint(model)
    assert prepared(model) is not None
    with scrambled(model, [("head",)], seed=1):
        assert fingerprint(model) == name
        assert prepared(model) is None
    assert model.optimise is True
    assert fingerprint(model) == name


def test_a_fingerprint_is_held_to_the_end_of_the_outermost_hold() -> None:
    model, _ = deep()
    assert model.module is not None
    name = fingerprint(model)
    with held_fingerprint(model):
        with held_fingerprint(model), torch.no_grad():
            model.module.get_parameter("head.weight").add_(1)
        assert fingerprint(model) == name
    assert fingerprint(model) != name


def test_scrambling_reaches_weights_and_statistics_and_nothing_else() -> None:
    model, _ = deep()
    before = state(model)
    with scrambled(model, [("late", "norm")], seed=1):
        names = changed(model, before)
        assert names == {
            *("late.weight", "late.bias", "norm.weight", "norm.bias"),
            *("norm.running_mean", "norm.running_var"),
        }
        for name in names:  # the same numbers in another order
            torch.testing.assert_close(
                state(model)[name].flatten().sort().values, before[name].flatten().sort().values
            )
        first = state(model)
    assert not changed(model, before)
    with scrambled(model, [("late", "norm")], seed=2):
        assert changed(model, first) == names


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_the_model_is_as_before_also_after_an_error(
    order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, wave = deep()
    before = state(model)
    chance = torch.get_rng_state()
    target = make_target(model, torch.tensor([0.0, 1.0, 0.0]))
    scrambled_maps(model, wave, target, {"input-x-gradient": {}}, order=order)
    assert not changed(model, before)
    torch.testing.assert_close(torch.get_rng_state(), chance, rtol=0, atol=0)
    with pytest.raises(ZeroDivisionError), scrambled(model, [("head",), ("early",)], seed=0):
        1 / 0  # noqa: B018
    assert not changed(model, before)


def test_orders_scramble_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    model, wave = deep()
    before = state(model)
    seen: list[set[str]] = []
    asked = Probe.__init__

    def note(self: Probe, *args: Any, **kwargs: Any) -> None:
        seen.append({name.split(".")[0] for name in changed(model, before)})
        asked(self, *args, **kwargs)

    monkeypatch.setattr(Probe, "__init__", note)
    target = make_target(model, torch.tensor([0.0, 1.0, 0.0]))
    monkeypatch.setattr("earwitness.evaluation.scrambling._BESIDE", "saliency")
    scrambled_maps(model, wave, target, {"saliency": {}}, order="cascading")
    below = {"late", "norm"}
    assert seen == [set(), {"head"}, {"head", *below}, {"head", *below, "early"}]
    seen.clear()
    scrambled_maps(model, wave, target, {"saliency": {}}, order="independent")
    assert seen == [set(), {"head"}, below, {"early"}]
    with pytest.raises(ParameterError, match="cascading or independent, got 'both'"):
        scrambled_maps(model, wave, target, {}, order="both")  # type: ignore[arg-type]


def test_grad_cam_is_always_beside() -> None:
    model = load_model("esc10")
    made = scene(model.rate)
    wave = torch.from_numpy(made.mixture.samples)
    with model.undisturbed(), torch.no_grad():
        target = make_target(model, model(wave[None])[0], "rain")
    blocks, maps = scrambled_maps(model, wave, target, {"energy": {}}, seed=1)
    assert set(maps) == {"energy", "gradcam"}
    assert blocks[0] == "head"
    # the first layer scales by one number, which cannot be permuted
    assert len(blocks) == len(maps["gradcam"]["random_maps"]) == 9
    ours = measure(maps["energy"])
    beside = measure(maps["gradcam"])
    assert set(ours) == {"sanity-ssim", "sanity-spearman"}
    # a control that never looks at the model fails, whatever happens to the weights
    np.testing.assert_allclose(ours["sanity-ssim"], 1.0, atol=1e-9)
    np.testing.assert_allclose(ours["sanity-spearman"], 1.0, atol=1e-9)
    # Grad-CAM changes from the logits on
    assert beside["sanity-spearman"].max() < 0.9
    assert beside["sanity-ssim"].max() < 0.9


def test_a_black_box_has_no_weights() -> None:
    model = wrap(lambda waves: np.stack([waves.mean(1), waves.std(1)], 1), sample_rate=RATE)
    with pytest.raises(NotApplicableError, match="black box"):
        find_blocks(model, torch.zeros(8000))
    plain = wrap(nn.Flatten(), sample_rate=RATE)
    with pytest.raises(NotApplicableError, match="no weights"):
        find_blocks(plain, torch.zeros(800))


def test_noise_has_the_level_that_was_asked_for() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    copies = noisy_copies(tone, 3, seed=5, decibels=-30)
    power = ((copies - tone) ** 2).mean(axis=1) / (tone**2).mean()
    np.testing.assert_allclose(10 * np.log10(power), -30, atol=0.2)
    np.testing.assert_array_equal(copies, noisy_copies(tone, 3, seed=5, decibels=-30))
    assert np.abs(copies[0] - copies[1]).max() > 0
    assert np.abs(copies - noisy_copies(tone, 3, seed=6, decibels=-30)).max() > 0


@pytest.mark.parametrize("rate", [8000, 12345, 16000, 96000])
@pytest.mark.parametrize("peak", [1e-3, 0.9, 3.0])
def test_encoding_keeps_place_and_level(rate: int, peak: float) -> None:
    time = np.arange(rate + 123) / rate
    wave = np.sin(2 * np.pi * 440 * time) * np.exp(-3 * time)
    wave = (peak * wave).astype(np.float32)
    again = encoded_copy(wave, rate)
    assert again.shape == wave.shape
    assert 15 < si_sdr(again[None], wave)[0] < 100  # lossy, and not shifted by a sample
    np.testing.assert_allclose((again**2).mean(), (wave**2).mean(), rtol=0.05)


def test_rates_that_cannot_be_encoded_are_named() -> None:
    for rate in (4000, 300000):
        with pytest.raises(NotApplicableError, match=f"{rate} Hz.*8 to 96 kHz"):
            encoded_copy(np.zeros(3000, np.float32), rate)


def maps_of(method: str) -> Iterator[dict[str, np.ndarray]]:
    model = spectral()
    wave = 0.1 * np.random.default_rng(7).standard_normal(24000).astype(np.float32)
    target = make_target(model, torch.tensor([1.0, 0.0]))

    def explained(sound: np.ndarray, seed: int) -> np.ndarray:
        probe = Probe(model, torch.from_numpy(sound), target, seed=seed)
        options = {"samples": 200, "tolerance": 0.0} if method == "lime" else {}
        return METHODS.get(method).function(probe, **options).values.numpy()

    yield {"map": explained(wave, 0), **repeated_maps(explained, wave, RATE, seed=0, copies=2)}


def test_what_changes_with_the_seed_is_told_from_what_does_not() -> None:
    (steady,), (loose,), (rough,) = (
        list(maps_of(name)) for name in ("input-x-gradient", "lime", "random")
    )
    assert {name: len(maps) for name, maps in steady.items() if name != "map"} == {
        "seed_maps": 2,
        "noise_maps": 2,
        "encoded_maps": 1,
    }
    first, second, third = (
        measure(case)["stability-seed"].mean() for case in (steady, loose, rough)
    )
    np.testing.assert_allclose(first, 1.0, atol=1e-12)
    assert first > second > third
    assert abs(third) < 0.3
    # a control that knows neither sound nor model is stable to both
    np.testing.assert_allclose(measure(rough)["stability-noise"], 1.0, atol=1e-12)
