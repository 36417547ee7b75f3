"""Parts of a non-negative matrix factorisation."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_PARTS = 6
_ITERATIONS = 200
_TINY = 1e-12


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
    named by the loudest frequency of their spectrum.
    """
    count = sizes.components or _PARTS
    magnitude = probe.magnitude.double().cpu()
    generator = torch.Generator().manual_seed(probe.seed)
    spectra, courses, _ = factorise(magnitude, count, _ITERATIONS, generator)
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


def factorise(
    matrix: Tensor, parts: int, iterations: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, list[float]]:
    """Return ``W`` (row, part), ``H`` (part, column) and the divergence after every iteration.

    Multiplicative updates for the generalised Kullback-Leibler divergence
    ``sum v log(v / wh) - v + wh``, which never increase it.
    """
    floor = float(matrix.mean()) * 1e-6 + 1e-30
    rows, columns = matrix.shape
    scale = (float(matrix.mean()) / parts + floor) ** 0.5
    draw = torch.rand(rows + columns, parts, generator=generator, dtype=matrix.dtype) + 0.1
    w, h = scale * draw[:rows], scale * draw[rows:].T
    course = []
    for _ in range(iterations):
        w = w * (matrix / (w @ h + floor) @ h.T) / (h.sum(dim=1) + floor)
        h = h * (w.T @ (matrix / (w @ h + floor))) / (w.sum(dim=0)[:, None] + floor)
        model = w @ h + floor
        ratio = torch.where(matrix > 0, matrix / model, torch.ones_like(matrix))
        course.append(float((matrix * ratio.log() - matrix + model).sum()))
    return w, h, course
