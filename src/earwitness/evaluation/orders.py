"""A mask's own gains in another order: what an explanation must beat at its own size.

By energy, the largest gains lie on the loudest cells. At random, they lie with the mask's own
smoothness (phase-randomised surrogates; Theiler et al. 1992, section 2.4, in two dimensions). The
gains are the same, so area and softness are equal to the last digit.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earwitness.types import FloatArray

Key = NDArray[np.floating]


class Orders:
    """What all masks of one sound share: its cells by loudness, and the phases of random orders.

    Parameters
    ----------
    magnitude : ndarray, shape (freq, frame)
        The input on the plane.
    seed : int
        Of the random orders.
    """

    def __init__(self, magnitude: FloatArray, seed: int) -> None:
        self._magnitude = magnitude
        self._generator = np.random.default_rng(seed)
        self._phases: list[NDArray[np.complexfloating]] = []

    @cached_property
    def _by_loudness(self) -> NDArray[np.intp]:
        # stable: digital silence has many equal cells, which other sorts order by processor
        return np.argsort(self._magnitude, axis=None, kind="stable")

    @cached_property
    def power(self) -> Key:
        """Energy of each cell, in float64, shape (freq, frame)."""
        return np.square(self._magnitude, dtype=np.float64)

    def by_energy(self, gains: FloatArray) -> FloatArray:
        """Return the same gains, largest on the loudest cells."""
        ordered = np.empty(gains.size, np.float32)
        ordered[self._by_loudness] = np.sort(gains, axis=None)
        return ordered.reshape(gains.shape)

    def at_random(self, gains: FloatArray, draws: int) -> list[FloatArray]:
        """Return the same gains in random orders as smooth as the mask, the same for every mask."""
        while len(self._phases) < draws:
            self._phases.append(_random_phases(gains.shape, self._generator))
        spectrum, ascending = _amplitudes(gains), np.sort(gains, axis=None)
        surrogates = (
            fft.irfft2(spectrum * phases, s=gains.shape) for phases in self._phases[:draws]
        )
        return [_in_order_of(one, ascending) for one in surrogates]


def order_by(gains: FloatArray, key: Key) -> FloatArray:
    """Return gains (freq, frame) in another order, the largest where ``key`` is largest."""
    ordered = np.empty(gains.size, np.float32)
    ordered[np.argsort(key, axis=None, kind="stable")] = np.sort(gains, axis=None)
    return ordered.reshape(gains.shape)


def surrogate(gains: FloatArray, generator: np.random.Generator) -> Key:
    """Return noise (freq, frame) of the gains' own power spectrum, hence of their smoothness."""
    phases = _random_phases(gains.shape, generator)
    noise: Key = fft.irfft2(_amplitudes(gains) * phases, s=gains.shape)
    return noise


def _amplitudes(gains: FloatArray) -> NDArray[np.floating]:
    """Return the amplitude spectrum of gains less their mean."""
    centred = gains - gains.mean(dtype=np.float64).astype(np.float32)
    amplitudes: NDArray[np.floating] = np.abs(fft.rfft2(centred))
    return amplitudes


def _random_phases(
    shape: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.complexfloating]:
    """Return the phases of white noise in two dimensions, complex numbers of size one."""
    noise = fft.rfft2(generator.standard_normal(shape).astype(np.float32))
    phases: NDArray[np.complexfloating] = noise / np.maximum(np.abs(noise), np.float32(1e-30))
    return phases


def _in_order_of(key: Key, ascending: FloatArray) -> FloatArray:
    """Return sorted gains, the largest where ``key`` is largest."""
    ordered = np.full(key.size, ascending[0], np.float32)
    low = int(np.searchsorted(ascending, ascending[0], side="right"))
    if low < key.size and ascending[low] == ascending[-1]:  # binary: no need to sort
        ordered[np.argpartition(key.ravel(), low)[low:]] = ascending[-1]
    else:
        ordered[np.argsort(key, axis=None)] = ascending
    return ordered.reshape(key.shape)
