"""A model that reads the windows of a long sound in another way."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model
from earwitness.types import Pool

_POOLED: PerModel[Model] = PerModel()  # copies by how they pool; what is cached for them is kept


def pooled(model: Model, pool: Pool | None) -> Model:
    """Return the model with its outputs for the windows of a long sound pooled in another way.

    Parameters
    ----------
    pool : {"mean", "max", "topk"} or None
        As ``wrap`` takes it; None for the model's own way.

    Raises
    ------
    ParameterError
        If it has outputs per frame, which are averaged where windows overlap.
    """
    if pool is None or pool == model.lengths.pool:
        return model
    known = _POOLED.of(model)
    if pool not in known:
        known[pool] = copy.copy(model)
        known[pool].lengths = replace(model.lengths, pool=pool)
    return known[pool]


def reading(model: Model, starts: Sequence[int]) -> Model:
    """Return the model, reading the windows of a long sound that start at these samples only.

    It is the same copy each time, with other starts, so that what is cached for it is kept.

    Parameters
    ----------
    starts : sequence of int
        Multiples of the plane's hop for a model on the plane's magnitude.
    """
    known = _POOLED.of(model)
    other = known.setdefault("reading", copy.copy(model))
    unit = model.plane.hop if isinstance(model, SpectralModel) else 1
    other.lengths = replace(model.lengths, at=tuple(start // unit for start in starts))
    return other
