"""What a model is by content, which keys everything that is computed for it.

``fingerprint`` is of the weights, for caches in memory. ``identity`` is for what is stored on disk
and resumed: a model of the same name may have other weights, other code, or other outputs for
another reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import EarwitnessError
from earwitness.models.model import Model

V = TypeVar("V")
_Seen = tuple[tuple[int, int, float], ...]
_SEED = 20_240_613  # of the two sounds; any fixed value
_LEVEL = 0.1  # RMS of the sounds, full scale at 1
_DIRECTIONS = 4  # random directions on which the outputs are projected
_TOLERANCE = 1e-4  # relative to the largest output
_SAMPLE = 1009  # every 1009th value is summed; finds most changes without a version count
_KNOWN: WeakKeyDictionary[Model, tuple[_Seen, str]] = WeakKeyDictionary()
_HELD: WeakKeyDictionary[Model, str] = WeakKeyDictionary()


def fingerprint(model: Model) -> str:
    """Return 16 hexadecimal digits that depend on all weights, statistics, labels and the rate.

    The result is cached until torch counts a new version of a weight or its memory moves. A change
    that torch does not count (``parameter.data[0] = 1``) is found only if it affects a sampled
    value, one in 1009.
    """
    if model in _HELD:
        return _HELD[model]
    tensors = dict(_tensors(model))
    seen = tuple((one.data_ptr(), one._version, _sum(one)) for one in tensors.values())
    known = _KNOWN.get(model)
    if known is not None and known[0] == seen:
        return known[1]
    facts = json.dumps(
        [model.rate, model.task, model.output, list(model.labels), *model.inputs.facts()]
    )
    found = _hash(facts, tensors)
    _KNOWN[model] = (seen, found)
    return found


def identity(model: Model) -> dict[str, Any]:
    """Return what tells a model from others of its name, as plain JSON values.

    Returns
    -------
    dict
        ``weights``, the fingerprint; ``source``, a digest of the Python files it was made by, or
        empty; ``outputs``, four projections of its outputs for each of two sounds of noise and one
        of the largest absolute output, or empty if they are not the same twice or not finite.
    """
    return {"weights": fingerprint(model), "source": model.source, "outputs": _outputs(model)}


def changed(there: Any, here: Mapping[str, Any]) -> str:
    """Return what differs between two identities of a model in a word; empty if nothing does.

    Outputs may differ by 1e-4 of the largest, since sums are rounded differently elsewhere.
    """
    if not isinstance(there, Mapping):
        return "model"
    for name in ("weights", "source"):
        if there.get(name) != here[name]:
            return "source code" if name == "source" else name
    ours, theirs = here["outputs"], there.get("outputs")
    if not isinstance(theirs, list) or len(ours) != len(theirs):
        return "outputs"
    if not all(isinstance(one, int | float) for one in theirs):
        return "outputs"
    same = not ours or np.allclose(ours, theirs, rtol=0, atol=_TOLERANCE * ours[-1])
    return "" if same else "outputs"


def _outputs(model: Model) -> list[float]:
    generator = torch.Generator().manual_seed(_SEED)
    samples = max(min(model.rate, model.longest or model.rate), model.shortest or 0)
    waves = _LEVEL * torch.randn(2, samples, generator=generator)
    waves[1] = waves[1].cumsum(0) / samples**0.5  # most of it below the lowest bands
    found = []
    for _ in range(2):
        try:
            with model.undisturbed(), torch.no_grad():
                each = [model(wave.to(model.device)) for wave in waves.split(1)]
        except EarwitnessError:
            return []
        outputs = torch.cat(each).double().cpu()
        outputs = outputs.mean(dim=-1) if outputs.ndim > 2 else outputs
        directions = torch.randn(
            outputs.shape[1], _DIRECTIONS, generator=generator.manual_seed(_SEED)
        )
        values = (outputs @ directions.double()).flatten().numpy()
        found.append(np.append(values, float(outputs.abs().max())))
    again = np.allclose(found[0], found[1], rtol=0, atol=_TOLERANCE * found[0][-1] / 2)
    return [float(f"{value:.8g}") for value in found[0]] if again else []


@contextmanager
def held_fingerprint(model: Model) -> Iterator[None]:
    """Keep a model's fingerprint during an explanation, or while its weights are scrambled.

    It is then computed once. Decoders trained for the model remain applicable to scrambled weights,
    as the model randomisation test requires.
    """
    outer = _HELD.get(model)
    _HELD[model] = fingerprint(model)
    try:
        yield
    finally:
        if outer is None:
            _HELD.pop(model, None)


class PerModel(Generic[V]):
    """A cache per model, cleared when its weights change or the model is deleted."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Model, tuple[str, dict[Any, V]]] = WeakKeyDictionary()

    def of(self, model: Model) -> dict[Any, V]:
        """Return the cache for the current weights, a mutable mapping."""
        name = fingerprint(model)
        known = self._kept.get(model)
        if known is None or known[0] != name:
            known = self._kept[model] = (name, {})
        return known[1]

    def forget(self, model: Model) -> None:
        """Clear the cache of a model."""
        self._kept.pop(model, None)


def digest(network: nn.Module) -> str:
    """Return 16 hexadecimal digits that depend on the state dict of a network."""
    return _hash("", network.state_dict())


def _hash(facts: str, tensors: Mapping[str, Tensor]) -> str:
    found = blake2b(facts.encode(), digest_size=8)
    for name, tensor in tensors.items():
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _sum(tensor: Tensor) -> float:
    return float(tensor.detach().flatten()[::_SAMPLE].double().sum())


def _tensors(model: Model) -> Iterator[tuple[str, Tensor]]:
    # buffers outside the state dict, such as filters, may be rounded differently elsewhere
    for number, part in enumerate(model.parts):
        for name, value in part.state_dict().items():
            yield from _flat(f"{number}.{name}", value)


def _flat(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in an entry of a state dict; quantised layers hold several, packed."""
    if isinstance(value, Tensor):
        yield name, value.dequantize() if value.is_quantized else value
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from _flat(f"{name}.{number}", part)
