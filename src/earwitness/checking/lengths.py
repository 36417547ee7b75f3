"""Lengths, plane, layers and the two routes of a model."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.checking.finding import Finding
from earwitness.checking.outputs import unchecked
from earwitness.errors import EarwitnessError
from earwitness.evaluation.notes import length_notes
from earwitness.layers.finding import find_layers
from earwitness.models.calling.lengths import in_samples
from earwitness.models.frontend import is_linear
from earwitness.models.model import Model

_SECONDS = (0.3, 1.0, 4.9, 11.7, 60.0)
_PATIENCE = 3.0  # s for one forward pass; longer sounds are not tried then
_ROUTES = 1e-3  # relative to the largest output
_RATES = (4000, 400_000)  # Hz, of attributes that may be a sampling rate
_NAMES = ("sample_rate", "sampling_rate", "samplerate")
_SETTINGS = ("config", "hparams", "cfg", "args")  # attributes that hold settings
_TRIED = (0.25, 0.5, 0.96, 0.975, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0)  # s


def find_lengths(model: Model, failed: EarwitnessError, samples: int) -> tuple[Finding, Model]:
    """Return a length that a model takes that failed on a sound, and the model with that length.

    Raises
    ------
    EarwitnessError
        The one given, if the model fails at every length that is tried.
    """
    seconds = samples / model.rate
    if model.shortest or model.longest:
        raise failed
    taken, tried, took = [], [], 0.0
    for one in _TRIED:
        if took * one > _PATIENCE:
            break
        tried.append(one)
        began = time.perf_counter()
        if _takes(model, round(one * model.rate)):
            taken.append(one)
            took = (time.perf_counter() - began) / one
    if not taken:
        raise failed
    low, high = taken[0], taken[-1]
    lengths = (
        low if low > min(_TRIED[0], seconds) else None,
        high if high < max(tried[-1], seconds) else None,
    )
    if lengths == (None, None):  # it is not the length
        raise failed
    other = copy.copy(model)
    shortest, longest = in_samples(lengths, model.rate)
    other.lengths = replace(model.lengths, shortest=shortest, longest=longest)
    text = (
        f"fails at {seconds:g} s, takes {low:g}{f' to {high:g}' if high > low else ''} s: {failed}"
    )
    advice = f"declare lengths={lengths}, and others are padded or read in windows"
    facts = {"shortest": lengths[0], "longest": lengths[1], "taken": taken, "refused": [seconds]}
    return Finding("lengths", "note", text, advice, facts, {"lengths": lengths}), other


def _takes(model: Model, samples: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(1, samples, generator=generator)
    try:
        with model.undisturbed(), torch.no_grad():
            unchecked(model)(wave.to(model.device))
    except EarwitnessError:
        return False
    return True


def check_lengths(model: Model, waves: Sequence[Tensor]) -> Finding:
    """Return which lengths the model takes, and how others are read."""
    taken, refused, took = [], {}, 0.0
    generator = torch.Generator().manual_seed(0)
    for seconds in _SECONDS:
        if took * seconds > _PATIENCE:
            break
        wave = 0.1 * torch.randn(1, round(seconds * model.rate), generator=generator)
        began = time.perf_counter()
        try:
            with model.undisturbed(), torch.no_grad():
                unchecked(model)(wave.to(model.device))
            taken.append(seconds)
        except EarwitnessError as error:
            refused[seconds] = str(error)
        took = (time.perf_counter() - began) / seconds
    shortest, longest = (
        None if one is None else one / model.rate for one in (model.shortest, model.longest)
    )
    facts = {"shortest": shortest, "longest": longest, "taken": taken, "refused": [*refused]}
    limits = [f"from {shortest:g} s"] if shortest else []
    limits += [f"up to {longest:g} s"] if longest else []
    text = f"declared {' '.join(limits)}" if limits else "any"
    notes = sorted({note for wave in waves for note in length_notes(model, wave.shape[-1])})
    text += f"; tried {', '.join(f'{one:g}' for one in [*taken, *refused])} s"
    if not refused:
        return Finding("lengths", "ok", "; ".join([text, *notes]), "", facts)
    own = [wave.shape[-1] / model.rate for wave in waves]
    low = min([one for one in taken if one > min(refused)] or own)
    high = max([one for one in taken if one < max(refused)] or own)
    short = any(one < low for one in refused)
    long = any(one > high for one in refused)
    lengths = (low if short else None, high if long else None)
    first = next(iter(refused.items()))
    return Finding(
        "lengths", "note", f"{text}; fails at {first[0]:g} s: {first[1]}",
        f"declare lengths={lengths}, and others are padded or read in windows", facts,
        {"lengths": lengths},
    )  # fmt: skip


def check_plane(model: Model) -> Finding:
    """Return the plane of explanations."""
    plane = model.plane
    text = f"{plane.bins} bins of {plane.rate / plane.n_fft:.3g} Hz, a frame every "
    text += f"{1e3 * plane.hop / plane.rate:.3g} ms; evaluated on "
    text += "magnitudes" if model.frontend is not None else "waveforms"
    facts = {"n_fft": plane.n_fft, "hop": plane.hop, "rate": plane.rate,
             "route": "magnitude" if model.frontend is not None else "waveform"}  # fmt: skip
    return Finding("plane", "ok", text, "", facts)


def check_routes(model: Model, wave: Tensor) -> list[Finding]:
    """Return whether all routes through a front end give the outputs of the waveform."""
    if model.frontend is None:
        return []
    raw = unchecked(model)
    with model.undisturbed(), torch.no_grad():
        magnitude = model.plane.analyse(wave).abs()
        wanted = raw(wave)
        routes = {"magnitudes": raw.from_magnitude(magnitude)}
        if is_linear(model.frontend):
            bands = model.frontend.linear(magnitude)
            routes["bands"] = raw.from_linear(bands)
            twice = model.frontend.linear(2 * magnitude)
            straight = float((twice - 2 * bands).abs().max())
            if straight > _ROUTES * float(bands.abs().max()):
                text = "the part of the front end called linear is not"
                return [Finding("routes", "broken", text, "remove linear and nonlinear")]
    allowed = _ROUTES * float(wanted.abs().max())
    for name, found in routes.items():
        gap = float((found - wanted).abs().max())
        if gap > allowed:
            text = f"outputs from {name} differ from those of the waveform by {gap:.3g}"
            return [Finding("routes", "broken", text, "check the plane of the front end")]
    return [Finding("routes", "ok", f"waveform and {' and '.join(routes)} agree")]


def check_layers(model: Model, samples: int) -> Finding:
    """Return layers with a time axis, and which axes they have."""
    try:
        with model.undisturbed():
            found = find_layers(model, samples=samples)
    except EarwitnessError as error:
        return Finding("layers", "note", str(error), "methods on layers do not apply")
    names = [
        f"{one.name} ({'time' if one.freq_axis is None else 'time, frequency'})" for one in found
    ]
    facts = {
        one.name: {"time_axis": one.time_axis, "freq_axis": one.freq_axis, "channels": one.channels}
        for one in found
    }
    return Finding("layers", "ok", ", ".join(names), "", facts)


def stated_rates(model: Model) -> tuple[dict[str, int], dict[str, int]]:
    """Return sampling rates that the network, its features or its settings state.

    Those of modules inside it come second: it may resample for them.
    """
    outer: list[tuple[str, object]] = []
    inner: list[tuple[str, object]] = []
    for part in [*model.parts, getattr(model, "_features", None)]:
        if part is None:
            continue
        outer.append((getattr(part, "__name__", type(part).__name__), part))
        outer += [(name, getattr(part, name, None)) for name in _SETTINGS]
        if isinstance(part, nn.Module):
            inner += [(name, one) for name, one in part.named_modules() if name]
    return _rates(outer), _rates(inner)


def _rates(objects: Sequence[tuple[str, object]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for owner, one in objects:
        for name in _NAMES:
            value: Any = one.get(name) if isinstance(one, Mapping) else getattr(one, name, None)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if _RATES[0] <= value <= _RATES[1] and int(value) == value:
                found[f"{owner}.{name}"] = int(value)
    return found


def check_rate(model: Model) -> Finding:
    """Return whether the network states another sampling rate than was declared."""
    outer, inner = stated_rates(model)
    facts = {"declared": model.rate, "stated": {**outer, **inner}}
    if model.rate in outer.values() or (not outer and model.rate in inner.values()):
        return Finding("rate", "ok", f"{model.rate} Hz as the network states", "", facts)
    if outer:
        name, rate = next(iter(outer.items()))
        text = f"declared {model.rate} Hz, but {name} of the network is {rate}"
        return Finding("rate", "broken", text, f"sample_rate={rate}", facts, {"sample_rate": rate})
    if inner:
        name, rate = next(iter(inner.items()))
        text = f"declared {model.rate} Hz, but {name} inside the network is {rate}"
        return Finding("rate", "note", text, f"sample_rate={rate}, unless it resamples", facts)
    return Finding("rate", "ok", f"{model.rate} Hz; the network states none", "", facts)
