"""Long sounds of which few windows decide: these are explained, in their place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import earwitness
from earwitness.audio import write_audio
from earwitness.errors import ParameterError
from earwitness.explanation import Explanation
from earwitness.masks.measure import measure_mask
from earwitness.models.calling.windowed import pooled, reading
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.plane.stft import Plane
from earwitness.subject import open_subject
from earwitness.types import Audio
from tests.command import run

RATE = 8000
PLANE = Plane(RATE, 256, 64)
WINDOW = 1.0  # s
LOUD, QUIET = (7.30, 7.40), (2.60, 2.70)  # s, tones at 2 kHz


class Band(nn.Module):
    """Energy at 2 kHz, and all of the energy."""

    def forward(self, maps: Tensor) -> Tensor:
        power = maps[:, 0].square()
        return torch.stack([power[:, 60:69].sum((1, 2)), power.sum((1, 2))], dim=1)


class Waves(nn.Module):
    """The same on waves."""

    def forward(self, waves: Tensor) -> Tensor:
        power = PLANE.analyse(waves).abs().square()
        return torch.stack([power[:, 60:69].sum((1, 2)), power.sum((1, 2))], dim=1)


class Magnitude(nn.Module):
    """The front end of ``Band``."""

    plane = PLANE

    def forward(self, magnitude: Tensor) -> Tensor:
        return magnitude.unsqueeze(1)


def spectral(**facts: Any) -> Model:
    return wrap(
        Band(), sample_rate=RATE, features=Magnitude(), labels=["tone", "all"], output="scores",
        task="regression", lengths=(None, WINDOW), **facts,
    )  # fmt: skip


def waveform(**facts: Any) -> Model:
    return wrap(
        Waves(), sample_rate=RATE, labels=["tone", "all"], output="scores", task="regression",
        lengths=(None, WINDOW), plane=PLANE, **facts,
    )  # fmt: skip


@pytest.fixture
def long() -> Audio:
    """Ten seconds of noise with two tones of a tenth of a second, one louder."""
    time = np.arange(10 * RATE) / RATE
    samples = 1e-3 * np.random.default_rng(0).standard_normal(len(time))
    for (start, end), level in ((LOUD, 0.5), (QUIET, 0.2)):
        inside = (time >= start) & (time < end)
        samples[inside] += level * np.sin(2 * np.pi * 2000 * time[inside])
    return Audio(samples.astype(np.float32), RATE, "long")


def inside(found: Explanation, span: tuple[float, float]) -> Any:
    times = found.attribution.times
    return (times > span[0] - 0.03) & (times < span[1] + 0.03)


@pytest.mark.parametrize("make", [spectral, waveform])
def test_the_deciding_window_is_explained_in_its_place(make: Any, long: Audio) -> None:
    found = earwitness.explain(make(), long, pool="max", target="tone")
    assert found.attribution.values.shape == found.mask.gains.shape == found.magnitude.shape
    kept = found.mask.gains > 0
    assert kept.any()
    assert not kept[:, ~inside(found, LOUD)].any()
    freqs = found.attribution.freqs[kept.any(axis=1)]
    assert 1800 < freqs.min() <= 2000 <= freqs.max() < 2200
    np.testing.assert_array_equal(found.input.samples, long.samples)
    total = found.evidence.samples + found.remainder.samples
    np.testing.assert_allclose(total, long.samples, atol=1e-7)
    (start, end) = found.attribution.details["windows"][0]
    assert start <= LOUD[0] < LOUD[1] <= end
    assert f"{start:.2f}-{end:.2f} s" in found.notes[0]
    assert not any("overlapping windows" in one for one in found.notes)


@pytest.mark.parametrize("make", [spectral, waveform])
def test_evidence_is_the_gains_on_the_whole_sound(make: Any, long: Audio) -> None:
    found = earwitness.explain(make(), long, pool="topk", target="tone")
    spectrum = PLANE.analyse(torch.from_numpy(long.samples)[None])
    gains = torch.from_numpy(found.mask.gains)
    wanted = PLANE.synthesise(gains * spectrum, len(long.samples))[0].numpy()
    np.testing.assert_allclose(found.evidence.samples, wanted, atol=1e-6)
    np.testing.assert_allclose(found.magnitude, spectrum[0].abs().numpy(), atol=1e-7)
    again = measure_mask(found.mask.gains, found.magnitude, found.mask.rule)
    np.testing.assert_allclose(
        [found.mask.area, found.mask.energy], [again.area, again.energy], rtol=1e-5
    )


@pytest.mark.parametrize("pool", ["max", "topk"])
@pytest.mark.parametrize("make", [spectral, waveform])
def test_the_score_is_the_pooled_output(make: Any, pool: Any, long: Audio) -> None:
    """Of a regression, whose output does not depend on the others."""
    model = make(pool=pool)
    found = earwitness.explain(model, long, target="tone", curve=True)
    assert found.trust is not None
    each = model.each_window(torch.from_numpy(long.samples)[None])[:, 0, 0]
    largest = each.sort(descending=True).values[: {"max": 1, "topk": 3}[pool]]
    np.testing.assert_allclose(found.trust.input, float(largest.mean()), rtol=1e-5)
    assert found.course is not None
    np.testing.assert_allclose(found.course.values, each.numpy(), rtol=1e-4)
    # removing the tones removes the score
    assert found.trust.outcome.remainder.audio < 0.3 * found.trust.input
    assert found.trust.outcome.evidence.audio > 0.6 * found.trust.input
    # sizes are shares of the whole sound
    for name in ("random", "energy"):
        np.testing.assert_allclose(found.trust.controls[name].area, found.mask.area, rtol=1e-5)
    assert found.curve is not None
    at_80 = found.curve.area[found.curve.keep.index(80)]
    np.testing.assert_allclose(at_80, found.mask.area, rtol=1e-5)
    assert found.trust.effective_area is not None
    assert found.trust.effective_area < WINDOW * 3 / long.seconds


def test_a_contrast_is_pooled_for_both_outputs(long: Audio) -> None:
    samples = long.samples.copy()
    samples[1000:1400] += 0.9 * np.sin(np.arange(400))  # most energy, and no tone
    model = spectral(pool="max")
    found = earwitness.explain(model, (samples, RATE), target="all", versus="tone")
    each = model.each_window(torch.from_numpy(samples)[None])[:, 0]
    assert found.trust is not None
    wanted = float(each[:, 1].max() - each[:, 0].max())
    np.testing.assert_allclose(found.trust.input, wanted, rtol=1e-5)
    assert len(found.attribution.details["windows"]) == 2


def test_the_map_is_that_of_the_window_alone(long: Audio) -> None:
    model = spectral()
    found = earwitness.explain(model, long, "input-x-gradient", pool="max", target="tone")
    start, end = found.attribution.details["windows"][0]
    alone = earwitness.explain(
        model, long, "input-x-gradient", target="tone", start=start, end=end
    ).attribution.values
    first = round(start * RATE) // PLANE.hop
    whole = found.attribution.values[:, first : first + alone.shape[1]]
    # the first frames of a sound cut there hold half a window of silence
    np.testing.assert_allclose(whole[:, 3:-4], alone[:, 3:-4], rtol=1e-4, atol=1e-7)
    outside = np.ones(found.attribution.values.shape[1], bool)
    outside[max(first - 2, 0) : first + alone.shape[1] + 4] = False
    assert not found.attribution.values[:, outside].any()


@pytest.mark.parametrize("make", [spectral, waveform])
def test_the_map_is_that_of_the_whole_sound(make: Any, long: Audio) -> None:
    """As if the model read the deciding windows of the whole sound, which is slow."""
    found = earwitness.explain(make(), long, "input-x-gradient", pool="topk", target="tone")
    starts = [round(start * RATE) for start, _ in found.attribution.details["windows"]]
    slow = earwitness.explain(reading(make(), starts), long, "input-x-gradient", target="tone")
    wanted = slow.attribution.values
    np.testing.assert_allclose(
        found.attribution.values, wanted, rtol=1e-4, atol=1e-6 * float(wanted.max())
    )


def test_frames_that_are_not_read_are_not_kept(long: Audio) -> None:
    """By a control that looks at the energy only, of the sound around the window too."""
    found = earwitness.explain(spectral(), long, "energy", pool="max", target="tone")
    ((start, end),) = found.attribution.details["windows"]
    half = PLANE.n_fft / 2 / RATE
    times = found.attribution.times
    read = (times > start - half) & (times < end + half)
    assert (found.attribution.values[:, read] > 0).mean() > 0.99
    assert not found.attribution.values[:, ~read].any()


def test_pieces_are_named_in_seconds_of_the_recording(long: Audio) -> None:
    found = earwitness.explain(
        spectral(), long, "occlusion", pool="max", target="tone", segments=10, bands=4
    )
    strongest = max(found.pieces, key=lambda one: one.weight)
    low, high = map(float, strongest.name.split(" s")[0].split("-"))
    assert low <= LOUD[0] + 0.05 <= high
    assert found.pieces[-1].name == "outside the windows that decided"
    assert found.pieces[-1].weight == 0
    assert found.piece_map is not None
    quiet = found.piece_map[:, inside(found, QUIET)]
    assert (quiet == len(found.pieces) - 1).all()
    loud = found.piece_map[64, inside(found, LOUD)]
    assert found.pieces.index(strongest) in loud
    total = sum(one.samples for one in found.piece_sounds)
    np.testing.assert_allclose(total, long.samples, atol=1e-6)


def test_regions_are_named_in_seconds_of_the_recording(long: Audio) -> None:
    found = earwitness.explain(
        spectral(), long, "region-search", pool="max", target="tone", trust="none", regions=1
    )
    low, high = map(float, found.pieces[0].name.split(" s")[0].split("-"))
    assert LOUD[0] - 0.1 < low < high < LOUD[1] + 0.1


def test_a_mask_that_was_drawn_lies_on_the_whole_sound(long: Audio, tmp_path: Path) -> None:
    bins, frames = PLANE.bins, PLANE.frames(len(long.samples))
    facts = {
        "schema": 1, "kind": "earwitness mask", "rate": RATE, "samples": len(long.samples),
        "n_fft": PLANE.n_fft, "hop": PLANE.hop, "shape": [bins, frames],
        "runs": [0, bins * frames // 2, bins * frames - bins * frames // 2],
    }  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(facts))
    found = earwitness.explain(
        spectral(), long, "energy", pool="max", target="tone", keep=f"file:{tmp_path / 'm.json'}"
    )
    assert "windows" not in found.attribution.details
    assert found.mask.area == pytest.approx(0.5, abs=1e-3)


def test_stems_of_the_whole_sound_are_refused(long: Audio, tmp_path: Path) -> None:
    write_audio(tmp_path / "all.wav", long)
    options: dict[str, Any] = {"pieces": "stems", "stems": str(tmp_path), "samples": 20}
    with pytest.raises(ParameterError, match="only the windows that decide are explained"):
        earwitness.explain(spectral(), long, "pieces", pool="max", **options)
    found = earwitness.explain(spectral(), long, "pieces", pool="mean", **options)
    assert {piece.name for piece in found.pieces} >= {"all"}


def test_a_sound_that_is_compared_is_explained_whole(long: Audio) -> None:
    louder = Audio(2 * long.samples, RATE, "louder")
    model = spectral(pool="max")
    found = earwitness.compare(model, louder, long, steps=8, target="tone").explanation
    assert "windows" not in found.attribution.details
    assert found.attribution.values.any()


def test_a_pooled_copy_is_as_the_model_is_now() -> None:
    model = spectral()
    assert pooled(model, "max").optimise is True
    model.optimise = False
    assert pooled(model, "max").optimise is False
    assert pooled(model, "max").lengths.pool == "max"
    assert model.lengths.pool == "mean"


def test_all_windows_count_where_there_are_no_more_than_decide(long: Audio) -> None:
    short = Audio(long.samples[: 2 * RATE], RATE, "short")  # three windows
    found = earwitness.explain(spectral(), short, "energy", pool="topk")
    assert "windows" not in found.attribution.details
    assert len(spectral().windows(len(short.samples))) == 3


@pytest.mark.parametrize("make", [spectral, waveform])
def test_outputs_of_windows_do_not_depend_on_how_many_are_evaluated_at_once(
    make: Any, long: Audio
) -> None:
    model, wave = make(), torch.from_numpy(long.samples)
    each = model.each_window(wave[None])[:, 0]
    assert len(each) == 19
    starts = model.windows(len(wave))
    if make is waveform:
        alone = torch.stack([model(wave[None, a : a + n])[0] for a, n in starts])
        torch.testing.assert_close(each, alone, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(model(wave[None])[0], each.mean(dim=0), rtol=1e-5, atol=1e-9)
    subject = open_subject(pooled(model, "topk"), long)
    torch.testing.assert_close(
        subject.outputs, pooled(model, "topk")(wave[None])[0], rtol=1e-5, atol=1e-9
    )


def test_outputs_per_frame_are_not_pooled(long: Audio) -> None:
    class Frames(nn.Module):
        def forward(self, waves: Tensor) -> Tensor:
            return waves.unfold(1, 400, 400).square().mean(2)[:, None]

    model = wrap(
        Frames(), sample_rate=RATE, output="scores", task="regression", per_frame=True,
        lengths=(None, WINDOW), labels=["level"],
    )  # fmt: skip
    with pytest.raises(ParameterError, match="for one output per window"):
        earwitness.explain(model, long, pool="max")


def test_the_command_pools(long: Audio, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_audio(tmp_path / "long.wav", long)
    words = ["explain", str(tmp_path / "long.wav"), "--target", "dog", "--method", "energy"]
    words += ["--json", "-o", str(tmp_path / "out"), "--trust", "none"]
    code, out, err = run(capsys, *words, "--pool", "max")
    assert code == 0, err
    said = json.loads(out)
    assert said["notes"][0].startswith("dog is 0.")
    assert len(said["details"]["windows"]) == 1
    facts = json.loads((tmp_path / "out" / "long" / "energy" / "explanation.json").read_text())
    assert facts["provenance"]["pool"] == "max"
    assert "--pool max" in (tmp_path / "out" / "index.html").read_text()
    code, _, err = run(capsys, *words, "--pool", "topk")
    assert code == 2
    assert "pool max, not topk" in err
    back = Explanation.load(tmp_path / "out" / "long" / "energy")
    total = back.evidence.samples + back.remainder.samples
    np.testing.assert_allclose(total, back.input.samples, atol=1e-7)
