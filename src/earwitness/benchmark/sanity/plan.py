"""What is measured by the model randomisation test: sounds, methods, orders and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.benchmark.grid import Choice, Part, choose
from earwitness.data.clips import Clip, folder
from earwitness.data.collection import read_collection
from earwitness.errors import ParameterError
from earwitness.evaluation.scrambling import Order
from earwitness.files import digest_of

BESIDE = "gradcam"  # known to pass (Adebayo et al. 2018), so it shows whether the test is valid
ORDERS: tuple[Order, ...] = ("cascading", "independent")


@dataclass(frozen=True)
class Plan:
    """A model with its sounds, and the methods that are tested.

    Attributes
    ----------
    parts : tuple of Part
    methods : tuple of Choice
        Grad-CAM is added where it is not named.
    orders : tuple of {"cascading", "independent"}
    seeds : tuple of int
        Of the scrambling and of the methods.
    pictures : int
        Sounds of which the maps are drawn; the first ones.
    """

    parts: tuple[Part, ...]
    methods: tuple[Choice, ...]
    orders: tuple[Order, ...] = ORDERS
    seeds: tuple[int, ...] = (0, 1, 2)
    pictures: int = 2

    def __post_init__(self) -> None:
        names = [choice.name for choice in self.methods]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ParameterError(f"randomisation: method {twice[0]} is named twice")
        if BESIDE not in names:
            object.__setattr__(self, "methods", (*self.methods, choose(BESIDE)))

    def drawn(self, clip: str) -> bool:
        """Return whether the maps of a sound are drawn."""
        return any(clip in [one.name for one in part.clips[: self.pictures]] for part in self.parts)

    def key(self) -> dict[str, Any]:
        """Return all settings on which the results depend, as plain JSON values."""
        return {
            "name": "randomisation",
            "parts": [[part.model, [clip.name for clip in part.clips]] for part in self.parts],
            "methods": [[choice.name, dict(choice.options)] for choice in self.methods],
            "orders": list(self.orders),
            "seeds": list(self.seeds),
            "files": [digest_of(choice.files) for choice in self.methods],
            "pictures": self.pictures,
        }


def clips_of(place: Path, *, fold: int | None = None, most: int | None = None) -> tuple[Clip, ...]:
    """Return sounds of a folder; where the classes are known, about as many of each.

    Parameters
    ----------
    place : Path
        Any folder of sounds; labelled (``read_collection``) if a fold is chosen.
    fold : int, optional
        Only this fold.
    most : int, optional
        So many sounds, chosen at random (always the same ones); all if there are fewer.

    Raises
    ------
    ParameterError
        If the fold has no sounds.
    """
    if fold is None:
        clips = folder(paths=[str(place)])
        labels = [""] * len(clips)
    else:
        items = [item for item in read_collection(place) if item.fold == fold]
        if not items:
            raise ParameterError(f"{place} has no fold {fold}")
        clips = folder(paths=[str(item.path) for item in items])
        known = {str(item.path): item.label for item in items}
        labels = [known[clip.name] for clip in clips]
    return tuple(clips[k] for k in sorted(_even(labels, most)))


def _even(labels: Sequence[str], most: int | None) -> list[int]:
    """Return the places of so many items, of every label in turn."""
    seen: dict[str, int] = {}
    turns = []
    for place in np.random.default_rng(0).permutation(len(labels)).tolist():
        seen[labels[place]] = seen.get(labels[place], 0) + 1
        turns.append((seen[labels[place]], place))
    order = [place for _, place in sorted(turns, key=lambda pair: pair[0])]
    return order[:most]
