"""Recording the outputs of layers with forward hooks, which are removed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.errors import NotApplicableError
from earwitness.models.calling.modes import sealed
from earwitness.models.model import Model

_WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)


@contextmanager
def recording(
    modules: Mapping[str, nn.Module], callback: Callable[[str, Tensor], Tensor | None]
) -> Iterator[None]:
    """Call ``callback(name, output)`` for the output tensor of each module within the context.

    If the callback returns a tensor, the forward pass continues with a copy of it, so that later
    layers cannot modify it in place. Hooks are removed at the end, also after an exception.
    """

    def hook(name: str) -> Callable[..., object]:
        def forward_hook(_module: nn.Module, _inputs: object, output: object) -> object:
            tensor = first_tensor(output)
            kept = None if tensor is None else callback(name, tensor)
            return None if kept is None else _with_first(output, kept.clone())

        return forward_hook

    handles = []
    try:
        for name, module in modules.items():
            if not isinstance(module, torch.jit.ScriptModule):  # it does not support hooks
                handles.append(module.register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def leaf_modules(network: nn.Module | None) -> dict[str, nn.Module]:
    """Return the modules that compute something themselves, by name, in their order.

    Those that hold no others, and convolutions and linear layers whatever they hold: a
    parametrization of their weight, or an observer of quantisation.
    """
    found: dict[str, nn.Module] = {}
    for name, module in network.named_modules() if network is not None else ():
        if any(name.startswith(f"{above}.") for above in found if above):
            continue
        held = [one for one, _ in module.named_children() if one != "parametrizations"]
        if not held or isinstance(module, _WEIGHTED):
            found[name] = module
    return found


def first_tensor(output: object) -> Tensor | None:
    """Return the tensor in a module's output: the first of a tuple, such as an LSTM's."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return output[0]
    return None


def gradient_leaf(tensor: Tensor) -> Tensor:
    """Return a tensor that requires gradients: itself if it does already, else a detached leaf."""
    return tensor if tensor.requires_grad else tensor.detach().requires_grad_()


def _with_first(output: Any, tensor: Tensor) -> object:
    """Return a module's output with the first tensor replaced, as the same type of tuple."""
    if isinstance(output, Tensor):
        return tensor
    if hasattr(output, "_replace"):
        return output._replace(**{output._fields[0]: tensor})
    whole = (tensor, *output[1:])
    return whole if type(output) is tuple else type(output)(whole)


def require_layers(model: Model, instead: str = "integrated-gradients") -> None:
    """Raise for a network that is compiled as a whole: its layers cannot be recorded."""
    kind = sealed(model.module)
    if kind:
        raise NotApplicableError(
            f"{model.name} is {kind}, whose layers cannot be recorded; wrap the network that it "
            f"was made from, or use {instead}"
        )


def require_one_call(model: Model, samples: int) -> None:
    """Raise unless one call of the network covers a sound, so that a layer is recorded once.

    A sound longer than the model takes is read in windows. They are one batch, unless the inputs of
    a batch affect each other.
    """
    count = len(model.windows(samples))
    if model.one_by_one and count > 1:
        raise NotApplicableError(
            f"{model.name} is evaluated on one of {count} windows at a time, because the inputs of "
            "a batch affect each other, and layers are recorded in one call; choose a part of the "
            "sound with start and end, or use integrated-gradients"
        )
