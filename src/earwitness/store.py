"""Explanations on disk: a folder of sounds, arrays and facts that is whole or not there.

``attribution.npz`` holds ``values`` (12 significant bits, a relative error of at most 2^-12),
``freqs`` and ``times``, and ``pieces``, the index of the piece of each cell, where pieces do not
overlap. The magnitude is computed from ``input.wav``, and gains from the values by the mask's rule;
where that would not give the mask back (the rule is somebody's own) the gains are saved too.
Without sounds, ``spectrogram`` holds the input's levels, one byte per cell.

``components.npz``, of methods that explain by components, holds ``activations`` (component, frame)
and ``patterns`` (component, freq) with the same precision, and ``freqs`` and ``times``.
"""

from __future__ import annotations

import math
import shutil
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.audio import read_audio, write_audio
from earwitness.errors import AudioError, EarwitnessError, OutputError, ParameterError
from earwitness.explanation import EVERYTHING_ELSE, SCHEMA, Explanation, OutputScore
from earwitness.files import partial_of, read_record, replacing, unwritable, write_json
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.masks.rounding import storable
from earwitness.plane.stft import Plane
from earwitness.render.evidence import MOST_HEARD
from earwitness.render.labels import region_labels
from earwitness.render.levels import magnitude_of, spectrogram_codes
from earwitness.scores import Curve, TrustCard
from earwitness.types import (
    Attribution,
    Audio,
    ComponentTable,
    Course,
    FloatArray,
    Mask,
    Piece,
    Segment,
    Target,
)

EXTRAS = ("picture", "pieces", "gains", "magnitude")
_FORMER = 1
_LEVEL = 1  # of deflate: random bits do not get smaller at higher levels, only slower
_REST = "piece-rest.wav"
_DAMAGED = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, EarwitnessError)
_SOUNDS = ("input", "evidence", "remainder")
_NAMES = {
    "input": "input.wav",
    "evidence": "evidence.wav",
    "remainder": "remainder.wav",
    "published": "published.wav",
    "attribution": "attribution.npz",
    "components": "components.npz",
    "picture": "attribution.png",
    "labels": "labels.txt",
    "explanation": "explanation.json",
}


def save(
    explanation: Explanation,
    folder: Path,
    *,
    overwrite: bool = False,
    files: Collection[str] = (),
    own_input: bool = True,
    audio: bool = True,
) -> dict[str, Path]:
    """Write an explanation, all or nothing; see ``Explanation.save``.

    Parameters
    ----------
    own_input : bool
        Whether the folder holds the input itself; if not, it lies in the folder above
        (``save_input``), once for all explanations of a sound.
    audio : bool
        Whether sounds are saved; if not, a spectrogram of one byte per cell takes their place.
    """
    for name in files:
        if name not in EXTRAS:
            raise ParameterError(f"files are {', '.join(EXTRAS)}; got {name!r}")
    _refuse(folder, overwrite)
    partial = partial_of(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        _write(explanation, partial, set(files), own_input, audio)
        _replace(folder, partial)
    except (OSError, RuntimeError) as error:  # matplotlib's may be the latter
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files_in(folder)


def _replace(folder: Path, partial: Path) -> None:
    """Put written files in the place of an explanation; others' files there stay where they are.

    ``explanation.json`` leaves first and arrives last, so that a folder with it is never a mixture.
    """
    if not folder.exists():
        partial.rename(folder)
        return
    for path in (folder / _NAMES["explanation"], *own_files(folder)):
        path.unlink(missing_ok=True)
    written = sorted(partial.iterdir(), key=lambda path: path.name == _NAMES["explanation"])
    for path in written:
        path.replace(folder / path.name)


def save_input(folder: Path, audio: Audio) -> None:
    """Write the input that explanations in the folders below share, unless it is there."""
    if _holds(folder / _NAMES["input"], audio):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / _NAMES["input"]) as partial:
            write_audio(partial, audio)
    except OSError as error:
        raise unwritable(folder, error) from error


def _holds(path: Path, audio: Audio) -> bool:
    try:
        there = read_audio(path)
    except (AudioError, OSError):
        return False
    return there.rate == audio.rate and np.array_equal(there.samples, audio.samples)


def _write(
    explanation: Explanation, folder: Path, extras: set[str], own_input: bool, audio: bool
) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    if not audio:
        codes, peak = spectrogram_codes(explanation.magnitude), explanation.magnitude.max()
        explanation = replace(explanation, magnitude=magnitude_of(codes, float(peak)))
        arrays |= {"spectrogram": codes, "peak": peak}
    for name in (*_SOUNDS, "published")[not own_input :] if audio else ():
        if (sound := getattr(explanation, name)) is not None:
            write_audio(folder / _NAMES[name], sound)
    if "pieces" in extras:
        for number, sound in enumerate(explanation.piece_sounds):
            write_audio(folder / _piece_file(sound, number), sound)
    attribution, mask = explanation.attribution, explanation.mask
    values = storable(attribution.values)
    arrays |= {"values": values, "freqs": attribution.freqs, "times": attribution.times}
    if "gains" in extras or not _is_rule(explanation):
        arrays["gains"] = mask.gains if mask.soft else mask.gains.astype(np.bool_)
    if explanation.piece_map is not None:
        arrays["pieces"] = explanation.piece_map
    if "magnitude" in extras:
        arrays["magnitude"] = explanation.magnitude
    _write_arrays(folder / _NAMES["attribution"], arrays)
    if explanation.components is not None:
        _write_arrays(folder / _NAMES["components"], _component_arrays(explanation))
    if "picture" in extras:
        explanation.plot().savefig(folder / _NAMES["picture"], dpi=110)
    offset = explanation.provenance.get("start") or 0.0
    last = explanation.input.seconds or math.inf
    labels = region_labels(attribution, mask, str(explanation.target), offset, last)
    (folder / _NAMES["labels"]).write_text(labels, encoding="utf-8")
    facts = explanation.facts()
    if "pieces" not in extras:
        facts["pieces"] = [{**piece, "file": ""} for piece in facts["pieces"]]
    write_json(folder / _NAMES["explanation"], facts)


def _is_rule(explanation: Explanation) -> bool:
    """Whether the mask's gains are what its rule makes of the values."""
    values, mask = explanation.attribution.values, explanation.mask
    try:
        if parse_keep(mask.rule).file:  # it may be gone when the explanation is read
            return False
        made = _made_mask(values, explanation.magnitude, mask)
    except ParameterError:  # a rule of somebody's own
        return False
    return np.array_equal(made, mask.gains)


def _made_mask(values: FloatArray, magnitude: FloatArray, mask: Mask) -> FloatArray:
    return make_mask(values, magnitude, parse_keep(mask.rule)).gains


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` file, lightly deflated, in Fortran order: smaller by up to a third."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asfortranarray(array), allow_pickle=False)


def _component_arrays(explanation: Explanation) -> dict[str, NDArray[Any]]:
    table, attribution = explanation.components, explanation.attribution
    assert table is not None
    own = {} if table.patterns is None else {"patterns": storable(table.patterns)}
    return {
        "activations": storable(table.activations), **own,
        "freqs": attribution.freqs, "times": attribution.times,
    }  # fmt: skip


def _components(folder: Path, facts: Mapping[str, Any] | None) -> ComponentTable | None:
    """Read the table of components, if the explanation has one."""
    if facts is None:
        return None
    with np.load(folder / _NAMES["components"], allow_pickle=False) as stored:
        arrays = {name: np.ascontiguousarray(stored[name]) for name in stored.files}
    return ComponentTable(
        tuple(facts["names"]),
        tuple(facts["relevance"]),
        arrays["activations"],
        arrays.get("patterns"),
        tuple(tuple(Segment(**one) for one in some) for some in facts["strongest"]),
    )


def load(folder: Path, *, silent: bool = False) -> Explanation:
    """Read an explanation; see ``Explanation.load``.

    Parameters
    ----------
    silent : bool
        Whether one that was saved without sounds may be read; its sounds are silence then.
    """
    try:
        facts = read_record(folder / _NAMES["explanation"], {_FORMER, SCHEMA}, OutputError)
        if facts["schema"] == _FORMER:
            facts = _renewed(facts)
        with np.load(folder / _NAMES["attribution"], allow_pickle=False) as stored:
            arrays = {name: np.ascontiguousarray(stored[name]) for name in stored.files}
        if "spectrogram" in arrays:
            if not silent:
                raise OutputError(
                    f"{folder}: made with --no-audio, there are no sounds to load; "
                    f"{_NAMES['explanation']} and {_NAMES['attribution']} hold its figures and map"
                )
            return _restored(folder, facts, arrays, _silence(facts["provenance"]))
        own = folder / _NAMES["input"]
        place = own if own.is_file() else folder.parent / _NAMES["input"]
        sounds = {"input": read_audio(place)}
        more = ["published"] * (folder / _NAMES["published"]).is_file()
        sounds |= {name: read_audio(folder / _NAMES[name]) for name in (*_SOUNDS[1:], *more)}
        return _restored(folder, facts, arrays, sounds)
    except (FileNotFoundError, NotADirectoryError) as error:
        name = Path(str(error.filename)).name
        raise OutputError(f"{folder}: no explanation here ({name} is missing)") from error
    except AudioError as error:
        raise OutputError(f"{folder}: no whole explanation here ({error})") from error
    except OutputError:
        raise
    except _DAMAGED as error:
        raise OutputError(f"{folder}: the explanation's files are damaged") from error


def _restored(
    folder: Path,
    facts: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    sounds: Mapping[str, Audio],
) -> Explanation:
    from pydantic import TypeAdapter  # takes a while to import

    def read(kind: Any, value: Any) -> Any:
        return TypeAdapter(kind).validate_python(value)

    values = arrays["values"]
    magnitude = arrays.get("magnitude")
    if "spectrogram" in arrays:
        magnitude = magnitude_of(arrays["spectrogram"], arrays["peak"].item())
    if magnitude is None:
        magnitude = _magnitude(sounds["input"], facts["provenance"]["plane"])
    mask = Mask(np.zeros(0, np.float32), **facts["mask"])
    gains = arrays.get("gains")
    gains = _made_mask(values, magnitude, mask) if gains is None else gains.astype(np.float32)
    pieces = read(tuple[Piece, ...], facts["pieces"])
    return Explanation(
        clip=facts["clip"],
        model=facts["model"],
        method=facts["method"],
        task=facts["task"],
        options=facts["options"],
        target=read(Target, facts["target"]),
        input=sounds["input"],
        evidence=sounds["evidence"],
        remainder=sounds["remainder"],
        magnitude=magnitude,
        attribution=Attribution(values, arrays["freqs"], arrays["times"], facts["details"]),
        mask=replace(mask, gains=gains),
        trust=read(TrustCard | None, facts["trust"]),
        outputs=read(tuple[OutputScore, ...], facts["outputs"]),
        notes=tuple(facts["notes"]),
        provenance=facts["provenance"],
        seconds=facts["seconds"],
        pieces=pieces,
        piece_sounds=() if "spectrogram" in arrays else _piece_sounds(folder, pieces),
        curve=read(Curve | None, facts.get("curve")),
        piece_map=arrays.get("pieces"),
        components=_components(folder, facts.get("components")),
        course=read(Course | None, facts.get("course")),
        published=sounds.get("published"),
    )


def _silence(provenance: Mapping[str, Any]) -> dict[str, Audio]:
    nothing = np.zeros(provenance["samples"], np.float32)
    return {name: Audio(nothing, provenance["rate"], name) for name in _SOUNDS}


def _magnitude(audio: Audio, plane: Mapping[str, Any]) -> FloatArray:
    own = Plane(audio.rate, plane["n_fft"], plane["hop"])
    found: FloatArray = own.analyse(torch.from_numpy(audio.samples)[None])[0].abs().numpy()
    return found


def _renewed(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of schema 1 under their names of today."""
    names = {"plane": "spectrogram", "heard": "audio"}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {names.get(key, key): renamed(one) for key, one in value.items()}
        return value

    facts = {**facts, "trust": renamed(facts["trust"]), "outputs": facts.pop("answers")}
    return {**facts, "pieces": facts.get("pieces", ())}


def files_in(folder: Path) -> dict[str, Path]:
    """Return the files of a saved explanation by what they hold."""
    found = {key: folder / name for key, name in _NAMES.items()}
    if not found["input"].exists():
        found["input"] = folder.parent / _NAMES["input"]
    found |= {name.removesuffix(".wav"): folder / name for name in _piece_files()}
    return {key: path for key, path in found.items() if path.exists()}


def is_ours(folder: Path) -> bool:
    """Return whether an explanation, or what is left of one, lies in a folder."""
    return any((folder / _NAMES[name]).is_file() for name in ("explanation", "attribution"))


def finished(folder: Path, files: Collection[str]) -> Explanation | None:
    """Return the explanation that lies in a folder with all files of a request, or None."""
    names = ["labels", *(["picture"] if "picture" in files else [])]
    if not all((folder / _NAMES[name]).is_file() for name in ("explanation", *names)):
        return None
    try:
        return load(folder, silent=True)
    except (OutputError, OSError):
        return None


def own_files(folder: Path) -> list[Path]:
    """Return every file but the input that an explanation may have written to a folder."""
    names = [name for key, name in _NAMES.items() if key != "input"]
    return [folder / name for name in (*names, *_piece_files())]


def _piece_files() -> list[str]:
    """Return the names of all files that sounds of pieces may have."""
    return [*(f"piece-{number:02}.wav" for number in range(1, MOST_HEARD + 1)), _REST]


def _piece_file(sound: Audio, number: int) -> str:
    return _REST if sound.name == EVERYTHING_ELSE else _piece_files()[number]


def _piece_sounds(folder: Path, pieces: tuple[Piece, ...]) -> tuple[Audio, ...]:
    """Read the sounds of pieces, in the order of their files."""
    named = {piece.file: piece.name for piece in pieces if piece.file}
    if named and len(named) < len(pieces):
        named[_REST] = EVERYTHING_ELSE
    order = [name for name in _piece_files() if name in named]
    return tuple(replace(read_audio(folder / name), name=named[name]) for name in order)


def _refuse(folder: Path, overwrite: bool) -> None:
    """Raise unless the place is free, or holds an explanation that may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: a file, not a folder; choose another place")
    if not overwrite and any(folder.iterdir()):
        raise OutputError(f"{folder}: exists already; say overwrite, or choose another place")
    own = (folder / _NAMES["input"], *own_files(folder))
    taken = [path.name for path in own if path.exists()]
    if taken and not is_ours(folder):
        raise OutputError(
            f"{folder}: {taken[0]} is there and belongs to no explanation; choose another place"
        )
