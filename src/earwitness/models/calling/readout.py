"""From what a network returns to the outputs that are explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from earwitness.errors import ModelError, ParameterError

_LEAST_NORM = 1e-8  # of an embedding; that of silence may be zero


@dataclass(frozen=True)
class Readout:
    """What is taken of a network's results, before they are checked.

    Attributes
    ----------
    select : callable or None
        From what the network returns, such as a tuple or dictionary, to the outputs.
    frames : (int, int) or None
        Window and hop in samples, if the network cuts sounds into frames and returns them as a
        batch (batch x frame, ...), those of the first sound first.
    reference : Tensor or None, shape (samples,)
        A sound; outputs are then embeddings, and their similarity to its embedding is explained.
    numbers : callable or None
        From what is selected to a tensor, for a function that is no torch module.
    """

    select: Callable[[Any], Any] | None = None
    frames: tuple[int, int] | None = None
    reference: Tensor | None = None
    numbers: Callable[[Any], Tensor] | None = None

    def __call__(self, outputs: Any, batch: int, samples: int) -> Any:
        """Return outputs (batch, ...) of what a network returned for (batch, ..., samples)."""
        if self.select is not None:
            try:
                outputs = self.select(outputs)
            except Exception as error:
                raise ModelError(
                    f"select does not fit what the network returns, {_described(outputs)}: {error}"
                ) from error
        if self.numbers is not None:
            outputs = self.numbers(outputs)
        if self.frames is None or not isinstance(outputs, Tensor):
            return outputs
        count = len(outputs) // batch
        window, hop = self.frames
        possible = {max(samples - window, 0) // hop + 1, -(-samples // hop), samples // hop + 1}
        if count not in possible or len(outputs) != count * batch:
            raise ModelError(
                f"frames of {window} samples every {hop} are {min(possible)} to {max(possible)} "
                f"for {samples} samples, and the network returned {len(outputs) / batch:g} per "
                "sound; frames=(window, hop) are in seconds, as the network cuts them"
            )
        return outputs.unflatten(0, (batch, count))


def similarity(embeddings: Tensor, reference: Tensor) -> Tensor:
    """Return the cosine of embeddings (batch, dimension) with one (1, dimension), (batch, 1)."""
    return torch.nn.functional.cosine_similarity(
        embeddings, reference, dim=1, eps=_LEAST_NORM
    ).unsqueeze(1)


def frames_in_samples(frames: tuple[float, float] | None, rate: float) -> tuple[int, int] | None:
    """Return window and hop in samples.

    Raises
    ------
    ParameterError
        If they are not two lengths of a sample or more, the window first.
    """
    if frames is None:
        return None
    try:
        window, hop = (round(float(one) * rate) for one in frames)
    except (TypeError, ValueError):
        window = hop = 0
    if not window >= hop >= 1:
        raise ParameterError(
            f"frames are (window, hop) in seconds, the window at least as long; got {frames!r}"
        )
    return window, hop


def _described(outputs: Any) -> str:
    """Return what a network returned in a few words."""
    if isinstance(outputs, dict):
        return f"a dictionary of {', '.join(map(str, outputs))}"
    if isinstance(outputs, tuple | list):
        return f"{len(outputs)} values ({', '.join(type(one).__name__ for one in outputs)})"
    return f"a {type(outputs).__name__}"
