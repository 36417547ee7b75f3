"""Components of a non-negative matrix factorisation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_COMPONENTS = 6  # default number, enough for the sources of a short clip
_ITERATIONS = 200  # multiplicative updates; the divergence changes little after that
_TINY = 1e-12  # magnitude that avoids a division by zero in silent cells
Array = NDArray[np.float64]


@register(
    "nmf",
    summary="components of a non-negative matrix factorisation, and their residual",
    count=lambda sizes: (sizes.components or _COMPONENTS) + 1,
    paper="Lee, Seung: Algorithms for non-negative matrix factorization, 2001, eq. 5",
    reads=("components",),
)
def nmf(probe: Probe, sizes: Sizes) -> Partition:
    """Factorise the magnitude into a few spectra times activations over time.

    Each component gets its share of the factorisation in every cell. Where the factorisation is
    below the magnitude, the difference is another component, *rest*. Components are ordered by
    their sum of magnitudes and named by the peak frequency of their spectrum. Silence is all
    *rest*.
    """
    count = sizes.components or _COMPONENTS
    magnitude = probe.magnitude.double().cpu()
    found = factorise(magnitude.numpy(), count, _ITERATIONS, probe.seed)
    spectra, activations = map(torch.from_numpy, found)
    order = (spectra.sum(dim=0) * activations.sum(dim=1)).argsort(descending=True)
    spectra, activations = spectra[:, order], activations[order]
    model = spectra @ activations
    # share of the component in the factorisation, times the share of the cell that it explains
    whole = torch.maximum(model, magnitude).clamp(min=_TINY)
    components = spectra.T[:, :, None] * activations[:, None, :] / whole
    rest = (1 - components.sum(dim=0)).clamp(min=0)
    peaks = probe.freqs[spectra.argmax(dim=0)].tolist()
    names = [f"component {k + 1} (peak {peak:.0f} Hz)" for k, peak in enumerate(peaks)]
    gains = torch.cat([components, rest[None]]).float().to(probe.device)
    return Partition("components", (*names, "rest"), gains)


def factorise(matrix: Array, components: int, iterations: int, seed: int) -> tuple[Array, Array]:
    """Factorise a non-negative matrix, ``matrix ~ w @ h``, with scikit-learn.

    Multiplicative updates for the generalised Kullback-Leibler divergence
    ``sum v log(v / wh) - v + wh``, which never increases, from random initial factors.

    Parameters
    ----------
    matrix : ndarray, shape (row, column), float64, non-negative
    components, iterations : int >= 1
    seed : int

    Returns
    -------
    w : ndarray, shape (row, component)
    h : ndarray, shape (component, column)
    """
    from sklearn.decomposition import NMF

    # scikit-learn treats values below 1e-7 as zero, so the matrix is scaled to a mean of one
    level = float(matrix.mean()) or 1.0
    model = NMF(
        components,
        init="random",
        solver="mu",
        beta_loss="kullback-leibler",
        tol=0.0,  # all iterations are made, so there is no warning that they were too few
        max_iter=iterations,
        random_state=seed % 2**32,
    )
    w = model.fit_transform(matrix / level)
    return w, level * model.components_
