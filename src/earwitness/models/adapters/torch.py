"""Torch modules on waveforms, and on features that a torch function computes from waveforms."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.models.model import Model


class WaveModel(Model):
    """A torch module on waveforms (batch, samples)."""

    module: nn.Module

    def _forward(self, waves: Tensor) -> Any:
        return self.inputs.call(self.module, waves.to(self.dtype))


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
