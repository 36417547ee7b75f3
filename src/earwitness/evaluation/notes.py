"""Notes on an explanation, one line each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from earwitness.models.model import Model
from earwitness.plane.stft import Plane
from earwitness.render.players import AUDIBLE, HIGHEST_RATE, expansion, expansion_text, ultrasound
from earwitness.types import Attribution, Audio, FloatArray, Task

_NO_SOUND_DB = 60.0  # dB below the loudest cell, beyond which a band holds no sound to speak of
_FALL_DB = 20.0  # dB from just below the end of a band to all above it
_EDGE = 0.05  # of half the rate; width of the fall
_FULL_BAND = 0.9  # of half the rate; filters of resamplers begin about there
_LEAST_SHARE = 0.01  # of a map, for a note
_LARGE_GAP = 0.02  # share of the change of score; larger completeness gaps get a note
_ROUNDING = 1e-6  # in units of the score; a gap where the score does not change at all
_MOST_NAMED = 5  # steps
_SUDDEN = "the score changes only within the first 0.1 % of the path"


def length_notes(model: Model, samples: int) -> list[str]:
    """Return notes on padding and windows of a sound whose length the model does not take."""
    notes = []
    if model.shortest and samples < model.shortest:
        how = {"end": "padded with silence", "start": "padded with silence before it"}
        notes.append(
            f"shorter than the model takes: {how.get(model.lengths.pad, 'repeated')} to "
            f"{model.shortest / model.rate:g} s"
        )
    windows = model.windows(samples)
    seconds = f"{windows[0][1] / model.rate:.2f} s"
    if len(windows) > 1:
        pooled = {"mean": "outputs averaged", "max": "the largest outputs taken"}
        notes.append(
            f"longer than the model takes: read in {len(windows)} overlapping windows of "
            f"{seconds}, {pooled.get(model.lengths.pool, 'the three largest outputs averaged')}"
        )
    elif model.lengths.longer != "windows" and windows[0][1] < samples:
        notes.append(
            f"longer than the model takes: only the {model.lengths.longer} {seconds} are read"
        )
    return notes


def background_notes(task: Task, given: object, details: Mapping[str, Any]) -> list[str]:
    """Return notes on the background that a method used, and on a path that leads nowhere.

    Parameters
    ----------
    task : str
        The model's.
    given : object
        The method's option ``background`` as requested; None if it has none.
    details : mapping
        What the method reports.
    """
    used, former = details.get("background"), details.get("instead_of")
    if former:
        reason = {
            "sudden": f"{_SUDDEN} from {former}, so the model hardly depends on level",
            "undefined": f"the model cannot be evaluated on {former}",
        }[details["because"]]
        return [f"background: {used} instead of {former}, because {reason}"]
    notes = []
    if given == "auto" and task == "regression":
        notes = [f"background: {used}, the default for a regression"]
    if details.get("sudden"):
        notes.append(
            f"no usable path: {_SUDDEN} from {used}, so the model hardly depends on level; more "
            "steps do not help, another background (mean, noise-floor) does"
        )
    return notes


def batch_notes(model: Model) -> list[str]:
    """Return a note if the model is evaluated on one input at a time."""
    if not model.one_by_one or model.declared_alone:
        return []
    return [
        "the model's output for one input depends on the others in its batch, or it takes one "
        "input only: it was evaluated on one at a time, which takes longer"
    ]


def bandwidth_notes(
    plane: Plane, samples: int, magnitude: FloatArray, attribution: Attribution
) -> list[str]:
    """Return a note if the sound ends below half the rate, and a part of the map lies above it.

    Such as telephone speech stored at a higher rate: gains of silent cells change nothing that is
    heard, but some methods give them large values.

    Parameters
    ----------
    samples : int
        Length of the sound. Windows that reach over its ends show the cut, and are left out.
    magnitude : ndarray, shape (freq, frame)
        Of the input, on the plane.
    """
    half = plane.n_fft // 2
    inner = magnitude[:, -(-half // plane.hop) : (samples - half) // plane.hop + 1]
    peaks = (inner if inner.shape[1] else magnitude).max(axis=1)
    loud = np.flatnonzero(peaks > peaks.max() * 10 ** (-_NO_SOUND_DB / 20))
    if not len(loud) or loud[-1] >= _FULL_BAND * (len(peaks) - 1):
        return []
    # a soft noise floor goes on beyond that level; a band that ends falls off
    width = max(1, round(_EDGE * len(peaks)))
    below, above = peaks[max(0, loud[-1] - width) : loud[-1]], peaks[loud[-1] + width :]
    if np.median(above) > np.median(below) * 10 ** (-_FALL_DB / 20):
        return []
    size = np.abs(attribution.values).sum(axis=1, dtype=np.float64)
    share = float(size[loud[-1] + 1 :].sum() / max(size.sum(), 1e-300))
    if share < _LEAST_SHARE:
        return []
    top, whole = attribution.freqs[loud[-1]] / 1000, attribution.freqs[-1] / 1000
    return [
        f"the sound ends at {top:.1f} of {whole:g} kHz (above, all is {_NO_SOUND_DB:.0f} dB below "
        f"the loudest), and {share:.0%} of the map lies above, where there is nothing to hear"
    ]


def ultrasound_notes(sounds: Sequence[Audio]) -> list[str]:
    """Return a note if sounds (input, evidence, remainder) are ultrasound, or players cut them."""
    shares = ", ".join(f"{_percent(ultrasound(one))} of the {one.name}" for one in sounds)
    shares = f"{shares} (of the energy) above {AUDIBLE // 1000} kHz"
    factor = expansion(sounds)
    if factor > 1:
        return [
            f"ultrasound: {shares}; players are {expansion_text(factor)}, so that 40 kHz is heard "
            f"at {40 / factor:g} kHz; WAV files keep their rate"
        ]
    if sounds[0].rate > HIGHEST_RATE:
        return [f"players hold up to {HIGHEST_RATE // 2000} kHz: {shares}"]
    return []


def _percent(share: float) -> str:
    """Return a share in whole percent, or by two digits below one percent."""
    return f"{share:.0%}" if share >= 0.01 else f"{100 * share:.2g}%"


def gap_notes(details: Mapping[str, Any]) -> list[str]:
    """Return notes on a large completeness gap, and on steps that were left out."""
    notes = []
    skipped = details.get("skipped")
    if skipped:
        count = details.get("steps", details.get("samples"))
        which = ", ".join(str(step + 1) for step in skipped[:_MOST_NAMED])
        more = ", ..." if len(skipped) > _MOST_NAMED else ""
        notes.append(
            f"left out of {count} steps: {which}{more}, where the model or its gradient is not "
            "finite"
        )
    share = details.get("completeness_share")
    if share is None:  # the score does not change, or the method is not complete
        share = math.inf if abs(details.get("completeness_gap", 0.0)) > _ROUNDING else 0.0
    if share <= _LARGE_GAP:
        return notes
    text = (
        f"large completeness gap: the sum of the map differs from {details['score_change']:.3g} by "
        f"{details['completeness_gap']:+.3g}"
    )
    leaks = details.get("leaks")
    if leaks:
        return [*notes, f"{text}, mostly at {leaks[0]['at']} ({leaks[0]['share']:+.0%})"]
    more_steps = "steps" in details and not details.get("sudden")
    return [*notes, f"{text}; try more steps" if more_steps else text]
