"""How to train an interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field

from earwitness.decoders.dictionary import DictionarySettings
from earwitness.train.contamination import Contamination
from earwitness.train.interpreters.objective import InterpreterWeights
from earwitness.train.settings import LoopSettings


@dataclass(frozen=True)
class InterpreterSettings(LoopSettings):
    """Training settings of an interpreter. The weights of the loss are the paper's.

    Attributes
    ----------
    dictionary : DictionarySettings
    weights : InterpreterWeights
    """

    epochs: int = 35
    rate: float = 2e-3
    contamination: Contamination = field(default_factory=Contamination)
    dictionary: DictionarySettings = field(default_factory=DictionarySettings)
    weights: InterpreterWeights = field(default_factory=InterpreterWeights)
