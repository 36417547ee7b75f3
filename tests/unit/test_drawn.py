"""Masks that were drawn: what their file holds, whose sound they are of, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from earwitness.benchmark.grid import Grid, choose
from earwitness.errors import ParameterError
from earwitness.explanation import Explanation
from earwitness.files import read_record
from earwitness.masks.drawn import read_drawn
from earwitness.masks.keep import parse_keep
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests.command import explain as command
from tests.toys import RATE, spectral

RUNS = [3, 2, 4, 1, 14]  # of the 17 bins and 8 frames of 72 samples, the rest are zeros
SMALL = {"rate": 8000, "samples": 72, "n_fft": 32, "hop": 11, "shape": [17, 8]}


def drawn(path: Path, **facts: Any) -> Path:
    """Write the mask of some facts; ``runs`` is filled up with a last run."""
    whole = {"schema": 1, "kind": "earwitness mask", **SMALL, "runs": RUNS, **facts}
    if "runs" not in facts:
        whole["runs"] = [*RUNS, 17 * 8 - sum(RUNS)]
    path.write_text(json.dumps(whole))
    return path


def of_gains(path: Path, gains: np.ndarray[Any, Any], **facts: Any) -> Path:
    """Write binary gains of the toys' plane, cell by cell."""
    runs, last = [0], 0
    for cell in gains.ravel().astype(int).tolist():
        if cell != last:
            runs.append(0)
            last = cell
        runs[-1] += 1
    own = {"rate": RATE, "samples": 24000, "n_fft": 256, "hop": 128, "shape": list(gains.shape)}
    return drawn(path, **{**own, "runs": runs, **facts})


def test_runs_of_zeros_and_ones_row_by_row(tmp_path: Path) -> None:
    mask = read_drawn(str(drawn(tmp_path / "m.json")))
    wanted = np.zeros((17, 8))
    wanted[0, 3:5] = wanted[1, 1] = 1  # cells 3, 4 and 9; then 14 zeros to cell 24
    wanted[3:] = 1
    np.testing.assert_array_equal(mask.gains, wanted)
    whole = drawn(tmp_path / "whole.json", runs=[0, 136])
    np.testing.assert_array_equal(read_drawn(str(whole)).gains, np.ones((17, 8)))


def test_the_evidence_is_what_the_drawn_mask_keeps(tmp_path: Path, white: Audio) -> None:
    time = np.arange(24000) / RATE
    tones = [0.2 * np.sin(2 * np.pi * hertz * time) for hertz in (1000, 6000)]
    sound = Audio(np.float32(tones[0] + tones[1]), RATE, "tones")
    level = explain(spectral(), sound, "energy", trust="none").magnitude
    gains = np.zeros(level.shape)
    gains[32:] = 1  # from 2 kHz on
    keep = f"file:{of_gains(tmp_path / 'above 2 kHz.json', gains)}"
    found = explain(spectral(), sound, "saliency", target="low", keep=keep, curve=True)
    np.testing.assert_array_equal(found.mask.gains, gains)
    assert found.mask.rule == keep
    assert found.mask.area == 97 / 129
    assert not found.mask.soft
    inner = slice(400, -400)  # the ends of a tone are no tone
    assert_allclose(found.evidence.samples[inner], tones[1][inner], atol=1e-4)
    assert_allclose(found.remainder.samples[inner], tones[0][inner], atol=1e-4)
    # the low tone decides for "low", and it is not in the evidence
    card = found.trust
    assert card.outcome.evidence.audio < 0.05 < 0.95 < card.outcome.remainder.audio
    assert_allclose(card.controls["energy"].area, 97 / 129, rtol=1e-6)
    assert found.verdict.grade == "none"
    assert len(found.curve.evidence) == 12
    softer = explain(spectral(), sound, "energy", trust="none", keep=f"{keep},floor:-20dB").mask
    assert_allclose(softer.gains, np.maximum(gains, 0.1), atol=1e-7)
    assert softer.soft


def test_an_explanation_with_a_drawn_mask_is_read_without_its_file(
    tmp_path: Path, white: Audio
) -> None:
    shape = explain(spectral(), white, "energy", trust="none").mask.gains.shape
    gains = np.random.default_rng(0).integers(0, 2, shape)
    path = of_gains(tmp_path / "m.json", gains)
    found = explain(spectral(), white, "saliency", trust="none", keep=f"file:{path}")
    found.save(tmp_path / "e")
    path.unlink()
    back = Explanation.load(tmp_path / "e")
    np.testing.assert_array_equal(back.mask.gains, gains)
    assert back.mask.rule == f"file:{path}"
    back.save(tmp_path / "again")
    np.testing.assert_array_equal(Explanation.load(tmp_path / "again").mask.gains, gains)


@pytest.mark.parametrize(
    ("text", "file", "smooth", "floor"),
    [
        ("file:a.json", "a.json", 0.0, -np.inf),
        (" file:a b,c.json ", "a b,c.json", 0.0, -np.inf),
        ("file:a.json,smooth:1.5,floor:-30dB", "a.json", 1.5, -30.0),
        ("file:80%", "80%", 0.0, -np.inf),
    ],
)
def test_how_a_file_is_named(text: str, file: str, smooth: float, floor: float) -> None:
    keep = parse_keep(text)
    assert (keep.rule, keep.file, keep.smooth, keep.floor) == ("file", file, smooth, floor)
    assert str(keep) == text.strip()


@pytest.mark.parametrize("text", ["file", "file:", "file:a.json,smooth:0", "file:a,floor:3dB"])
def test_a_file_that_is_not_named_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="keep is a share such as"):
        parse_keep(text)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"schema": 2}, r"m\.json: written by another version \(schema 2, this one reads 1\)"),
        ({"schema": [1]}, "another version"),
        ({"kind": "other"}, "kind is not 'earwitness mask'"),
        ({"rate": 0}, "rate is no positive whole number"),
        ({"samples": 72.5}, "samples is no positive whole number"),
        ({"hop": True}, "hop is no positive whole number"),
        ({"n_fft": 33, "hop": 11}, "even n_fft"),
        ({"hop": 17}, "hop must be in 1..16"),
        ({"shape": [17, 9]}, r"shape is not \[17, 8\]"),
        ({"shape": None}, r"shape is not \[17, 8\]"),
        ({"samples": 2**30, "shape": [17, 97612895]}, "1659419215 cells, the most are 60000000"),
        ({"runs": [1, 2]}, "runs add up to 3 of 136 cells"),
        ({"runs": [137, -1]}, "runs are no whole numbers"),
        ({"runs": [100.0, 36]}, "runs are no whole numbers"),
        ({"runs": [10**30]}, "runs are no whole numbers"),
        ({"runs": "136"}, "runs are no whole numbers"),
        ({"runs": []}, "runs add up to 0"),
    ],
)
def test_a_damaged_mask_is_refused_in_one_line(
    tmp_path: Path, facts: dict[str, Any], reason: str
) -> None:
    path = drawn(tmp_path / "m.json", **facts)
    with pytest.raises(ParameterError, match=reason) as found:
        read_drawn(str(path))
    assert str(found.value).startswith(str(path))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no mask, or a damaged one"),
        (b"RIFF\xff\xfe", "no mask, or a damaged one"),
        (b"[1, 2]", "no JSON object"),
        (b"{}", "'schema' is missing"),
        (b'{"schema": 1}', "'kind' is missing"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema": 1, "kind": "earwitness mask", "rate": ' + b"9" * 5000 + b"}", "digits"),
    ],
)
def test_a_file_that_holds_no_mask_is_refused_in_one_line(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    (tmp_path / "m.json").write_bytes(data)
    with pytest.raises(ParameterError, match=reason) as found:
        read_drawn(str(tmp_path / "m.json"))
    assert len(str(found.value)) < 250 + len(str(tmp_path))
    assert "\n" not in str(found.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("pipe", "not a file"),
        ("none.json", "no such file"),
        (".", "not a file"),
    ):
        with pytest.raises(ParameterError, match=reason):
            read_drawn(str(tmp_path / name))
    with (tmp_path / "long.json").open("wb") as file:
        file.truncate(64_000_001)
    with pytest.raises(ParameterError, match="a mask has at most 64 MB"):
        read_drawn(str(tmp_path / "long.json"))


@pytest.mark.parametrize(
    ("facts", "shape", "reason"),
    [
        ({"rate": 8000}, (129, 189), "the mask was drawn at 8000 Hz, the model takes 16000 Hz"),
        ({"hop": 64}, (129, 377), "n_fft 256 and hop 64, the model's has 256 and 128"),
        ({"n_fft": 512}, (257, 190), "n_fft 512 and hop 128, the model's has 256 and 128"),
        (
            {"samples": 23999},
            (129, 189),
            r"drawn on 23999 samples \(1.500 s\), the sound has 24000 \(1.500 s\)",
        ),
    ],
)
def test_the_mask_of_another_sound_is_refused(
    tmp_path: Path, white: Audio, facts: dict[str, Any], shape: tuple[int, int], reason: str
) -> None:
    path = of_gains(tmp_path / "m.json", np.zeros(shape), **facts)
    with pytest.raises(ParameterError, match=reason):
        explain(spectral(), white, "energy", trust="none", keep=f"file:{path}")


def test_the_same_run_is_that_of_the_same_mask(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("b.wav", "--trust", "none", "-o", "r")
    assert command(capsys, *words)[0] == 0
    shape = Explanation.load(place / "r" / "b" / "input-x-gradient").mask.gains.shape
    facts = json.loads((place / "r" / "b" / "input-x-gradient" / "explanation.json").read_text())
    plane = {"samples": 8000}
    plane |= {name: facts["provenance"]["plane"][name] for name in ("n_fft", "hop")}
    gains = np.zeros(shape)
    gains[:, : shape[1] // 2] = 1
    of_gains(place / "one.json", gains, **plane)
    words = ("b.wav", "--trust", "none", "-o", "s", "--keep")
    assert command(capsys, *words, "file:one.json")[0] == 0
    made = (place / "s" / "b" / "input-x-gradient" / "evidence.wav").stat().st_mtime_ns
    (place / "one.json").rename(place / "two.json")
    assert command(capsys, *words, "file:two.json")[0] == 0
    assert (place / "s" / "b" / "input-x-gradient" / "evidence.wav").stat().st_mtime_ns == made
    of_gains(place / "two.json", 1 - gains, **plane)
    code, out, err = command(capsys, *words, "file:two.json")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "holds explanations with another mask that was drawn" in err
    code, _, err = command(capsys, *words, "80%")
    assert (code, "with keep file:" in err) == (2, True)
    code, out, err = command(capsys, *words, "file:none.json")
    assert (code, out, err) == (2, "", "earwitness: none.json: no such file\n")


def test_sounds_that_a_mask_is_not_of_are_named_and_the_rest_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(place / "c.wav", 0.1 * np.random.default_rng(1).standard_normal(4000), RATE)
    assert command(capsys, "c.wav", "--trust", "none", "-o", "first")[0] == 0
    first = Explanation.load(place / "first" / "c" / "input-x-gradient")
    bins, frames = first.mask.gains.shape
    plane = {name: first.provenance["plane"][name] for name in ("n_fft", "hop")}
    facts = {"rate": RATE, "samples": 4000, "shape": [bins, frames], **plane}
    drawn(place / "m.json", **facts, runs=[0, frames, (bins - 1) * frames])
    words = ("b.wav", "c.wav", "--trust", "none", "-o", "r", "--keep", "file:m.json")
    code, out, err = command(capsys, *words)
    assert (code, out.startswith("c.wav: ")) == (1, True)
    assert "earwitness: b.wav: input-x-gradient: m.json: the mask was drawn on 4000 samples" in err
    found = Explanation.load(place / "r" / "c" / "input-x-gradient")
    assert_allclose(found.mask.area, 1 / bins, rtol=1e-12)


def test_a_grid_of_many_sounds_takes_no_drawn_mask() -> None:
    with pytest.raises(ParameterError, match="a mask from a file is of one sound"):
        Grid("grid", (), (choose("energy"),), masks=("80%", "file:m.json"))


def test_a_record_nested_too_deeply_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_record(tmp_path / "deep.json", {1}, ParameterError)
