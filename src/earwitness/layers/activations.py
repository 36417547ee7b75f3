"""Activations of a network's layers, and the gradient of an output with respect to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError, reason
from earwitness.layers.finding import HiddenLayer
from earwitness.layers.recording import gradient_leaf, recording
from earwitness.models.model import Model
from earwitness.models.target import log_odds, overall

_LEAST = 1e-12  # root mean square; avoids a division by zero for a gradient of 0
_SCALE = 1024.0  # of the gradient, a power of two; without it float16 loses small gradients


class Activations:
    """Activations of layers, deepest first, recorded in ``activations_of``."""

    def __init__(self, model: Model, layers: Sequence[HiddenLayer]) -> None:
        self._model, self._layers = model, layers
        self._kept: dict[str, Tensor] = {}

    def keep(self, name: str, output: Tensor) -> Tensor | None:
        """Record a layer's output; for the deepest layer, return the leaf that replaces it."""
        if name != self._layers[0].name or output.is_inference():
            self._kept[name] = output.detach().clone()  # later layers may modify it in place
            return None
        self._kept[name] = gradient_leaf(output.clone())
        return self._kept[name]

    def maps(self) -> list[Tensor]:
        """Return activations (batch, channel, freq, frame) of every mapped layer, detached.

        If the model was evaluated on several windows of one sound, the windows are the batch.
        """
        mapped = [layer for layer in self._layers if layer.mapped]
        for layer in mapped:
            self._require(layer)
        return [layer.read(self._kept[layer.name].detach()).float() for layer in mapped]

    def conditioning(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the conditioning (batch, channel): the gradient of one output on the first layer.

        The gradient is averaged over each channel's cells (the weights of Grad-CAM) and scaled to a
        root mean square of 1, or left 0 if it is 0. For one class of many, the mean over classes is
        subtracted. For a network that ends in global pooling and a linear layer this is the
        class's row of weights. For probabilities, the logits are differentiated. It can be called
        once, within ``activations_of``.

        Parameters
        ----------
        outputs : Tensor, shape (batch, output[, frame])
            The model's outputs.
        target : Tensor, shape (batch,), int64

        Raises
        ------
        NotApplicableError
            If the output does not depend differentiably on that layer, or it was not called.
        """
        self._require(self._layers[0])
        slopes = self._slopes(outputs, target) if outputs.requires_grad else None
        if slopes is None:
            raise NotApplicableError(
                f"the output of {self._model.name} does not depend differentiably on its layer "
                f"{self._layers[0].name!r}, so a decoder cannot be conditioned on the target"
            )
        slopes = slopes.float().nan_to_num(0.0, 0.0, 0.0)
        slopes = self._layers[0].read(slopes).mean(dim=(2, 3))
        return slopes / slopes.square().mean(dim=1, keepdim=True).sqrt().clamp(min=_LEAST)

    def _require(self, layer: HiddenLayer) -> None:
        if layer.name not in self._kept:
            raise NotApplicableError(f"{self._model.name} did not call its layer {layer.name!r}")

    def _slopes(self, outputs: Tensor, target: Tensor) -> Tensor | None:
        model = self._model
        with torch.enable_grad():
            values = log_odds(model, outputs) if model.output == "probabilities" else outputs
            values = overall(model, values)
            scores = values[torch.arange(len(values), device=values.device), target]
            if model.task == "single-label":
                scores = scores - values.mean(dim=1)
            total = scores.sum()
        try:
            found = torch.autograd.grad(
                total, self._kept[self._layers[0].name], torch.full_like(total, _SCALE),
                allow_unused=True,
            )  # fmt: skip
        except RuntimeError as error:
            raise NotApplicableError(
                f"{model.name} cannot be differentiated ({reason(error)})"
            ) from error
        return found[0]


@contextmanager
def activations_of(model: Model, layers: Sequence[HiddenLayer]) -> Iterator[Activations]:
    """Record activations within the context; no layer before the deepest is differentiated."""
    modules = {} if model.module is None else dict(model.module.named_modules())
    missing = [layer.name for layer in layers if layer.name not in modules]
    if missing:
        raise NotApplicableError(f"{model.name} has no layer {missing[0]!r}")
    recorded = Activations(model, layers)
    hooked = {layer.name: modules[layer.name] for layer in layers}
    with torch.enable_grad(), model.frozen(), recording(hooked, recorded.keep):
        yield recorded
