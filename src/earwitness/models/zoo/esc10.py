"""The default model: ten everyday sounds."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from earwitness.models.model import Model
from earwitness.models.registry import register
from earwitness.models.zoo.checkpoint import load_checkpoint


@register(
    "esc10",
    summary="compact CNN for ten everyday sounds, trained on folds 1-3 of ESC-10 (the default)",
    licence="Apache-2.0; trained on ESC-10 (Piczak 2015), CC BY 3.0",
)
def esc10() -> Model:
    """Load the built-in classifier of dog, rooster, rain, sea waves and six more."""
    folder = resources.files("earwitness.models.zoo") / "weights" / "esc10"
    with resources.as_file(folder) as place:
        return load_checkpoint(Path(place), "esc10")
