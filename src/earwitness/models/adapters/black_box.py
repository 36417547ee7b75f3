"""Any function on numpy arrays: a black box, without gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.errors import ModelError
from earwitness.models.model import Model


class BlackBox(Model):
    """Any function from numpy waveforms (batch, samples) to outputs (batch, output)."""

    def __init__(self, function: Callable[[Any], Any], **facts: Any) -> None:
        super().__init__(module=None, **facts)
        self._function = function
        self._readout = replace(self._readout, numbers=self._numbers)

    def _forward(self, waves: Tensor) -> Any:
        return self.inputs.call(self._function, waves.detach().cpu().numpy().astype(np.float32))

    def _numbers(self, found: Any) -> Tensor:
        outputs = np.asarray(found.detach().cpu() if isinstance(found, Tensor) else found)
        if outputs.dtype.kind not in "buifc":
            raise ModelError(f"{self.name}: outputs must be numbers, got {outputs.dtype}")
        kept = {"b": np.bool_, "u": np.int64, "i": np.int64, "f": np.float32, "c": np.complex64}
        return torch.from_numpy(np.ascontiguousarray(outputs, kept[outputs.dtype.kind]))
