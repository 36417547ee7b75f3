"""Torch modules on waveforms, and on features that a torch function computes from waveforms."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.models.model import Model


class WaveModel(Model):
    """A torch module on waveforms (batch, samples).

    Waveforms are float32 if the module takes them, as where it computes its features itself, else
    of the precision of its parameters.
    """

    module: nn.Module
    _takes_float32: bool | None = None  # unknown

    def _forward(self, waves: Tensor) -> Any:
        if self.dtype == torch.float32 or self._takes_float32 is False:
            return self.inputs.call(self.module, waves.to(self.dtype))
        try:
            outputs = self.inputs.call(self.module, waves)
        except RuntimeError:
            if self._takes_float32:
                raise
            outputs = self.inputs.call(self.module, waves.to(self.dtype))
            self._takes_float32 = False
            return outputs
        self._takes_float32 = True
        return outputs


class FeatureModel(Model):
    """A torch module on features, with the torch function that computes them from waveforms."""

    module: nn.Module

    def __init__(self, features: Callable[[Tensor], Tensor], **facts: Any) -> None:
        super().__init__(**facts)
        self._features = features

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """The network, and the features if they are a module."""
        return tuple(p for p in (self.module, self._features) if isinstance(p, nn.Module))

    def fixed(self, wave: Tensor) -> Model:
        """Return the model with features for this sound, if they have ``for_sound``.

        A sound that is read in windows, each with a level of its own, is left as it is.
        """
        make = getattr(self._features, "for_sound", None)
        if make is None or len(self.windows(len(wave))) > 1:
            return self
        other = copy.copy(self)
        missing = max((self.shortest or 0) - len(wave), 0)
        with torch.no_grad():
            other._features = make(nn.functional.pad(wave, (0, missing)))
        return other

    def _forward(self, waves: Tensor) -> Any:
        return self.inputs.call(self.module, self._cast(self._features(waves)))
