"""Controls of a mask: permutations of its gains, by energy and at random.

By energy, the largest gains are on the cells of most energy. Random permutations have the power
spectrum, hence the smoothness, of the mask (phase-randomised surrogates; Theiler et al. 1992,
section 2.4, in two dimensions). The gains are the same, so area and softness are exactly equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earwitness.interrupts import interrupts_later
from earwitness.types import FloatArray

Key = NDArray[np.floating]
_CODES = 2**16 - 1  # largest whole number of 16 bits
_TINY = float(np.finfo(np.float32).tiny)


class Orders:
    """Permutations for all masks of one sound: the ranks of its cells, and random phases.

    Parameters
    ----------
    magnitude : ndarray, shape (freq, frame)
        The input on the plane.
    seed : int
        Seed of the random orders.
    """

    def __init__(self, magnitude: FloatArray, seed: int) -> None:
        self._magnitude = magnitude
        self._phases = _phases(magnitude.shape, seed)

    @cached_property
    def _by_loudness(self) -> NDArray[np.integer]:
        """Indices of cells by increasing magnitude; ties keep their order.

        The bits of non-negative floats sort as the floats do. With the cell's index in the low bits
        all keys differ, so an unstable sort gives the same order on every machine.
        """
        bits = np.ascontiguousarray(self._magnitude, np.float32).view(np.uint32).ravel()
        keys = bits.astype(np.uint64) << np.uint64(32) | np.arange(bits.size, dtype=np.uint64)
        keys.sort()
        return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)

    @cached_property
    def power(self) -> Key:
        """Energy of each cell, shape (freq, frame)."""
        return np.square(self._magnitude)

    def by_energy(self, gains: FloatArray) -> FloatArray:
        """Return the same gains, largest on the cells of most energy."""
        return _placed(np.sort(gains, axis=None), self._by_loudness, gains.shape)

    def at_random(self, gains: FloatArray, draws: int) -> list[FloatArray]:
        """Return the same gains in random orders as smooth as the mask; all masks share phases.

        They are antithetic: every second order is by the negative of the surrogate before, which is
        as likely, and lowers the variance of the mean.
        """
        spectrum, ascending = _amplitudes(gains), np.sort(gains, axis=None)
        found: list[FloatArray] = []
        for phases in islice(self._phases, (draws + 1) // 2):
            one = _rising(fft.irfft2(spectrum * phases, s=gains.shape))
            found += [_placed(ascending, order, gains.shape) for order in (one, one[::-1])]
        return found[:draws]


class _Phases:
    """The phases of random orders of one shape and seed, drawn once and cached."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self._shape = shape
        self._generator = np.random.default_rng(seed)
        self._drawn: list[NDArray[np.complexfloating]] = []

    def __iter__(self) -> Iterator[NDArray[np.complexfloating]]:
        for number in count():
            if number == len(self._drawn):
                with interrupts_later():  # else a draw is lost, and later ones are others
                    self._drawn.append(_random_phases(self._shape, self._generator))
            yield self._drawn[number]


@lru_cache(maxsize=1)
def _phases(shape: tuple[int, ...], seed: int) -> _Phases:
    """Return phases; cached, because sounds of a folder often have the same length."""
    return _Phases(shape, seed)


def order_by(gains: FloatArray, key: Key) -> FloatArray:
    """Return the gains (freq, frame) sorted by ``key``, the largest where ``key`` is largest."""
    order = np.argsort(key, axis=None, kind="stable")
    return _placed(np.sort(gains, axis=None), order, gains.shape)


def surrogate(gains: FloatArray, generator: np.random.Generator) -> Key:
    """Return noise (freq, frame) with the power spectrum of the gains, hence their smoothness."""
    phases = _random_phases(gains.shape, generator)
    noise: Key = fft.irfft2(_amplitudes(gains) * phases, s=gains.shape)
    return noise


def _amplitudes(gains: FloatArray) -> NDArray[np.floating]:
    """Return the amplitude spectrum of the gains minus their mean."""
    centred = gains - gains.mean(dtype=np.float64).astype(np.float32)
    amplitudes: NDArray[np.floating] = np.abs(fft.rfft2(centred))
    return amplitudes


def _random_phases(
    shape: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.complexfloating]:
    """Return the phases of two-dimensional white noise, complex numbers of modulus one."""
    noise = fft.rfft2(generator.standard_normal(shape).astype(np.float32))
    phases: NDArray[np.complexfloating] = noise / np.maximum(np.abs(noise), np.float32(1e-30))
    return phases


def _rising(key: Key) -> NDArray[np.integer]:
    """Return the indices of cells by increasing ``key`` rounded to 16 bits.

    Whole numbers of 16 bits are sorted in a third of the time of floats. Cells of equal keys, a
    few, are in the order of their places.
    """
    lowest = key.min()
    codes = key - lowest
    codes /= max(key.max() - lowest, _TINY)
    codes *= _CODES
    return np.argsort(codes.astype(np.uint16), axis=None, kind="stable")


def _placed(
    ascending: FloatArray, order: NDArray[np.integer], shape: tuple[int, ...]
) -> FloatArray:
    """Return gains (freq, frame), given in ascending order, at the cells of an order."""
    found = np.empty(len(ascending), np.float32)
    found[order] = ascending
    return found.reshape(shape)
