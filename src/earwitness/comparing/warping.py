"""One sound on the time axis of another: a phase vocoder along an alignment.

Each frame is analysed where it lies in the sound, and its phase advances as it does there over one
hop (Laroche, Dolson: Improved phase vocoder time-scale modification of audio, 1999, eq. 5), after
locking to its neighbours (Puckette: Phase-locked vocoder, 1995). Where the alignment runs at the
sound's own speed the result is the sound itself.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from earwitness.comparing.alignment import Alignment
from earwitness.plane.stft import default_plane, modulus
from earwitness.types import Audio, FloatArray

_TINY = 1e-20  # magnitude below which there is no phase


def on_axis_of(alignment: Alignment, sound: Audio, samples: int) -> FloatArray:
    """Return a sound with the time axis of the one that it was aligned with.

    Parameters
    ----------
    alignment : Alignment
        Of the other sound with this one.
    sound : Audio
    samples : int
        Length of the other sound, at the same rate.

    Returns
    -------
    ndarray, shape (samples,)
    """
    plane = default_plane(sound.rate)
    count, half = plane.frames(samples), plane.n_fft // 2
    seconds = plane.times(count).double().numpy()
    centres = np.round(_beyond(alignment, seconds) * sound.rate).astype(np.int64)
    around = plane.n_fft + plane.hop  # zeros around the sound: frames may lie half outside of it
    centres = np.clip(centres, plane.hop - half, len(sound.samples) + half)
    wave = torch.nn.functional.pad(torch.from_numpy(sound.samples).double(), (around, around))
    window = torch.hann_window(plane.n_fft, dtype=torch.float64)
    places = torch.from_numpy(centres)[:, None] + around - half + torch.arange(plane.n_fft)
    # frames of the inverse begin at their centre less half a window, as torch.stft's do
    here = torch.fft.rfft(wave[places] * window / window.sum())
    earlier = torch.fft.rfft(wave[places - plane.hop] * window / window.sum())
    whole = torch.stack(_turned(here, earlier)).T
    found: FloatArray = plane.synthesise(whole[None], samples)[0].float().numpy()
    return found


def _beyond(alignment: Alignment, seconds: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Return the places of some moments; after the last frame the sound runs on at its speed."""
    late = np.maximum(seconds - alignment.times[-1], 0)
    return alignment.at(seconds) + late


def _turned(here: Tensor, earlier: Tensor) -> list[Tensor]:
    """Return spectra (frame, freq) whose phases go on from one another."""
    made = [here[0]]
    for now, then in zip(here[1:], earlier[1:], strict=True):
        turn = _locked(made[-1]) * _locked(then).conj()
        size = modulus(turn)
        made.append(torch.where(size > _TINY, now * turn / size.clamp(min=_TINY), now))
    return made


def _locked(spectrum: Tensor) -> Tensor:
    """Return the sum of each bin with its neighbours, which a window turns by half a cycle."""
    padded = torch.nn.functional.pad(torch.view_as_real(spectrum).T, (1, 1)).T.contiguous()
    whole = torch.view_as_complex(padded)
    return whole[1:-1] - whole[:-2] - whole[2:]
