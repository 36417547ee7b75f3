"""Masks that were drawn: binary maps in a JSON file, as the brush of the report saves them.

The file has ``schema`` 1, ``kind`` "earwitness mask", the ``rate`` in Hz and the number of
``samples`` of the sound, ``n_fft`` and ``hop`` of its plane, the ``shape`` [bins, frames], and
``runs``: lengths of runs of zeros and ones in turn, zeros first, of the map row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.errors import ParameterError
from earwitness.files import reachable, read_record
from earwitness.masks.registry import Values, register
from earwitness.plane.stft import MOST_CELLS, Plane

KIND = "earwitness mask"
SCHEMA = 1
_MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Drawn:
    """A binary mask that was drawn on the plane of one sound.

    Attributes
    ----------
    path : Path
    plane : Plane
        Where it was drawn; the rate is the sound's.
    samples : int
        Length of the sound.
    runs : ndarray, shape (run,), int64
        Lengths of zeros and ones in turn.
    """

    path: Path
    plane: Plane
    samples: int
    runs: NDArray[np.int64]

    @property
    def gains(self) -> Values:
        """The mask, shape (freq, frame), float64."""
        ones = np.arange(len(self.runs)) % 2
        flat = np.repeat(ones.astype(np.float64), self.runs)
        return flat.reshape(self.plane.bins, self.plane.frames(self.samples))

    def check(self, plane: Plane, samples: int) -> None:
        """Raise ``ParameterError`` unless it was drawn on this plane, on a sound of this length."""
        own = self.plane
        if own.rate != plane.rate:
            raise ParameterError(
                f"{self.path}: the mask was drawn at {own.rate} Hz, the model takes {plane.rate} Hz"
            )
        if own != plane:
            raise ParameterError(
                f"{self.path}: the mask was drawn on a plane with n_fft {own.n_fft} and hop "
                f"{own.hop}, the model's has {plane.n_fft} and {plane.hop}"
            )
        if self.samples != samples:
            raise ParameterError(
                f"{self.path}: the mask was drawn on {self.samples} samples "
                f"({self.samples / own.rate:.3f} s), the sound has {samples} "
                f"({samples / own.rate:.3f} s); a mask belongs to one sound and its start and end"
            )


def read_drawn(place: str) -> Drawn:
    """Read a mask that was drawn.

    Raises
    ------
    ParameterError
        If there is no such file, or it holds no whole mask.
    """
    path = reachable(place, ParameterError)
    if not path.is_file():  # opening a pipe would wait for ever
        raise ParameterError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    if path.stat().st_size > _MOST_BYTES:
        raise ParameterError(f"{path}: a mask has at most {_MOST_BYTES // 1_000_000} MB")
    try:
        stored = read_record(path, {SCHEMA}, ParameterError)
        if stored["kind"] != KIND:
            raise ValueError(f"kind is not {KIND!r}")
        return _drawn(path, stored)
    except ParameterError:
        raise
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        reason = reason.split("\n")[0][:100]
        raise ParameterError(f"{path}: no mask, or a damaged one ({reason})") from error


def _drawn(path: Path, stored: dict[str, Any]) -> Drawn:
    rate, samples, n_fft, hop = (
        _whole(stored, name) for name in ("rate", "samples", "n_fft", "hop")
    )
    try:
        plane = Plane(rate, n_fft, hop)
    except ParameterError as error:
        raise ValueError(str(error)) from error
    shape = [plane.bins, plane.frames(samples)]
    if stored["shape"] != shape:
        raise ValueError(f"shape is not {shape}, that of such a plane and sound")
    cells = shape[0] * shape[1]
    if cells > MOST_CELLS:
        raise ValueError(f"{cells} cells, the most are {MOST_CELLS}")
    runs = stored["runs"]
    if not isinstance(runs, list) or not all(
        type(run) is int and 0 <= run <= cells for run in runs
    ):
        raise ValueError("runs are no whole numbers")
    if sum(runs) != cells:
        raise ValueError(f"runs add up to {sum(runs)} of {cells} cells")
    return Drawn(path, plane, samples, np.array(runs, np.int64))


def _whole(stored: dict[str, Any], name: str) -> int:
    value = stored[name]
    if type(value) is not int or not 0 < value < 2**31:
        raise ValueError(f"{name} is no positive whole number")
    return value


@register(
    "file",
    summary="a mask that was drawn, from the JSON file that the report's brush saves",
    example="file:mask.json",
    amount="path",
)
def drawn(attribution: Values, amount: str) -> Values:
    """Return the mask of a file; the map does not matter.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    amount : str
        Path of the file.
    """
    gains = read_drawn(amount).gains
    if gains.shape != attribution.shape:
        raise ParameterError(
            f"{amount}: a mask of {gains.shape[0]} bins and {gains.shape[1]} frames for a map of "
            f"{attribution.shape[0]} and {attribution.shape[1]}"
        )
    return gains
