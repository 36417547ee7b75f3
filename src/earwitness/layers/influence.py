"""Which layers an output depends on, from one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from earwitness.errors import NotApplicableError, reason
from earwitness.layers.recording import gradient_leaf, recording
from earwitness.models.model import Model


@dataclass(frozen=True)
class Influence:
    """How an output depends on one layer.

    Attributes
    ----------
    shape : torch.Size
        Of the layer's output.
    calls : int
        How often the layer was called.
    connected : bool
        Whether there is a differentiable path from the layer to the output.
    effective : bool
        Whether the gradient along it is not zero everywhere.
    live : tuple of Tensor, shape (index,), bool
        Where along each axis of the output it is not zero everywhere.
    """

    shape: torch.Size
    calls: int
    connected: bool
    effective: bool
    live: tuple[Tensor, ...]


def find_influence(
    model: Model,
    modules: Mapping[str, nn.Module],
    waves: Tensor,
    score: Callable[[Tensor], Tensor],
) -> dict[str, Influence] | None:
    """Return how a score depends on each layer called, in order of execution.

    An LSTM of which only the last state is used is not connected: its output sequence has no
    gradient.

    Parameters
    ----------
    modules : mapping of name to module
    waves : Tensor, shape (batch, samples)
    score : callable
        From the model's outputs to a tensor, whose sum is differentiated.

    Returns
    -------
    dict of Influence, or None
        None if the score has no gradient with respect to any layer.

    Raises
    ------
    NotApplicableError
        If torch cannot differentiate it.
    """
    kept: dict[str, Tensor] = {}
    calls = dict.fromkeys(modules, 0)

    def keep(name: str, output: Tensor) -> Tensor | None:
        if not output.is_floating_point() or output.is_inference():
            return None
        calls[name] += 1
        kept.pop(name, None)  # so that the last call determines the order
        kept[name] = gradient_leaf(output)
        return kept[name]

    with model.undisturbed(), torch.enable_grad(), model.frozen(), recording(modules, keep):
        total = score(model(waves)).sum()
        if not kept or not total.requires_grad:
            return None
        try:
            slopes = torch.autograd.grad(total, list(kept.values()), allow_unused=True)
        except RuntimeError as error:
            raise NotApplicableError(
                f"{model.name} cannot be differentiated ({reason(error)}); use lime or occlusion"
            ) from error
    return {
        name: Influence(
            kept[name].shape,
            calls[name],
            slope is not None,
            slope is not None and bool((slope != 0).any()),
            () if slope is None else _live(slope),
        )
        for name, slope in zip(kept, slopes, strict=True)
    }


def _live(slope: Tensor) -> tuple[Tensor, ...]:
    found, some = [], slope != 0
    for axis in range(some.ndim):
        others = [other for other in range(some.ndim) if other != axis]
        found.append(some.any(dim=others) if others else some)
    return tuple(found)
