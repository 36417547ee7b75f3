"""Superpixels: connected regions of similar level."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from earwitness.perturbation.pieces.decomposition import Regions
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_COUNT = 100  # default number of regions, as in LIME for images
_RANGE_DB = 70.0  # dB below the loudest cell; quieter cells are usually inaudible beside it
_SMOOTH = 1.0  # cells, standard deviation of a Gaussian blur against fragments
_COMPACTNESS = 0.1  # share of the level range per grid step: 7 dB
_ITERATIONS = 8  # of k-means; SLIC converges within 10
Array = NDArray[np.float64]


@register(
    "superpixels",
    summary="connected regions of similar level (SLIC), as in image explanations",
    count=lambda sizes: 2 * (sizes.components or _COUNT),
    paper="Achanta et al.: SLIC superpixels compared to state-of-the-art methods, 2012",
    reads=("components",),
)
def superpixels(probe: Probe, sizes: Sizes) -> Regions:
    """Group neighbouring cells of similar level in dB into about ``components`` regions.

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

    Parameters
    ----------
    level : ndarray, shape (row, column)
        In [0, 1], from 70 dB below the loudest cell to the loudest.
    count : int
        Initial regions, on a regular grid.
    compactness : float > 0
        Difference of level that is equivalent to one grid step of distance.
    """
    rows, columns = level.shape
    across = max(1, min(columns, round(math.sqrt(count))))
    down = max(1, min(rows, round(count / across)))
    steps = (rows / down, columns / across)
    row, column = np.meshgrid(
        (np.arange(down) + 0.5) * steps[0] - 0.5,
        (np.arange(across) + 0.5) * steps[1] - 0.5,
        indexing="ij",
    )
    at = [row.ravel(), column.ravel()]
    inside = tuple(np.rint(one).astype(int) for one in at)
    centres = np.stack([level[inside], *at], axis=1)
    labels = np.zeros(level.shape, np.int64)
    grid = np.indices(level.shape).astype(float)
    for _ in range(_ITERATIONS):
        nearest = np.full(level.shape, np.inf)
        for number, (height, up, right) in enumerate(centres):
            window = tuple(
                slice(max(0, math.floor(middle - step)), math.ceil(middle + step) + 1)
                for middle, step in zip((up, right), steps, strict=True)
            )
            distance = (
                ((level[window] - height) / compactness) ** 2
                + ((grid[0][window] - up) / steps[0]) ** 2
                + ((grid[1][window] - right) / steps[1]) ** 2
            )
            closer = distance < nearest[window]
            nearest[window] = np.where(closer, distance, nearest[window])
            labels[window] = np.where(closer, number, labels[window])
        sizes = np.maximum(np.bincount(labels.ravel(), minlength=len(centres)), 1)
        means = [
            np.bincount(labels.ravel(), values.ravel(), len(centres)) / sizes
            for values in (level, *grid)
        ]
        centres = np.stack(means, axis=1)
    return _connected(labels, level.size / len(centres) / 4)


def _connected(labels: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """Merge fragments of fewer than ``least`` cells into the neighbour with the longest border."""
    found = np.zeros_like(labels)
    count = 0
    for number in np.unique(labels):
        fragments, extra = ndimage.label(labels == number)
        found += np.where(fragments > 0, fragments + count, 0)
        count += extra
    found -= 1
    sizes = np.bincount(found.ravel(), minlength=count)
    boxes = ndimage.find_objects(found + 1)
    for fragment in np.argsort(sizes, kind="stable"):
        box = boxes[fragment]
        if sizes[fragment] >= least or sizes[fragment] == found.size:
            break
        wider = tuple(slice(max(0, one.start - 1), one.stop + 1) for one in box)
        inside = found[wider] == fragment
        if not inside.any():
            continue
        around = found[wider][ndimage.binary_dilation(inside) & ~inside]
        neighbour = int(np.bincount(around).argmax())
        found[wider][inside] = neighbour
        sizes[neighbour] += sizes[fragment]
        boxes[neighbour] = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(box, boxes[neighbour], strict=True)
        )
    joined: NDArray[np.int64] = np.unique(found, return_inverse=True)[1].reshape(labels.shape)
    return joined


def _names(probe: Probe, labels: NDArray[np.int64]) -> list[str]:
    """Return names with number, time span and band; several regions may have the same extent."""
    names = []
    freqs, times = probe.freqs.numpy(), probe.times.numpy()
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels + 1)):
        span = f"{times[columns.start]:.2f}-{times[columns.stop - 1]:.2f} s"
        band = f"{freqs[rows.start]:.0f}-{freqs[rows.stop - 1]:.0f} Hz"
        names.append(f"region {number + 1}: {span}, {band}")
    return names
