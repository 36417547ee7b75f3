"""A name for what a model has learnt, so that what was made for it is not used on another."""

from __future__ import annotations

import json
from hashlib import blake2b
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from earwitness.models.model import Model

_Seen = tuple[tuple[int, int], ...]
_KNOWN: WeakKeyDictionary[Model, tuple[_Seen, str]] = WeakKeyDictionary()


def fingerprint(model: Model) -> str:
    """Return 16 hexadecimal digits that depend on all weights, statistics, labels and the rate.

    What was found is kept until a weight is written over or put elsewhere.
    """
    tensors = dict(_tensors(model))
    seen = tuple((one.data_ptr(), one._version) for one in tensors.values())
    known = _KNOWN.get(model)
    if known is not None and known[0] == seen:
        return known[1]
    digest = blake2b(digest_size=8)
    facts = [model.rate, model.task, model.output, list(model.labels)]
    digest.update(json.dumps(facts).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    _KNOWN[model] = (seen, digest.hexdigest())
    return digest.hexdigest()


def _tensors(model: Model) -> list[tuple[str, Tensor]]:
    # what is made anew and not stored, such as filters, may be rounded otherwise elsewhere
    return [
        (f"{number}.{name}", tensor)
        for number, part in enumerate(model.parts)
        for name, tensor in part.state_dict().items()
    ]
