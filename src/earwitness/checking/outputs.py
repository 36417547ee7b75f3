"""What a model's outputs are, and what they depend on beside the sound."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from earwitness.checking.finding import Finding, Grade
from earwitness.errors import EarwitnessError
from earwitness.models.model import Model

_LEVELS = (0.3, 0.03, 0.003)  # standard deviations of the noises, full scale at 1
_TOLERANCE = 1e-2  # of a sum of probabilities; half precision rounds to about 1e-3
_ALIKE = 1e-6  # relative to the largest output; float32 rounds to about 1e-7
_SAME = 1e-4  # relative to the spread of outputs
_SURE = -0.05  # a log-sigmoid whose probability is above 0.95
_ROUNDED = 1e-3  # of a probability, by half precision
_CERTAIN = 0.8  # a probability; below, outputs that are all alike would be taken for it
_QUIETER = (0.1, 0.01)  # factors
_DROPS = (nn.modules.dropout._DropoutNd,)
_LAYERS_WITH_DROPOUT = (nn.RNNBase, nn.MultiheadAttention)
_SCRIPTED = ("LSTM", "GRU", "RNN", "MultiheadAttention")  # whose code always reads the mode


def unchecked(model: Model) -> Model:
    """Return a copy whose outputs are not compared with the declaration."""
    other = copy.copy(model)
    if other.output == "probabilities":
        other.output = "logits"
    return other


def noises(model: Model, samples: int) -> list[Tensor]:
    """Return white noises (1, samples) of several levels, and silence."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, samples, generator=generator).to(model.device)
    return [*(level * noise for level in _LEVELS), torch.zeros_like(noise)]


def check_outputs(model: Model, waves: Sequence[Tensor]) -> list[Finding]:
    """Return what the outputs are for sounds (1, samples), against what was declared."""
    raw, found = unchecked(model), []
    for wave in [*waves, *noises(model, waves[0].shape[-1])]:
        try:
            with model.undisturbed(), torch.no_grad():
                found.append(raw(wave)[0])
        except EarwitnessError as error:
            silent = not bool(wave.any())
            return [
                Finding(
                    "outputs", "broken", f"fails on {'silence' if silent else 'noise'}: {error}",
                    "explanations evaluate masked sounds, down to silence",
                )
            ]  # fmt: skip
    labels = _labels(model, found[0])
    alike = _ALIKE * float(found[0].abs().max())
    if all(
        one.shape == found[0].shape and torch.allclose(one, found[0], rtol=_ALIKE, atol=alike)
        for one in found[1:]
    ):
        return [
            labels,
            Finding("outputs", "broken", "the same for every sound, noise and silence",
                    "the weights may not be loaded, or the input is not used"),
        ]  # fmt: skip
    return [labels, _kind(model, found)]


def _labels(model: Model, outputs: Tensor) -> Finding:
    count = len(outputs)
    facts = {"outputs": count, "labels": list(model.labels)}
    if not model.labelled and model.task != "regression":
        text = f"no labels: outputs are numbered, 0 to {count - 1}"
        return Finding("labels", "note", text, "give labels=", facts)
    return Finding("labels", "ok", f"{count} outputs, {len(model.labels)} labels", "", facts)


def seen(found: Sequence[Tensor]) -> str:
    """Return what outputs (output[, frame]) of several sounds look like."""
    inside = all(bool(((one >= 0) & (one <= 1 + _TOLERANCE)).all()) for one in found)
    if inside and all(_sums_to_one(one) for one in found):
        return "probabilities that sum to one"
    if inside:
        return "values from 0 to 1"
    if all(_sums_to_one(one.exp()) for one in found):
        return "logarithms of probabilities that sum to one"
    whole = float(found[0].sum(dim=0).mean())
    every = torch.cat([one.flatten() for one in found])
    sums = torch.cat([one.sum(dim=0).flatten() for one in found])
    off = float((sums - whole).abs().max())
    if float(every.min()) >= 0 and off <= _TOLERANCE * float(every.max() - every.min()):
        return f"shares that sum to {whole:.4g}"
    if all(bool((one <= 0).all()) for one in found) and max(map(_largest, found)) > _SURE:
        return "values up to zero"
    return "values of any size"


def _largest(outputs: Tensor) -> float:
    return float(outputs.max())


def _kind(model: Model, found: Sequence[Tensor]) -> Finding:
    """Return what the outputs look like, and whether that is what was declared."""
    kind = seen(found)
    every = torch.cat([one.flatten() for one in found])
    low, high = float(every.min()), float(every.max())
    text = f"{kind} ({low:.3g} to {high:.3g}); declared {model.output}, {model.task}"
    facts = {"seen": kind, "low": low, "high": high, "declared": model.output, "task": model.task}
    grade, advice, declare = _judged(model, kind)
    if grade == "ok" and kind == "probabilities that sum to one" and _softmax_twice(found):
        grade, advice = "broken", "a softmax was applied twice: give the logits"
    return Finding("outputs", grade, text, advice, facts, declare)


def _softmax_twice(found: Sequence[Tensor]) -> bool:
    """Return whether probabilities are a softmax of probabilities.

    Their logarithms, shifted so that they sum to one, are then from 0 to 1 for every sound.
    """
    if min(float(one.min()) for one in found) <= 0:
        return False
    inner = [one.double().log() for one in found]
    inner = [one + (1 - one.sum(dim=0)) / len(one) for one in inner]
    sure = max(float(one.max()) for one in inner)
    return min(float(one.min()) for one in inner) >= -_ROUNDED and sure > _CERTAIN


def _judged(model: Model, kind: str) -> tuple[Grade, str, dict[str, str]]:
    """Return grade, advice and the right declaration for outputs of a kind that was seen."""
    single, multi = {"task": "single-label"}, {"task": "multi-label"}
    probabilities = {"output": "probabilities"}
    if model.output == "logits":
        if kind == "probabilities that sum to one":
            return "broken", "a softmax would be applied twice", {**probabilities, **single}
        if kind == "values from 0 to 1" and (model.task == "multi-label" or not model.declared):
            return "broken", "a sigmoid would be applied twice", {**probabilities, **multi}
        if kind == "values from 0 to 1":
            return "note", "read as logits, as declared: right for similarities only", {}
        if kind.startswith("shares"):
            return (
                "broken",
                "divide them by their sum: they are probabilities",
                {**probabilities, **single},
            )
        if kind == "values up to zero" and model.task == "multi-label":
            return "note", "of a log-sigmoid, perhaps: a sigmoid would be applied to it again", {}
        if kind.startswith("logarithms") and model.task == "multi-label":
            return "broken", "of a log-softmax, classes that exclude each other", single
    elif model.output == "probabilities":
        if kind.startswith("shares"):
            return "broken", "divide them by their sum", single
        if not kind.startswith(("probabilities", "values from 0")):
            return "broken", "these are no probabilities", {"output": "logits"}
        if model.task == "single-label" and kind != "probabilities that sum to one":
            return "broken", "they do not sum to one", multi
        if model.task == "multi-label" and kind == "probabilities that sum to one":
            return "note", "they sum to one: classes that exclude each other", single
    elif kind == "probabilities that sum to one":
        return "note", "of a softmax: a classifier, not a regression", probabilities
    return "ok", "", {}


def check_repeats(model: Model, wave: Tensor) -> Finding:
    """Return whether the model gives the same outputs twice, whatever the random state."""
    left = [
        name or type(part).__name__
        for module in model.parts
        for name, part in module.named_modules()
        if getattr(part, "training", False) and _matters(part)
    ]
    if left:
        kinds = f"{len(left)} layers ({', '.join(left[:3])}{', ...' if len(left) > 3 else ''})"
        return Finding(
            "repeatable", "broken",
            f"in training mode: {kinds} drop out, or use statistics of the batch",
            "call eval() before wrap; explanations use evaluation mode, your own calls do not",
            {"training": left},
        )  # fmt: skip
    outputs = []
    raw = unchecked(model)
    with model.undisturbed(), torch.no_grad():
        for seed in (1, 2, 1):
            torch.default_generator.manual_seed(seed)
            outputs.append(raw(wave)[0])
    other, again = (float((one - outputs[0]).abs().max()) for one in outputs[1:])
    spread = max(float(outputs[0].std()) if outputs[0].numel() > 1 else 0.0, 1e-6)
    allowed = _SAME * max(spread, float(outputs[0].abs().max()))
    if max(other, again) <= allowed:
        return Finding("repeatable", "ok", "the same outputs twice")
    advice = "dropout that stays on in evaluation mode, or another random draw; switch it off"
    if again > allowed:  # with the seed of the first
        advice = "a state that is kept from call to call, or a draw outside torch; reset it"
    return Finding(
        "repeatable", "broken",
        f"outputs for one sound differ by {max(other, again):.3g} from call to call", advice,
        {"difference": max(other, again), "with_one_seed": again},
    )  # fmt: skip


def _matters(part: nn.Module) -> bool:
    """Whether a layer computes something else in training."""
    if isinstance(part, torch.jit.ScriptModule):
        if part.original_name in _SCRIPTED:
            return float(getattr(part, "dropout", 0)) > 0
        reads = "self.training" in getattr(part, "code", "")
        return reads and float(getattr(part, "p", 1)) > 0
    if isinstance(part, _DROPS):
        return part.p > 0
    if isinstance(part, _LAYERS_WITH_DROPOUT):
        return part.dropout > 0
    if isinstance(part, nn.modules.batchnorm._BatchNorm):
        return True
    if isinstance(part, nn.modules.batchnorm._NormBase):
        return part.track_running_stats
    return _reads_mode(type(part))


def _reads_mode(kind: type[nn.Module]) -> bool:
    """Whether the forward pass of a module that is not of torch reads ``self.training``."""
    if kind.__module__.startswith("torch."):
        return False
    try:
        return "self.training" in inspect.getsource(kind.forward)
    except (OSError, TypeError):  # its source is not at hand
        return False


def check_batch(model: Model, wave: Tensor) -> Finding:
    """Return whether the outputs for one sound depend on the others of its batch."""
    if model.declared_alone:
        return Finding("batch", "ok", "one sound at a time, as declared")
    with model.undisturbed(), torch.no_grad():
        unchecked(model).settle(wave)
    if not model.one_by_one:
        return Finding("batch", "ok", "outputs do not depend on other sounds of the batch")
    return Finding(
        "batch", "broken",
        "outputs for one sound depend on the others of its batch, or it takes one sound only",
        "explanations evaluate one at a time, which is slow: batch=1 says so; mend a maximum, a "
        "mean or a norm over the batch",
    )  # fmt: skip


def check_level(model: Model, waves: Sequence[Tensor]) -> Finding:
    """Return whether the outputs depend on the level of a sound at all."""
    raw = unchecked(model)
    with model.undisturbed(), torch.no_grad():
        loud = torch.cat([raw(wave)[0].flatten() for wave in waves])
        quiet = [
            torch.cat([raw(factor * wave)[0].flatten() for wave in waves]) for factor in _QUIETER
        ]
    change = max(float((one - loud).abs().max()) for one in quiet)
    scale = float(loud.abs().max()) or 1.0
    facts = {"change": change, "relative": change / scale}
    if change <= 1e-2 * scale:
        return Finding(
            "level", "note", "the same outputs 20 and 40 dB lower: the level does not count",
            "no path leads from silence; integrated-gradients begins at the mean instead", facts,
        )  # fmt: skip
    return Finding("level", "ok", f"outputs change by {change:.3g} within 40 dB", "", facts)


def _sums_to_one(outputs: Tensor) -> bool:
    inside = bool(((outputs >= 0) & (outputs <= 1 + _TOLERANCE)).all())
    several = outputs.shape[0] > 1 and inside
    return several and bool(((outputs.sum(dim=0) - 1).abs() <= _TOLERANCE).all())
