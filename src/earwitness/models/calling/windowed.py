"""A model that reads the windows of a long sound in another way."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.calling.lengths import Lengths
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model
from earwitness.types import Pool

_COPIES: PerModel[Model] = PerModel()  # by name; what is cached for a copy is kept with it


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
    return _copy(model, pool, replace(model.lengths, pool=pool))


def reading(model: Model, starts: Sequence[int]) -> Model:
    """Return the model, reading the windows of a long sound that start at these samples only.

    It is the same copy each time, with other starts.

    Parameters
    ----------
    starts : sequence of int
        Multiples of the plane's hop for a model on the plane's magnitude.
    """
    unit = model.plane.hop if isinstance(model, SpectralModel) else 1
    at = tuple(start // unit for start in starts)
    return _copy(model, "reading", replace(model.lengths, at=at))


def _copy(model: Model, name: str, lengths: Lengths) -> Model:
    """Return the copy of a name, as the model is now."""
    other = _COPIES.of(model).setdefault(name, copy.copy(model))
    vars(other).update(vars(model))
    other.lengths = lengths
    return other
