"""What a model may change while it runs, as it was before: its buffers and random states."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def kept_buffers(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Restore the buffers of modules afterwards, whether they were written to or replaced.

    Observers of quantisation, statistics of a batch norm that stays in training mode and running
    levels are such buffers. They would make outputs depend on what was evaluated before.
    """
    kept = [
        (module, name, buffer, buffer.detach().clone())
        for part in parts
        for module in part.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if _plain(buffer)
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, before in kept:
                scripted = isinstance(module, torch.jit.ScriptModule)  # gives new objects
                if not scripted and getattr(module, name, None) is not buffer:
                    setattr(module, name, buffer)
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def _plain(buffer: Tensor) -> bool:
    """Whether a buffer has values that can be copied."""
    return (
        not torch.nn.parameter.is_lazy(buffer)
        and buffer.layout == torch.strided
        and not buffer.is_meta
        and not buffer.is_quantized
    )


@contextmanager
def fixed_draws() -> Iterator[None]:
    """Seed the generators of torch, numpy and Python with 0, and restore their states afterwards.

    Those of accelerators are left alone.
    """
    plain, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the global state
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(numpy)  # noqa: NPY002
