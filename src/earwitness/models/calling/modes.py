"""Evaluation mode, parameters without gradients and differentiable kernels, for a while."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn


@contextmanager
def evaluating(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Keep modules in evaluation mode within the context; modes are restored afterwards.

    Both by ``train(mode)``, which a network may have extended: adapters of low rank merge their
    weights there. Frozen TorchScript has no modes. An exported program has them as constants and
    refuses to change them.
    """
    modes = [
        (module, module.training)
        for part in parts
        for module in part.modules()
        if hasattr(module, "training")
    ]
    try:
        for part in parts:
            if hasattr(part, "training"):
                _set_mode(part, False)
        yield
    finally:
        for module, training in modes:
            if module.training != training:
                _set_mode(module, training)
        for module, training in modes:
            module.training = training


def _set_mode(module: nn.Module, training: bool) -> None:
    """Set the mode of a module and of those within it."""
    own = "mode" in inspect.signature(type(module).train).parameters  # else a loop that trains it
    try:
        module.train(training) if own else nn.Module.train(module, training)
    except NotImplementedError:  # it is, or holds, an exported program
        for part in module.modules():
            part.training = training


@contextmanager
def frozen(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Switch off gradients of parameters, and restore them afterwards."""
    trainable = [one for part in parts for one in part.parameters() if one.requires_grad]
    try:
        for one in trainable:
            one.requires_grad_(False)
        yield
    finally:
        for one in trainable:
            one.requires_grad_(True)


def differentiable_kernels(
    parts: Sequence[nn.Module], device: torch.device
) -> AbstractContextManager[None]:
    """Disable cuDNN for recurrent networks: it has no backward pass in evaluation mode."""
    recurrent = any(isinstance(m, nn.RNNBase) for part in parts for m in part.modules())
    if not recurrent or device.type != "cuda":
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=False, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic)


def sealed(network: nn.Module | None) -> str:
    """Return what a network is compiled to if no layer or call in it is visible, else nothing."""
    if isinstance(network, torch.jit.ScriptModule):
        return "TorchScript"
    if isinstance(network, torch.fx.GraphModule) and any(
        getattr(node.target, "namespace", "") == "aten" for node in network.graph.nodes
    ):
        return "an exported program (torch.export)"
    return ""
