"""Events by two thresholds, and windows cut from blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earwitness.errors import ParameterError
from earwitness.models.registry import load_model
from earwitness.recordings.events import Rule, Run, find_runs
from earwitness.recordings.windows import Cut, cut_windows, make_cut, origin
from tests.toys import spectral

NAN = float("nan")


def runs(scores: list[float], on: float = 0.5, off: float = 0.3) -> list[Run]:
    """Windows of 2 s, a second apart."""
    starts = [float(k) for k in range(len(scores))]
    ends = [start + 2 for start in starts]
    return find_runs(np.array(scores, np.float32), starts, ends, on, off, 1.0)


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ([0.1, 0.4, 0.6, 0.4, 0.1], [Run(1, 3, 2)]),  # off widens what on begins
        ([0.1, 0.4, 0.4, 0.1], []),  # on is never reached
        ([0.5, 0.3], [Run(0, 1, 0)]),  # thresholds themselves belong to it
        ([0.9, 0.1, 0.8], [Run(0, 2, 0)]),  # they touch: 2 s and 2 s
        ([0.9, 0.1, 0.1, 0.8], [Run(0, 0, 0), Run(3, 3, 3)]),  # a whole hop between them
        ([0.7, 0.1, 0.8], [Run(0, 2, 2)]),  # the stronger one of joined runs
        ([0.9, NAN, NAN, 0.9], [Run(0, 0, 0), Run(3, 3, 3)]),
        ([0.9, NAN, 0.9], [Run(0, 0, 0), Run(2, 2, 2)]),  # near, but the samples between are bad
        ([], []),
    ],
)
def test_a_run_reaches_on_and_stays_above_off(scores: list[float], found: list[Run]) -> None:
    assert runs(scores) == found


def test_a_flicker_about_one_threshold_is_one_event() -> None:
    assert runs([0.51, 0.49, 0.51, 0.49, 0.51]) == [Run(0, 4, 0)]


@pytest.mark.parametrize("samples", [1, 99, 100, 101, 149, 150, 151, 1000])
@pytest.mark.parametrize("block", [1, 7, 100, 1000])
@pytest.mark.parametrize("hop", [50, 30, 100])
def test_windows_cover_a_recording_whatever_its_blocks(samples: int, block: int, hop: int) -> None:
    cut, sound = Cut(100, 100, hop), np.arange(samples, dtype=np.float32)
    blocks = [sound[k : k + block] for k in range(0, samples, block)]
    found = list(cut_windows(blocks, cut))
    assert [start for start, _ in found] == [cut.start(k, samples) for k in range(len(found))]
    assert len(found) == cut.count(samples)
    for start, part in found:
        assert part.tolist() == sound[start : start + 100].tolist()
    assert found[-1][0] + len(found[-1][1]) == samples


@pytest.mark.parametrize("samples", [100, 101, 149, 150, 1000])
@pytest.mark.parametrize("hop", [50, 30, 100])
def test_windows_from_any_number_on_are_those_of_the_whole(samples: int, hop: int) -> None:
    cut, sound = Cut(100, 100, hop), np.arange(samples, dtype=np.float32)
    whole = [(start, part.tolist()) for start, part in cut_windows([sound], cut)]
    for first in range(len(whole) + 1):
        rest = cut_windows([sound[origin(cut, first) :]], cut, first)
        assert [(start, part.tolist()) for start, part in rest] == whole[first:]


def test_windows_are_as_long_as_the_model_takes() -> None:
    model = spectral()
    assert make_cut(model, 2.0, 0.5) == Cut(16000, 32000, 8000)
    with pytest.raises(ParameterError, match=r"takes sounds from 0.256 s on$"):
        make_cut(load_model("esc10"), 0.1)
    with pytest.raises(ParameterError, match=r"window 6 s: esc10 takes .* up to 5 s"):
        make_cut(load_model("esc10"), 6.0)
    with pytest.raises(ParameterError, match=r"window 1e.06 s: .* takes sounds .* up to"):
        make_cut(model, 1e6)
    with pytest.raises(ParameterError, match="or parts of the recording would be left out"):
        make_cut(model, 2.0, 2.5)


def test_the_usual_window_is_that_of_the_training_then_the_longest_then_five_seconds() -> None:
    model = spectral()
    assert make_cut(model) == Cut(16000, 80000, 40000)
    model.trained_seconds = 2.0
    assert make_cut(model) == Cut(16000, 32000, 16000)
    model.lengths = replace(model.lengths, longest=24000)
    assert make_cut(model) == Cut(16000, 24000, 12000)
    model.trained_seconds = None
    model.lengths = replace(model.lengths, shortest=24000)
    assert make_cut(model) == Cut(16000, 24000, 12000)
    model.lengths = replace(model.lengths, longest=60 * 16000)
    assert make_cut(model) == Cut(16000, 80000, 40000)
    assert make_cut(load_model("esc10")) == Cut(32000, 64000, 32000)


def test_thresholds_of_no_use_are_refused() -> None:
    with pytest.raises(ParameterError, match="0 < off <= on <= 1"):
        Rule(on=0.2, off=0.4).check(spectral())
    assert Rule(on=0.2).thresholds() == (0.2, 0.2)
