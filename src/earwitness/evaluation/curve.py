"""Scores at a dozen sizes of the mask: how much must be kept until the decision stands, or falls.

Masks of an explanation keep a share of its positive attribution (``--keep``); all scores are audio
scores, of the whole model on the resynthesised sound. Controls do not depend on the method: at a
dozen areas, the cells of most energy, and a random order of the same gains that is as smooth
(``earwitness.evaluation.orders``; the same phases at every area, so that its places grow).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from earwitness.evaluation.orders import Orders
from earwitness.evaluation.passes import Sides, evaluate
from earwitness.masks.rounding import storable
from earwitness.masks.shares import attribution_thresholds
from earwitness.models.target import reported_score
from earwitness.probe import Probe
from earwitness.scores import Curve, SizeScores
from earwitness.types import FloatArray

KEEP = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0)  # percent
AREAS = (0.1, 0.5, 1, 2, 5, 10, 15, 20, 30, 40, 60, 80)  # percent of the cells
CURVE_PASSES = 2 * len(KEEP)
CONTROL_PASSES = 4 * len(AREAS)  # once for all methods of a sound and target
Controls = tuple[SizeScores, SizeScores]


def score_curve(probe: Probe, attribution: FloatArray, whole: Tensor, controls: Controls) -> Curve:
    """Score the masks that keep 1 to 100 % of the positive attribution (``KEEP``).

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    whole : Tensor, shape (output[, frame])
        The model's outputs for the input.
    controls : (SizeScores, SizeScores)
        What ``score_controls`` returned for the same sound and target.
    """
    values = storable(attribution).astype(np.float64)
    least = attribution_thresholds(values, [percent / 100 for percent in KEEP])
    scores = _scored(probe, ((values >= one).astype(np.float32) for one in least), whole)
    energy, random = controls
    return Curve(scores.area, scores.evidence, scores.remainder, KEEP, energy, random)


def score_controls(probe: Probe, orders: Orders, whole: Tensor) -> Controls:
    """Score masks of a dozen areas (``AREAS``): the cells of most energy, and a random order.

    Parameters
    ----------
    orders : Orders
        Of the input's magnitude.
    whole : Tensor, shape (output[, frame])
        The model's outputs for the input.
    """

    def loudest() -> Iterator[FloatArray]:
        first = np.zeros(probe.shape, np.float32)
        for percent in AREAS:
            first.flat[: max(1, round(percent / 100 * first.size))] = 1
            yield orders.by_energy(first)

    random = (orders.at_random(gains, 1)[0] for gains in loudest())
    energy = _scored(probe, loudest(), whole)
    return energy, _scored(probe, random, whole)


def _scored(probe: Probe, masks: Iterable[FloatArray], whole: Tensor) -> SizeScores:
    """Score evidence and remainder of masks as sound; no more of them than a batch at a time."""
    areas: list[float] = []

    def measured() -> Iterator[FloatArray]:
        for gains in masks:
            areas.append(float(gains.mean(dtype=np.float64)))
            yield gains

    undefined = torch.full_like(whole, torch.nan)
    sides = evaluate(probe, measured(), routes=("audio",), undefined=undefined).audio
    return SizeScores(tuple(areas), *_scores(probe, sides))


def _scores(probe: Probe, sides: Sides) -> Iterator[tuple[float | None, ...]]:
    for outputs in (sides.evidence, sides.remainder):
        found: Sequence[float] = reported_score(probe.model, outputs, probe.target).tolist()
        yield tuple(None if np.isnan(one) else one for one in found)
