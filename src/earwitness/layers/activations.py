"""What a network's hidden layers gave while it was asked, and what its answer made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError
from earwitness.layers.finding import HiddenLayer
from earwitness.layers.recording import followed, recording
from earwitness.models.model import Model
from earwitness.models.target import log_odds, overall

_LEAST = 1e-12
_SCALE = 1024.0  # a power of two, so that half precision does not lose small slopes


class Activations:
    """What was heard of layers, deepest first; filled while the model is asked (``reading``)."""

    def __init__(self, model: Model, layers: Sequence[HiddenLayer]) -> None:
        self._model, self._layers = model, layers
        self._kept: dict[str, Tensor] = {}

    def keep(self, name: str, output: Tensor) -> Tensor | None:
        """Note what a layer gave; the network goes on with what is returned for the deepest."""
        if name != self._layers[0].name or output.is_inference():
            self._kept[name] = output.detach().clone()  # what follows may write over it
            return None
        self._kept[name] = followed(output.clone())
        return self._kept[name]

    def maps(self) -> list[Tensor]:
        """Return maps (batch, channel, freq, frame), cut off from gradients.

        If the model was asked about several windows of one sound, these are the batch.
        """
        mapped = [layer for layer in self._layers if layer.mapped]
        for layer in mapped:
            self._require(layer)
        return [layer.read(self._kept[layer.name].detach()).float() for layer in mapped]

    def conditioning(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return how one output hangs on the channels of the first layer, (batch, channel).

        It is the mean gradient of the output on each channel's cells (the weights of Grad-CAM), of
        one of many less the mean of them all, brought to a root mean square of 1, or 0 where there
        is no slope at all. For a network that ends in pooling and a linear layer that is the
        class's row of weights. Probabilities are asked about on their logits. To be asked once,
        while ``reading``.

        Parameters
        ----------
        outputs : Tensor, shape (batch, output[, frame])
            What the model answered.
        target : Tensor, shape (batch,), int64

        Raises
        ------
        NotApplicableError
            If the answer does not depend on that layer differentiably, or it was not called.
        """
        self._require(self._layers[0])
        slopes = self._slopes(outputs, target) if outputs.requires_grad else None
        if slopes is None:
            raise NotApplicableError(
                f"the answer of {self._model.name} does not depend differentiably on its layer "
                f"{self._layers[0].name!r}, so a decoder cannot be told what is asked"
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
            asked = values[torch.arange(len(values), device=values.device), target]
            if model.task == "single-label":
                asked = asked - values.mean(dim=1)
            asked = asked.sum()
        try:
            found = torch.autograd.grad(
                asked, self._kept[self._layers[0].name], torch.full_like(asked, _SCALE),
                allow_unused=True,
            )  # fmt: skip
        except RuntimeError as error:
            text = str(error).strip().split("\n")[0]
            raise NotApplicableError(f"{model.name} cannot be differentiated ({text})") from error
        return found[0]


@contextmanager
def activations_of(model: Model, layers: Sequence[HiddenLayer]) -> Iterator[Activations]:
    """Listen while the model is asked; nothing before the deepest layer is differentiated."""
    modules = {} if model.module is None else dict(model.module.named_modules())
    missing = [layer.name for layer in layers if layer.name not in modules]
    if missing:
        raise NotApplicableError(f"{model.name} has no layer {missing[0]!r}")
    recorded = Activations(model, layers)
    asked = {layer.name: modules[layer.name] for layer in layers}
    with torch.enable_grad(), model.frozen(), recording(asked, recorded.keep):
        yield recorded
