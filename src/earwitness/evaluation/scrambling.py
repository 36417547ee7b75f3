"""Model randomisation test: explanations of a network with scrambled weights, block by block.

Blocks are the network's layers that hold weights, a normalisation together with the layer before
it, in the order of the forward pass. In ``cascading`` order a block is scrambled with all blocks
nearer to the logits, in ``independent`` order alone.

Scrambling permutes the entries of every weight and of every running statistic. In contrast to
drawing new values it keeps their distribution, so that activations neither vanish nor explode,
which would make maps constant. A tensor whose entries are all equal is not changed, and a block
of such tensors alone is left out.

Grad-CAM is always included: it is known to pass (Adebayo et al. 2018). If it does not, the test is
not valid for this network, for instance because it is shallow or untrained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import NotApplicableError, ParameterError
from earwitness.methods.registry import METHODS
from earwitness.models.fingerprint import held_fingerprint
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.types import FloatArray, Target

T = TypeVar("T")
Order = Literal["cascading", "independent"]
_ORDERS = ("cascading", "independent")
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
_BESIDE = "gradcam"


def find_blocks(model: Model, wave: Tensor) -> list[tuple[str, ...]]:
    """Return the names of the modules of every block, from the logits down to the input.

    Parameters
    ----------
    wave : Tensor, shape (samples,)
        A sound for the forward pass that gives the order.

    Raises
    ------
    NotApplicableError
        If the model is a black box or has no weights.
    """
    network = _network(model)
    names = {module: name for name, module in network.named_modules()}
    holders = [module for module in names if any(True for _ in _tensors(module))]
    seen: list[nn.Module] = []

    def note(module: nn.Module, *_: Any) -> None:
        if module not in seen:
            seen.append(module)

    hooks = [module.register_forward_pre_hook(note) for module in holders]
    try:
        with model.undisturbed(), torch.no_grad():
            model(wave.unsqueeze(0))
    finally:
        for hook in hooks:
            hook.remove()
    blocks: list[list[str]] = []
    for module in seen:
        if blocks and isinstance(module, _NORMS):
            blocks[-1].append(names[module])
        else:
            blocks.append([names[module]])
    for module in holders:
        if (
            module not in seen
        ):  # weights that are read without a call of the module, as in attention
            _join(blocks, names[module])
    modules = dict(network.named_modules())
    blocks = [block for block in blocks if any(_varied(modules[name]) for name in block)]
    if not blocks:
        raise NotApplicableError(f"{model.name} has no weights to scramble")
    return [tuple(block) for block in reversed(blocks)]


@contextmanager
def scrambled(model: Model, blocks: Sequence[tuple[str, ...]], *, seed: int) -> Iterator[None]:
    """Scramble the weights and statistics of blocks, and restore them afterwards."""
    modules = dict(_network(model).named_modules())
    tensors = [tensor for block in blocks for name in block for tensor in _tensors(modules[name])]
    before = [tensor.detach().clone() for tensor in tensors]
    generator = torch.Generator().manual_seed(seed)
    optimise = model.optimise
    with held_fingerprint(model):
        try:
            model.optimise = False
            with torch.no_grad():
                for tensor in tensors:
                    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
                    order = order.flip(0) if torch.equal(order, order.sort().values) else order
                    tensor.copy_(tensor.flatten()[order].view_as(tensor))
            yield
        finally:
            model.optimise = optimise
            with torch.no_grad():
                for tensor, old in zip(tensors, before, strict=True):
                    tensor.copy_(old)


def each_scrambled(
    model: Model,
    wave: Tensor,
    explain: Callable[[], T],
    *,
    order: Order = "cascading",
    seed: int = 0,
) -> list[T]:
    """Call a function with each block scrambled, from the logits to the input.

    Parameters
    ----------
    wave : Tensor, shape (samples,)
        A sound for the forward pass that gives the order of blocks.
    explain : callable
        Called without arguments, once for each block.
    order : {"cascading", "independent"}
    seed : int
        Seed of the scrambling.

    Raises
    ------
    NotApplicableError
        If the model is a black box or has no weights.
    """
    if order not in _ORDERS:
        raise ParameterError(f"order is cascading or independent, got {order!r}")
    blocks = find_blocks(model, wave)
    found = []
    for number in range(len(blocks)):
        some = blocks[: number + 1] if order == "cascading" else blocks[number : number + 1]
        with scrambled(model, some, seed=seed):
            found.append(explain())
    return found


def scrambled_maps(
    model: Model,
    wave: Tensor,
    target: Target,
    methods: Mapping[str, Mapping[str, Any]],
    *,
    order: Order = "cascading",
    seed: int = 0,
) -> tuple[list[str], dict[str, dict[str, FloatArray]]]:
    """Explain the original network, and the network with each block scrambled.

    Parameters
    ----------
    wave : Tensor, shape (samples,)
    methods : mapping of str to options
        Options by method; Grad-CAM is added if the network has a layer for it.
    order : {"cascading", "independent"}
    seed : int
        Seed of the explanations and of the scrambling.

    Returns
    -------
    blocks : list of str
        Names of the blocks, from the logits to the input.
    maps : dict
        For every method the fields ``map`` (freq, frame) and ``random_maps`` (block, freq, frame).
    """
    if order not in _ORDERS:
        raise ParameterError(f"order is cascading or independent, got {order!r}")
    settled = {name: METHODS.get(name).settle(options) for name, options in methods.items()}
    blocks = find_blocks(model, wave)
    firsts: dict[str, FloatArray] = {}
    with model.undisturbed():
        for name, options in {_BESIDE: METHODS.get(_BESIDE).options, **settled}.items():
            try:
                firsts[name] = _map(model, wave, target, name, options, seed)
                settled.setdefault(name, options)
            except NotApplicableError:
                if name in methods:
                    raise

        def explain() -> dict[str, FloatArray]:
            return {
                name: _map(model, wave, target, name, options, seed)
                for name, options in settled.items()
            }

        found = each_scrambled(model, wave, explain, order=order, seed=seed)
    maps = {
        name: {"map": firsts[name], "random_maps": np.stack([one[name] for one in found])}
        for name in settled
    }
    return [" + ".join(name or model.name for name in block) for block in blocks], maps


def _map(
    model: Model, wave: Tensor, target: Target, name: str, options: Mapping[str, Any], seed: int
) -> FloatArray:
    probe = Probe(model, wave, target, seed=seed)
    values: FloatArray = METHODS.get(name).map(probe, options).values.float().cpu().numpy()
    return values


def _join(blocks: list[list[str]], name: str) -> None:
    """Add a module to the block of the innermost module that contains it, if there is one."""
    around = [
        (len(other), block)
        for block in blocks
        for other in block
        if other == "" or name.startswith(f"{other}.")
    ]
    if around:
        max(around, key=lambda pair: pair[0])[1].append(name)


def _varied(module: nn.Module) -> bool:
    """Return whether any tensor of a module has entries that differ."""
    return any(bool((tensor != tensor.flatten()[:1]).any()) for tensor in _tensors(module))


def _network(model: Model) -> nn.Module:
    if model.module is None:
        raise NotApplicableError(f"{model.name} is a black box: its weights cannot be scrambled")
    return model.module


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Yield the weights and the floating-point statistics that a module holds itself."""
    yield from module.parameters(recurse=False)
    for name, buffer in module.named_buffers(recurse=False):
        if name.startswith("running_") and buffer.is_floating_point():
            yield buffer
