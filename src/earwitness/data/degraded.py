"""Degraded speech with known places: clean speech in which one stretch of time was made worse.

Additive ones (``burst``, ``quiet-burst``, ``hum``) have a band, and lie anywhere; the others lie
where there is speech, and change all of its frequencies but ``band-limiting``, which removes those
above an edge. The place, the level and the kind of each are drawn, and are known exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal

from earwitness.errors import ParameterError
from earwitness.plane.mel import hz_to_mel, mel_edges, mel_to_hz
from earwitness.registry import unknown
from earwitness.types import FloatArray

Values = NDArray[np.float64]
LEVELS = {"burst": 0.0, "quiet-burst": -10.0, "hum": 0.0}  # dB relative to the speech
BURST = (0.2, 0.5)  # s, range of the length
HUM = (0.4, 0.8)
_LOSS = (0.15, 0.4)
_CLIPPED = (0.4, 0.8)
_LONG = (1.0, 2.0)  # band-limiting and reverberation
_PACKET = 0.02  # s
_RAMP = 0.005  # s, linear fades that avoid clicks
_LOWEST, _HIGHEST = 50.0, 20000.0  # Hz, of noise bursts
_WIDTH = (0.6, 1.0)  # of a third of the mel scale, width of the band of a burst
_MAINS = (50.0, 60.0)  # Hz
_HARMONICS = 8
_ACTIVE = 15.0  # dB below the speech, the level from which on a frame is active
_FRAME = 0.02  # s


@dataclass(frozen=True)
class Degraded:
    """A degraded sound with all that is known of it.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    clean, sound : ndarray, shape (time,)
        Before and after.
    start, end : float
        In seconds.
    low, high : float
        The band in Hz.
    detail : str
        How it was done, in words.
    """

    kind: str
    clean: FloatArray
    sound: FloatArray
    start: float
    end: float
    low: float
    high: float
    detail: str

    @property
    def source(self) -> FloatArray:
        """The difference, shape (time,): what was added, for an additive degradation."""
        return self.sound - self.clean

    @property
    def additive(self) -> bool:
        """Whether the clean sound can be restored by removing something."""
        return self.kind in LEVELS


def third_edges(highest: float) -> Values:
    """Return the edges (4,) in Hz of the three thirds of Slaney's mel scale up to ``highest``.

    Examples
    --------
    >>> third_edges(8000.0).round().tolist()
    [0.0, 1006.0, 2836.0, 8000.0]
    """
    return mel_edges(2, 0.0, highest).numpy()


def degrade(
    clean: FloatArray, rate: int, kind: str, rng: np.random.Generator, *, highest: float = 0.0
) -> Degraded:
    """Return clean speech with one degradation, whose place, band and strength are drawn.

    Parameters
    ----------
    clean : ndarray, shape (time,)
        At least 1.5 s are needed to leave something clean.
    rate : int
        In Hz.
    kind : str
        One of ``KINDS``.
    rng : Generator
    highest : float
        Upper end of what can be heard of the sound, in Hz; half of the rate and 20 kHz at most.

    Raises
    ------
    ParameterError
        If the sound is silent or too short.
    """
    if kind not in KINDS:
        raise unknown("degradation", kind, KINDS)
    limit = min(rate / 2, _HIGHEST)
    speech = clean.astype(np.float64)
    level = speech_level(speech, rate)
    seconds, make = KINDS[kind]
    length = rng.uniform(*seconds)
    if not level > 0 or length >= len(clean) / rate:
        raise ParameterError(f"a {kind} of {length:.2f} s needs longer speech, or it is silent")
    start = _start(speech, rate, length, level, rng, speaking=kind not in LEVELS)
    span = slice(round(start * rate), round((start + length) * rate))
    top = min(highest, limit) if highest > 0 else limit
    stretch, band, detail = make(speech, span, rate, level, top, rng)
    weight = _fade(span.stop - span.start, rate)
    sound = speech.copy()
    sound[span] += weight * (stretch - speech[span])
    return Degraded(
        kind, clean, sound.astype(np.float32), span.start / rate, span.stop / rate, *band, detail
    )


def speech_level(speech: NDArray[np.floating], rate: int) -> float:
    """Return the RMS of the active frames: those at most 30 dB below the loudest frame.

    Frames of 20 ms; a simple form of the active speech level of ITU-T P.56.
    """
    powers = _powers(speech, rate)
    active = powers[powers >= powers.max(initial=0.0) * 1e-3]
    return float(np.sqrt(active.mean())) if len(active) else 0.0


def _powers(speech: NDArray[np.floating], rate: int) -> Values:
    """Return the mean power of every frame of 20 ms."""
    size = round(_FRAME * rate)
    whole = speech[: len(speech) // size * size].astype(np.float64)
    return (whole.reshape(-1, size) ** 2).mean(axis=1)


def _start(
    speech: Values, rate: int, length: float, level: float, rng: np.random.Generator,
    *, speaking: bool,
) -> float:  # fmt: skip
    """Return a start in seconds; of a stretch that is active for nine tenths, if there is one."""
    last = len(speech) / rate - length
    if not speaking:
        return float(rng.uniform(0.0, last))
    active = _powers(speech, rate) > level**2 * 10 ** (-_ACTIVE / 10)
    count = max(1, round(length / _FRAME))
    shares = np.convolve(active, np.ones(count) / count, mode="valid")
    wanted = min(0.9, float(shares.max()))
    places = np.flatnonzero(shares >= wanted - 1e-9)
    return min(float(rng.choice(places)) * _FRAME, last)


def _fade(samples: int, rate: int) -> Values:
    ramp = (np.arange(samples) + 0.5) / (_RAMP * rate)
    return np.minimum(1.0, np.minimum(ramp, ramp[::-1]))


Made = tuple[Values, tuple[float, float], str]
Make = Callable[[Values, slice, int, float, float, np.random.Generator], Made]


def _burst(decibels: float) -> Make:
    def made(
        speech: Values, span: slice, rate: int, level: float, top: float, rng: np.random.Generator
    ) -> Made:
        """Add noise in a band within one third of the mel scale."""
        edges = _mel(third_edges(top))
        edges[0] = _mel(np.array([_LOWEST]))[0]
        third = int(rng.integers(3))
        width = rng.uniform(*_WIDTH) * (edges[third + 1] - edges[third])
        low = rng.uniform(edges[third], edges[third + 1] - width)
        ends = mel_to_hz(torch.tensor([low, low + width], dtype=torch.float64)).tolist()
        band = (ends[0], ends[1])
        noise = _band_noise(span.stop - span.start, rate, band, rng)
        noise *= level * 10 ** (decibels / 20)
        return speech[span] + noise, band, f"noise at {decibels:+.0f} dB"

    return made


def _mel(frequencies: Values) -> Values:
    return hz_to_mel(torch.from_numpy(frequencies)).numpy()


def _band_noise(
    samples: int, rate: int, band: tuple[float, float], rng: np.random.Generator
) -> Values:
    """Return Gaussian noise of RMS 1 whose spectrum is zero outside a band."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1 / rate)
    spectrum[(frequencies < band[0]) | (frequencies > band[1])] = 0
    noise: Values = np.fft.irfft(spectrum, samples)
    return noise / np.sqrt((noise**2).mean())


def _hum(
    speech: Values, span: slice, rate: int, level: float, _top: float, rng: np.random.Generator
) -> Made:
    """Add harmonics of the mains, the n-th with an amplitude of 1/n."""
    mains = float(rng.choice(_MAINS)) * float(rng.choice((1, 2)))
    time = np.arange(span.stop - span.start) / rate
    orders = np.arange(1, _HARMONICS + 1)
    phases = rng.uniform(0, 2 * np.pi, (_HARMONICS, 1))
    waves = np.sin(2 * np.pi * mains * orders[:, None] * time + phases) / orders[:, None]
    tone = waves.sum(axis=0)
    tone *= level * 10 ** (LEVELS["hum"] / 20) / np.sqrt((tone**2).mean())
    band = (mains / 2, mains * (_HARMONICS + 0.5))
    return speech[span] + tone, band, f"hum of {mains:.0f} Hz"


def _loss(
    speech: Values, span: slice, rate: int, _level: float, top: float, rng: np.random.Generator
) -> Made:
    """Replace every packet of the stretch by silence, or by the last packet before it."""
    samples, size = span.stop - span.start, round(_PACKET * rate)
    repeated = bool(rng.integers(2)) and span.start >= size
    if not repeated:
        return np.zeros(samples), (0.0, top), "packets of silence"
    last = speech[span.start - size : span.start]
    return np.resize(last, samples), (0.0, top), "packets repeated"


def _clip(
    speech: Values, span: slice, _rate: int, _level: float, top: float, rng: np.random.Generator
) -> Made:
    """Clip the stretch at a part of its peak, and restore its power."""
    stretch = speech[span]
    part = float(rng.uniform(0.03, 0.12))
    limit = part * float(np.abs(stretch).max())
    clipped = np.clip(stretch, -limit, limit)
    power = float((clipped**2).mean())
    gain = np.sqrt(float((stretch**2).mean()) / power) if power > 0 else 1.0
    return gain * clipped, (0.0, top), f"clipped at {100 * part:.0f} % of the peak"


def _limit(
    speech: Values, span: slice, rate: int, _level: float, top: float, rng: np.random.Generator
) -> Made:
    """Remove what lies above an edge, by a filter without delay."""
    edge = float(rng.uniform(1000.0, min(3000.0, 0.8 * top)))
    filters = signal.butter(8, edge, fs=rate, output="sos")
    return signal.sosfiltfilt(filters, speech)[span], (edge, top), f"low-pass at {edge:.0f} Hz"


def _reverberate(
    speech: Values, span: slice, rate: int, _level: float, top: float, rng: np.random.Generator
) -> Made:
    """Convolve with noise that decays exponentially, at the power of the stretch before."""
    seconds = float(rng.uniform(0.5, 1.2))  # reverberation time, to -60 dB
    time = np.arange(round(seconds * rate)) / rate
    response = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    wet = signal.fftconvolve(speech, response)[: len(speech)][span]
    power = float((wet**2).mean())
    gain = np.sqrt(float((speech[span] ** 2).mean()) / power) if power > 0 else 1.0
    return gain * wet, (0.0, top), f"reverberation time of {seconds:.1f} s"


KINDS: dict[str, tuple[tuple[float, float], Make]] = {
    "burst": (BURST, _burst(LEVELS["burst"])),
    "quiet-burst": (BURST, _burst(LEVELS["quiet-burst"])),
    "hum": (HUM, _hum),
    "packet-loss": (_LOSS, _loss),
    "clipping": (_CLIPPED, _clip),
    "band-limiting": (_LONG, _limit),
    "reverberation": (_LONG, _reverberate),
}
