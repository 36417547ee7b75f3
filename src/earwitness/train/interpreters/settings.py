"""How to train an interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field

from earwitness.decoders.dictionary import DictionarySettings
from earwitness.train.contamination import Contamination
from earwitness.train.interpreters.objective import InterpreterWeights
from earwitness.train.settings import LoopSettings


@dataclass(frozen=True)
class InterpreterSettings(LoopSettings):
    """Training settings of an interpreter. The defaults were chosen on folds 1-3 of ESC-10.

    Attributes
    ----------
    dictionary : DictionarySettings
    weights : InterpreterWeights
    """

    epochs: int = 60
    contamination: Contamination = field(default_factory=lambda: Contamination(share=0.5))
    dictionary: DictionarySettings = field(default_factory=DictionarySettings)
    weights: InterpreterWeights = field(default_factory=InterpreterWeights)
