"""Where sounds are: files that are named, and those in folders.

Folders of results are not searched: their evidence would be explained as if it were a recording.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from earwitness.errors import AudioError, EarwitnessError
from earwitness.files import reachable

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("wav", "wave", "w64", "rf64", "flac", "ogg", "oga", "opus", "mp3"),
        *("aif", "aiff", "aifc", "au", "snd", "caf", "voc", "nist", "sph"),
    )
)
UNDECODED = frozenset(  # sounds that libsndfile cannot decode
    f".{name}"
    for name in (
        *("m4a", "m4b", "mp4", "aac", "webm", "mka", "wma", "amr", "awb", "3gp", "3gpp", "gsm"),
        *("ac3", "eac3", "dts", "ape", "wv", "tta", "mpc", "spx", "ra", "rm", "dsf", "dff"),
    )
)
RECORDS = ("report.json", "scan.json", "explanation.json")  # with a schema, one marks results
_LOG = logging.getLogger("earwitness")


def find_clips(places: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the sound files at the given paths; folders are searched recursively.

    Hidden folders and folders of results are not searched. Sounds that cannot be decoded are
    skipped, with a warning in the log ``earwitness``.

    Raises
    ------
    AudioError
        If a path is empty or cannot be reached, or a folder holds results or no sound file.
    """
    clips: list[Path] = []
    for place in [reachable(place, AudioError) for place in places]:
        clips += _inside(place) if place.is_dir() else [place]
    return list(dict.fromkeys(clips))


def find_with_roots(
    places: Iterable[str | os.PathLike[str]], on_failure: Callable[[str], None]
) -> dict[Path, Path]:
    """Return the sound files at the given paths, each with the folder searched for it or around it.

    Parameters
    ----------
    on_failure : callable
        Called with a line on each path at which there is no sound; the others are returned.
    """
    clips: dict[Path, Path] = {}
    for place in places:
        try:
            found = find_clips([place])
            missing = [clip for clip in found if not os.path.exists(clip)]
            if missing:
                raise AudioError(f"{missing[0]}: no such file or folder")
        except EarwitnessError as error:
            on_failure(str(error))
            continue
        root = Path(place) if os.path.isdir(place) else Path(place).parent
        for clip in found:
            clips.setdefault(clip, root)
    return clips


def holds_results(folder: Path) -> bool:
    """Return whether a folder is one of results: of ``explain``, of ``scan``, of an explanation."""
    return any(_has_schema(folder / name) for name in RECORDS)


def _has_schema(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and "schema" in facts


def _inside(place: Path) -> list[Path]:
    if holds_results(place):
        raise AudioError(
            f"{place}: a folder of results of earwitness, in which no sounds are searched; name "
            "the recordings, or files in it one by one"
        )
    files = sorted(_visible(place))
    inside = [path for path in files if path.suffix.lower() in SUFFIXES]
    others = [path for path in files if path.suffix.lower() in UNDECODED]
    skipped = _listed(others)
    if not inside:
        raise AudioError(
            f"{place}: no sound files in this folder that can be decoded (looked for "
            f"{' '.join(sorted(SUFFIXES))}" + (f"; convert {skipped} first)" if others else ")")
        )
    if others:
        text = "%s: skipped %s, which cannot be decoded; convert to WAV or FLAC first"
        _LOG.warning(text, place, skipped)
    return inside


def _visible(root: Path) -> Iterator[Path]:
    """Yield the files below a folder that are neither hidden nor results."""
    for folder, inner, names in os.walk(root):
        here = Path(folder)
        inner[:] = [one for one in inner if one[0] != "." and not holds_results(here / one)]
        for name in names:
            if name[0] != "." and (here / name).is_file():
                yield here / name


def _listed(paths: list[Path]) -> str:
    """Return the name of one file, or how many there are of each ending."""
    if len(paths) == 1:
        return paths[0].name
    counts = Counter(path.suffix.lower() for path in paths)
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
