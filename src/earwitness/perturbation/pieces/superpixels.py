"""Superpixels: connected regions of similar level."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from earwitness.perturbation.pieces.decomposition import Regions
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.perturbation.pieces.time import span_name
from earwitness.probe import Probe

_COUNT = 100  # default number of regions, as in LIME for images
_RANGE_DB = 70.0  # dB below the loudest cell; quieter cells are usually inaudible beside it
_SMOOTH = 1.0  # cells, standard deviation of a Gaussian blur against fragments
_COMPACTNESS = 0.2  # share of the level range per grid step
_FINE = 8  # cells along the side of a region, at least, after an axis was averaged down
_LEAST = 0.25  # of a region's mean size; smaller fragments join a neighbour
Array = NDArray[np.float64]


@register(
    "superpixels",
    summary="connected regions of similar level (SLIC), as in image explanations",
    count=lambda sizes: 2 * (sizes.components or _COUNT),
    paper="Achanta et al.: SLIC superpixels compared to state-of-the-art methods, 2012",
    reads=("components",),
)
def superpixels(probe: Probe, sizes: Sizes) -> Regions:
    """Group neighbouring cells of similar level in dB into about ``components`` regions (SLIC).

    The level is clipped to a range of 70 dB. Distances are in steps of the initial grid, so both
    axes of the plane have equal weight.
    """
    magnitude = probe.magnitude.double().cpu().numpy()
    loudest = max(float(magnitude.max()), 1e-300)
    floor = 10 ** (-_RANGE_DB / 20)
    level = 1 + 20 * np.log10(np.maximum(magnitude / loudest, floor)) / _RANGE_DB
    labels = slic(ndimage.gaussian_filter(level, _SMOOTH), sizes.components or _COUNT, _COMPACTNESS)
    return Regions(_names(probe, labels), torch.from_numpy(labels).to(probe.device))


def slic(level: Array, count: int, compactness: float) -> NDArray[np.int64]:
    """Return the region index of each cell, from 0 without gaps; every region is connected.

    The longer axis is first averaged down to the length of the shorter one, so both have equal
    weight, but not to fewer than 8 cells per region along it.

    Parameters
    ----------
    level : ndarray, shape (row, column)
        In [0, 1], from 70 dB below the loudest cell to the loudest.
    count : int
        Approximate number of regions, initialised on a regular grid.
    compactness : float > 0
        Difference of level, as a share of its range in the map, that is equivalent to one grid
        step of distance.

    Returns
    -------
    ndarray, shape (row, column), int64
    """
    from skimage.segmentation import slic as segment
    from skimage.transform import resize_local_mean

    side = max(min(level.shape), _FINE * math.ceil(math.sqrt(count)))
    rows, columns = (min(cells, side) for cells in level.shape)
    small = resize_local_mean(level, (rows, columns), channel_axis=None)
    labels = segment(
        small,
        n_segments=count,
        compactness=compactness,
        channel_axis=None,
        enforce_connectivity=True,
        min_size_factor=_LEAST,
        start_label=0,
    )
    # each averaged cell becomes a block of cells, so regions stay connected
    row, column = (
        np.arange(cells) * fewer // cells
        for cells, fewer in zip(level.shape, (rows, columns), strict=True)
    )
    whole: NDArray[np.int64] = labels[np.ix_(row, column)].astype(np.int64)
    return whole


def _names(probe: Probe, labels: NDArray[np.int64]) -> list[str]:
    """Return names with number, time span and band; several regions may have the same extent."""
    names = []
    freqs, times = probe.freqs.numpy(), probe.times.numpy()
    step = 10 * probe.model.plane.hop / probe.model.rate
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels + 1)):
        first, last = (probe.clock(times[k]) for k in (columns.start, columns.stop - 1))
        span = span_name(first, last, step)
        band = f"{freqs[rows.start]:.0f}-{freqs[rows.stop - 1]:.0f} Hz"
        names.append(f"region {number + 1}: {span}, {band}")
    return names
