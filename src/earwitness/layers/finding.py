"""Which layers of a network a decoder uses, and their activations in a common layout.

Layers with a time axis are found with ``axes``; of all layers with the same resolution the last is
used. Activations have shape (batch, channel, freq, frame), deepest layer first. A layer without a
frequency axis, such as a transformer's tokens, has shape (batch, channel, 1, frame).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from earwitness.errors import NotApplicableError
from earwitness.layers.axes import LayerAxes, find_axes
from earwitness.layers.influence import find_influence
from earwitness.layers.recording import leaf_modules, recording, require_layers
from earwitness.layers.tokens import Tokens
from earwitness.models.model import Model
from earwitness.registry import unknown

_MOST_LAYERS = 5  # that a decoder uses; more add cost but no resolution
_ALL_READ = 3  # resolutions up to which the finest is used too
_FEWEST_FRAMES = 3  # of a layer with time resolution


@dataclass(frozen=True)
class HiddenLayer:
    """One layer and the layout of its output.

    Attributes
    ----------
    name : str
        As in ``named_modules``.
    time_axis : int
        Time axis of its output; the batch is axis 0.
    freq_axis : int or None
    channels : int
        Product of the sizes of all other axes.
    freqs : tuple of float
        Centre frequencies of its rows in Hz, ascending; empty without a frequency axis.
    flips : tuple of int
        Axes of its output that run from late to early, or from high to low.
    mapped : bool
        Whether a decoder uses its activations. If not, it is deeper than all layers that are used,
        and only the conditioning is computed from it (``Activations.conditioning``).
    tokens : Tokens or None
        The axis of its output that holds its cells between special tokens, or a grid of them.
    """

    name: str
    time_axis: int
    freq_axis: int | None
    channels: int
    freqs: tuple[float, ...]
    flips: tuple[int, ...] = ()
    mapped: bool = True
    tokens: Tokens | None = None

    def read(self, output: Tensor) -> Tensor:
        """Return a layer's output as (batch, channel, freq, frame), low and early first."""
        output = output if self.tokens is None else self.tokens.split(output)
        output = output.flip(self.flips) if self.flips else output
        places = [self.time_axis] if self.freq_axis is None else [self.freq_axis, self.time_axis]
        others = [axis for axis in range(1, output.ndim) if axis not in places]
        maps = output.permute(0, *others, *places).flatten(1, max(1, len(others)))
        if not others:
            maps = output.permute(0, *places).unsqueeze(1)
        return maps.unsqueeze(2) if self.freq_axis is None else maps


def find_layers(
    model: Model,
    names: Sequence[str] = (),
    *,
    samples: int | None = None,
    finest: bool = False,
) -> tuple[HiddenLayer, ...]:
    """Return a decoder's layers, deepest first; the conditioning is computed on the first.

    Parameters
    ----------
    names : sequence of str
        Modules to use, in any order. By default, of the layers that the output depends on, the last
        of every resolution except the finest, five at most; three evenly spaced ones if all layers
        have the same resolution. The finest is used only if there are three resolutions or fewer:
        it is the most expensive and the least related to the decision. If layers without a
        frequency axis follow those with one, the last of them with more channels than the model has
        outputs comes first, for the conditioning only: it is the closest to the output.
    finest : bool
        Whether the finest resolution is always used, for a decoder that reconstructs the sound.
    samples : int, optional
        Length of the sound to evaluate the model on; by default one that the model accepts.

    Raises
    ------
    NotApplicableError
        If the model is a black box, or no layer has a time axis.
    UnknownNameError
        If there is no such module.
    """
    if model.module is None:
        raise NotApplicableError(f"{model.name} is a black box: its layers are not accessible")
    require_layers(model)
    modules = {name: one for name, one in model.module.named_modules() if name}
    for name in names:
        if name not in modules:
            raise unknown("layer", name, modules)
    chosen = {name: modules[name] for name in names} or {
        name: one for name, one in leaf_modules(model.module).items() if name
    }
    samples = samples or model.longest or max(model.shortest or 0, 2 * model.rate)
    found = find_axes(model, chosen, samples)
    missing = [name for name in names if name not in found]
    if missing:
        raise NotApplicableError(f"layer {missing[0]!r} of {model.name} has no time axis")
    shapes = _shapes(model, {name: modules[name] for name in found}, samples)
    shorter = _shapes(model, {name: modules[name] for name in found}, max(1, samples // 2))
    found = {
        name: axes
        for name, axes in found.items()
        if _channels(axes, shapes[name]) == _channels(axes, shorter[name]) != 0
    }  # if the channels depend on the length, as in attention weights, a layer cannot be used
    layers = [_layer(name, axes, shapes[name]) for name, axes in found.items() if name in shapes]
    sizes = {one.name: _size(one, found[one.name].shape(shapes[one.name])) for one in layers}
    if not names:
        located = {one.name: modules[one.name] for one in layers}
        silence = torch.zeros(1, samples, device=model.device)
        everything = layers
        with suppress(NotApplicableError):  # training reports the cause
            influence = find_influence(model, located, silence, torch.sum)
            if influence is not None:
                connected = {name for name, one in influence.items() if one.connected}
                everything = [one for one in layers if one.name in connected]
        layers = _last_of_each(everything, sizes, finest)
    if not layers:
        raise NotApplicableError(
            f"found no layer of {model.name} whose output has a time axis; name some"
        )
    layers.reverse()  # of layers of equal size the later one is deeper
    layers.sort(key=lambda layer: sizes[layer.name])
    return tuple(
        layers if names else [*_last_layer(layers, everything, len(model.labels)), *layers]
    )


def _last_layer(
    layers: list[HiddenLayer], everything: list[HiddenLayer], outputs: int
) -> list[HiddenLayer]:
    """Return the last layer after the deepest one that has more channels than there are outputs."""
    later = everything[everything.index(layers[0]) + 1 :]
    wide = [one for one in later if one.channels > outputs and one not in layers]
    return [replace(one, mapped=False) for one in wide[-1:]]


def _shapes(model: Model, modules: dict[str, nn.Module], samples: int) -> dict[str, torch.Size]:
    shapes: dict[str, torch.Size] = {}

    def record(name: str, output: Tensor) -> None:
        shapes[name] = output.shape

    with model.undisturbed(), torch.no_grad(), recording(modules, record):
        model(torch.zeros(1, samples, device=model.device))
    return shapes


def _layer(name: str, axes: LayerAxes, shape: torch.Size) -> HiddenLayer:
    assert axes.time_axis is not None
    channels = _channels(axes, shape)
    freqs = () if axes.freq_axis is None else tuple(sorted(axes.freqs.tolist()))
    places = {axes.time_axis: axes.times, axes.freq_axis: axes.freqs}
    flips = (axis for axis, at in places.items() if axis is not None and at[0] > at[-1])
    return HiddenLayer(
        name, axes.time_axis, axes.freq_axis, channels, freqs, tuple(flips), tokens=axes.tokens
    )


def _channels(axes: LayerAxes, shape: torch.Size) -> int:
    """Return the number of channels of an output of a shape; 0 if its tokens make no such grid."""
    try:
        shape = axes.shape(shape)
    except RuntimeError:  # of torch, which cannot divide the axis
        return 0
    rows = 1 if axes.freq_axis is None else shape[axes.freq_axis]
    return shape[1:].numel() // (shape[axes.time_axis or 0] * rows)


def _size(layer: HiddenLayer, shape: torch.Size) -> tuple[int, int]:
    return (shape[layer.time_axis], 1 if layer.freq_axis is None else shape[layer.freq_axis])


def _last_of_each(
    layers: list[HiddenLayer], sizes: dict[str, tuple[int, int]], finest: bool
) -> list[HiddenLayer]:
    """Return the last layer of every resolution, in order; without the finest if there are many.

    With ``finest``, the coarsest are left out instead if there are more than five.
    """
    both = [layer for layer in layers if layer.freq_axis is not None]
    layers = [one for one in both or layers if sizes[one.name][0] >= _FEWEST_FRAMES]
    last = {sizes[layer.name]: layer for layer in layers}
    if len(last) == 1 and len(layers) > 2:
        return [layers[(k + 1) * len(layers) // 3 - 1] for k in range(3)]
    fine = sorted(last, key=lambda size: size[0] * size[1])
    if len(fine) > _ALL_READ:
        fine = fine[-_MOST_LAYERS:] if finest else fine[:-1][-_MOST_LAYERS:]
    return [layer for layer in layers if last[sizes[layer.name]] is layer and
            sizes[layer.name] in fine]  # fmt: skip
