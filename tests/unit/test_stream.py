"""Recordings read in blocks: the same samples as of the whole file, from anywhere on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.testing import assert_allclose, assert_array_equal

import earwitness.stream
from earwitness.audio import read_audio
from earwitness.errors import AudioError
from earwitness.stream import Stream, read_stretch
from earwitness.types import FloatArray

SECONDS = 3.0


def noise(path: Path, rate: int, channels: int = 1) -> FloatArray:
    rng = np.random.default_rng(0)
    samples = 0.1 * rng.standard_normal((round(SECONDS * rate), channels)).astype(np.float32)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    mono: FloatArray = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mono


@pytest.mark.parametrize("block", [64, 1000, 1 << 14])
@pytest.mark.parametrize("given", [16000, 22050, 44100, 48000])
def test_blocks_of_any_size_give_the_samples_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int, block: int
) -> None:
    monkeypatch.setattr(earwitness.stream, "_BLOCK", block)
    mono = noise(tmp_path / "a.wav", given, channels=2)
    whole = mono if given == 16000 else soxr.resample(mono, given, 16000)
    found = np.concatenate(list(Stream(tmp_path / "a.wav", 16000)))
    assert len(found) == len(whole)
    assert_allclose(found, whole, atol=1e-6)  # floats of a peak of 0.4, summed in another order


@pytest.mark.parametrize("given", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("start", [1, 5000, 20001, 47999])
def test_from_any_sample_on_the_samples_are_those_of_the_whole(
    tmp_path: Path, given: int, start: int
) -> None:
    noise(tmp_path / "a.wav", given)
    whole = np.concatenate(list(Stream(tmp_path / "a.wav", 16000)))
    found = np.concatenate(list(Stream(tmp_path / "a.wav", 16000, start)))
    assert len(found) == len(whole) - start
    # the filter of the resampler begins elsewhere; -100 dB of the noise's level of 0.1
    assert_allclose(found, whole[start:], atol=1e-6)


def test_a_stretch_is_what_a_stream_gives_there(tmp_path: Path) -> None:
    noise(tmp_path / "a.wav", 44100)
    whole = np.concatenate(list(Stream(tmp_path / "a.wav", 16000)))
    assert_allclose(read_stretch(tmp_path / "a.wav", 16000, 20000, 8000), whole[20000:28000],
                    atol=1e-6)  # fmt: skip
    assert len(read_stretch(tmp_path / "a.wav", 16000, len(whole) - 100, 8000)) == 100


def test_silence_takes_the_place_of_nan_and_where_it_was_is_known(tmp_path: Path) -> None:
    mono = noise(tmp_path / "a.wav", 16000)
    mono[16000:16010] = np.nan
    mono[32000] = np.inf
    soundfile.write(tmp_path / "a.wav", mono, 16000, subtype="FLOAT")
    stream = Stream(tmp_path / "a.wav", 16000)
    found = np.concatenate(list(stream))
    assert_array_equal(found[[16000, 16009, 32000]], 0)
    assert_array_equal(found[16010:32000], mono[16010:32000])
    assert stream.faulty == [(16000, 16010), (32000, 32001)]


def test_stretches_of_nan_in_one_block_are_told_apart(tmp_path: Path) -> None:
    mono = noise(tmp_path / "a.wav", 16000)
    mono[[16390, 24000, 24010, 30000]] = np.nan  # of the second block, the first near its start
    soundfile.write(tmp_path / "a.wav", mono, 16000, subtype="FLOAT")
    stream = Stream(tmp_path / "a.wav", 16000)
    list(stream)
    assert stream.faulty == [(16390, 16391), (24000, 24011), (30000, 30001)]


def bursts(rate: int) -> FloatArray:
    """Return noise that changes its band and level, so that the bit rate varies."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(4 * rate).cumsum()
    samples[rate : 2 * rate] = 0.1 * rng.standard_normal(rate)
    found: FloatArray = (samples / np.abs(samples).max()).astype(np.float32)
    return found


@pytest.mark.parametrize("start", [0.0, 0.5, 2.0001, 3.9])
@pytest.mark.parametrize("level", [0.95, 0.65])
def test_mp3_of_variable_bit_rate_is_decoded_as_in_one_read(
    tmp_path: Path, level: float, start: float
) -> None:
    rate, path = 44100, tmp_path / "a.mp3"
    soundfile.write(path, bursts(rate), rate, bitrate_mode="VARIABLE", compression_level=level)
    wanted, _ = soundfile.read(path, dtype="float32")
    first = round(start * rate)
    for found in (
        read_audio(path, start=start).samples,
        np.concatenate(list(Stream(path, rate, first))),
    ):
        assert len(found) == len(wanted) - first
        assert_allclose(found, wanted[first:], atol=1e-5)


def test_a_file_that_cannot_be_sought_in_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.5 * bursts(8000), 8000, subtype="GSM610")
    wanted = read_audio(path).samples
    assert_array_equal(read_audio(path, start=1.5).samples, wanted[12000:])
    assert_array_equal(np.concatenate(list(Stream(path, 8000, 12001))), wanted[12001:])


def test_a_truncated_file_gives_what_can_be_decoded_and_says_so(tmp_path: Path) -> None:
    noise(tmp_path / "a.wav", 16000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "b.wav").write_bytes(whole[: len(whole) // 2])
    stream = Stream(tmp_path / "b.wav", 16000)
    found = np.concatenate(list(stream))
    assert stream.cut_off
    assert_allclose(len(found), 24000, atol=1 << 14)  # at most one block is lost
    assert not Stream(tmp_path / "a.wav", 16000).cut_off


def test_files_that_are_no_sound_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="the file is empty"):
        Stream(tmp_path / "a.wav", 16000)
    (tmp_path / "a.wav").write_bytes(b"no sound at all")
    with pytest.raises(AudioError, match="not a sound file that can be decoded"):
        Stream(tmp_path / "a.wav", 16000)


def test_the_decoder_of_mp3_does_not_write_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(5 * 44100)
    soundfile.write(tmp_path / "a.mp3", samples, 44100)
    whole = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "b.mp3").write_bytes(whole[: len(whole) // 2])
    assert len(np.concatenate(list(Stream(tmp_path / "b.mp3", 16000, 16000)))) > 16000
    assert capfd.readouterr().err == ""
