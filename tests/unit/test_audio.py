from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from earwitness.audio import as_audio, read_audio, write_audio
from earwitness.errors import AudioError, ParameterError
from earwitness.subject import load_clip
from earwitness.types import Audio

RATE = 16000


def sine(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype("float32")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_formats_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, sine(), RATE)
    audio = read_audio(path)
    assert audio.rate == RATE
    spectrum = np.abs(np.fft.rfft(audio.samples[:RATE], RATE))
    assert int(spectrum.argmax()) == 440


def test_float_files_are_exact(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal(5000).astype(np.float32) * 40
    write_audio(tmp_path / "x.wav", Audio(samples, 44100))
    assert soundfile.info(tmp_path / "x.wav").subtype == "FLOAT"
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav").samples, samples)


def test_channels_are_averaged_and_it_is_said(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((4000, 8)).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    audio = read_audio(tmp_path / "x.wav")
    np.testing.assert_allclose(audio.samples, samples.mean(axis=1), atol=1e-7)
    assert "8 channels mixed down to one" in audio.notes


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_resampling_keeps_pitch_and_length(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "x.wav", sine(rate=rate), rate)
    audio = read_audio(tmp_path / "x.wav", rate=RATE)
    assert len(audio.samples) == RATE
    assert int(np.abs(np.fft.rfft(audio.samples)).argmax()) == 440
    assert any("resampled" in note for note in audio.notes)


def test_a_part_is_cut_in_seconds(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, 3 * RATE, dtype=np.float32)
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    audio = read_audio(tmp_path / "x.wav", start=1.0, end=2.5)
    np.testing.assert_array_equal(audio.samples, samples[RATE : int(2.5 * RATE)])


@pytest.mark.parametrize(
    ("dtype", "value", "wanted"),
    [(np.int16, 16384, 0.5), (np.int32, -(2**30), -0.5), (np.uint8, 192, 0.5), (np.float64, 2, 2)],
)
def test_integer_samples_are_scaled(dtype: type, value: float, wanted: float) -> None:
    audio = as_audio((np.full(4000, value, dtype), RATE))
    np.testing.assert_allclose(audio.samples, wanted)


def test_eight_bit_files_are_accepted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", sine(), RATE, subtype="PCM_U8")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav").samples, sine(), atol=0.01)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(16000), "silence"),
        (np.full(16000, 1e-6), "very quiet"),
        (np.full(16000, 50.0), "above full scale"),
    ],
)
def test_odd_levels_are_said(samples: np.ndarray, words: str) -> None:
    assert any(words in note for note in as_audio((samples, RATE)).notes)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_any_cut_of_an_ogg_is_noticed(tmp_path: Path, share: float) -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "whole.ogg", noise, RATE)
    whole = (tmp_path / "whole.ogg").read_bytes()
    (tmp_path / "part.ogg").write_bytes(whole[: int(share * len(whole))])
    try:
        assert any("cut off" in note for note in read_audio(tmp_path / "part.ogg").notes)
    except AudioError as error:
        assert "cut off" in str(error)  # noqa: PT017


def test_a_part_that_ends_after_the_file_is_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", sine(), RATE)
    note = "end is after the end of the sound: explained up to 1.00 s"
    for clip in (tmp_path / "x.wav", (sine(), RATE)):
        assert load_clip(clip, RATE, end=9.0).notes == (note,)
        assert load_clip(clip, RATE, end=1.0).notes == ()


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_cut_off_files_give_what_decodes_and_say_so(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32) * 0.1
    soundfile.write(tmp_path / f"whole.{suffix}", noise, RATE)
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"half.{suffix}").write_bytes(whole[: len(whole) // 2])
    audio = read_audio(tmp_path / f"half.{suffix}")
    assert 0.5 < audio.seconds < 3.5
    assert any("cut off" in note for note in audio.notes)
    assert not any("cut off" in note for note in read_audio(tmp_path / f"whole.{suffix}").notes)


@pytest.mark.parametrize("cut", [False, True])
def test_blocks_that_are_resampled_together_give_the_same_sound(
    tmp_path: Path, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "noise.flac"
    noise = np.random.default_rng(0).standard_normal((10 * RATE, 2)).astype(np.float32) * 0.1
    soundfile.write(path, noise, RATE)
    if cut:
        path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    together = read_audio(path, rate=11025)
    monkeypatch.setattr("earwitness.audio._ADDED", 1)
    alone = read_audio(path, rate=11025)
    assert alone.seconds > (6 if cut else 9.9)
    assert together.notes == alone.notes
    np.testing.assert_allclose(together.samples, alone.samples, atol=1e-6)


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    noise = np.zeros(RATE, np.float32)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no sound")
    elif kind == "no-samples":
        soundfile.write(path, noise[:0], RATE)
    elif kind == "one-sample":
        soundfile.write(path, noise[:1], RATE)
    elif kind in ("nan", "inf"):
        noise[5] = float(kind)
        soundfile.write(path, noise, RATE, subtype="FLOAT")
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("text", "not a sound file"),
        ("no-samples", "no samples"),
        ("one-sample", "1 sample"),
        ("nan", "NaN"),
        ("inf", "infinite"),
        ("folder", "a folder"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, kind: str, words: str) -> None:
    path = bad_file(tmp_path, kind)
    with pytest.raises(AudioError, match=words) as error:
        read_audio(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (5.0, None, "start 5 s is after the end of the sound (1.00 s)"),
        (1.0, 2.0, "start 1 s is after the end of the sound (1.00 s)"),
        (0.5, 0.5, "the part from 0.5 s to 0.5 s is empty"),
        (0.5, 0.50001, "the part from 0.5 s to 0.50001 s is empty"),
        (-1.0, None, "start must not be negative, got -1 s"),
        (0.8, 0.2, "the part from 0.8 s to 0.2 s is empty"),
        (np.nan, None, "start and end are seconds, got nan"),
    ],
)
def test_parts_outside_the_sound_are_refused(
    tmp_path: Path, start: float, end: float | None, words: str
) -> None:
    soundfile.write(tmp_path / "x.wav", sine(), RATE)
    for clip in (tmp_path / "x.wav", (sine(), RATE)):
        with pytest.raises(ParameterError, match=re.escape(words)):
            load_clip(clip, RATE, start=start, end=end)


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (np.zeros(100), "without a rate"),
        ((np.zeros((2, 4)), RATE), "more channels than samples"),
        ((np.zeros((2, 3, 4)), RATE), "shape"),
        ((np.array(["a"] * 4000), RATE), "real numbers"),
        ((np.zeros(4000, complex), RATE), "real numbers"),
        ((np.zeros(4000), 0), "positive"),
        ((np.zeros(4000), None), "an array and a number"),
        (([[1, 2], [3]], RATE), "an array and a number"),
        ((np.zeros((4000, 0)), RATE), "no channels"),
        ((np.zeros((128, 300)), RATE), "is a spectrogram or features"),
        ((np.zeros((1000, 128)), RATE), "is a spectrogram or features"),
        ((np.zeros((1000, 13)), RATE), "is a spectrogram or features"),
        (Audio(np.zeros((64, 2000), np.float32), RATE), "is a spectrogram or features"),
        ((np.zeros((1, 80, 3000)), RATE), "shape"),
        (
            {"bytes": b"RIFF", "path": "x.wav"},
            "array and sampling_rate .* keys bytes, path",
        ),
    ],
)
def test_bad_arrays_are_refused(clip: object, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        as_audio(clip)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "clip",
    [
        (RATE, sine()),
        (np.int64(RATE), sine()),
        (sine(), np.array(RATE)),
        {"array": sine(), "sampling_rate": RATE, "path": "clip"},
        {"array": sine().tolist(), "sampling_rate": RATE},
        (torch.from_numpy(sine()).requires_grad_(), RATE),
        (torch.from_numpy(sine())[:, None].requires_grad_(), torch.tensor(RATE)),
        (torch.from_numpy(sine())[None], RATE),
        {"array": torch.from_numpy(sine()).requires_grad_(), "sampling_rate": RATE},
        Audio(torch.from_numpy(sine()).requires_grad_(), RATE),  # type: ignore[arg-type]
    ],
)
def test_pairs_in_either_order_mappings_and_tensors_are_read(clip: Any) -> None:
    found = as_audio(clip)
    np.testing.assert_allclose(found.samples, sine(), rtol=0, atol=1e-7)
    assert (found.rate, found.name, found.notes) == (RATE, "clip", ())


def test_channels_first_are_the_same_sound_as_channels_last() -> None:
    two = np.stack([sine(), 0.5 * sine()])
    first, last = as_audio((two, RATE)), as_audio((two.T, RATE))
    np.testing.assert_array_equal(first.samples, last.samples)
    np.testing.assert_allclose(first.samples, 0.75 * sine(), atol=1e-6)
    assert first.notes == ("2 channels mixed down to one",)


def test_tensors_of_half_precision_are_read() -> None:
    found = as_audio((torch.from_numpy(sine()).bfloat16(), RATE))
    np.testing.assert_allclose(found.samples, sine(), rtol=2**-8)


def test_eight_channels_are_sound_and_more_of_a_file_too(tmp_path: Path) -> None:
    many = np.stack([sine()] * 16, axis=1)
    np.testing.assert_allclose(as_audio((many[:, :8], RATE)).samples, sine(), atol=1e-7)
    soundfile.write(tmp_path / "array.wav", many, RATE, "FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "array.wav").samples, sine(), atol=1e-7)


def test_samples_without_a_header_are_refused_by_that_name(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(64000))
    with pytest.raises(AudioError, match=r"a\.raw: samples without a header.*sampling rate"):
        read_audio(tmp_path / "a.raw")


def test_reading_mp3_in_threads_leaves_standard_error_as_it_was(tmp_path: Path) -> None:
    wave = 0.1 * np.random.default_rng(0).standard_normal(16000)
    soundfile.write(tmp_path / "a.mp3", wave, 16000)
    code = (
        "import sys, os\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "from earwitness.audio import read_audio\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda _: len(read_audio('a.mp3').samples), range(100)))\n"
        "os.write(2, f'{set(found)}'.encode())\n"
        "os.close(2)\nread_audio('a.mp3')\nsys.stderr = None\nread_audio('a.mp3')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr == "{16000}"
