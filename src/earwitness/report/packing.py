"""Maps, masks and sounds as the text of a page, which the script of the page unpacks.

An attribution becomes one byte per cell: 0 for zero, codes from 1 on for positive values in rising
order, and codes up to 255 for negative ones, the largest in magnitude last. The positive codes are
the intervals between the levels at which ``--keep p%`` cuts, p from 1 to 100. So the page keeps
exactly the cells that the command keeps.

Arrays are laid out frame by frame and deflated, as they are or as differences along the frequencies
(``up``; of the differences again, ``up2``), whichever is smallest for every eighth frame.
Differences of two bytes have the sign in the last bit, and numbers of two bytes are split: first
all high, then all low bytes.
"""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.masks.rounding import places_of, storable
from earwitness.masks.shares import attribution_thresholds
from earwitness.render.encoding import encode_flac
from earwitness.types import FloatArray, Mask

POSITIVE = 199  # codes of positive values
_STEPS = 8  # of negative values, up to the end of the colour scale
_COLOURS = 99.5  # percentile of the absolute values at which the colours end
_PERCENT = np.arange(1, 101)
_RULE = re.compile(r"(\d+)%")
_GAINS = 4096  # code of a gain of 1; a learned mask has multiples of 1/1024
_FLAC_RATE = 44100  # Hz, in the header only: a browser then decodes without resampling
_RIGHT = 1e-6  # -60 dB: most noise in a part of a sound, relative to the part
_LOOKED_AT = (2, 5, 10, 20, 40, 80)  # percent, of the dial
_MOST_FOR_DIAL = 20  # bits; more would be for masks of silence
_TRIED = 8  # every so many frames are deflated by each filter
_LEVEL = 4  # of deflate: 6 takes three times as long for a tenth of the bytes


def pack(values: NDArray[np.uint8] | NDArray[np.uint16]) -> dict[str, Any]:
    """Return an array of one or two bytes per cell as text.

    Parameters
    ----------
    values : ndarray, shape (freq, frame), uint8 or uint16

    Returns
    -------
    dict
        ``shape``; ``filter``, one of ``none``, ``up`` and ``up2``; ``data``, in base 64.
    """
    plain = np.ascontiguousarray(values.T)
    filtered = {"none": plain, "up": _steps(plain)}
    if plain.itemsize == 2:
        filtered["up2"] = _steps(filtered["up"])
        filtered |= {name: _zigzag(filtered[name]) for name in ("up", "up2")}
    name = min(filtered, key=lambda name: len(_deflated(filtered[name][::_TRIED])))
    return {"shape": [*values.shape], "filter": name, "data": _text(_deflated(filtered[name]))}


def pack_bits(values: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an array (freq, frame) of one bit per cell as text, eight cells to a byte."""
    data = zlib.compress(np.packbits(values.T).tobytes(), 9)
    return {"shape": [*values.shape], "filter": "none", "data": _text(data)}


def codes_of(values: FloatArray) -> tuple[NDArray[np.uint8], list[float], list[int]]:
    """Return an attribution in codes, the value of each code, and where each share cuts.

    Parameters
    ----------
    values : ndarray, shape (freq, frame)

    Returns
    -------
    codes : ndarray, shape (freq, frame), uint8
    values : list of 256 floats
        Mean of the values of a code.
    cuts : list of 101 ints
        The least code that ``--keep p%`` keeps, by p; 200 if it keeps nothing. The first one is
        not used.
    """
    stored = storable(values)
    exact = stored.astype(np.float64)
    levels = attribution_thresholds(exact, _PERCENT / 100)
    finite = np.isfinite(levels)
    edges = np.unique(levels[finite])
    first = places_of(edges.astype(np.float32))  # of the values from each level on
    code = np.zeros(2**20, np.uint8)  # of every value there is: faster than a search
    code[: 2**19] = np.repeat(np.arange(len(first) + 1), np.diff(first, prepend=0, append=2**19))
    codes = code[places_of(stored)]
    negative = exact < 0
    if negative.any():
        scale = np.percentile(np.abs(np.extract(exact, exact)), _COLOURS)
        shares = np.minimum(np.extract(negative, -exact) / scale, 1)
        depth = np.round(_STEPS * shares).astype(np.int16)
        codes[negative] = np.where(depth > 0, 255 - _STEPS + depth, 0)
    means = np.bincount(codes.ravel(), weights=exact.ravel(), minlength=256)
    counts = np.bincount(codes.ravel(), minlength=256)
    table = [float(f"{mean:.4g}") for mean in (means / np.maximum(counts, 1)).tolist()]
    cuts = np.full(101, POSITIVE + 1)
    cuts[1:][finite] = np.searchsorted(edges, levels[finite], "right")
    return codes, table, cuts.tolist()


def kept(codes: NDArray[np.uint8], cuts: list[int], percent: int) -> NDArray[np.bool_]:
    """Return the cells (freq, frame) that the page keeps at a percentage."""
    return (codes >= cuts[percent]) & (codes <= POSITIVE)


def pack_map(
    mask: Mask, codes: NDArray[np.uint8], cuts: list[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the codes of an attribution, and the gains of its mask.

    Gains are ``percent``, if the codes give them, else ``bits`` or ``gains``. Codes are ``codes``,
    or ``by_gain``, the code of each gain, if the gains give them, as those of a learned mask do.

    Parameters
    ----------
    codes, cuts
        As ``codes_of`` returns them.
    """
    plain = _RULE.fullmatch(mask.rule)
    percent = int(plain[1]) if plain else 0
    if 1 <= percent <= 100 and np.array_equal(mask.gains, kept(codes, cuts, percent)):
        return {"codes": pack(codes)}, {"percent": percent}
    if not ((mask.gains > 0) & (mask.gains < 1)).any():
        return {"codes": pack(codes)}, {"bits": pack_bits(mask.gains > 0)}
    gains = np.round(mask.gains * _GAINS).astype(np.uint16)
    by_gain = np.zeros(_GAINS + 1, np.uint8)
    by_gain[gains] = codes
    given = np.array_equal(by_gain[gains], codes)
    own = {"by_gain": _text(_deflated(by_gain))} if given else {"codes": pack(codes)}
    return own, {"gains": pack(gains)}


def pack_sound(samples: FloatArray, bits: int = 16) -> dict[str, Any]:
    """Return a sound as FLAC, scaled to full scale.

    Parameters
    ----------
    samples : ndarray, shape (time,)
    bits : int in 16..24

    Returns
    -------
    dict
        ``flac``, in base 64, of 16 bits or of 24, the lowest of which are zero and take no place;
        ``scale``: a sample is what the FLAC decodes to, in [-1, 1), times this. The header says
        44100 Hz whatever the rate is.
    """
    peak, full = float(np.abs(samples).max(initial=0.0)), 2 ** (bits - 1)
    codes = np.round(samples.astype(np.float64) * ((full - 1) / (peak or 1.0))).astype(np.int32)
    data = encode_flac(codes, _FLAC_RATE, bits)
    return {"flac": _text(data), "scale": peak * full / (full - 1)}


def bits_for(
    samples: FloatArray,
    parts: Iterable[tuple[FloatArray, FloatArray]],
    dials: Iterable[tuple[NDArray[np.uint8], list[int]]],
    magnitude: FloatArray,
) -> int:
    """Return how many bits of the input make what the page computes of it right to 60 dB.

    The noise of rounding is white, and a mask keeps the share ``mean(gains^2)`` of it. Evidence may
    be so much quieter than the input, as faint calls in wind are, that 16 bits are too few.

    Parameters
    ----------
    samples : ndarray, shape (time,)
        The input.
    parts : iterable of (gains, sound)
        Gains (freq, frame), and what they leave of the input (time,).
    dials : iterable of (codes, cuts)
        Maps as ``codes_of`` returns them; a few positions of the dial are looked at.
    magnitude : ndarray, shape (freq, frame)
        Of the input.
    """
    step = float(np.abs(samples).max(initial=0.0)) / (2**15 - 1)
    noise = step**2 / 12  # power of a sample
    worst = [0.0]
    for gains, sound in parts:
        power = float(np.square(sound, dtype=np.float64).mean())
        if power > 0:
            worst.append(noise * float(np.square(gains, dtype=np.float64).mean()) / power)
    own = _bits(max(worst))
    energy = np.square(magnitude, dtype=np.float64).ravel()
    in_cell = noise * 1.5 / (2 * len(magnitude) - 2)  # of a Hann window of so many samples
    for codes, cuts in dials:
        held = np.bincount(codes.ravel(), weights=energy, minlength=256)
        cells = np.bincount(codes.ravel(), minlength=256)
        for percent in _LOOKED_AT:
            kept_ones = slice(cuts[percent], POSITIVE + 1)
            if held[kept_ones].sum() > 0:
                worst.append(in_cell * cells[kept_ones].sum() / held[kept_ones].sum())
    return max(own, min(_bits(max(worst)), _MOST_FOR_DIAL))


def _bits(noise: float) -> int:
    """Return how many bits lower the noise of 16 bits, relative to the sound, enough."""
    if noise <= _RIGHT:
        return 16
    return min(24, 16 + math.ceil(math.log2(noise / _RIGHT) / 2))


def _steps(values: NDArray[Any]) -> NDArray[Any]:
    """Return differences along the frequencies of an array (frame, freq), modulo its range."""
    return np.diff(values, axis=1, prepend=values.dtype.type(0))


def _zigzag(steps: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return 0, -1, 1, -2, ... as 0, 1, 2, 3, ..., so that the high byte of a small step is 0."""
    signed = steps.view(np.int16)
    return ((signed << 1) ^ (signed >> 15)).view(np.uint16)


def _deflated(values: NDArray[Any]) -> bytes:
    if values.itemsize == 1:
        return zlib.compress(values.tobytes(), _LEVEL)
    high, low = (values >> 8).astype(np.uint8), (values & 0xFF).astype(np.uint8)
    return zlib.compress(high.tobytes() + low.tobytes(), _LEVEL)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
