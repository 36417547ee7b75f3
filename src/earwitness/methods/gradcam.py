"""Grad-CAM on the plane."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earwitness.errors import NotApplicableError
from earwitness.layers.axes import LayerAxes, find_axes
from earwitness.layers.recording import gradient_leaf, recording
from earwitness.methods.registry import register
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model
from earwitness.plane.knots import interpolate
from earwitness.plane.windows import joined
from earwitness.probe import Probe
from earwitness.registry import unknown
from earwitness.types import Map

_LAYERS: PerModel[tuple[str, LayerAxes]] = PerModel()


@register(
    "gradcam",
    summary="activations of a layer weighted by their mean gradient, at its resolution",
    limits="detail below the layer's resolution, and paths that bypass the layer (residuals)",
    paper="Selvaraju et al.: Grad-CAM, 2017, eq. 1 and 2",
    needs_gradients=True,
    layerwise=True,
    cost=3,
)
def gradcam(probe: Probe, *, layer: str = "") -> Map:
    """Compute ``ReLU(sum_k a_k A_k)`` with ``a_k`` the mean gradient of the score on map ``k``.

    The map is placed at the measured time and frequency of the layer's receptive fields
    (``layers.axes``) and interpolated from there to the plane, not stretched like an image. A layer
    without a frequency axis gives a map that is constant over frequency, marked "time only".

    Parameters
    ----------
    layer : str
        Name of a module as in ``named_modules``; by default the last one whose output still has
        both a time and a frequency axis, else the last one with a time axis.
    """
    probe.require_gradients()
    windows = probe.model.windows(probe.samples)
    name, axes = choose_layer(probe.model, layer, windows[0][1])
    kept: list[Tensor] = []

    def keep(_: str, tensor: Tensor) -> Tensor:
        # the graph starts at this layer: nothing before it must be differentiable
        kept.append(gradient_leaf(tensor))
        return kept[-1]

    ones = torch.ones(1, *probe.shape, device=probe.device, requires_grad=True)
    layer_module = {name: _module(probe.model, name)}
    with torch.enable_grad(), probe.model.frozen(), recording(layer_module, keep):
        score = probe.score(ones)
        gradient = probe.differentiate(score, kept[-1])
    maps = _class_maps(kept[-1].detach(), gradient, axes)
    values = _place(maps, axes, windows, probe)
    details = {"layer": name, "axes": "time only" if axes.freq_axis is None else "time, frequency"}
    return Map(values, details)


def choose_layer(model: Model, wanted: str, samples: int) -> tuple[str, LayerAxes]:
    """Return the layer and its axes, determined once per model and length and then cached."""
    known = _LAYERS.of(model)
    if (wanted, samples) not in known:
        known[wanted, samples] = _choose_layer(model, wanted, samples)
    return known[wanted, samples]


def _choose_layer(model: Model, wanted: str, samples: int) -> tuple[str, LayerAxes]:
    if wanted:
        found = find_axes(model, {wanted: _module(model, wanted)}, samples)
        if not found:
            raise NotApplicableError(
                f"gradcam: found no time axis in the output of layer {wanted!r}; name another "
                "layer, or use integrated-gradients"
            )
        return wanted, found[wanted]
    leaves = {
        name: module
        for name, module in (model.module or nn.Module()).named_modules()
        if not any(module.children())
    }
    found = find_axes(model, leaves, samples, last=True)
    if not found:
        raise NotApplicableError(
            f"gradcam: found no layer of {model.name} whose output has a time axis; use "
            "integrated-gradients"
        )
    both = [name for name, axes in found.items() if axes.freq_axis is not None]
    name = both[-1] if both else list(found)[-1]
    return name, found[name]


def _module(model: Model, name: str) -> nn.Module:
    modules: dict[str, nn.Module] = {}
    if model.module is not None:
        modules = dict(model.module.named_modules())
    if name not in modules:
        raise unknown("layer", name, [known for known in modules if known])
    return modules[name]


def _class_maps(activation: Tensor, gradient: Tensor, axes: LayerAxes) -> Tensor:
    """Return ReLU(sum over channels of mean gradient times activation), (window, freq, time)."""
    places = [axis for axis in (axes.freq_axis, axes.time_axis) if axis is not None]
    channels = [axis for axis in range(1, activation.ndim) if axis not in places]
    weights = gradient.mean(dim=places, keepdim=True)
    weighted = (weights * activation).permute(0, *places, *channels)
    summed = weighted.flatten(1 + len(places)).sum(dim=-1) if channels else weighted
    return summed.relu() if len(places) == 2 else summed.relu().unsqueeze(1)


def _place(maps: Tensor, axes: LayerAxes, windows: list[tuple[int, int]], probe: Probe) -> Tensor:
    """Interpolate the maps of all windows to the plane and average where windows overlap."""
    rate = probe.model.rate
    parts, starts = [], []
    for one, (start, length) in zip(maps.float(), windows, strict=True):
        inside = (probe.times >= start / rate) & (probe.times <= (start + length) / rate)
        if len(windows) == 1:
            inside = torch.ones_like(inside)
        along = interpolate(one, axes.times.to(one), (probe.times[inside] - start / rate).to(one))
        if axes.freq_axis is not None:
            along = interpolate(along.T, axes.freqs.to(one), probe.freqs.to(one)).T
        parts.append(along.expand(probe.shape[0], -1))
        starts.append(int(inside.nonzero()[0]))
    return joined(parts, starts, probe.shape[1])
