"""Parts of a non-negative matrix factorisation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_PARTS = 6
_ITERATIONS = 200
_TINY = 1e-12
Array = NDArray[np.float64]


@register(
    "nmf",
    summary="spectra that come and go, and what they leave over",
    count=lambda sizes: (sizes.components or _PARTS) + 1,
    paper="Lee, Seung: Algorithms for non-negative matrix factorization, 2001, eq. 5",
    reads=("components",),
)
def nmf(probe: Probe, sizes: Sizes) -> Partition:
    """Factorise the magnitude into a few spectra times their course in time.

    Each part gets its share of the factorisation in every cell; where the factorisation is under
    the magnitude, the difference is a part of its own, *rest*. Parts are ordered by loudness and
    named by the loudest frequency of their spectrum. Silence is all *rest*.
    """
    count = sizes.components or _PARTS
    magnitude = probe.magnitude.double().cpu()
    found = factorise(magnitude.numpy(), count, _ITERATIONS, probe.seed)
    spectra, courses = map(torch.from_numpy, found)
    order = (spectra.sum(dim=0) * courses.sum(dim=1)).argsort(descending=True)
    spectra, courses = spectra[:, order], courses[order]
    model = spectra @ courses
    # a part's share of the model, times how much of the cell the model accounts for
    whole = torch.maximum(model, magnitude).clamp(min=_TINY)
    parts = spectra.T[:, :, None] * courses[:, None, :] / whole
    rest = (1 - parts.sum(dim=0)).clamp(min=0)
    peaks = probe.freqs[spectra.argmax(dim=0)].tolist()
    names = [f"part {k + 1} (peak {peak:.0f} Hz)" for k, peak in enumerate(peaks)]
    gains = torch.cat([parts, rest[None]]).float().to(probe.device)
    return Partition("components", (*names, "rest"), gains)


def factorise(matrix: Array, parts: int, iterations: int, seed: int) -> tuple[Array, Array]:
    """Factorise a matrix without negative entries into two, ``matrix ~ w @ h``.

    Multiplicative updates for the generalised Kullback-Leibler divergence
    ``sum v log(v / wh) - v + wh``, which never increase it, as scikit-learn makes them; they start
    from random numbers.

    Parameters
    ----------
    matrix : ndarray, shape (row, column), float64
    parts, iterations : int
    seed : int

    Returns
    -------
    w : ndarray, shape (row, part)
    h : ndarray, shape (part, column)
    """
    from sklearn.decomposition import NMF

    # scikit-learn takes what is under 1e-7 for nothing, so the level must not matter
    level = float(matrix.mean()) or 1.0
    model = NMF(
        parts,
        init="random",
        solver="mu",
        beta_loss="kullback-leibler",
        tol=0.0,  # all iterations are made, so there is no warning that they were too few
        max_iter=iterations,
        random_state=seed % 2**32,
    )
    w = model.fit_transform(matrix / level)
    return w, level * model.components_
