"""The score of the input over time, of frames and of windows: computed, saved and in the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earwitness.audio import write_audio
from earwitness.explanation import Explanation
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests import pages
from tests.command import run

RATE = 8000
LOGITS = np.array([[0.0, 2.0, -1.0, 0.5], [1.0, 0.0, 0.0, 0.0]], np.float32)  # (output, frame)


def sound(seconds: float) -> Audio:
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    return Audio(samples.astype(np.float32), RATE)


def course(**kwargs: object) -> Explanation:
    model = wrap(
        lambda waves: np.stack([LOGITS.T] * len(waves)), sample_rate=RATE, labels=["a", "b"],
        output="logits", task="multi-label", per_frame=True,
    )  # fmt: skip
    return explain(model, sound(2.0), "energy", trust="none", **kwargs)  # type: ignore[arg-type]


def test_frames_divide_the_sound_and_have_the_unit_of_the_target() -> None:
    found = course(target="a", span=(0.5, 1.0)).course
    assert found is not None
    assert found.starts == (0.0, 0.5, 1.0, 1.5)
    assert found.ends == (0.5, 1.0, 1.5, 2.0)
    np.testing.assert_allclose(found.values, 1 / (1 + np.exp(-LOGITS[0])), rtol=1e-4)
    against = course(target="a", versus="b").course
    assert against is not None
    np.testing.assert_allclose(against.values, LOGITS[0] - LOGITS[1], rtol=1e-4)


def loudest(waves: np.ndarray) -> np.ndarray:
    """Return the largest sample, as a value."""
    return np.abs(waves).max(axis=1, keepdims=True)


def test_windows_lie_where_the_model_reads_them() -> None:
    model = wrap(loudest, sample_rate=RATE, labels=["peak"], output="scores", lengths=(None, 1.0))
    clip = sound(2.2)
    clip.samples[round(1.7 * RATE)] = 0.9
    found = explain(model, clip, "energy", trust="none").course
    assert found is not None
    windows = model.windows(len(clip.samples))
    assert len(windows) > 2
    for (start, length), value, begin, end in zip(
        windows, found.values, found.starts, found.ends, strict=True
    ):
        np.testing.assert_allclose(begin, start / RATE, atol=1e-6)
        np.testing.assert_allclose(end, (start + length) / RATE, atol=1e-6)
        part = clip.samples[start : start + length]
        np.testing.assert_allclose(value, np.abs(part).max(), rtol=1e-4)
    assert max(found.values) == pytest.approx(0.9, rel=1e-4)
    assert explain(model, sound(1.0), "energy", trust="none").course is None


def test_it_is_saved_loaded_and_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = course(target="a")
    one.save(tmp_path / "e")
    assert Explanation.load(tmp_path / "e").course == one.course
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "x.wav", sound(2.0))
    Path("m.py").write_text(
        "import numpy as np, earwitness\n"
        f"L = np.array({LOGITS.tolist()}, np.float32)\n"
        "def make():\n"
        "    return earwitness.wrap(lambda w: np.stack([L.T] * len(w)), sample_rate=8000,\n"
        "        labels=['a', 'b'], task='multi-label', output='logits', per_frame=True)\n"
    )
    words = ["--model", "python:m.py:make", "--method", "energy", "--trust", "none", "--no-curve"]
    code, _, _ = run(capsys, "explain", "x.wav", *words, "--target", "a", "-o", "out")
    assert code == 0
    (clip,) = pages.clips(tmp_path / "out" / "index.html")
    assert one.course is not None
    assert clip["explanations"][0]["course"]["values"] == list(one.course.values)
