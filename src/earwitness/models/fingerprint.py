"""Fingerprints of a model's weights, which key everything that is computed for the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from earwitness.models.model import Model

V = TypeVar("V")
_Seen = tuple[tuple[int, int, float], ...]
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
    facts = json.dumps([model.rate, model.task, model.output, list(model.labels)])
    found = _hash(facts, tensors)
    _KNOWN[model] = (seen, found)
    return found


@contextmanager
def held_fingerprint(model: Model) -> Iterator[None]:
    """Keep a model's fingerprint while its weights are scrambled.

    Decoders trained for the model then remain applicable, as the model randomisation test requires.
    """
    _HELD[model] = fingerprint(model)
    try:
        yield
    finally:
        del _HELD[model]


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
