"""One recording compared with another of the same words."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from earwitness.audio import read_audio, write_audio
from earwitness.comparing.comparison import Comparison, compare
from earwitness.errors import AudioError, NotApplicableError, ParameterError
from earwitness.explanation import Explanation
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.perturbation.background.reference import coarsened, reference
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio, Target
from tests.command import run
from tests.pages import clips, heard
from tests.toys import RATE, TOY_PLANE, additive, spectral
from tests.unit.test_alignment import pair, words

BURST = (1.0, 1.3, 2000.0, 3500.0)  # s and Hz


@cache
def clean() -> Audio:
    return Audio(words(np.arange(0, 2.5, 1 / RATE)).astype(np.float32), RATE, "clean")


@cache
def noisy() -> Audio:
    """The clean recording with a burst of noise, of one octave, at its own level."""
    start, end, low, high = BURST
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(RATE))
    hz = np.fft.rfftfreq(RATE, 1 / RATE)
    noise = np.fft.irfft(spectrum * ((hz > low) & (hz < high)))[: round((end - start) * RATE)]
    samples = clean().samples.copy()
    samples[round(start * RATE) : round(end * RATE)] += (
        np.std(samples) * noise / np.std(noise)
    ).astype(np.float32)
    return Audio(samples, RATE, "noisy")


def quality() -> Model:
    """A regression that falls with every cell's magnitude: noise lowers it."""
    return additive(torch.full((TOY_PLANE.bins, 1), -0.01))


@cache
def worse() -> Comparison:
    return compare(quality(), noisy(), clean(), trust="none")


def size(audio: Audio) -> Any:
    return TOY_PLANE.analyse(torch.from_numpy(audio.samples)[None])[0].abs().numpy()


def test_the_attribution_of_a_linear_model_is_its_weight_times_the_difference() -> None:
    found = worse()
    gap = 0.01 * (size(noisy()) - size(clean()))  # what lowers the score counts positive
    values = found.explanation.attribution.values
    assert_allclose(values.sum(), gap.sum(), rtol=1e-4)
    probe = Probe(quality(), torch.from_numpy(noisy().samples), found.explanation.target)
    assert_allclose(values, coarsened(probe, torch.from_numpy(gap)).numpy(), atol=1e-7)


def test_the_attribution_sums_to_the_difference_of_the_scores() -> None:
    found = worse()
    a, b = -0.01 * size(noisy()).sum(), -0.01 * size(clean()).sum()
    for name, wanted in (("a", a), ("b", b), ("warped", b), ("start", b)):
        assert_allclose(found.scores[name], wanted, rtol=1e-4)
    assert_allclose(found.difference, a - b, rtol=1e-3)
    assert_allclose(found.explanation.attribution.values.sum(), b - a, rtol=1e-3)


def test_the_burst_is_the_culprit_and_the_hybrid_regains_the_difference() -> None:
    found = worse().explanation
    start, end, low, high = BURST
    times, freqs = found.attribution.times, found.attribution.freqs
    near = (times > start - 0.1) & (times < end + 0.1)
    band = (freqs > low - 200) & (freqs < high + 200)
    inside = band[:, None] & near
    kept = found.mask.gains * found.attribution.values
    assert kept[inside].sum() > 0.95 * kept.sum()
    assert_allclose(worse().facts()["regained"], 0.85, atol=0.1)
    assert_allclose(worse().facts()["regained_random"], 0, atol=0.2)


def test_the_hybrid_is_the_input_with_masked_cells_of_the_other_recording() -> None:
    found = worse()
    a, b = (TOY_PLANE.analyse(torch.from_numpy(x.samples)[None])[0] for x in (noisy(), clean()))
    gains = torch.from_numpy(found.explanation.mask.gains)
    mixed = TOY_PLANE.synthesise(((1 - gains) * a + gains * b)[None], len(noisy().samples))[0]
    assert_allclose(found.hybrid.samples, mixed.numpy(), atol=1e-6)
    score = -0.01 * size(found.hybrid).sum()
    assert_allclose(found.scores["hybrid"], score, rtol=1e-4)


def test_the_culprit_is_the_least_share_whose_hybrid_regains_three_quarters() -> None:
    found = worse()
    assert found.explanation.mask.soft  # smooth edges
    assert 0.75 <= found.facts()["regained"] < 1
    for percent in (5, 10, 20, 40, 60, 80, 95, 100):
        keep = f"{percent}%,smooth:1.5"
        if keep == found.explanation.mask.rule:
            break
        less = compare(quality(), noisy(), clean(), trust="none", keep=keep, steps=4)
        assert less.explanation.mask.rule == keep
        assert less.facts()["regained"] < 0.75


def test_evidence_and_remainder_are_the_first_recording() -> None:
    found = worse().explanation
    assert_allclose(found.evidence.samples + found.remainder.samples, noisy().samples, atol=1e-6)


def test_what_raises_the_first_recording_counts_positive_where_it_is_better() -> None:
    found = compare(quality(), clean(), noisy(), trust="none")
    assert (worse().explanation.target.sign, found.explanation.target.sign) == (-1, 1)
    assert_allclose(found.difference, -worse().difference, rtol=1e-6)
    assert_allclose(found.explanation.attribution.values.sum(), found.difference, rtol=1e-3)


def test_the_path_begins_with_the_magnitude_of_the_other_and_the_phase_of_the_input() -> None:
    """Magnitude 5 with the phase of 1i is 5i; where the input is silent, 3 + 4i stays."""
    probe = Probe(quality(), torch.from_numpy(clean().samples), Target(0, "sum", "value"))
    probe.spectrum, probe.magnitude = torch.tensor([[2j, 0j]]), torch.tensor([[2.0, 0.0]])
    probe.reference = torch.tensor([[3 + 4j, 3 + 4j]])
    torch.testing.assert_close(reference(probe), torch.tensor([[5j, 3 + 4j]]))


def test_the_map_is_averaged_without_loss() -> None:
    probe = Probe(quality(), torch.from_numpy(clean().samples), Target(0, "sum", "value"))
    values = torch.zeros(probe.shape)
    values[0, 0], values[-1, 5], values[40, -1] = 1.0, 2.0, -4.0  # at three edges
    assert_allclose(coarsened(probe, values).sum(), -1.0, atol=1e-5)


def test_a_warped_recording_is_compared_on_the_time_axis_of_the_first() -> None:
    first, second = pair()
    found = compare(quality(), first, second, trust="none")
    assert len(found.warped.samples) == len(found.hybrid.samples) == len(first.samples)
    # the first holds a fifth more of one second, which the second lacks and the warped one has
    assert_allclose(found.scores["warped"], found.scores["a"], rtol=0.02)
    assert found.scores["b"] > 0.97 * found.scores["a"]  # negative: less sound
    assert any("on the time axis of A changes its score" in one for one in found.explanation.notes)


def test_a_classifier_is_compared_by_its_logits() -> None:
    found = compare(spectral(), noisy(), clean(), trust="none", target="low", steps=8)
    outputs = [
        spectral()(torch.from_numpy(one.samples)[None])[0, 1].item() for one in (noisy(), clean())
    ]
    assert_allclose([found.scores["a"], found.scores["b"]], outputs, rtol=1e-5)


def test_a_black_box_is_compared_piece_by_piece() -> None:
    def score(waves: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        hz = np.fft.rfftfreq(waves.shape[1], 1 / RATE)
        power = np.abs(np.fft.rfft(waves)) ** 2
        return -power[:, (hz > 2000) & (hz < 3500)].mean(1, keepdims=True)

    model = wrap(score, sample_rate=RATE, labels=["mos"], output="scores")
    found = compare(model, noisy(), clean(), trust="none")
    assert found.explanation.method == "occlusion"
    strongest = max(found.explanation.pieces, key=lambda piece: piece.weight)
    assert strongest.name.startswith("1.00-1.25 s")
    assert found.facts()["regained"] > 0.5


def test_equal_scores_of_different_sounds_are_told() -> None:
    """A model that hears the first tenth of a second only, in which both are the same."""
    weights = torch.zeros(TOY_PLANE.bins, TOY_PLANE.frames(len(clean().samples)))
    weights[:, :10] = 1
    found = compare(additive(weights), noisy(), clean(), trust="none", steps=4)
    assert (found.difference, found.regained(), found.regained("random")) == (0, None, None)
    assert any("both scores are the same" in note for note in found.explanation.notes)
    assert "the scores do not differ" in str(found)


@pytest.mark.parametrize(
    ("change", "error", "line"),
    [
        ({"b": noisy()}, NotApplicableError, "same sound: the difference of their scores is 0"),
        ({"b": Audio(np.zeros(RATE, np.float32), RATE, "nil")}, AudioError, "nil: silent, there"),
        ({"a": "missing.wav"}, AudioError, "missing.wav: no such file"),
        ({"method": "gradcam"}, NotApplicableError, "gradcam has no background, which B could be"),
        ({"background": "mean"}, ParameterError, "background of a comparison is the second rec"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(
    change: dict[str, Any], error: type[Exception], line: str
) -> None:
    given = {"a": noisy(), "b": clean(), **change}
    with pytest.raises(error, match=line) as caught:
        compare(quality(), **given)
    assert "\n" not in str(caught.value)


def test_a_recording_that_is_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earwitness.subject.MOST_CELLS", 129 * 125)
    with pytest.raises(ParameterError, match="noisy: 0 min are too long to explain in one piece"):
        compare(quality(), noisy(), clean())


def test_the_reference_of_no_comparison_is_refused() -> None:
    with pytest.raises(NotApplicableError, match="other recording of earwitness compare A B"):
        explain(quality(), clean(), background="reference", trust="none")


def test_recordings_of_other_words_are_told() -> None:
    rng = np.random.default_rng(0)
    other = Audio((0.1 * rng.standard_normal(2 * RATE)).astype(np.float32), RATE, "noise")
    found = compare(quality(), clean(), other, trust="none", steps=4)
    assert any("the sounds hardly match (alignment cost" in n for n in found.explanation.notes)
    assert not any("hardly match" in note for note in worse().explanation.notes)


def test_other_rates_and_stereo_are_taken_as_the_model_takes_them(tmp_path: Path) -> None:
    fine = np.repeat(clean().samples, 2)  # 32 kHz
    found = compare(
        quality(), noisy(), (np.stack([fine, fine], 1), 2 * RATE), trust="none", steps=4
    )
    assert found.other.rate == RATE
    assert any("B: resampled from 32000 to 16000 Hz" in note for note in found.explanation.notes)
    assert any(note.startswith("B: ") and "channel" in note for note in found.explanation.notes)


def test_a_part_of_both_recordings_is_compared() -> None:
    found = compare(quality(), noisy(), clean(), trust="none", start=0.5, end=1.8)
    part = slice(round(0.5 * RATE), round(1.8 * RATE))
    cut = [Audio(one.samples[part], RATE, one.name) for one in (noisy(), clean())]
    whole = compare(quality(), *cut, trust="none")
    assert found.scores == whole.scores
    assert_array_equal(found.explanation.attribution.values, whole.explanation.attribution.values)
    assert_array_equal(found.other.samples, cut[1].samples)
    with pytest.raises(ParameterError, match="start and end are seconds"):
        compare(quality(), noisy(), clean(), start=float("nan"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_audio(tmp_path / "a.wav", noisy())
    write_audio(tmp_path / "b.wav", clean())
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


MODEL = """
import torch
import earwitness

class Loud(torch.nn.Module):
    def forward(self, waves):
        return -waves.abs().mean(1, keepdim=True)

def quality():
    return earwitness.wrap(Loud(), sample_rate=16000, labels=["mos"], output="scores")
"""
COMMON = ("compare", "a.wav", "b.wav", "--model", "python:model.py:quality", "--set", "steps=4")


def test_the_command_writes_a_page_that_plays_both_recordings_and_the_hybrid(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *COMMON, "-o", "out", "--json")
    assert code == 0, err
    line = json.loads(out)
    assert (line["a"], line["b"], line["target"]) == ("a.wav", "b.wav", "mos")
    (clip,) = clips(folder / "out" / "index.html")
    (one,) = clip["explanations"]
    assert sorted(one["sounds"]) == ["hybrid", "reference"]
    assert one["details"]["comparison"]["scores"] == line["scores"]
    assert one["command"].startswith("earwitness compare a.wav b.wav --model python:model.py")
    assert "background" not in one["command"]
    aligned = read_audio(folder / "out" / "sounds" / "b_aligned.wav")
    assert_array_equal(aligned.samples, clean().samples)  # of the same timing
    assert_allclose(heard(one["sounds"]["reference"]), clean().samples, atol=1e-4)  # 16 bits
    saved = Explanation.load(folder / "out" / "a" / "integrated-gradients")
    assert saved.attribution.details["comparison"]["b"] == "b.wav"


def test_the_command_compares_a_part_and_the_page_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*COMMON, "--start", "0.5", "--end", "1.8", "--trust", "none", "-o", "out", "--json")
    code, _, err = run(capsys, *words)
    assert code == 0, err
    aligned = read_audio(folder / "out" / "sounds" / "b_aligned.wav")
    assert len(aligned.samples) == round(1.3 * RATE)
    (clip,) = clips(folder / "out" / "index.html")
    assert "--start 0.5 --end 1.8" in clip["explanations"][0]["command"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("a.wav", "none.wav"), "none.wav: no such file"),
        (("a.wav", "a.wav"), "same sound"),
        (("a.wav", "b.wav", "--method", "lrp"), "lrp has no background"),
        (("a.wav", "b.wav", "--target", "fur"), "fur"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    code, out, err = run(capsys, "compare", *words, "--model", "python:model.py:quality", "-o", "o")
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
    assert not (folder / "o").exists()
