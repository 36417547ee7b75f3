"""The precision of maps on disk and on the page, of which masks are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earwitness.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

_SIGNIFICANT = 12  # bits kept of a float32's 24: finer than pictures and masks need, half the size
_STEPS = 2**10  # of a gain from 0 to 1: 60 dB, as much as the sounds of a page are right to


def storable(values: NDArray[np.floating]) -> FloatArray:
    """Return values with 12 significant bits, rounded to nearest.

    Parameters
    ----------
    values : ndarray
        Of any shape, finite.

    Examples
    --------
    >>> storable(np.float32([1.0, 1 / 3])).tolist()
    [1.0, 0.3333740234375]
    """
    dropped = 24 - _SIGNIFICANT
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return rounded.view(np.float32)


def places_of(values: FloatArray) -> NDArray[np.uint32]:
    """Return the place of each storable value among the 2**20 that there are.

    Places of positive values rise with the value and are below 2**19; that of 0 is 0, and those of
    negative values are higher.

    Parameters
    ----------
    values : ndarray
        As ``storable`` returns them.

    Examples
    --------
    >>> places_of(np.float32([0.0, 1.0, 1 + 2**-11, -1.0])).tolist()
    [0, 260096, 260097, 784384]
    """
    places: NDArray[np.uint32] = values.view(np.uint32) >> np.uint32(24 - _SIGNIFICANT)
    return places


def storable_gains(gains: Tensor) -> Tensor:
    """Return gains as multiples of 1/1024, rounded to nearest.

    Most gains of a learned mask are near 0, where 12 significant bits are noise that fills disks.

    Parameters
    ----------
    gains : Tensor
        Of any shape, in [0, 1].

    Examples
    --------
    >>> import torch
    >>> storable_gains(torch.tensor([1.0, 1 / 3, 1e-5])).tolist()
    [1.0, 0.3330078125, 0.0]
    """
    return (gains * _STEPS).round() / _STEPS
