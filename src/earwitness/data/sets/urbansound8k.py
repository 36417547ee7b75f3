"""UrbanSound8K: sounds of cities of up to four seconds, in ten folds."""

from __future__ import annotations

from pathlib import Path

from earwitness.data.collection import Item, fold_of, found_in
from earwitness.data.sets.registry import Remote, register
from earwitness.errors import AudioError
from earwitness.files import read_table

_TABLE = "metadata/UrbanSound8K.csv"


def _recognises(folder: Path) -> bool:
    return (folder / _TABLE).is_file()


@register(
    "urbansound8k",
    summary="UrbanSound8K: 8732 sounds of cities of up to 4 s, 10 classes, 10 folds",
    licence="CC BY-NC 3.0 (its readme; soundata names CC BY-NC 4.0)",
    citation="J. Salamon, C. Jacoby, J. P. Bello. A Dataset and Taxonomy for Urban Sound Research. "
    "Proc. ACM Multimedia, 2014, 1041-1044",
    page="https://urbansounddataset.weebly.com/urbansound8k.html",
    sources=(
        "all: soundata/datasets/urbansound8k.py of github.com/soundata/soundata, which quotes the "
        "readme",
    ),
    remotes=(
        Remote(
            "UrbanSound8K.tar.gz",
            "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz?download=1",
            digest="md5:9aa69802bbf37fb986f71ec1483a196e",
            top="UrbanSound8K",
        ),
    ),
    recognises=_recognises,
)
def urbansound8k(folder: Path) -> list[Item]:
    """Return the sounds with their classes and folds."""
    table = folder / _TABLE
    items = []
    for line, row in enumerate(read_table(table, AudioError), start=2):
        fold = fold_of(table, line, row.get("fold", ""))
        name = row.get("slice_file_name", "")
        path = found_in(folder, table, line, f"audio/fold{fold}/{name}" if name else "")
        items.append(Item(path, row.get("class", ""), fold))
    return items
