"""What each frame adds to a score that is a mean, or a weighted mean, over frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.methods.registry import register
from earwitness.models.calling.frames import frame_parts, frame_sum, value_of
from earwitness.probe import Probe
from earwitness.types import Map

_CELLS = 4_000_000  # values at a time
MEAN = "mean"


def _check(options: Mapping[str, Any]) -> None:
    _number(options["reference"])


def _number(reference: str) -> float | None:
    if reference == MEAN:
        return None
    try:
        found = float(reference)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ParameterError(f"reference is mean or a value of the score, got {reference!r}")
    return found


@register(
    "frame-scores",
    summary="what each frame adds to a score that is a mean over frames: exact, in one pass",
    limits="which frequencies matter, and what in the neighbourhood gave a frame its score",
    paper="Lo et al.: MOSNet, 2019, eq. 1; Mittag et al.: NISQA, 2021, section 2.3",
    signed=True,
    complete="the score minus the reference",
    linear=True,
    time_only=True,
    needs_frames=True,
    cost=1,
    check=_check,
)
def frame_scores(probe: Probe, *, reference: str = "mean") -> Map:
    """Compute ``weight * (score of the frame - reference)`` for every frame.

    For a model with outputs per frame, for a network that gives the scores of frames and their
    weights (NISQA: attention), and for a long sound read in windows. Spread evenly over frequency,
    and over the plane's frames within a frame of the model. The sum before the reference is
    subtracted is compared with the score (``completeness_gap``).

    Parameters
    ----------
    reference : str
        The value that a frame is compared with: a number in the unit of the score, or ``mean``, the
        score of the whole sound, which makes the map add up to zero.
    """
    model, target = probe.model, probe.target
    found = frame_sum(model, probe.wave)
    probe.tick(1)
    parts, weights = frame_parts(model, found, target)
    total, score = float(parts.sum()), value_of(model, found, target)
    given = _number(reference)
    against = total if given is None else given
    added = target.sign * (parts - against * weights)
    seconds = probe.samples / model.rate
    row = spread(added, found.starts, found.ends, probe.times.double(), seconds)
    gap = target.sign * total - score
    details = {
        "completeness_gap": gap,
        "completeness_share": abs(gap / score) if score else None,
        "score_change": score,
        "reference": against,
        "frames": len(parts),
    }
    values = row.to(probe.device, torch.float32) / probe.shape[0]
    return Map(values.expand(probe.shape).clone(), details)


def spread(values: Tensor, starts: Tensor, ends: Tensor, times: Tensor, seconds: float) -> Tensor:
    """Return the sum of values that lie evenly between two times each, in the frames of a plane.

    Parameters
    ----------
    values, starts, ends : Tensor, shape (span,), float64
        What lies outside the sound is in the first or last frame.
    times : Tensor, shape (frame,), float64
        Centres of the plane's frames in seconds, increasing.
    seconds : float
        Length of the sound.
    """
    first, last = min(0.0, float(starts.min())), max(seconds, float(ends.max()))
    inner = (times[1:] + times[:-1]) / 2
    edges = torch.cat([times.new_tensor([first]), inner, times.new_tensor([last])])
    below = torch.zeros_like(edges)
    for some in torch.arange(len(values)).split(max(1, _CELLS // len(edges))):
        width = (ends[some] - starts[some])[:, None]
        below += values[some] @ ((edges - starts[some, None]) / width).clamp(0, 1)
    return below.diff()
