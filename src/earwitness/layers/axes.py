"""Which axes of a layer are time and frequency, measured from its receptive fields.

Nothing is assumed about the order of a layer's axes, its strides or its frequency scale, or about
tokens: whether they are a grid, which of its axes comes first, and how many special tokens there
are. The model is evaluated on noise, and six times on the same noise with a little of another
noise, which follows a cosine or a sine along time or along frequency, or is in the lowest or the
highest bands only. From the changes of the activations it follows which axis is time, which is
frequency, and the position of every index in seconds and Hz (``layers.positions``). The
disturbances hardly change the level or its course, so this also works for networks that normalise
their input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.layers.positions import LEAST_ORDER, Array, Response, angles, end_bands
from earwitness.layers.recording import recording
from earwitness.layers.tokens import Arrangement, Tokens, arrange, find_arrangement
from earwitness.models.model import Model
from earwitness.plane.mel import hz_to_mel, mel_to_hz

DRAWS = (  # level of the noise, of the disturbance relative to it, and whether it is the same noise
    (0.1, 0.01, False),
    (0.1, 0.01, True),
    (1.0, 0.3, False),
    (1.0, 0.3, True),
    (0.01, 0.3, False),
    (0.01, 0.3, True),
)  # the same for layers that depend on few cells, the others for those silent at 0.1 or in steps
_NARROW = 8  # indices that respond; with fewer, another noise is too random
_HALF = (torch.float16, torch.bfloat16)
COARSE = 0.3  # relative level of the disturbance if a recorded tensor is of half precision
_SEED = 20240607  # of the noise; any fixed value
_ROUNDING = 1e-6  # of the activations; a smaller change is no response
Both = tuple[list[Response], list[Response]]  # by time and by frequency, along all axes
Keep = Callable[[str, Tensor], None]
Recorder = Callable[[Keep], AbstractContextManager[None]]
Draw = tuple[float, float, bool]
Edges = tuple[float, float]
EVERYWHERE: Edges = (-math.inf, math.inf)


@dataclass(frozen=True)
class LayerAxes:
    """The time and frequency axes of a layer's output (the batch is axis 0).

    Attributes
    ----------
    time_axis, freq_axis : int or None
        Of the output as it is, or of ``split`` if there are tokens.
    times : Tensor, shape (length of the time axis,)
        Position of every index in seconds from the start of the window.
    freqs : Tensor, shape (length of the frequency axis,)
        Position of every index in Hz.
    tokens : Tokens or None
        The axis that holds cells between special tokens, or a grid.
    span, band : (float, float)
        First and last second, lowest and highest frequency in Hz, that the output depends on.
    """

    time_axis: int | None
    freq_axis: int | None
    times: Tensor
    freqs: Tensor
    tokens: Tokens | None = None
    span: Edges = EVERYWHERE
    band: Edges = EVERYWHERE

    def split(self, values: Tensor) -> Tensor:
        """Return an output with separate axes of time and frequency, without special tokens."""
        return values if self.tokens is None else self.tokens.split(values)

    def join(self, cells: Tensor, like: Tensor) -> Tensor:
        """Return the inverse of ``split``; special tokens are those of ``like``."""
        return cells if self.tokens is None else self.tokens.join(cells, like)

    def shape(self, shape: torch.Size) -> torch.Size:
        """Return the shape of ``split`` of an output of this shape."""
        return self.split(torch.empty(shape, device="meta")).shape


def find_axes(
    model: Model,
    modules: dict[str, nn.Module],
    samples: int,
    *,
    enough: Callable[[str, LayerAxes], bool] = lambda _name, _axes: False,
    tick: Callable[[int], None] = lambda _count: None,
) -> dict[str, LayerAxes]:
    """Return the axes of all modules whose output has a time axis, in order of execution.

    Parameters
    ----------
    model : Model
    modules : mapping of name to module
        Modules of ``model.module``.
    samples : int
        Length of the window to calibrate for; the model must accept it as one window.
    enough : callable, optional
        Whether to stop at a layer with these axes. Layers are located from the last back.
    tick : callable, optional
        Called after every batch with its number of forward passes.
    """
    found: dict[str, LayerAxes] = {}
    missing = modules
    for draw in DRAWS:

        def record(
            keep: Keep, missing: dict[str, nn.Module] = missing
        ) -> AbstractContextManager[None]:
            return recording(missing, keep)

        responses = measure(model, record, samples, draw, tick)
        arranged = arrangements(responses.values())
        located: dict[str, LayerAxes] = {}
        left: list[str] = []
        for name, both in reversed(responses.items()):
            axes = locate(both, arranged, model, samples)
            uncertain = _uncertain(axes, both)
            if axes.time_axis is not None and (draw[2] or not uncertain):
                located[name] = axes
                if enough(name, axes):
                    left.clear()
                    break
            elif uncertain:
                left.append(name)
        found, missing = dict(reversed(located.items())), {one: modules[one] for one in left[::-1]}
        if found or not missing:
            break
    return found


def _mels(model: Model) -> Tensor:
    """Return the places of bins in [0, 1], in mel."""
    return hz_to_mel(model.plane.freqs()) / float(hz_to_mel(torch.tensor(model.rate / 2)))


def evaluate(model: Model, sound: Tensor, samples: int) -> None:
    """Evaluate the model on an STFT (1, freq, frame), for what is recorded meanwhile."""
    if model.frontend is not None:
        model.from_magnitude(sound.abs())
    else:
        model(model.plane.synthesise(sound, samples))


def _hertz(places: Array, model: Model) -> Tensor:
    highest = float(hz_to_mel(torch.tensor(model.rate / 2)))
    return mel_to_hz(torch.from_numpy(places.clip(0, 1) * highest))


def _uncertain(axes: LayerAxes, both: Both) -> bool:
    """Return whether so little of a layer responds that it may be in order by chance, or not."""
    if axes.tokens is not None:
        return False
    if axes.time_axis is None:
        return any(one.narrow(_NARROW) or not one.dense for along in both for one in along)
    return both[0][axes.time_axis - 1].narrow(_NARROW) or (
        axes.freq_axis is not None and both[1][axes.freq_axis - 1].narrow(_NARROW)
    )


def calibration_noise(samples: int, level: float = DRAWS[0][0], seed: int = _SEED) -> Tensor:
    """Return the same white noise (1, samples) in every use, of the given root mean square."""
    return level * torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


def measure(
    model: Model,
    record: Recorder,
    samples: int,
    draw: Draw,
    tick: Callable[[int], None],
) -> dict[str, Both]:
    """Return the responses of recorded tensors along all axes but the batch, in order of execution.

    Parameters
    ----------
    record : callable
        From a callback to a context in which it is called with every name and tensor (batch, ...).
    draw : (float, float, bool)
        Root mean square of the noise, of the disturbance relative to it, and whether that is the
        same noise.
    """
    kept: dict[str, _Measured] = {}
    number, share = 0, draw[1]

    def keep(name: str, tensor: Tensor) -> None:
        nonlocal share
        if tensor.ndim >= 3 and len(tensor) == 1 and tensor.is_floating_point():
            kept.setdefault(name, _Measured(draw[2])).add(number, tensor.detach()[0])
            if tensor.dtype in _HALF:  # of the network, or by autocast
                share = max(share, COARSE)

    noise, changes = _disturbances(model, samples, draw)
    with torch.no_grad(), model.undisturbed(), record(keep):
        # one by one, as no more than two outputs of a layer are kept at a time
        for change in (torch.zeros_like(noise), *changes):
            evaluate(model, (noise + share * change)[None], samples)
            number += 1
            tick(1)
    return {
        name: (one.responses[0], one.responses[1])
        for name, one in kept.items()
        if one.once and len(one.responses) == 2
    }


def noises(model: Model, samples: int, draw: Draw) -> tuple[Tensor, Tensor]:
    """Return the STFT (freq, frame) of the noise, and of that which it is disturbed with."""
    first, second = (
        model.plane.analyse(calibration_noise(samples, draw[0], seed).to(model.device))[0]
        for seed in (_SEED, _SEED if draw[2] else _SEED + 1)
    )
    return first, second


def _disturbances(model: Model, samples: int, draw: Draw) -> tuple[Tensor, list[Tensor]]:
    """Return the STFT (freq, frame) of the noise, and the disturbances of it, of its level."""
    plane = model.plane
    times = (plane.times(plane.frames(samples)) * model.rate / samples).clamp(max=1)
    mels = _mels(model)
    noise, other = noises(model, samples, draw)
    along = angles(times)[None, :], angles(mels)[:, None]
    patterns = [wave(one) for one in along for wave in (torch.cos, torch.sin)]
    patterns += [one[:, None].to(times) for one in end_bands(mels)]
    return noise, [one.to(model.device) * other for one in patterns]


class _Measured:
    """The responses of one tensor, from its values for the noise and each disturbance in turn.

    Attributes
    ----------
    once : bool
        Whether it was computed once in every pass, always of the same shape.
    responses : list of lists of Response
        By time and by frequency, along all axes.
    """

    def __init__(self, same: bool) -> None:
        self.once, self.responses = True, list[list[Response]]()
        self._same, self._next = same, 0
        self._usual = self._before = torch.zeros(0)

    def add(self, number: int, values: Tensor) -> None:
        """Add the values (...) of pass ``number``, without the batch."""
        if number != self._next or (number and values.shape != self._usual.shape):
            self.once = False
        if not self.once:
            self._usual = self._before = torch.zeros(0)
            return
        self._next += 1
        if number == 0:
            self._usual = values.clone()  # may be written over
        elif number % 2:
            self._before = self._change(values)
        elif number < 6:
            self.responses.append(self._along(self._before, self._change(values)))
        else:
            ends = self._before.square(), self._change(values).square()
            self.responses[1] = [
                replace(one, ends=np.stack([_sum(end, axis) for end in ends]))
                for axis, one in enumerate(self.responses[1])
            ]

    def _change(self, values: Tensor) -> Tensor:
        usual = self._usual.float()
        change, power = values.float() - usual, usual.square().sum(dtype=torch.float64)
        if not change.square().sum(dtype=torch.float64) > _ROUNDING**2 * power:
            return torch.zeros_like(change)
        if self._same:
            return change
        # a change of level alone, as of a network that divides by the peak, says nothing
        share = (change * usual).sum(dtype=torch.float64) / power.clamp(min=1e-300)
        return change - share.float() * usual

    @staticmethod
    def _along(cosine: Tensor, sine: Tensor) -> list[Response]:
        energy = cosine.square() + sine.square()
        real, imaginary = cosine.square() - sine.square(), 2 * cosine * sine
        found = []
        for axis in range(cosine.ndim):
            sums = [_sum(one, axis) for one in (energy, real, imaginary)]
            found.append(Response(sums[0], sums[1] + 1j * sums[2]))
        return found


def _sum(values: Tensor, axis: int) -> Array:
    """Return the sum along all other axes."""
    others = [other for other in range(values.ndim) if other != axis]
    found: Array = values.sum(dim=others, dtype=torch.float64).cpu().numpy()
    return found


def arrangements(layers: Iterable[Both]) -> dict[tuple[int, int], Arrangement]:
    """Return how tokens are arranged, by axis and number, in all layers with so many together.

    Tokens keep their order from layer to layer, but their places show less and less as attention
    mixes them.
    """
    alike: dict[tuple[int, int], list[tuple[Response, Response]]] = {}
    for both in layers:
        for axis, pair in enumerate(zip(*both, strict=True) if len(both[0]) == 2 else ()):
            alike.setdefault((axis, len(pair[0])), []).append(pair)
    found = {key: find_arrangement(pairs) for key, pairs in alike.items()}
    return {key: one for key, one in found.items() if one is not None}


def locate(
    both: Both, arranged: Mapping[tuple[int, int], Arrangement], model: Model, samples: int
) -> LayerAxes:
    """Return the axes of an output from its responses along all axes but the batch.

    Parameters
    ----------
    arranged : mapping of (int, int) to Arrangement
        Of tokens, by axis and number.
    """
    by_time, by_freq = both
    nothing = {None: LEAST_ORDER}
    in_time = nothing | {axis: one.order() for axis, one in enumerate(by_time)}
    # two channels are always in order; two rows have channels beside them
    fewest = 2 if len(by_freq) > 2 else 3
    in_freq = nothing | {axis: one.order(fewest) for axis, one in enumerate(by_freq)}
    pairs = [(t, f) for t, f in product(in_time, in_freq) if t != f or t is None]
    t, f = max(pairs, key=lambda pair: in_time[pair[0]] + in_freq[pair[1]])
    time, freq = (None if t is None else by_time[t]), (None if f is None else by_freq[f])
    places, tokens = [None if axis is None else axis + 1 for axis in (t, f)], None
    ambiguous = time is None or freq is None
    for axis, pair in enumerate(zip(by_time, by_freq, strict=True) if ambiguous else ()):
        one = arranged.get((axis, len(pair[0]))) if len(by_time) == 2 else None
        if one is None:
            continue
        own = [0.0 if part is None else part.order() for part in arrange(one.tokens, *pair)]
        if any(own) or (t, f) == (None, None):
            tokens, time, freq = replace(one.tokens, axis=axis + 1), one.time, one.freq
            both_axes = (axis + 2, axis + 1) if tokens.freq_major else (axis + 1, axis + 2)
            places = [*both_axes] if freq is not None else [axis + 1, None]
            tokens = tokens if tokens.start or tokens.end or tokens.rows else None
            break
    along, hertz = np.zeros(0), torch.zeros(0, dtype=torch.float64)
    if time is not None:
        along = time.line().clip(0, 1) * samples / model.rate
    if freq is not None:
        mels = _mels(model)
        low, high = (float(mels[one].mean()) for one in end_bands(mels))
        hertz = _hertz(freq.curve((low, high)), model)
    return LayerAxes(places[0], places[1], torch.from_numpy(along), hertz, tokens)
