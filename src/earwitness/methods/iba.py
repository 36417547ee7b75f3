"""Information bottleneck attribution: how many bits of each cell of a layer are needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional

from earwitness.audio import read_audio
from earwitness.clips import find_clips
from earwitness.decoders.objective import distance
from earwitness.decoders.trained import written
from earwitness.errors import ModelError, NotApplicableError
from earwitness.layers.bottleneck import Bottleneck, Moments, Statistics, information, smoothed
from earwitness.layers.choosing import ChosenLayer, deciding_layer, layer_module, named_layer
from earwitness.layers.placing import as_maps, place
from earwitness.layers.recording import recording, require_one_call
from earwitness.methods.registry import register
from earwitness.models.fingerprint import PerModel, digest
from earwitness.models.target import explained_score
from earwitness.probe import Probe
from earwitness.steps import no_gradient
from earwitness.types import Map

_BEGIN = 5.0  # initial logit of the share that is kept, 0.993 (the paper's)
_GAIN_MAPS = 32  # of the clip, for its own statistics
_ROWS, _PER_SECOND = 8, 4  # cells of these maps
_SECONDS = 10.0  # of each sound of a folder
_SETTLED = 0.25  # change of the information in the last step, from which a note says it
_KNOWN: PerModel[Statistics] = PerModel()  # of folders


@register(
    "iba",
    summary="bits of information that a layer needs where noise replaces as much as it can",
    limits="detail below the layer's resolution, and the effect of removing a cell from the sound",
    paper="Schulz, Sixt, Tombari, Landgraf: Restricting the Flow: Information Bottlenecks for "
    "Attribution, 2020, eq. 2 to 7 (per sample)",
    needs_gradients=True,
    layerwise=True,
    random=True,
    cost=lambda options: 3 * options["steps"] * options["samples"] + _GAIN_MAPS + 4,
)
def iba(
    probe: Probe,
    *,
    layer: str = "",
    data: str = "",
    steps: Annotated[int, Ge(1)] = 10,
    beta: Annotated[float, Gt(0)] = 10.0,
    rate: Annotated[float, Gt(0)] = 1.0,
    samples: Annotated[int, Ge(1)] = 10,
    smooth: Annotated[float, Ge(0), Le(100)] = 1.0,
) -> Map:
    """Replace activations ``R`` of a layer by ``keep R + (1 - keep) noise``, as far as possible.

    Adam minimises the cross entropy of the target plus ``beta`` times the mean information that is
    let through, over one logit of ``keep`` per feature. For a value or a contrast, the fall of the
    score stands for the cross entropy, in units of its change when all is noise.

    The map is the information in bits, summed over channels, at the measured time and frequency of
    the layer's cells, interpolated from there to the plane.

    The noise is normal, with the mean and the standard deviation of each channel and frequency over
    all frames. Without ``data`` they are of the sound itself, under 32 random gain maps.

    Parameters
    ----------
    layer : str
        Name of a module as in ``named_modules``; by default the one that ``gradcam`` uses.
    data : str
        Folder of sounds for the mean and the standard deviation; the first 10 s of each are read.
    steps : int
        Number of steps of Adam.
    beta : float
        Weight of the information, in nats per feature of the layer.
    rate : float
        Learning rate, on the logits of ``keep``.
    samples : int
        Draws of noise in each step.
    smooth : float
        Standard deviation of the Gaussian blur of ``keep``, in cells of the layer; 0 for none.

    Raises
    ------
    NotApplicableError
        If the model is a black box, the score does not depend on the layer, or it has no time axis.
    """
    probe.require_gradients()
    require_one_call(probe.model, probe.samples)
    size = probe.model.windows(probe.samples)[0][1]
    chosen = (
        named_layer(probe.model, layer, probe.target, size, probe.tick)
        if layer
        else deciding_layer(probe.model, probe.target, size, probe.tick)
    )
    _settle(probe)
    statistics = _of_folder(probe, chosen, data) if data else _of_clip(probe, chosen)
    search = _Search(probe, chosen, statistics, smooth)
    logits = torch.full_like(search.normalised, _BEGIN).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=rate)
    reached, before = False, 0.0
    with torch.enable_grad(), probe.model.frozen():
        for _ in range(steps):
            nats = search.nats(logits)
            before = _bits(nats)
            (logits.grad,) = torch.autograd.grad(beta * nats.mean(), logits)
            for count in _chunks(samples, 1 if probe.model.one_by_one else probe.chunk):
                distances = search.distances(logits, count) / samples
                slope = probe.differentiate(distances, logits, layer=chosen.name)
                reached = reached or bool(slope.any())
                logits.grad += slope
            optimiser.step()
    if not reached and bool(statistics.varies.any()):
        raise no_gradient(probe.model.name, chosen.name)
    with torch.no_grad():
        nats = search.nats(logits)
    maps = nats.clamp(min=0).sum(dim=1) / math.log(2)
    windows = probe.model.windows(probe.samples)
    values = place(
        maps, chosen.axes, windows, probe.samples, probe.times, probe.freqs, probe.model.rate
    )
    details = {
        "layer": chosen.name,
        "axes": "time only" if chosen.axes.freq_axis is None else "time, frequency",
        "statistics": data or "the sound under random gains",
        "bits": _bits(nats),
        "notes": _unsettled(before, _bits(nats), steps),
    }
    return Map(values, details)


def _bits(nats: Tensor) -> float:
    """Return the whole information in bits."""
    return float(nats.detach().clamp(min=0).sum()) / math.log(2)


def _unsettled(before: float, after: float, steps: int) -> list[str]:
    """Return a note if the last step changed the information much."""
    change = abs(after - before) / before if before else 0.0
    if change < _SETTLED:
        return []
    return [
        f"the information is not settled: the last of {steps} steps changed it by {change:.0%}, "
        f"to {after:.3g} bits; with more steps= the map may differ"
    ]


class _Search:
    """The two terms of the loss, as functions of the logits of ``keep``."""

    def __init__(
        self, probe: Probe, chosen: ChosenLayer, statistics: Statistics, smooth: float
    ) -> None:
        self._probe, self._chosen, self._smooth = probe, chosen, smooth
        self._statistics = statistics
        self._hooked = {chosen.name: layer_module(probe.model, chosen.name)}
        kept: list[Tensor] = []
        with torch.no_grad(), recording(self._hooked, lambda _, output: kept.append(output)):
            self._before = probe.outputs(self._ones(1))
        if not kept:
            raise NotApplicableError(f"{probe.model.name} did not call its layer {chosen.name!r}")
        self.normalised = statistics.normalised(as_maps(kept[0], chosen.axes).float())
        contrast = probe.target.versus_index is not None
        self._linear, self._scale = contrast or probe.model.task == "regression", 1.0
        if self._linear:
            with torch.no_grad():
                nothing = self._outputs(torch.zeros_like(self.normalised), 1)
            change = self._score(self._before) - self._score(nothing)
            self._scale = max(float(change.abs()), 1e-6)

    def _score(self, outputs: Tensor) -> Tensor:
        return explained_score(self._probe.model, outputs, self._probe.target)

    def _ones(self, count: int) -> Tensor:
        return torch.ones(count, *self._probe.shape, device=self._probe.device)

    def nats(self, logits: Tensor) -> Tensor:
        """Return the information of every feature, shape (window, channel, freq, frame)."""
        found = information(self.normalised, smoothed(logits.sigmoid(), self._smooth))
        return torch.where(self._statistics.varies, found, 0.0)

    def distances(self, logits: Tensor, count: int) -> Tensor:
        """Return how far the outputs with noise are from the target, for ``count`` draws."""
        outputs = self._outputs(smoothed(logits.sigmoid(), self._smooth), count)
        if self._linear:
            return (self._score(self._before) - self._score(outputs)) / self._scale
        model, target = self._probe.model, self._probe.target
        index = torch.full((count,), target.index, device=outputs.device)
        return distance(model, outputs, index, self._before, frames=target.frames)

    def _outputs(self, keep: Tensor, count: int) -> Tensor:
        generator, device = self._probe.generator, self._probe.device
        bottleneck = Bottleneck(
            self._chosen.axes,
            self._statistics,
            keep,
            lambda shape: torch.randn(shape, generator=generator).to(device),
        )
        try:
            with recording(self._hooked, bottleneck):
                return self._probe.outputs(self._ones(count))
        except ModelError as error:
            raise NotApplicableError(
                f"{self._probe.model.name} cannot take noise in place of the activations of layer "
                f"{self._chosen.name!r} ({error}); name a layer whose values may be of any size "
                "and sign with layer="
            ) from error


def _chunks(total: int, most: int) -> Iterator[int]:
    for start in range(0, total, most):
        yield min(most, total - start)


def _settle(probe: Probe) -> None:
    """Decide whether inputs can share a batch: the trials would be recorded, or draw noise, too."""
    with torch.no_grad():
        probe.model.settle(probe.wave.expand(2, -1))


def _of_clip(probe: Probe, chosen: ChosenLayer) -> Statistics:
    """Return the statistics of the layer for the sound under random gains (RISE's masks)."""
    columns = max(2, math.ceil(_PER_SECOND * probe.samples / probe.model.rate))
    coarse = torch.rand(_GAIN_MAPS, 1, _ROWS, columns, generator=probe.generator).round()
    gains = functional.interpolate(
        coarse, size=list(probe.shape), mode="bilinear", align_corners=False
    )[:, 0]
    moments = Moments()
    hooked = {chosen.name: layer_module(probe.model, chosen.name)}

    def add(_name: str, output: Tensor) -> None:
        moments.add(as_maps(output, chosen.axes))

    with torch.no_grad(), recording(hooked, add):
        for some in gains.to(probe.device).split(probe.chunk):
            probe.outputs(some)
    return moments.statistics()


def _of_folder(probe: Probe, chosen: ChosenLayer, folder: str) -> Statistics:
    """Return the statistics over the sounds of a folder, known until a file or a weight changes."""
    model = probe.model
    clips = find_clips([folder])
    weights = "" if model.module is None else digest(model.module)  # may be scrambled
    key = (weights, str(model.device), chosen.name, *((clip, written(clip)) for clip in clips))
    known = _KNOWN.of(model)
    if key not in known:
        moments = Moments()
        hooked = {chosen.name: layer_module(model, chosen.name)}

        def add(_name: str, output: Tensor) -> None:
            moments.add(as_maps(output, chosen.axes))

        settled = False
        for clip in clips:
            audio = read_audio(clip, rate=model.rate, end=_SECONDS)
            waves = torch.from_numpy(audio.samples).to(model.device)[None]
            with torch.no_grad():
                if not settled and len(model.windows(waves.shape[-1])) > 1:
                    model.settle(waves)  # its trials of a batch would be recorded too
                    settled = True
                with recording(hooked, add):
                    model(waves)
            probe.tick(1)
        known[key] = moments.statistics()
    return known[key]
