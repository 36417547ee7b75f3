"""SONYC-UST: recordings of New York of ten seconds, with several labels each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from earwitness.data.collection import Item, found_in
from earwitness.data.sets.registry import Remote, register
from earwitness.errors import AudioError
from earwitness.files import read_table

_FOLDS = {"train": 1, "validate": 2, "test": 3}
_COARSE = re.compile(r"\d_(.+)_presence")  # fine labels have a dash before the underscore
_ADDRESS = "https://zenodo.org/record/3966543/files/"
_DIGESTS = (
    *("bbb4dbae7d2e58e18d24878b9ee1eb51", "7c369ff37ac6a1fdd8493fdffe62e0a1"),
    *("412241c063d7f196953d3dd1c44aeb5e", "d2a872392d95993a2c238d305b940812"),
    *("b15b0e0cb3f8584259ef0d24293a9be3", "de745f887067433757a2f2c8f99f99bb"),
    *("b0286c67468369d66336f6f5ddede31f", "ff300183ab7a9d3f2f74c3b730ffeb52"),
    *("7be76b821fa6dbe20f6b50ca440e1024", "959f7edfbb26eadad9865069f38aa9dd"),
    *("84e94de273666c537a3e6b709ee88d9b", "44fe1f43121a7d1178aa0cdf7477793b"),
    *("a7eb21011f460b5ac289f8e285e875ab", "27945a8b1008eec787f97213164951e6"),
    *("fb8c7d81c3bde3a0c86c1e55e6a85a24", "f6af9b65d876ef96d199b9e5f0473cb9"),
    *("e8337c61a90c30989d500f950fbe443a", "3e47e85eb4564a30fe7f442ee97ec7b9"),
    "c6b2ef4d0d5b7269d465c469cdbbdc4b",
)


def _file(name: str, digest: str, into: str = "") -> Remote:
    return Remote(name, f"{_ADDRESS}{name}?download=1", digest=f"md5:{digest}", into=into)


def _recognises(folder: Path) -> bool:
    return (folder / "annotations.csv").is_file() and (folder / "audio").is_dir()


@register(
    "sonyc-ust",
    summary="SONYC-UST 2.3: 18510 recordings of New York of 10 s, several of 8 labels each; folds "
    "1 train, 2 validate, 3 test",
    licence="CC BY 4.0",
    citation="M. Cartwright and others. SONYC-UST-V2: An Urban Sound Tagging Dataset with "
    "Spatiotemporal Context. Proc. DCASE Workshop, 2020",
    page="https://zenodo.org/record/3966543",
    sources=("all: soundata/datasets/sonyc_ust.py of github.com/soundata/soundata",),
    remotes=(
        _file("annotations.csv", "70b507b15bb4cfcce4870925302f276b"),
        *(_file(f"audio-{k}.tar.gz", digest, "audio") for k, digest in enumerate(_DIGESTS)),
    ),
    recognises=_recognises,
)
def sonyc_ust(folder: Path) -> list[Item]:
    """Return the recordings with their coarse labels, separated by ``;``.

    The agreed labels (annotator 0) where there are any; otherwise those that most annotators who
    judged a class say are present. Recordings without a label are left out.
    """
    table = folder / "annotations.csv"
    votes: dict[str, list[dict[str, str]]] = {}
    lines: dict[str, int] = {}
    for line, row in enumerate(read_table(table, AudioError), start=2):
        name = row.get("audio_filename", "")
        votes.setdefault(name, []).append(row)
        lines.setdefault(name, line)
    items = []
    for name, rows in votes.items():
        split = rows[0].get("split", "")
        if split not in _FOLDS:
            raise AudioError(
                f"{table}: line {lines[name]}: split is train, validate or test, got {split!r}"
            )
        label = ";".join(_labels(rows))
        if label:
            path = found_in(folder, table, lines[name], f"audio/{name}" if name else "")
            items.append(Item(path, label, _FOLDS[split]))
    return items


def _labels(rows: Sequence[Mapping[str, str]]) -> list[str]:
    agreed = [row for row in rows if row.get("annotator_id") == "0"]
    found = []
    for column in rows[0]:
        coarse = _COARSE.fullmatch(column)
        judged = [row[column] for row in agreed or rows if row[column] in ("0", "1")]
        if coarse and 2 * judged.count("1") > len(judged):
            found.append(coarse[1])
    return found
