"""Basic Pitch: which notes are played at every moment.

Bittner et al. (2022), A Lightweight Instrument-Agnostic Model for Polyphonic Note Transcription and
Multipitch Estimation, ICASSP.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earwitness.files import digest_of
from earwitness.models.adapters.onnx import open_session
from earwitness.models.adapters.registry import register
from earwitness.models.model import Model
from earwitness.models.packaged.reading import package_file
from earwitness.models.wrapping import wrap

_RATE = 22050
_SAMPLES = 2 * _RATE - 256  # of its windows
_KEYS, _LOWEST, _LOWEST_MIDI = 88, 27.5, 21  # of a piano; in Hz and as MIDI number
_PER_SEMITONE = 3  # contours
_PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NAMES = {"note": ":1", "onset": ":2", "contour": ":0"}  # ends of the names of outputs


@register(
    "basic-pitch",
    summary="notes, onsets or pitch contours in every frame, as a black box (Apache-2.0)",
    needs=("basic_pitch", "onnxruntime"),
    extra="onnx",
    packages={"basic_pitch": "--no-deps basic-pitch"},
)
def from_basic_pitch(*, select: Literal["note", "onset", "contour"] = "note") -> Model:
    """Load the ONNX file of the package basic-pitch.

    Parameters
    ----------
    select : str
        Whether the outputs are notes that sound, notes that begin, or pitches in thirds of a
        semitone.
    """
    path = package_file("basic_pitch", "saved_models", "icassp_2022", "nmp.onnx")
    session = open_session(path, "basic-pitch")
    (wave,) = session.get_inputs()
    (output,) = [one.name for one in session.get_outputs() if one.name.endswith(_NAMES[select])]

    def evaluate(waves: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run([output], {wave.name: waves[..., None]})[0]
        return found

    seconds = _SAMPLES / _RATE
    labels = contour_names() if select == "contour" else note_names()
    model = wrap(
        evaluate, sample_rate=_RATE, labels=labels, output="probabilities", task="multi-label",
        lengths=(seconds, seconds), per_frame=True, name="basic-pitch",
    )  # fmt: skip
    model.source = digest_of([path])
    return model


def note_names() -> list[str]:
    """Return the names of the keys of a piano, A0 to C8; A4 is the one of 440 Hz."""
    midi = range(_LOWEST_MIDI, _LOWEST_MIDI + _KEYS)
    return [f"{_PITCHES[one % 12]}{one // 12 - 1}" for one in midi]


def contour_names() -> list[str]:
    """Return the frequencies of thirds of semitones, such as ``440.0 Hz``.

    A key is the middle one of its three.
    """
    steps = (np.arange(_KEYS * _PER_SEMITONE) - 1) / (12 * _PER_SEMITONE)
    return [f"{hz:.1f} Hz" for hz in _LOWEST * 2.0**steps]
