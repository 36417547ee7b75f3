"""A folder of your own with a CSV table, or with one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

from earwitness.data.collection import Item, find_table, own_collection
from earwitness.data.sets.registry import register


def _recognises(folder: Path) -> bool:
    return find_table(folder) is not None


@register(
    "folder",
    summary="your own folder with a CSV table of filename, category and fold; get --from copies it",
    licence="yours",
    citation="",
    page="",
    recognises=_recognises,
)
def folder(place: Path) -> list[Item]:
    """Return the sounds with their categories and folds."""
    return own_collection(place)
