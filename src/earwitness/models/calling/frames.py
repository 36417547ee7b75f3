"""Scores that are a sum over frames: a mean, or a mean weighted by attention.

MOSNet's score is the mean of its frames' scores, and NISQA's the mean of its segments' scores, with
weights from attention. What each frame adds is then known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError
from earwitness.models.model import Model
from earwitness.models.target import explained_score, log_odds
from earwitness.types import Target


@dataclass(frozen=True)
class FrameSum:
    """The outputs of a model as sums over frames: ``outputs = (weights * scores).sum(dim=1)``.

    Attributes
    ----------
    weights, scores : Tensor, shape (output, frame), float64
        The weights of an output add up to 1. Scores are in the unit of the outputs.
    starts, ends : Tensor, shape (frame,), float64
        Seconds from the start of the sound.
    outputs : Tensor, shape (output[, frame])
        What the model returned in the same pass.
    """

    weights: Tensor
    scores: Tensor
    starts: Tensor
    ends: Tensor
    outputs: Tensor


def sums_frames(model: Model) -> bool:
    """Return whether the network gives the scores of frames, by a method ``frame_scores``."""
    return callable(getattr(model.module, "frame_scores", None))


def frame_sum(model: Model, wave: Tensor) -> FrameSum:
    """Return the scores of frames and their weights, from one pass.

    Frames are those of a model with outputs per frame, which divide the sound evenly; those of a
    network with a method ``frame_scores``; or the windows in which a long sound is read.

    Parameters
    ----------
    wave : Tensor, shape (samples,)

    Raises
    ------
    NotApplicableError
        If the model's score is no such sum, as far as is known.
    """
    with torch.no_grad():
        if model.per_frame:
            return _of_outputs(model, wave)
        windows = model.windows(len(wave))
        if len(windows) > 1 and model.lengths.pool != "mean":
            raise NotApplicableError(
                f"{model.name} takes the largest outputs of its windows, which is no sum over them"
            )
        if sums_frames(model):
            return _of_network(model, wave, windows)
        if len(windows) > 1:
            return _of_windows(model, wave, windows)
    raise NotApplicableError(
        f"{model.name} has one output for the whole sound, and it is not known to be a sum over "
        "frames; wrap a model with outputs per frame with per_frame=True, or give the network a "
        "method frame_scores"
    )


def frame_parts(model: Model, found: FrameSum, target: Target) -> tuple[Tensor, Tensor]:
    """Return what each frame adds to the value of a target, and the weight of each, (frame,).

    The parts add up to the value, without the sign of ``target.sign``, and the weights to 1.
    Against another output, weights are the mean of both.

    Raises
    ------
    NotApplicableError
        If the value is no sum: log-probabilities of a mean of probabilities.
    """
    weights, scores = found.weights, found.scores
    if target.frames is not None:
        weights = torch.zeros_like(weights)
        first, last = target.frames
        weights[:, first:last] = 1 / (last - first)
    if target.versus_index is None:
        own = weights[target.index]
        return own * scores[target.index], own
    if model.output == "probabilities":
        if not model.per_frame:
            raise NotApplicableError(
                f"{model.name} has probabilities, and the difference of their logarithms is no sum "
                "over frames; explain one output, without versus"
            )
        scores = log_odds(model, scores[None])[0]
    some = [target.index, target.versus_index]
    parts = weights[some] * scores[some]
    return parts[0] - parts[1], weights[some].mean(dim=0)


def value_of(model: Model, found: FrameSum, target: Target) -> float:
    """Return the explained score of the pass, with the sign of the target."""
    return float(explained_score(model, found.outputs[None], target)[0])


def _of_outputs(model: Model, wave: Tensor) -> FrameSum:
    outputs = model(wave[None])[0]
    scores = outputs.double().cpu()
    count = scores.shape[1]
    edges = torch.linspace(0, len(wave) / model.rate, count + 1, dtype=torch.float64)
    weights = torch.full_like(scores, 1 / count)
    return FrameSum(weights, scores, edges[:-1], edges[1:], outputs)


def _of_network(model: Model, wave: Tensor, windows: list[tuple[int, int]]) -> FrameSum:
    """Return the frames of every window, from the inputs that the network gets."""
    network: Any = model.module
    given: list[tuple[Any, ...]] = []
    hook = network.register_forward_pre_hook(lambda _, args: given.append(args))
    outputs, weights, scores, spans = [], [], [], []
    try:
        for start, length in windows:
            given.clear()
            outputs.append(model(wave[None, max(start, 0) : start + length])[0])
            found = network.frame_scores(*given[-1])
            weights.append(found[0][0].double().cpu() / len(windows))
            scores.append(found[1][0].double().cpu())
            spans.append(found[2].double().cpu() + start / model.rate)
    finally:
        hook.remove()
    starts, ends = torch.cat(spans).T
    whole = torch.stack(outputs).mean(dim=0)
    return FrameSum(torch.cat(weights, 1), torch.cat(scores, 1), starts, ends, whole)


def _of_windows(model: Model, wave: Tensor, windows: list[tuple[int, int]]) -> FrameSum:
    outputs = model.each_window(wave[None])[:, 0]
    scores = outputs.double().cpu().T
    starts = torch.tensor([start / model.rate for start, _ in windows], dtype=torch.float64)
    ends = starts + torch.tensor([length / model.rate for _, length in windows])
    weights = torch.full_like(scores, 1 / len(windows))
    return FrameSum(weights, scores, starts, ends, outputs.mean(dim=0))
