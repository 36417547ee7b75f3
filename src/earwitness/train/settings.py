"""Settings of trainings: L-MAC's default recipe, the published one, and which sounds to use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from earwitness.decoders.objective import Weights
from earwitness.errors import ParameterError
from earwitness.train.contamination import Contamination

T = TypeVar("T")


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the training of any learned explainer.

    Attributes
    ----------
    epochs, batch : int
    crop : float
        Seconds of each sound per training example; 0 for 2.5, or the model's maximum if shorter.
    rate : float
        Peak learning rate of the one-cycle schedule.
    decay : float
        Weight decay of AdamW.
    clip : float
        Largest norm of a step's gradient; a longer one is scaled down to it. 0 for no limit.
    contamination : Contamination
    patience : int
        Epochs without improvement of the validation loss before early stopping; 0 for none.
    mixed_precision : bool
        Whether forward passes run under ``torch.autocast`` with bfloat16.
    seed : int
    """

    epochs: int = 100
    batch: int = 16
    crop: float = 0.0
    rate: float = 3e-3
    decay: float = 1e-3
    clip: float = 0.0
    contamination: Contamination = field(default_factory=Contamination)
    patience: int = 0
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._require(
            epochs=self.epochs >= 1,
            batch=self.batch >= 2,
            crop=0 <= self.crop < math.inf,
            rate=0 < self.rate < math.inf,
            decay=0 <= self.decay < math.inf,
            clip=0 <= self.clip < math.inf,
            patience=self.patience >= 0,
        )

    def _require(self, **right: bool) -> None:
        for name, is_right in right.items():
            if not is_right:
                raise ParameterError(f"{name} is out of range: {getattr(self, name):g}")


@dataclass(frozen=True)
class Settings(LoopSettings):
    """Training settings of L-MAC's decoder. The defaults were chosen on folds 1-3 of ESC-10.

    Attributes
    ----------
    weights : Weights
        Weights of the terms of the loss.
    others : float in [0, 1]
        Probability that the target is the second output instead of the decided one.
    decoder : {"guided", "sized", "slim", "published"}
    domain : {"linear", "log1p"}
        Domain in which gains multiply the magnitude.
    sizes : (float, float)
        Range of the share of cells that the mask is cut to, drawn log-uniformly per clip, in every
        other batch after the first three tenths of the training, if the decoder is sized.
    audio : bool
        Whether evidence and remainder are evaluated as sound, through the inverse transform.
    """

    epochs: int = 100
    clip: float = 5.0
    contamination: Contamination = field(default_factory=lambda: Contamination(low=-6.0))
    weights: Weights = field(default_factory=lambda: Weights(inside=6.0, size=25.0, guidance=8.0))
    others: float = 0.3
    decoder: str = "guided"
    domain: str = "linear"
    sizes: tuple[float, float] = (0.03, 0.3)
    audio: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(others=0 <= self.others <= 1)
        low, high = self.sizes
        if not 0 < low <= high < 1:
            raise ParameterError(f"sizes are shares above 0 and below 1, got {low:g} to {high:g}")
        if self.audio and self.domain != "linear":
            raise ParameterError("evidence is evaluated as sound in the linear domain only")


def published(settings: Settings) -> Settings:
    """Return the settings of the published L-MAC, with seeds, epochs and the like as given.

    From the paper and its code (Paissan et al. 2024): decoder, masking of ``ln(1 + |X|)``, weights
    of the loss (the size term is summed over the batch there), learning rate, weight decay and
    level of contaminations. Different here: AdamW with a one-cycle schedule instead of Adam with
    reduction on plateaus, random levels of sounds, a size term that is ramped up and computed per
    clip, the input's cross entropy subtracted from the remainder's, and guidance by a distance
    instead of a binary mask.
    """
    return replace(
        settings,
        decoder="published",
        domain="log1p",
        audio=False,
        others=0.0,
        weights=Weights(inside=4.0, outside=0.2, size=0.4 * settings.batch,
                        guidance=0.0, alike=0.6),
        contamination=replace(settings.contamination, low=0.0, high=0.0, share=1.0),
        rate=2e-4,
        decay=2e-6,
        clip=0.0,
    )  # fmt: skip


def split(paths: Sequence[T], share: float, seed: int) -> tuple[list[T], list[T]]:
    """Split sounds at random into some for training and some for validation, at least one.

    Raises
    ------
    ParameterError
        If there are fewer than two.
    """
    if len(paths) < 2:
        raise ParameterError(f"training needs two sounds at least, got {len(paths)}")
    order = np.random.default_rng(seed).permutation(len(paths))
    count = max(1, round(share * len(paths)))
    chosen = set(order[:count].tolist())
    return (
        [path for k, path in enumerate(paths) if k not in chosen],
        [path for k, path in enumerate(paths) if k in chosen],
    )
