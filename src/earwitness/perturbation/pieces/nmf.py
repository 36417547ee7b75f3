"""Components of a non-negative matrix factorisation."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_COMPONENTS = 6  # default number, enough for the sources of a short clip
_ITERATIONS = 200  # multiplicative updates; the divergence changes little after that
_TINY = 1e-12  # magnitude that avoids a division by zero in silent cells


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
    their sum of magnitudes and named by the peak frequency of their spectrum.
    """
    count = sizes.components or _COMPONENTS
    magnitude = probe.magnitude.double().cpu()
    generator = torch.Generator().manual_seed(probe.seed)
    spectra, activations, _ = factorise(magnitude, count, _ITERATIONS, generator)
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


def factorise(
    matrix: Tensor, components: int, iterations: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, list[float]]:
    """Return ``W`` (row, component), ``H`` (component, column) and the divergence per iteration.

    Multiplicative updates for the generalised Kullback-Leibler divergence
    ``sum v log(v / wh) - v + wh``, which never increases.

    Parameters
    ----------
    matrix : Tensor, shape (row, column), float64, non-negative
    components, iterations : int >= 1
    generator : torch.Generator
        Random generator of the initial factors.
    """
    floor = float(matrix.mean()) * 1e-6 + 1e-30
    rows, columns = matrix.shape
    scale = (float(matrix.mean()) / components + floor) ** 0.5
    draw = torch.rand(rows + columns, components, generator=generator, dtype=matrix.dtype) + 0.1
    w, h = scale * draw[:rows], scale * draw[rows:].T
    course = []
    for _ in range(iterations):
        w = w * (matrix / (w @ h + floor) @ h.T) / (h.sum(dim=1) + floor)
        h = h * (w.T @ (matrix / (w @ h + floor))) / (w.sum(dim=0)[:, None] + floor)
        model = w @ h + floor
        ratio = torch.where(matrix > 0, matrix / model, torch.ones_like(matrix))
        course.append(float((matrix * ratio.log() - matrix + model).sum()))
    return w, h, course
