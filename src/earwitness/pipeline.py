"""One call: from a model and a sound to an explanation."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.evaluation.curve import CONTROL_PASSES, CURVE_PASSES, score_curve
from earwitness.evaluation.notes import (
    background_notes,
    bandwidth_notes,
    batch_notes,
    gap_notes,
    length_notes,
    ultrasound_notes,
)
from earwitness.evaluation.trust import card_passes, forget_silence, trust_card
from earwitness.explanation import EVERYTHING_ELSE, Explanation, OutputScore
from earwitness.masks.drawn import read_drawn
from earwitness.masks.keep import make_mask, parse_keep, share_of
from earwitness.masks.rounding import storable
from earwitness.methods.registry import METHODS, Method
from earwitness.models.declared import declaration_notes
from earwitness.models.fingerprint import held_fingerprint
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import (
    make_target,
    over,
    probabilities,
    refuse_numbers,
    reported_score,
)
from earwitness.naming import read_names, with_names
from earwitness.perturbation.background.reference import coarsened
from earwitness.perturbation.background.registry import AUTO, with_backgrounds
from earwitness.pooling import explain_deciding, few_decide
from earwitness.probe import Probe
from earwitness.provenance import versions
from earwitness.render.evidence import render, render_pieces
from earwitness.steps import undefined_gradients
from earwitness.subject import Clip, Subject, open_subject
from earwitness.types import (
    Attribution,
    Audio,
    ComponentTable,
    Direction,
    Map,
    Mask,
    Piece,
    Pool,
    Request,
    Target,
    Trust,
)

_LEADING = 5  # outputs that are listed
Tick = Callable[[int], None]


def list_methods() -> list[Method]:
    """Return all methods with their facts, in the order of their names."""
    return METHODS.all()


def explain(
    model: Model | str,
    clip: Clip,
    method: str = "integrated-gradients",
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    span: tuple[float, float] | None = None,
    direction: Direction = "up",
    keep: str | None = None,
    start: float | None = None,
    end: float | None = None,
    seed: int = 0,
    trust: Trust = "full",
    curve: bool = False,
    names: str | os.PathLike[str] | None = None,
    pool: Pool | None = None,
    on_passes: Tick | None = None,
    **options: Any,
) -> Explanation:
    """Explain what a model made of one sound; see ``earwitness.explain``, which takes several."""
    request = Request(
        method, options, target, versus, span, direction, keep, start, end, seed, trust, curve,
        None if names is None else os.fspath(names), pool,
    )  # fmt: skip
    check_request(request)
    model = loaded(model)
    refuse_numbers(model, request.target, request.versus)
    subject = open_subject(
        model, clip, start=request.start, end=request.end, seed=request.seed, pool=pool
    )
    return explain_subject(subject, request, on_passes=on_passes)


def check_request(request: Request) -> None:
    """Raise for what would fail on every sound: unknown names and options out of range."""
    spec, seed = METHODS.get(request.method), request.seed
    spec.settle(request.options)
    keep = parse_keep(spec.keep if request.keep is None else request.keep)
    if keep.file:
        read_drawn(keep.file)
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ParameterError(f"seed must be a whole number from 0 on, got {seed!r}")
    for second in (request.start, request.end):
        number = isinstance(second, int | float | np.number)
        if second is not None and not (number and math.isfinite(second)):
            raise ParameterError(f"start and end are seconds, got {second!r}")
    if request.trust not in ("full", "light", "none"):
        raise ParameterError(f"trust is full, light or none, got {request.trust!r}")
    if request.names is not None:
        read_names(request.names)
    if not isinstance(request.curve, bool):
        raise ParameterError(f"curve is true or false, got {request.curve!r}")


def explain_subject(
    subject: Subject, request: Request, *, target: Target | None = None,
    on_passes: Tick | None = None, choose: Callable[[Tensor], str] | None = None,
) -> Explanation:  # fmt: skip
    """Explain a sound as asked (``choose``: from a map to what is kept of it); see ``explain``."""
    began = time.perf_counter()
    model, audio = subject.model, subject.audio
    spec = METHODS.get(request.method)
    settled = spec.settle(request.options)
    if spec.sized and "size" not in request.options:
        settled["size"] = share_of(request.keep)
    with torch.inference_mode(False), model.undisturbed():
        whole = subject.outputs  # before the fingerprint, which needs to know how many there are
        target = target or make_target(
            model, whole, request.target, request.versus,
            span=request.span, direction=request.direction, seconds=audio.seconds,
        )  # fmt: skip
    with torch.inference_mode(False), model.undisturbed(), held_fingerprint(model):
        drawn = request.keep is not None and bool(parse_keep(request.keep).file)
        if few_decide(subject) and not drawn:  # a mask that was drawn lies on the whole sound
            if settled.get("stems"):
                raise ParameterError(
                    "stems are as long as the whole sound, of which only the windows that decide "
                    "are explained; use pool=mean"
                )
            again = partial(
                explain_subject, request=request, target=target, on_passes=on_passes, choose=choose
            )
            return explain_deciding(subject, target, again)
        probe = Probe(model, subject.wave, target, seed=request.seed, on_passes=on_passes)
        probe.reference, probe.clock = subject.reference, subject.clock or probe.clock
        found = spec.map(probe.fixed(), settled)
        if subject.reach is not None:
            found = replace(found, values=found.values * subject.reach.to(found.values))
        if subject.reference is not None and found.played is None:
            found = replace(found, values=coarsened(probe, found.values))
        if request.names is not None:
            found = with_names(found, request.names)
        keep = request.keep or (spec.keep if choose is None else choose(found.values))
        attribution, mask = _masked(subject, probe, found, keep)
        absent = with_backgrounds(probe, found.details.get("background", AUTO))
        card, parts = trust_card(
            probe, mask, subject.outputs, subject.orders, request.trust, absent
        )
        curve = None
        if request.curve:
            values, controls = attribution.values, subject.controls(probe)
            curve = score_curve(probe, values, subject.outputs, controls)
        course = subject.course(target)
    notes = [*audio.notes, *model.notes, *length_notes(model, probe.samples), *batch_notes(model)]
    notes += background_notes(model.task, settled.get("background"), found.details)
    notes += declaration_notes(model)
    if not spec.time_only:  # the map is spread over all frequencies
        notes += bandwidth_notes(model.plane, probe.samples, subject.magnitude, attribution)
    notes += [*gap_notes(found.details), *found.details.get("notes", ())]
    if mask.degenerate:
        notes.append(f"degenerate mask ({mask.degenerate}): it says nothing about where")
    gains = torch.from_numpy(mask.gains).to(probe.device)
    evidence, remainder = render(model.plane, probe.spectrum, gains, probe.wave)
    sounds = (_audio(evidence, audio, "evidence"), _audio(remainder, audio, "remainder"))
    notes += ultrasound_notes((replace(audio, name="input"), *sounds))
    published = None
    if found.published is not None and not drawn:  # a drawn mask is of the plane, not of its rows
        published = _audio(found.published(mask.rule), audio, "published")
        notes.append(_published_note(published, model, target))
    pieces, piece_sounds = _pieces(probe, found, audio)
    return Explanation(
        clip=audio.name,
        model=model.name,
        method=request.method,
        task=model.task,
        options=stated_options(settled, found.details),
        target=target,
        input=audio,
        evidence=sounds[0],
        remainder=sounds[1],
        magnitude=subject.magnitude,
        attribution=attribution,
        mask=mask,
        trust=card,
        outputs=_output_scores(model, target, {"input": subject.outputs, **parts}),
        notes=tuple(notes),
        provenance=_provenance(model, audio, request),
        seconds=time.perf_counter() - began,
        pieces=pieces,
        piece_sounds=piece_sounds,
        curve=curve,
        piece_map=_piece_map(found),
        components=_components(found),
        course=course,
        published=published,
    )


def _published_note(published: Audio, model: Model, target: Target) -> str:
    """Return what the model's score of the evidence of a publication is, in words."""
    with torch.no_grad(), model.undisturbed():
        outputs = model(torch.from_numpy(published.samples).to(model.device)[None])
    score = float(reported_score(model, outputs, target)[0])
    return f"published.wav is the evidence as published; the model's score of it is {score:.3f}"


def count_passes(request: Request, *, first: bool = True) -> int:
    """Return about how many forward passes an explanation costs (a backward counts two).

    Parameters
    ----------
    first : bool
        Whether it is the first of its sound and target, so that it computes what they share.
    """
    spec = METHODS.get(request.method)
    curve = CURVE_PASSES + (CONTROL_PASSES if first else 0) if request.curve else 0
    return spec.passes(spec.settle(request.options)) + card_passes(request.trust) + curve


def stated_options(options: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with the background that was used in the place of ``auto``."""
    used = {"background": details.get("background")} if "background" in options else {}
    return {**options, **used}


def loaded(model: Model | str) -> Model:
    """Return a model that is given, or named; it may have changed since the last call."""
    if isinstance(model, Model):
        forget_silence(model)
        return model
    if not isinstance(model, str):
        raise ParameterError(
            f"{type(model).__name__} is not wrapped yet: earwitness.wrap(model, sample_rate=..., "
            "labels=..., output=...)"
        )
    return load_model(model)


def _masked(subject: Subject, probe: Probe, found: Map, keep: str) -> tuple[Attribution, Mask]:
    values = found.values.float().cpu().numpy()
    if values.shape != probe.shape:
        raise ParameterError(
            f"the method gave a map of shape {values.shape} for a plane of {probe.shape}"
        )
    if not np.isfinite(values).all():
        raise undefined_gradients(probe.model.name)
    freqs, times = probe.freqs.numpy(), probe.times.numpy()
    attribution = Attribution(values, freqs.astype(np.float32), times, dict(found.details))
    rule = parse_keep(keep)
    if rule.file:
        read_drawn(rule.file).check(probe.model.plane, probe.samples)
    return attribution, make_mask(values, subject.magnitude, rule)


def _audio(wave: Tensor, audio: Audio, name: str) -> Audio:
    return Audio(wave.float().cpu().numpy(), audio.rate, name)


def _pieces(probe: Probe, found: Map, audio: Audio) -> tuple[tuple[Piece, ...], tuple[Audio, ...]]:
    """Return the pieces of a method that works on some, and the sounds of the strongest."""
    if found.played is None:
        return (), ()
    plane, table = probe.model.plane, found.played.table
    chosen, waves = render_pieces(plane, probe.spectrum, found.played, probe.samples)
    files = {piece: f"piece-{number:02}.wav" for number, piece in enumerate(chosen, start=1)}
    names = [*(table[piece].name for piece in chosen), EVERYTHING_ELSE]
    sounds = tuple(_audio(wave, audio, name) for wave, name in zip(waves, names, strict=False))
    return tuple(replace(one, file=files.get(k, "")) for k, one in enumerate(table)), sounds


def _components(found: Map) -> ComponentTable | None:
    """Return the table of components with the precision of files."""
    table = found.components
    if table is None:
        return None
    patterns = None if table.patterns is None else storable(table.patterns)
    return replace(table, activations=storable(table.activations), patterns=patterns)


def _piece_map(found: Map) -> NDArray[np.uint16] | None:
    """Return the index of the piece of each cell, where pieces do not overlap."""
    if found.played is None or found.played.labels is None:
        return None
    return found.played.labels.cpu().numpy().astype(np.uint16)


def _output_scores(
    model: Model, target: Target, outputs: dict[str, Tensor]
) -> tuple[OutputScore, ...]:
    values = {
        side: over(probabilities(model, one.unsqueeze(0)), target.frames)[0]
        for side, one in outputs.items()
    }
    order = values["input"].argsort(descending=True).tolist()
    if model.task == "regression":
        order = sorted(order)
    chosen = order[:_LEADING]
    chosen += [i for i in (target.index, target.versus_index) if i is not None and i not in chosen]
    return tuple(
        OutputScore(model.labels[i], **{side: float(values[side][i]) for side in outputs})
        for i in chosen
    )


def _provenance(model: Model, audio: Audio, request: Request) -> dict[str, Any]:
    plane = model.plane
    return {
        "model": model.loaded,
        "seed": request.seed,
        "start": request.start,
        "end": request.end,
        "rate": audio.rate,
        "samples": len(audio.samples),
        "plane": {"n_fft": plane.n_fft, "hop": plane.hop, "window": "hann"},
        "route": "magnitude" if model.frontend is not None else "waveform",
        "device": str(model.device),
        "optimise": model.optimise,
        "trust": request.trust,
        "names": request.names,
        "pool": request.pool,
        "versions": versions(),
    }
