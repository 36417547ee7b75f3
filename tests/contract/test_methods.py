"""What every registered method must do, one test per name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.errors import NotApplicableError, ParameterError
from earwitness.explanation import Explanation
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.options import check
from earwitness.perturbation.pieces.registry import Sizes, read_pieces
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Attribution, Audio
from tests.toys import (
    RATE,
    REGIONS,
    TOY_PLANE,
    Magnitude,
    RegionNet,
    WaveNet,
    curved,
    spectral,
    two_layers,
    two_sounds,
    waveform,
)

# what is trained beforehand, or reads attention or frames, has tests of its own
OWN = [
    one.name
    for one in METHODS.all()
    if one.needs_training or one.needs_attention or one.needs_frames
]
ALL = [method.name for method in METHODS.all() if method.name not in OWN]
REAL = [name for name in ALL if not METHODS.get(name).control]
GRADIENT = [name for name in ALL if METHODS.get(name).needs_gradients]
PIECES = [method.name for method in METHODS.all() if "pieces" in method.declared]
RANDOM = [name for name in ALL if METHODS.get(name).random]
LINEAR = [name for name in REAL if METHODS.get(name).linear]
# settings that are quick, by option: on pieces, and otherwise
QUICK_PIECES: dict[str, Any] = {"samples": 400, "tolerance": 0.0}
QUICK: dict[str, Any] = {"samples": 8, "steps": 30, "rate": 0.3}
# a value of each option that must change the map; on pieces, and otherwise
OTHER_PIECES: dict[str, Any] = {
    "pieces": "hz x time",
    "estimator": "rise",
    "background": "noise-floor",
    "segments": 3,
    "bands": 3,
    "components": 4,
    "stems": "nowhere",
    "samples": 50,
    "tolerance": 0.5,
    "width": 0.05,
    "ridge": 50.0,
}
OTHER: dict[str, Any] = {
    "beta": 1000.0,
    "background": "noise-floor",
    "compact": 0.0,
    "epsilon": 0.5,
    "gamma": 2.0,
    "layer": "first",
    "noise": 0.3,
    "outside": 0.0,
    "rate": 0.2,
    "regions": 1,
    "samples": 3,
    "size": 30.0,
    "smooth": 20.0,
    "smoothness": 1.0,
    "steps": 5,
}
EACH = [(method.name, option) for method in METHODS.all() for option in method.declared]


def quick(method: str) -> dict[str, Any]:
    settings = QUICK_PIECES if method in PIECES else QUICK
    return {name: value for name, value in settings.items() if name in METHODS.get(method).declared}


def other(method: str, name: str) -> Any:
    """Return a valid value of an option that is not its default."""
    if name == "data":
        return two_sounds()
    option = METHODS.get(method).declared[name]
    values = OTHER_PIECES if method in PIECES else OTHER
    if name in values:
        return values[name]
    if option.choices or option.type is bool:
        return next(one for one in option.choices or (True, False) if one != option.default)
    assert option.type is not str, f"which other {name} is there? say so in OTHER"
    return check(option, 3 * option.default or 1)


def unread(method: str) -> list[str]:
    """Return the sizes that mean nothing to the pieces a method has by default."""
    cuts = read_pieces(METHODS.get(method).options["pieces"]) if method in PIECES else []
    sizes = [field.name for field in fields(Sizes)] if cuts else []
    return [name for name in sizes if not any(name in one.reads for one in cuts)]


def enough_pieces(method: str) -> dict[str, Any]:
    """Return options that leave something to chance where there are only pieces in time."""
    return {"segments": 14} if METHODS.get(method).time_only else {}


def run(method: str, model: Any, clip: Audio, **kwargs: Any) -> Explanation:
    return explain(model, clip, method, trust="light", **{**quick(method), **kwargs})


def map_of(method: str, model: Model, clip: Audio, target: int) -> Attribution:
    """Return the map alone, without evidence, controls and sounds."""
    spec, wave = METHODS.get(method), torch.from_numpy(clip.samples)
    with model.undisturbed():
        with torch.no_grad():
            whole = model(wave[None])[0]
        probe = Probe(model, wave, make_target(model, whole, target))
        values = spec.function(probe, **spec.settle(quick(method))).values.numpy()
    return Attribution(values, probe.freqs.numpy(), probe.times.numpy(), {})


@cache
def built(build: Callable[..., Model], **inner: bool) -> Model:
    """Return one model for all methods, so that its layers are placed once."""
    return build(**inner)


def inside(found: Attribution, region: tuple[float, float, float, float]) -> Any:
    """Return the cells of a region, widened by what coarse pieces and windows cannot resolve."""
    start, end, low, high = region
    slack = 0.03
    times = (found.times >= start - slack) & (found.times <= end + slack)
    freqs = (found.freqs >= low - 150) & (found.freqs <= high + 150)
    return freqs[:, None] & times[None, :]


@pytest.mark.parametrize("build", [spectral, waveform])
@pytest.mark.parametrize("inner", [{}, {"swap": True}, {"flip": True}], ids=str)
@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("method", REAL)
def test_peaks_in_the_known_region(
    method: str, target: int, inner: dict[str, bool], build: Any, white: Audio
) -> None:
    found = map_of(method, built(build, **inner), white, target)
    values = np.maximum(found.values, 0)
    region = inside(found, REGIONS[target])
    start, end, low, high = REGIONS[target]
    # pieces are wider than the region, so "at the peak" is the centre of all cells near the top
    rows, columns = np.nonzero(values >= 0.95 * values.max())
    tolerance = 0.13 if method in PIECES else 0.03
    slack = 900.0 if method in PIECES else 150.0
    if METHODS.get(method).time_only:
        region, slack = region.any(axis=0, keepdims=True) & np.ones_like(region), 4000.0
    assert start - tolerance <= found.times[columns].mean() <= end + tolerance
    assert low - slack <= found.freqs[rows].mean() <= high + slack
    # and the map is concentrated there: far more than the share of area that the region has
    share = values[region].sum() / values.sum()
    least = 3 if METHODS.get(method).time_only else 4 if method in PIECES else 8
    assert share > least * region.mean()


@pytest.mark.parametrize("method", ALL)
def test_map_is_finite_and_on_the_plane(method: str, white: Audio) -> None:
    model = spectral()
    found = run(method, model, white)
    assert found.attribution.values.shape == (model.plane.bins, model.plane.frames(24000))
    assert np.isfinite(found.attribution.values).all()
    assert METHODS.get(method).signed or found.attribution.values.min() >= 0


@pytest.mark.parametrize("method", ALL)
def test_same_seed_gives_the_same_map(method: str, white: Audio) -> None:
    first, second = (run(method, spectral(), white, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.attribution.values, second.attribution.values)


@pytest.mark.parametrize("method", RANDOM)
def test_another_seed_gives_another_map(method: str, white: Audio) -> None:
    more = enough_pieces(method)
    model = two_layers() if METHODS.get(method).layerwise else curved()
    first, second = (run(method, model, white, seed=seed, **more) for seed in (3, 4))
    assert np.abs(first.attribution.values - second.attribution.values).max() > 0


@pytest.mark.parametrize("method", REAL)
def test_another_target_gives_another_map(method: str, white: Audio) -> None:
    first, second = (run(method, spectral(), white, target=target) for target in (0, 1))
    largest = np.abs(first.attribution.values).max()
    assert np.abs(first.attribution.values - second.attribution.values).max() > 0.1 * largest


@pytest.mark.parametrize("method", LINEAR)
def test_contrast_is_the_difference_of_targets(method: str, white: Audio) -> None:
    one, two = (run(method, spectral(), white, target=target) for target in (0, 1))
    contrast = run(method, spectral(), white, target=0, versus=1)
    wanted = one.attribution.values - two.attribution.values
    tolerance = 1e-4 * np.abs(wanted).max()  # float32 sums over 10^4 cells
    np.testing.assert_allclose(contrast.attribution.values, wanted, atol=tolerance)


@pytest.mark.parametrize("method", GRADIENT)
@pytest.mark.parametrize("constants", [(7.0, 7.0), (7.0, -40.0)])
def test_a_constant_on_any_output_changes_no_contrast(
    method: str, constants: tuple[float, float], white: Audio
) -> None:
    plain, shifted = spectral(), spectral()
    with torch.no_grad():
        shifted.module.head.bias.add_(torch.tensor(constants))
    first, second = (
        run(method, model, white, target="high", versus="low") for model in (plain, shifted)
    )
    largest = np.abs(first.attribution.values).max()
    np.testing.assert_allclose(
        first.attribution.values, second.attribution.values, atol=1e-5 * largest
    )


@pytest.mark.parametrize("method", REAL)
def test_a_label_of_several_and_a_value_are_explained_as_a_class_is(
    method: str, white: Audio
) -> None:
    # the explained score is the same output in all three, so the map must be too
    if METHODS.get(method).gives_gains or method == "iba":
        pytest.skip("its loss is one of the task's own")
    # silence, as the default differs
    silence = {"background": "silence"} if "background" in METHODS.get(method).declared else {}
    wanted = run(method, built(spectral), white, target=1, **silence).attribution.values
    for facts in ({"task": "multi-label"}, {"output": "scores"}):
        model = wrap(
            RegionNet(), sample_rate=RATE, labels=["high", "low"], features=Magnitude(), **facts
        )
        found = run(method, model, white, target="low", **silence)
        np.testing.assert_allclose(found.attribution.values, wanted, rtol=1e-5, atol=1e-6)
        kind = "value" if "output" in facts else "probability"
        assert found.trust.kind == kind


@pytest.mark.parametrize(("method", "option"), [one for one in EACH if one[0] in ALL])
def test_every_option_changes_the_map(method: str, option: str, white: Audio) -> None:
    if option in unread(method):
        pytest.skip("means nothing to its pieces, and is refused")
    # the score of one small region has no second one
    several = METHODS.get(method).layerwise or option == "regions"
    model = two_layers() if several else curved()
    base = quick(method)
    if option == "tolerance":
        base = {**base, "samples": 1000, **enough_pieces(method)}
    changed = {**base, option: other(method, option)}
    first, second = (explain(model, white, method, target=0, trust="none", **options)
                     for options in (base, changed))  # fmt: skip
    assert np.abs(first.attribution.values - second.attribution.values).max() > 0


@pytest.mark.parametrize("method", PIECES)
def test_options_that_mean_nothing_are_refused(method: str, white: Audio) -> None:
    assert "stems" in unread(method)
    for option in unread(method):
        with pytest.raises(ParameterError, match=f"{option} is not used by pieces .* is for"):
            run(method, spectral(), white, **{option: OTHER_PIECES[option]})


@pytest.mark.parametrize(("method", "option"), EACH)
def test_every_option_is_described_and_has_a_valid_default(method: str, option: str) -> None:
    declared = METHODS.get(method).declared[option]
    assert declared.description.endswith(".")
    assert check(declared, declared.default) == declared.default


@pytest.mark.parametrize(("method", "option"), EACH)
def test_the_range_of_every_option_is_enforced_at_its_ends(method: str, option: str) -> None:
    spec = METHODS.get(method)
    declared = spec.declared[option]
    step = 1 if declared.type is int else 1e-6
    for end, is_open, inwards in [
        (declared.low, declared.low_open, step),
        (declared.high, declared.high_open, -step),
    ]:
        if end is None:
            continue
        inside, outside = (end + inwards, end) if is_open else (end, end - inwards)
        assert check(declared, inside) == inside
        words = re.escape(f"{method}: {option} must be {declared.range}, got {outside!r}")
        with pytest.raises(ParameterError, match=f"^{words}$"):
            spec.settle({option: outside})
    if declared.choices:
        assert [check(declared, one) for one in declared.choices] == list(declared.choices)
        with pytest.raises(ParameterError, match=f"^{method}: {option} must be one of .*got 'x y'"):
            spec.settle({option: "x y"})
    if declared.type is not str:
        with pytest.raises(ParameterError, match=f"^{method}: {option} must be a number, got 'x'$"):
            spec.settle({option: "x"})


@pytest.mark.parametrize("method", [name for name in ALL if METHODS.get(name).complete])
@pytest.mark.parametrize("build", [spectral, waveform])
def test_complete_methods_are_complete(method: str, build: Any, white: Audio) -> None:
    found = explain(build(), white, method, target=0)
    details = found.attribution.details
    total = float(found.attribution.values.astype(np.float64).sum())
    assert abs(details["completeness_gap"]) < 0.01 * abs(details["score_change"])
    np.testing.assert_allclose(
        total - details["score_change"], details["completeness_gap"], atol=1e-6
    )


@pytest.mark.parametrize("method", GRADIENT)
def test_black_boxes_are_refused_where_gradients_are_needed(method: str, white: Audio) -> None:
    model = wrap(lambda waves: np.stack([waves.mean(1), waves.std(1)], 1), sample_rate=RATE)
    with pytest.raises(NotApplicableError, match="black box"):
        explain(model, white, method)


@pytest.mark.parametrize("method", [name for name in ALL if name not in GRADIENT])
def test_black_boxes_are_explained_otherwise(method: str, white: Audio) -> None:
    module = WaveNet()

    def ask(waves: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            return module(torch.from_numpy(waves)).numpy()

    box = wrap(ask, sample_rate=RATE, labels=["high", "low"], plane=TOY_PLANE)
    found = run(method, box, white, target=0)
    wanted = run(method, built(waveform), white, target=0)
    np.testing.assert_allclose(
        found.attribution.values, wanted.attribution.values, rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("fails", [None, ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left_behind(
    method: str, fails: type[BaseException] | None, white: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = waveform()
    module = model.module
    module.train()
    module.net.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [one.training for one in module.modules()]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    if fails:

        def stop(*_: object) -> None:
            raise fails

        monkeypatch.setattr(Probe, "_counted", stop)
        if not METHODS.get(method).control:
            with pytest.raises(fails):
                run(method, model, white)
    else:
        run(method, model, white)
    torch.testing.assert_close(torch.get_rng_state(), torch_state, rtol=0, atol=0)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002
    assert [one.training for one in module.modules()] == modes
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not any(
        one._forward_hooks or one._forward_pre_hooks or one._backward_hooks
        for one in module.modules()
    )
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("method", REAL)
@pytest.mark.parametrize("samples", [801, 4000, 30011])
def test_any_length(method: str, samples: int) -> None:
    wave = 0.1 * np.random.default_rng(0).standard_normal(samples)
    # a method on a layer needs one that is active for any sound
    model = two_layers() if "layer" in METHODS.get(method).declared else waveform()
    found = run(method, model, Audio(wave.astype(np.float32), RATE, "noise"))
    assert len(found.evidence.samples) == samples
    total = found.evidence.samples.astype(np.float64) + found.remainder.samples
    error = np.sum((total - found.input.samples) ** 2) / np.sum(found.input.samples**2.0)
    assert error < 1e-10  # 100 dB


@pytest.mark.parametrize("method", REAL)
def test_silence_is_explained_without_nonsense(method: str) -> None:
    found = run(method, spectral(), Audio(np.zeros(16000, np.float32), RATE, "silence"))
    assert np.isfinite(found.attribution.values).all()
    assert any("silence" in note for note in found.notes)


def test_known_region_is_far_from_square() -> None:
    assert TOY_PLANE.bins * 1.4 < TOY_PLANE.frames(24000)
