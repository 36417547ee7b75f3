"""What is said when a network fails: its own message, and a hint only where it fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from earwitness.errors import EarwitnessError, ModelError, NotApplicableError, reason

if TYPE_CHECKING:
    from earwitness.models.model import Model

_MEMORY = re.compile(r"out of memory|(can't|cannot|unable to) allocate|alloc_cpu", re.I)
_LENGTHS = re.compile(
    r"\b(samples?|lengths?|sizes?|shapes?|len|dim(ension)?s?|frames?|seconds?|long|short|longer|"
    r"shorter|longest|shortest|guard failed|expected: \d+)\b|\d+ vs\.? \d+",
    re.I,
)
_OTHER = re.compile(
    r"\b(dtype|(?<!per )channels?|device|type)\b", re.I
)  # errors of these name sizes too
_OF_CODE = (TypeError, LookupError, AttributeError, NameError, ImportError, NotImplementedError,
            OSError, SystemExit)  # fmt: skip


def failure(
    model: Model, error: BaseException, data: Tensor, forward: Callable[[Tensor], Any]
) -> EarwitnessError:
    """Return the error for a network that failed on data (batch, ...).

    If it fails only where gradients are computed, or takes another number of channels, one or two
    more forward passes tell so.
    """
    text = f"{type(error).__name__}: {reason(error)}"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _MEMORY.search(text):
        return ModelError(
            f"{model.name}: not enough memory for {tuple(data.shape)}: {text}; choose a part of "
            "the sound with start and end"
        )
    if data.requires_grad and _works(forward, data.detach()):
        return NotApplicableError(
            f"{model.name} cannot be differentiated ({text}): it is a black box; use lime or "
            "occlusion"
        )
    if data.ndim == 2 and len(data) == 1:
        wave = data.detach()[:, None]
        if _works(forward, wave):
            return ModelError(
                f"{model.name} takes (batch, 1, samples), but is given (batch, samples): insert "
                f"the axis, as in {_wrapped(model, 'waves[:, None]')} ({text})"
            )
        if _works(forward, wave.expand(-1, 2, -1)):
            both = "waves[:, None].expand(-1, 2, -1)"
            if model.module is None:
                both = "numpy.stack([waves, waves], axis=1)"
            return ModelError(
                f"{model.name} takes two channels (batch, 2, samples), and only mono models can be "
                f"explained; to give both channels the same sound, use {_wrapped(model, both)}"
            )
    hint = _hint(error, text)
    return ModelError(f"{model.name}: {text} (while reading {tuple(data.shape)}){hint}")


def _wrapped(model: Model, waves: str) -> str:
    """Return how to wrap a model so that it gets other waves."""
    if model.module is None:
        return f"wrap(lambda waves: {model.name}({waves}), ...)"
    return f"wrap(..., features=lambda waves: {waves})"


def _hint(error: BaseException, text: str) -> str:
    """Return a hint about lengths, if the exception can be of that kind."""
    if isinstance(error, _OF_CODE) or _OTHER.search(text) or not _LENGTHS.search(text):
        return ""
    return "; if it takes certain lengths only, use wrap(..., lengths=(shortest, longest))"


def _works(forward: Callable[[Tensor], Any], data: Tensor) -> bool:
    """Whether the network returns anything for data, without gradients."""
    try:
        with torch.no_grad():
            forward(data.clone())
    except (Exception, SystemExit):  # it failed before, for a reason that is said
        return False
    return True
