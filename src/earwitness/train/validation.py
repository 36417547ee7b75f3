"""Validation of a decoder on held-out sounds with fixed contaminations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from earwitness.decoders.objective import Weights
from earwitness.decoders.published import PublishedDecoder
from earwitness.decoders.slim import Decoder
from earwitness.errors import ParameterError
from earwitness.layers.finding import HiddenLayer
from earwitness.metrics.faithfulness import average_drop, average_increase, faithfulness
from earwitness.models.model import Model
from earwitness.models.target import overall, probabilities
from earwitness.train.contamination import Contamination, Contaminator, Sounds
from earwitness.train.explaining import (
    Batch,
    evaluate_batch,
    evaluate_heard,
    evaluate_sides,
    loss_of,
    true_source,
)

_SEED = 20_240_613  # of the fixed contaminations; any fixed value
_BATCH = 16  # sounds per forward pass
_MOST = 200  # sounds; bounds the time per epoch
_SHARE = 0.1  # of cells, of the cut mask


class Validation:
    """Held-out sounds with fixed contaminations.

    Parameters
    ----------
    model : Model
    paths : sequence of Path
        At most 200 of them are used, drawn at random.
    contamination : Contamination
    length : int
        Samples of each sound.
    domain : {"linear", "log1p"}
        Domain in which gains multiply the magnitude.
    audio : bool
        Whether evidence and remainder are evaluated as sound.
    """

    def __init__(
        self,
        model: Model,
        paths: Sequence[Path],
        contamination: Contamination,
        length: int,
        domain: str = "linear",
        *,
        audio: bool = False,
    ) -> None:
        self.model, self.length, self.domain, self.audio = model, length, domain, audio
        self.waves, self.clean = fixed_waves(model, paths, contamination, length)

    def figures(
        self,
        decoder: Decoder | PublishedDecoder,
        layers: Sequence[HiddenLayer],
        weights: Weights,
        scale: Tensor | float,
    ) -> dict[str, float]:
        """Return ``valid_loss``, ``area`` and, for a classifier, AI, AD, FF and Fid-In.

        A sized decoder's loss is the mean of those of its soft mask and of the mask cut to 10 % of
        the cells, whose figures are given too.
        """
        kinds: list[tuple[str, float | None]] = [("", None)]
        if decoder.sized:
            kinds.append((f" {_SHARE:.0%}", _SHARE))
        rows: dict[str, list[float]] = {"valid_loss": []}
        model, frames = self.model, self.model.plane.frames(self.length)
        with model.undisturbed(), torch.no_grad():
            pairs = zip(self.waves.split(_BATCH), self.clean.split(_BATCH), strict=True)
            for waves, clean in pairs:
                waves, clean = waves.to(model.device), clean.to(model.device)
                first = torch.zeros(len(waves), dtype=torch.int64, device=model.device)
                batch = evaluate_batch(model, layers, waves, first, conditioned=decoder.conditioned)
                source = true_source(model, waves, clean, batch)
                for kind, size in kinds:
                    share = None if size is None else torch.full_like(waves[:, 0], size)
                    gains = decoder(batch.maps, batch.conditioning, frames, batch.magnitude, share)
                    sides = self._sides(batch, waves, gains)
                    losses = loss_of(
                        model, batch, gains, sides, weights, scale, source, self.domain
                    )
                    rows["valid_loss"].extend(losses.tolist())
                    if share is None:
                        rows.setdefault("area", []).extend(gains.mean(dim=(1, 2)).tolist())
                    found = faithful(model, batch.before, batch.target, *sides)
                    for name, values in found.items():
                        rows.setdefault(f"{name}{kind}", []).extend(values)
        return {name: float(np.mean(values)) for name, values in rows.items()}

    def _sides(self, batch: Batch, waves: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        if self.audio:
            return evaluate_heard(self.model, waves, batch.spectrum, gains)
        return evaluate_sides(self.model, batch.spectrum, gains, self.length, self.domain)


def fixed_waves(
    model: Model, paths: Sequence[Path], contamination: Contamination, length: int
) -> tuple[Tensor, Tensor]:
    """Return held-out sounds (sound, samples) with fixed contaminations, and the clean ones.

    Parameters
    ----------
    paths : sequence of Path
        At most 200 of them are used, drawn at random.
    length : int
        Samples of each sound.
    """
    if not paths:
        raise ParameterError("there are no sounds to validate on")
    generator = torch.Generator().manual_seed(_SEED)
    order = torch.randperm(len(paths), generator=generator)[:_MOST].sort().values.tolist()
    sounds = Sounds([paths[k] for k in order], model.rate)
    numbers = list(range(len(sounds)))
    parts = torch.stack([sounds.part(k, length, generator) for k in numbers])
    return Contaminator(contamination, sounds).over(parts, numbers, generator)


def faithful(
    model: Model, before: Tensor, target: Tensor, inside: Tensor, outside: Tensor
) -> dict[str, list[float]]:
    """Return AI, AD, FF and, for one of many classes, Fid-In of every sound.

    Parameters
    ----------
    before, inside, outside : Tensor, shape (batch, output[, frame])
        Outputs for the input, the evidence and the remainder.
    target : Tensor, shape (batch,), int64
    """
    if model.task == "regression":
        return {}
    rows = torch.arange(len(inside), device=inside.device)
    start, kept, left = (
        overall(model, probabilities(model, one))[rows, target].double().cpu().numpy()
        for one in (before, inside, outside)
    )
    same = overall(model, inside).argmax(dim=1) == overall(model, before).argmax(dim=1)
    found = {
        "AI": average_increase(start, kept),
        "AD": average_drop(start, kept),
        "FF": faithfulness(start, left),
    }
    if model.task == "single-label":
        found["fidelity"] = same.double().cpu().numpy()
    return {name: np.asarray(values).tolist() for name, values in found.items()}
