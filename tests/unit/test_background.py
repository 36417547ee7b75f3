"""One background for every method that removes something, and baselines that lead somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.audio import write_audio
from earwitness.errors import ModelError, NotApplicableError, UnknownNameError
from earwitness.methods.registry import METHODS
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.perturbation.background.registry import background_of
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.toys import RATE, TOY_PLANE, additive, spectral, waveform

CLIP = Audio((0.1 * np.random.default_rng(0).standard_normal(6000)).astype(np.float32), RATE)
SHAPE = (TOY_PLANE.bins, TOY_PLANE.frames(6000))
ON_PIECES = [one.name for one in METHODS.all() if "pieces" in one.declared]
INTEGRATED = ["integrated-gradients", "gradient-shap", "deep-shap"]
QUICK: dict[str, Any] = {"samples": 16, "steps": 12}


def quick(method: str) -> dict[str, Any]:
    return {name: QUICK[name] for name in QUICK if name in METHODS.get(method).declared}


def test_every_method_that_removes_something_has_the_option() -> None:
    found = {one.name for one in METHODS.all() if "background" in one.declared}
    assert found == {*ON_PIECES, *INTEGRATED, "optimised-mask", "region-search"}
    assert {METHODS.get(name).options["background"] for name in found} == {"auto"}


@pytest.mark.parametrize("method", ["lime", "occlusion", *INTEGRATED, "optimised-mask"])
def test_the_background_used_is_stated_and_follows_the_task(method: str) -> None:
    weights = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    value = explain(additive(weights), CLIP, method, trust="none", **quick(method))
    classes = explain(spectral(), CLIP, method, target=0, trust="none", **quick(method))
    for one, wanted in ((value, "mean"), (classes, "silence")):
        assert (one.options["background"], one.attribution.details["background"]) == (wanted,) * 2
    assert "background: mean, the default for a regression" in value.notes
    assert not any("background" in note for note in classes.notes)
    written = explain(
        additive(weights), CLIP, method, trust="none", background="silence", **quick(method)
    )
    assert written.options["background"] == "silence"
    assert not any("background" in note for note in written.notes)
    again = explain(
        additive(weights), CLIP, method, trust="none", background="mean", **quick(method)
    )
    np.testing.assert_array_equal(value.attribution.values, again.attribution.values)


@pytest.mark.parametrize("method", ["integrated-gradients", "deep-shap"])
def test_the_map_of_a_linear_score_is_the_weight_times_the_change_from_the_background(
    method: str,
) -> None:
    # score = sum w |X|: from the mean over time, a cell gives w (|X| - mean |X|)
    weights = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
    silent = {} if method == "integrated-gradients" else {"noise": 0.0}
    found = explain(additive(weights), CLIP, method, trust="none", **silent)
    level = found.magnitude
    wanted = weights.numpy() * (level - level.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(found.attribution.values, wanted, atol=1e-4 * wanted.max())
    two = explain(
        additive(weights), CLIP, method, trust="none", background="silence, mean", **silent,
        **({"samples": 2} if silent else {}),
    )  # fmt: skip
    half = weights.numpy() * (level - level.mean(axis=1, keepdims=True) / 2)
    np.testing.assert_allclose(two.attribution.values, half, atol=1e-4 * half.max())


def test_a_sound_file_is_the_baseline_of_integrated_gradients(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    bed = (0.05 * rng.standard_normal(6000)).astype(np.float32)
    write_audio(tmp_path / "bed.wav", Audio(bed, RATE))
    model = waveform()
    found = explain(
        model, CLIP, trust="none", target=1, background=str(tmp_path / "bed.wav"), steps=128
    )
    with torch.no_grad():
        full, floor = model(torch.from_numpy(np.stack([CLIP.samples, bed])))[:, 1].tolist()
    # 128 points of a score with kinks (magnitudes) are good to 2 %
    total = float(found.attribution.values.sum(dtype=np.float64))
    np.testing.assert_allclose(total, full - floor, rtol=0.02)
    np.testing.assert_allclose(found.attribution.details["score_change"], full - floor, rtol=1e-4)
    np.testing.assert_allclose(
        found.evidence.samples + found.remainder.samples, CLIP.samples, atol=1e-6
    )


@pytest.mark.parametrize("method", [*INTEGRATED, "optimised-mask"])
def test_an_unknown_background_is_refused_in_one_line(method: str) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'silence'.*path of a sound file"):
        explain(spectral(), CLIP, method, background="silense")


def test_the_background_of_a_probe() -> None:
    model, wave = spectral(), torch.from_numpy(CLIP.samples)
    probe = Probe(model, wave, make_target(model, torch.zeros(2), 0))
    assert background_of(probe) is background_of(probe, "silence") is None
    value = additive(torch.ones(SHAPE))
    other = Probe(value, wave, make_target(value, torch.zeros(1), 0))
    found = background_of(other)
    assert isinstance(found, Tensor)
    wanted = other.magnitude.mean(dim=1, keepdim=True).expand(SHAPE)
    torch.testing.assert_close(found.abs(), wanted, rtol=1e-5, atol=1e-9)


# models that do not depend on level -------------------------------------------------------------


class Level(nn.Module):
    """A small network on a log spectrogram, behind a normalisation of level."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.filters, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for one in self.parameters():
                one.copy_(torch.randn(one.shape, generator=generator) / 3)

    def forward(self, waves: Tensor) -> Tensor:
        if self.kind == "rms":
            waves = waves / (waves.square().mean(-1, keepdim=True).sqrt() + 1e-8)
        elif self.kind == "no constant":
            waves = waves / waves.square().mean(-1, keepdim=True).sqrt()
        elif self.kind == "peak":
            waves = waves / waves.abs().amax(-1, keepdim=True).clamp(min=1e-9)
        elif self.kind == "frames":  # CREPE
            frames = waves.unfold(-1, 500, 500)
            frames = frames - frames.mean(-1, keepdim=True)
            waves = (frames / frames.std(-1, keepdim=True).clamp(min=1e-10)).flatten(1)
        bands = TOY_PLANE.analyse(waves).abs()
        if self.kind == "pcen":  # Wang et al. 2017, eq. 1, with a gain exponent of 1
            smooth = bands.mean(-1, keepdim=True)
            features = (bands / (1e-9 + smooth) + 2).sqrt() - 2**0.5
        elif self.kind == "mean of logs":
            logs = (bands + 1e-10).log()
            features = logs - logs.mean((1, 2), keepdim=True)
        else:
            features = (bands + 1e-2).log()
        return self.head(self.filters(features[:, None]).relu().mean((2, 3)))


def levelled(kind: str) -> Any:
    return wrap(Level(kind), sample_rate=RATE, labels=["a", "b"])


KINDS = ["rms", "peak", "frames", "pcen", "mean of logs"]


@pytest.mark.parametrize("kind", [*KINDS, "no constant"])
@pytest.mark.parametrize("method", INTEGRATED)
def test_models_without_a_level_are_integrated_from_another_background(
    method: str, kind: str
) -> None:
    model = levelled(kind)
    found = explain(model, CLIP, method, target=0, trust="none")
    details = found.attribution.details
    assert (found.options["background"], details["instead_of"]) == ("mean", "silence")
    reason = "cannot be evaluated" if kind == "no constant" else "hardly depends on level"
    (note,) = (note for note in found.notes if "mean instead of silence" in note)
    assert reason in note
    # from silence the sum missed the whole change
    share = details.get("completeness_share")
    if share is None:
        share = abs(details["expected_gap"] / details["score_change"])
    assert share < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_silence_that_was_named_is_kept_and_its_path_called_useless(kind: str) -> None:
    found = explain(levelled(kind), CLIP, target=0, trust="none", background="silence")
    assert found.options["background"] == "silence"
    assert "instead_of" not in found.attribution.details
    notes = " ".join(found.notes)
    assert "within the first 0.1 % of the path from silence" in notes
    assert "more steps do not help" in notes
    assert "try more steps" not in notes


def test_silence_that_was_named_and_cannot_be_evaluated_is_refused_with_a_way_out() -> None:
    with pytest.raises(ModelError, match="name another background than silence, such as mean"):
        explain(levelled("no constant"), CLIP, target=0, background="silence")


def test_models_with_a_level_keep_silence() -> None:
    found = explain(levelled("none"), CLIP, target=0, trust="none")
    assert found.options["background"] == "silence"
    assert "sudden" not in found.attribution.details
    assert found.attribution.details["completeness_share"] < 0.01


# steps at which something is not finite ---------------------------------------------------------


class Hole(torch.autograd.Function):
    """The identity, with a gradient of NaN at some levels."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        level = values.mean(dim=(1, 2, 3))
        ctx.bad = (level > low) & (level < high)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return gradient.masked_fill(ctx.bad[:, None, None, None], torch.nan), None, None


class Holed(nn.Module):
    """A linear score, undefined where the mean of the input lies between two levels."""

    def __init__(self, weights: Tensor, low: float, high: float, *, outputs: bool) -> None:
        super().__init__()
        self.weights, self.low, self.high, self.outputs = weights, low, high, outputs
        self.inputs = 0

    def forward(self, features: Tensor) -> Tensor:
        self.inputs += len(features)
        values = features if self.outputs else Hole.apply(features, self.low, self.high)
        score = (self.weights * values[:, 0]).sum(dim=(1, 2))
        level = features.mean(dim=(1, 2, 3))
        if self.outputs:
            score = score.masked_fill((level > self.low) & (level < self.high), torch.nan)
        return score[:, None]


class Front(nn.Module):
    """The toy plane's magnitude."""

    plane = TOY_PLANE

    def forward(self, magnitude: Tensor) -> Tensor:
        return magnitude.unsqueeze(1)


def holed(low: float, high: float, *, outputs: bool) -> Any:
    """Return a model that is undefined between two levels, relative to that of the clip."""
    weights = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2))
    level = float(TOY_PLANE.analyse(torch.from_numpy(CLIP.samples)[None]).abs().mean())
    module = Holed(weights, low * level, high * level, outputs=outputs)
    model = wrap(module, sample_rate=RATE, labels=["sum"], features=Front(), output="scores")
    return model, weights


@pytest.mark.parametrize("outputs", [False, True], ids=["gradient", "output"])
@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-shap"])
def test_a_step_that_is_not_finite_is_named_and_left_out(method: str, outputs: bool) -> None:
    model, weights = holed(0.70, 0.71, outputs=outputs)
    some: dict[str, Any] = {"steps": 200} if method == "integrated-gradients" else {"samples": 100}
    found = explain(model, CLIP, method, trust="none", background="silence", **some)
    skipped = found.attribution.details["skipped"]
    count = len(skipped)
    assert 1 <= count <= 3
    (note,) = (note for note in found.notes if "left out" in note)
    assert f"steps: {skipped[0] + 1}" in note
    # the gradient of a linear score is the same at every step, so nothing is missing
    wanted = weights.numpy() * found.magnitude
    spread = 1e-4 if method == "integrated-gradients" else 0.05  # a baseline of noise, 1 %
    np.testing.assert_allclose(found.attribution.values, wanted, atol=spread * wanted.max())


@pytest.mark.parametrize("method", [*INTEGRATED, "smoothgrad"])
def test_a_path_that_is_not_finite_is_left_at_once(method: str) -> None:
    model, _ = holed(1e-9, 1e9, outputs=False)
    options: dict[str, Any] = {"samples": 500}
    if method != "smoothgrad":
        options |= {"background": "silence"}
    if method == "integrated-gradients":
        options = {"steps": 500, "background": "silence"}
    with pytest.raises(NotApplicableError, match="infinite or undefined gradients"):
        explain(model, CLIP, method, trust="none", **options)
    assert model.module.inputs < 100
