"""The layer that a map is made at: the last one of many channels that the score depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from earwitness.errors import NotApplicableError
from earwitness.layers.axes import LayerAxes, calibration_noise, find_axes
from earwitness.layers.influence import Influence, find_influence
from earwitness.layers.placing import bounded
from earwitness.layers.recording import leaf_modules, recording, require_layers
from earwitness.models.calling.alternatives import instead
from earwitness.models.calling.modes import sealed
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model
from earwitness.models.target import explained_score
from earwitness.registry import unknown
from earwitness.types import Target

FEW_CHANNELS = 8  # with fewer, the weights can hardly tell the score's cells from loud ones
Tick = Callable[[int], None]


@dataclass(frozen=True)
class ChosenLayer:
    """A layer with a time axis.

    Attributes
    ----------
    name : str
        As in ``named_modules``.
    axes : LayerAxes
    """

    name: str
    axes: LayerAxes

    def channels(self, shape: torch.Size) -> int:
        """Return the number of channels in an output of this shape (batch, ...)."""
        shape = self.axes.shape(shape)
        places = {self.axes.time_axis, self.axes.freq_axis}
        return torch.Size(n for k, n in enumerate(shape) if k and k not in places).numel()


_CHOSEN: PerModel[ChosenLayer] = PerModel()


def named_layer(model: Model, name: str, target: Target, samples: int, tick: Tick) -> ChosenLayer:
    """Return a layer chosen by the user, located once per model and length.

    Raises
    ------
    UnknownNameError
        If there is no such module.
    NotApplicableError
        If its output has no time axis.
    """
    known = _CHOSEN.of(model)
    if (name, samples) not in known:
        _require(model, target, samples)
        found = find_axes(model, {name: layer_module(model, name)}, samples, tick=tick)
        if not found:
            raise NotApplicableError(
                f"found no time axis in the output of layer {name!r}; name another "
                f"layer, or use {_instead(model, target, samples)}"
            )
        known[name, samples] = _bounded(model, name, found[name], samples, tick)
    return known[name, samples]


def deciding_layer(model: Model, target: Target, samples: int, tick: Tick) -> ChosenLayer:
    """Return the last layer of many channels that the score of ``target`` depends on.

    The layer has eight channels or more, and both a time and a frequency axis; else a time axis
    only; a layer of fewer channels is used if there is no other. It is searched from the last back,
    once per weights, length and set of layers that the score depends on.

    Raises
    ------
    NotApplicableError
        If the score does not depend differentiably on a layer with a time axis.
    """
    known = _CHOSEN.of(model)
    whole = replace(target, span=None, frames=None)
    if (whole, samples) not in known:
        _require(model, target, samples)
        influences = _influential(model, whole, samples, tick)
        key = (tuple(influences), samples)
        if key not in known:
            known[key] = _search(model, whole, influences, samples, tick)
        known[whole, samples] = known[key]
    return known[whole, samples]


def _instead(model: Model, target: Target, samples: int) -> str:
    return instead(model, calibration_noise(samples), target)


def _require(model: Model, target: Target, samples: int) -> None:
    if sealed(model.module):
        require_layers(model, _instead(model, target, samples))


def layer_module(model: Model, name: str) -> nn.Module:
    """Return the module of a layer."""
    modules = {} if model.module is None else dict(model.module.named_modules())
    if name not in modules:
        raise unknown("layer", name, [known for known in modules if known])
    return modules[name]


def _influential(model: Model, target: Target, samples: int, tick: Tick) -> dict[str, Influence]:
    """Return the layers called once that the score depends on, in order of execution."""
    leaves = leaf_modules(model.module)
    noise = calibration_noise(samples).to(model.device)
    influence = find_influence(
        model, leaves, noise, lambda outputs: explained_score(model, outputs, target)
    )
    tick(3)  # a backward pass counts two
    if influence is None:
        raise NotApplicableError(
            f"the score of {model.name} does not depend differentiably on any of its "
            "layers (an operation after them detaches the graph, or they are compiled); use "
            f"{_instead(model, target, samples)}"
        )
    once = {name: one for name, one in influence.items() if one.calls == 1}
    some = {name: one for name, one in once.items() if one.effective}
    if some:
        return some
    # the gradient is zero everywhere, perhaps because all activations are off
    return {name: one for name, one in once.items() if one.connected}


def _search(
    model: Model, target: Target, influences: dict[str, Influence], samples: int, tick: Tick
) -> ChosenLayer:
    """Locate layers from the last back until one has many channels and both axes.

    A layer in which the score depends on special tokens only, as after the last attention of a
    transformer with a class token, is passed over.
    """

    def reached(name: str, axes: LayerAxes) -> bool:
        one, tokens = influences[name], axes.tokens
        if tokens is None or not one.effective:
            return True
        return bool(one.live[tokens.axis][tokens.cells(one.shape[tokens.axis])].any())

    def wide(name: str, axes: LayerAxes) -> bool:
        return ChosenLayer(name, axes).channels(influences[name].shape) >= FEW_CHANNELS

    def enough(name: str, axes: LayerAxes) -> bool:
        return axes.freq_axis is not None and wide(name, axes) and reached(name, axes)

    modules = {name: layer_module(model, name) for name in influences}
    found = find_axes(model, modules, samples, enough=enough, tick=tick)
    found = {name: axes for name, axes in found.items() if reached(name, axes)}
    if not found:
        raise NotApplicableError(
            f"found no layer of {model.name} that the score depends on and whose output "
            f"has a time axis; use {_instead(model, target, samples)}"
        )
    ranks = {
        name: (wide(name, axes), axes.freq_axis is not None, order)
        for order, (name, axes) in enumerate(found.items())
    }
    best = max(ranks, key=lambda name: ranks[name])
    return _bounded(model, best, found[best], samples, tick)


def _bounded(model: Model, name: str, axes: LayerAxes, samples: int, tick: Tick) -> ChosenLayer:
    module = {name: layer_module(model, name)}
    axes = bounded(model, lambda keep: recording(module, keep), name, axes, samples, tick)
    return ChosenLayer(name, axes)
