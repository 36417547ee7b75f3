"""Files that hold more, or less, than their headers say."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earwitness.audio import read_audio
from earwitness.containers import is_cut_off, not_decoded
from earwitness.errors import AudioError
from earwitness.stream import Stream

RATE = 16000
# of two levels, so that the first frames of variable bit rate are unlike the others
SOUND = np.random.default_rng(0).standard_normal(10 * RATE) * np.repeat([1e-5, 0.3], 5 * RATE)


def mp3(path: Path, rate: int, channels: int = 1, mode: str = "VARIABLE") -> bytes:
    sound = SOUND if channels == 1 else np.stack([SOUND] * channels, axis=1)
    soundfile.write(path, sound, rate, format="MP3", bitrate_mode=mode, compression_level=0.3)
    return path.read_bytes()


def both(path: Path) -> tuple[tuple[str, ...], str]:
    """The notes on a file read at once, and read in blocks."""
    stream = Stream(path, RATE)
    for _ in stream:
        pass
    return read_audio(path).notes, stream.not_decoded


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000])
def test_whole_mp3_files_have_no_note(tmp_path: Path, rate: int, channels: int, mode: str) -> None:
    path = tmp_path / "a.mp3"
    data = mp3(path, rate, channels, mode)
    frames = 40 * (b"\xff\xfb\x90\xc4" + b"\0" * 413)  # 16,680 bytes that look like a second
    path.write_bytes(b"ID3\x04\0\0" + bytes([0, 1, 2, 40]) + frames + data + b"TAG" + b"\xff" * 125)
    assert not_decoded(path, len(SOUND) / rate) == ""
    assert "s were read" in not_decoded(path, len(SOUND) / rate - 0.3)


def test_mp3_files_joined_or_without_a_length_say_what_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    data = mp3(path, RATE)
    path.write_bytes(data + data)
    (note,), told = both(path)
    assert note == told
    assert note.startswith("only the first 10.00 of 20.")
    assert read_audio(path, start=5.0, end=9.0).notes == ()


@pytest.mark.parametrize("loud_first", [False, True])
def test_an_mp3_whose_length_is_estimated(tmp_path: Path, loud_first: bool) -> None:
    path = tmp_path / "a.mp3"
    sound = SOUND[::-1] if loud_first else SOUND
    soundfile.write(path, sound, 44100, format="MP3", bitrate_mode="VARIABLE",
                    compression_level=0.3)  # fmt: skip
    data = path.read_bytes()
    size = data.find(data[:2], 4)  # of the frame that says the length
    assert b"Xing" in data[:size]
    path.write_bytes(data[size:])
    assert not is_cut_off(path)
    notes, told = both(path)
    missing = soundfile.info(path).duration < len(SOUND) / 44100 - 0.1
    assert bool(notes) == bool(told) == missing == loud_first


def test_a_truncated_mp3_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    data = mp3(path, RATE)
    path.write_bytes(data[: len(data) // 2])
    assert "cut off" in read_audio(path).notes[0]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_files_that_were_joined_say_so(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, SOUND, RATE, subtype=subtype)
    assert both(path) == ((), "")
    path.write_bytes(3 * path.read_bytes())
    (note,), told = both(path)
    assert note == told
    assert "only the first of 3 Ogg files" in note


def wav(path: Path, size: int, samples: int) -> None:
    soundfile.write(path, SOUND, RATE)
    data = bytearray(path.read_bytes())
    data[4:8], data[40:44] = struct.pack("<I", size), struct.pack("<I", samples)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [0x7FFFF000, 0x80000000, 0xFFFFFFDB])
def test_lengths_of_streams_are_not_believed(tmp_path: Path, size: int) -> None:
    wav(tmp_path / "a.wav", size + 36, size)
    found = read_audio(tmp_path / "a.wav")
    assert (len(found.samples), found.notes) == (len(SOUND), ())
    assert both(tmp_path / "a.wav") == ((), "")


def test_a_missing_byte_of_padding_is_no_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND[:2001], RATE, subtype="PCM_U8")
    data = path.read_bytes()
    path.write_bytes(data[: 44 + 2001])
    assert not is_cut_off(path)
    path.write_bytes(data[: 44 + 2000])
    assert is_cut_off(path)


@pytest.mark.parametrize("size", [0, 36])
def test_a_header_without_its_length_is_named(tmp_path: Path, size: int) -> None:
    wav(tmp_path / "a.wav", size, 0)
    with pytest.raises(AudioError, match="holds no samples, but 320,000 bytes follow"):
        read_audio(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="holds no samples, but 320,000 bytes follow"):
        list(Stream(tmp_path / "a.wav", RATE))


def test_a_tag_behind_flac_costs_no_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SOUND, RATE)
    path.write_bytes(path.read_bytes() + b"TAG" + b"\0" * 125)
    stream = Stream(path, RATE)
    assert sum(map(len, stream)) == len(SOUND)
    assert not stream.cut_off
