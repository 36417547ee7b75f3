"""Any function on numpy arrays: a black box, without gradients."""

from __future__ import annotations

from collections.abc import Callable
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

    def _forward(self, waves: Tensor) -> Any:
        outputs = np.asarray(self._function(waves.detach().cpu().numpy().astype(np.float32)))
        if not np.issubdtype(outputs.dtype, np.number):
            raise ModelError(f"{self.name}: outputs must be numbers, got {outputs.dtype}")
        return torch.from_numpy(np.ascontiguousarray(outputs, dtype=np.float32))
