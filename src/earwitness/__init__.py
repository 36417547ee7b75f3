"""earwitness: hear the evidence behind an audio model's decision.

The names below are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earwitness.audio import read_audio
    from earwitness.collecting.explaining import explain
    from earwitness.collecting.explanations import Explanations
    from earwitness.comparing.comparison import compare
    from earwitness.errors import EarwitnessError
    from earwitness.explanation import Explanation
    from earwitness.jobs.predicting import predict
    from earwitness.masks.registry import list_masks
    from earwitness.metrics.registry import list_metrics
    from earwitness.models.registry import list_models, load_model
    from earwitness.models.wrapping import wrap
    from earwitness.pipeline import list_methods
    from earwitness.recordings.scanning import scan
    from earwitness.types import Audio

__version__ = "0.1.0"

_HOMES = {
    "Audio": "types",
    "EarwitnessError": "errors",
    "Explanation": "explanation",
    "compare": "comparing.comparison",
    "Explanations": "collecting.explanations",
    "explain": "collecting.explaining",
    "list_masks": "masks.registry",
    "list_methods": "pipeline",
    "list_metrics": "metrics.registry",
    "list_models": "models.registry",
    "predict": "jobs.predicting",
    "load_model": "models.registry",
    "read_audio": "audio",
    "scan": "recordings.scanning",
    "wrap": "models.wrapping",
}

__all__ = [
    "Audio",
    "EarwitnessError",
    "Explanation",
    "Explanations",
    "compare",
    "explain",
    "list_masks",
    "list_methods",
    "list_metrics",
    "list_models",
    "load_model",
    "predict",
    "read_audio",
    "scan",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'earwitness' has no attribute {name!r}")
    return getattr(importlib.import_module(f"earwitness.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
