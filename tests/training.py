"""Short trainings of decoders on the toys."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from earwitness.decoders.folder import Explainer
from earwitness.decoders.objective import Weights
from earwitness.models.model import Model
from earwitness.train.contamination import Contamination
from earwitness.train.lmac import train_lmac
from earwitness.train.settings import Settings
from tests.toys import spectral

BOTH = Contamination(kinds=("mixture",), low=0.0, high=3.0, share=1.0)
SETTINGS = Settings(
    epochs=3, batch=6, crop=1.5, rate=5e-3, contamination=BOTH, weights=Weights(guidance=0.0)
)  # a source of the toys is more than the region that decides
STRIDE = 3  # of the layer that is read: a ninth of the cells of the plane
coarse = partial(spectral, stride=STRIDE)


def trained(model: Model, sounds: list[Path], folder: Path, **changes: Any) -> Explainer:
    return train_lmac(model, sounds[:12], sounds[12:], replace(SETTINGS, **changes), folder)


def place_of_model(folder: Path) -> str:
    """Write a file with the coarse toy model, and return what ``--model`` calls it."""
    place = folder / "model.py"
    place.write_text("from tests.training import coarse\n")
    return f"python:{place}:coarse"
