"""A name for what a model has learnt, so that what was made for it is not used on another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from earwitness.models.model import Model

_Seen = tuple[tuple[int, int, float], ...]
_SAMPLE = 1009  # every so manieth value is added up, to see changes that torch does not count
_KNOWN: WeakKeyDictionary[Model, tuple[_Seen, str]] = WeakKeyDictionary()


def fingerprint(model: Model) -> str:
    """Return 16 hexadecimal digits that depend on all weights, statistics, labels and the rate.

    What was found is kept until a weight is written over or put elsewhere; a change behind torch's
    back (``parameter.data[0] = 1``) is seen only where it changes one value in a thousand.
    """
    tensors = dict(_tensors(model))
    seen = tuple((one.data_ptr(), one._version, _sum(one)) for one in tensors.values())
    known = _KNOWN.get(model)
    if known is not None and known[0] == seen:
        return known[1]
    facts = json.dumps([model.rate, model.task, model.output, list(model.labels)])
    found = _hash(facts, tensors)
    _KNOWN[model] = (seen, found)
    return found


def digest(network: nn.Module) -> str:
    """Return 16 hexadecimal digits that depend on all that is stored with a network."""
    return _hash("", network.state_dict())


def _hash(facts: str, tensors: Mapping[str, Tensor]) -> str:
    found = blake2b(facts.encode(), digest_size=8)
    for name, tensor in tensors.items():
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _sum(tensor: Tensor) -> float:
    return float(tensor.detach().flatten()[::_SAMPLE].double().sum())


def _tensors(model: Model) -> list[tuple[str, Tensor]]:
    # what is made anew and not stored, such as filters, may be rounded otherwise elsewhere
    return [
        (f"{number}.{name}", tensor)
        for number, part in enumerate(model.parts)
        for name, tensor in part.state_dict().items()
    ]
