"""A network's hidden maps, as something outside the network reads them.

Which layers lie along time, and which of their axes is frequency, is found by asking the network
(``axes``); of all layers of one resolution the last is taken. A layer is read as (batch, channel,
freq, frame), deepest first; a layer without a frequency axis, such as a token's, as (batch,
channel, 1, frame).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from earwitness.errors import NotApplicableError
from earwitness.layers.axes import LayerAxes, find_axes
from earwitness.layers.recording import gradient_leaf, recording
from earwitness.models.model import Model
from earwitness.registry import unknown

_MOST_LAYERS = 5
_ALL_READ = 3  # so few resolutions are all read
_FEWEST_FRAMES = 3


@dataclass(frozen=True)
class HiddenLayer:
    """One layer and how to read it.

    Attributes
    ----------
    name : str
        As in ``named_modules``.
    time_axis : int
        Of its output, counted with the batch as 0.
    freq_axis : int or None
    channels : int
        Product of all other axes.
    freqs : tuple of float
        Where its rows lie in Hz, once they are read; empty without a frequency axis.
    flips : tuple of int
        Axes of its output that run from late to early, or from high to low.
    mapped : bool
        Whether its maps are read; if not, it only lies behind all that are, and what is asked is
        read off it (``Activations.conditioning``).
    """

    name: str
    time_axis: int
    freq_axis: int | None
    channels: int
    freqs: tuple[float, ...]
    flips: tuple[int, ...] = ()
    mapped: bool = True

    def read(self, output: Tensor) -> Tensor:
        """Return a layer's output as (batch, channel, freq, frame), low and early first."""
        output = output.flip(self.flips) if self.flips else output
        places = [self.time_axis] if self.freq_axis is None else [self.freq_axis, self.time_axis]
        others = [axis for axis in range(1, output.ndim) if axis not in places]
        maps = output.permute(0, *others, *places).flatten(1, max(1, len(others)))
        if not others:
            maps = output.permute(0, *places).unsqueeze(1)
        return maps.unsqueeze(2) if self.freq_axis is None else maps


def find_layers(
    model: Model, names: Sequence[str] = (), *, samples: int | None = None
) -> tuple[HiddenLayer, ...]:
    """Return the layers to read, deepest first; what is asked is read off the first of them.

    Parameters
    ----------
    names : sequence of str
        Modules to read, in any order; by default, of those the answer depends on, the last of
        every resolution but the finest, five at most, and three along the way where all layers have
        the same. The finest layer is read only where there are no more than three: it knows the
        sound best and the decision least, and costs most. Where layers without frequencies follow
        those with them, the last that holds more than the answers themselves comes first, its maps
        unread: from there back to what is asked is the shortest way.
    samples : int, optional
        Length of sound to ask about; what the model takes by default.

    Raises
    ------
    NotApplicableError
        If the model is a black box, or no layer of it lies along time.
    UnknownNameError
        If there is no such module.
    """
    if model.module is None:
        raise NotApplicableError(f"{model.name} is a black box: it has no hidden layers to read")
    modules = {name: one for name, one in model.module.named_modules() if name}
    for name in names:
        if name not in modules:
            raise unknown("layer", name, modules)
    chosen = {name: modules[name] for name in names} or {
        name: one for name, one in modules.items() if not any(one.children())
    }
    samples = samples or model.longest or max(model.shortest or 0, 2 * model.rate)
    found = find_axes(model, chosen, samples)
    missing = [name for name in names if name not in found]
    if missing:
        raise NotApplicableError(f"layer {missing[0]!r} of {model.name} does not lie along time")
    shapes = _shapes(model, {name: modules[name] for name in found}, samples)
    shorter = _shapes(model, {name: modules[name] for name in found}, max(1, samples // 2))
    found = {
        name: axes
        for name, axes in found.items()
        if _channels(axes, shapes[name]) == _channels(axes, shorter[name])
    }  # a layer whose channels depend on the length, such as attention, cannot be read
    layers = [_layer(name, axes, shapes[name]) for name, axes in found.items() if name in shapes]
    sizes = {layer.name: _size(layer, shapes[layer.name]) for layer in layers}
    if not names:
        heard = _heard(model, {layer.name: modules[layer.name] for layer in layers}, samples)
        everything = [layer for layer in layers if layer.name in heard]
        layers = _last_of_each(everything, sizes)
    if not layers:
        raise NotApplicableError(
            f"could not find where any layer of {model.name} listens in time; name some"
        )
    layers.reverse()  # of layers of one size the later is the deeper
    layers.sort(key=lambda layer: sizes[layer.name])
    return tuple(layers if names else [*_behind(layers, everything, len(model.labels)), *layers])


def _behind(
    layers: list[HiddenLayer], everything: list[HiddenLayer], answers: int
) -> list[HiddenLayer]:
    """Return the last layer that comes after the deepest and holds more than the answers."""
    later = everything[everything.index(layers[0]) + 1 :]
    wide = [one for one in later if one.channels > answers and one not in layers]
    return [replace(one, mapped=False) for one in wide[-1:]]


def _shapes(model: Model, modules: dict[str, nn.Module], samples: int) -> dict[str, torch.Size]:
    shapes: dict[str, torch.Size] = {}

    def note(name: str, output: Tensor) -> None:
        shapes[name] = output.shape

    with model.undisturbed(), torch.no_grad(), recording(modules, note):
        model(torch.zeros(1, samples, device=model.device))
    return shapes


def _heard(model: Model, modules: dict[str, nn.Module], samples: int) -> set[str]:
    """Return the layers whose output the answer depends on; all, if it has no gradient at all.

    What only states or side outputs go on from, as an LSTM's whose last state is read, is not.
    """
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> Tensor | None:
        if not output.is_floating_point() or output.is_inference():
            return None
        kept[name] = gradient_leaf(output)
        return kept[name]

    with model.undisturbed(), torch.enable_grad(), model.frozen(), recording(modules, keep):
        outputs = model(torch.zeros(1, samples, device=model.device))
        if not kept or not outputs.requires_grad:
            return set(modules)
        try:
            found = torch.autograd.grad(outputs.sum(), list(kept.values()), allow_unused=True)
        except RuntimeError:  # whatever it is, training says so
            return set(modules)
    return {name for name, slope in zip(kept, found, strict=True) if slope is not None}


def _layer(name: str, axes: LayerAxes, shape: torch.Size) -> HiddenLayer:
    assert axes.time_axis is not None
    channels = _channels(axes, shape)
    freqs = () if axes.freq_axis is None else tuple(sorted(axes.freqs.tolist()))
    places = {axes.time_axis: axes.times, axes.freq_axis: axes.freqs}
    flips = (axis for axis, at in places.items() if axis is not None and at[0] > at[-1])
    return HiddenLayer(name, axes.time_axis, axes.freq_axis, channels, freqs, tuple(flips))


def _channels(axes: LayerAxes, shape: torch.Size) -> int:
    rows = 1 if axes.freq_axis is None else shape[axes.freq_axis]
    return shape[1:].numel() // (shape[axes.time_axis or 0] * rows)


def _size(layer: HiddenLayer, shape: torch.Size) -> tuple[int, int]:
    return (shape[layer.time_axis], 1 if layer.freq_axis is None else shape[layer.freq_axis])


def _last_of_each(
    layers: list[HiddenLayer], sizes: dict[str, tuple[int, int]]
) -> list[HiddenLayer]:
    """Return the last layer of every resolution, in order of execution; of many, not the finest."""
    both = [layer for layer in layers if layer.freq_axis is not None]
    layers = [one for one in both or layers if sizes[one.name][0] >= _FEWEST_FRAMES]
    last = {sizes[layer.name]: layer for layer in layers}
    if len(last) == 1 and len(layers) > 2:
        return [layers[(k + 1) * len(layers) // 3 - 1] for k in range(3)]
    fine = sorted(last, key=lambda size: size[0] * size[1])
    fine = fine[:-1][-_MOST_LAYERS:] if len(fine) > _ALL_READ else fine
    return [layer for layer in layers if last[sizes[layer.name]] is layer and
            sizes[layer.name] in fine]  # fmt: skip
