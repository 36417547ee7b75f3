"""The Free Spoken Digit Dataset: digits of six speakers at 8 kHz."""

from __future__ import annotations

from pathlib import Path

from earwitness.data.collection import Item
from earwitness.data.digits import digits_folder, read_digits
from earwitness.data.sets.registry import Remote, register


def _recognises(folder: Path) -> bool:
    return any(digits_folder(folder).glob("[0-9]_*_*.wav"))


@register(
    "fsdd",
    summary="Free Spoken Digit Dataset 1.0.9: 2500 digits of 5 speakers; folds 1 test (takes 0 to "
    "4), 2 training",
    licence="CC BY-SA 4.0",
    citation="Z. Jackson. Free Spoken Digit Dataset, 2016",
    page="https://github.com/Jakobovski/free-spoken-digit-dataset",
    sources=(
        "licence: README of github.com/Jakobovski/free-spoken-digit-dataset",
        "address, size and checksum: spoken_digit/checksums.tsv of github.com/tensorflow/datasets",
    ),
    remotes=(
        Remote(
            "free-spoken-digit-dataset-1.0.9.tar.gz",
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
            digest="sha256:8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
            size=11975353,
            top="free-spoken-digit-dataset-1.0.9",
        ),
    ),
    recognises=_recognises,
)
def fsdd(folder: Path) -> list[Item]:
    """Return the digits of the official test split in fold 1, and the others in fold 2."""
    return [
        Item(item.path, item.label, fold)
        for fold, test in ((1, True), (2, False))
        for item in read_digits(folder, test=test)
    ]
