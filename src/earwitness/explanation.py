"""The result: everything found out about one decision, and what is needed to find it again."""

from __future__ import annotations

import base64
import html
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from earwitness.audio import read_audio, write_audio
from earwitness.errors import AudioError, OutputError
from earwitness.render.evidence import MOST_HEARD
from earwitness.render.labels import region_labels
from earwitness.render.picture import draw, save_figure
from earwitness.render.players import players
from earwitness.types import (
    Attribution,
    Audio,
    Control,
    FloatArray,
    Mask,
    Outcome,
    Pair,
    Piece,
    Target,
    Task,
    TrustCard,
)

SCHEMA = 1
_SOUNDS = ("input", "evidence", "remainder")
EVERYTHING_ELSE = "everything else"
_REST = "piece-rest.wav"


@dataclass(frozen=True)
class OutputScore:
    """One output of the model, for the input and for what is heard of evidence and remainder."""

    label: str
    input: float
    evidence: float
    remainder: float


@dataclass(frozen=True)
class Explanation:
    """Why a model decided what it did about a sound, to hear, to see and to check.

    Attributes
    ----------
    clip : str
        Path or name of the sound.
    model, method : str
    task : str
    options : mapping
        Every option of the method.
    target : Target
    input, evidence, remainder : Audio
        What the model hears, the part the mask keeps and the part it removes; the latter two add
        up to the first.
    magnitude : ndarray, shape (freq, frame)
        The input on the plane.
    attribution : Attribution
    mask : Mask
    trust : TrustCard
    outputs : tuple of OutputScore
        The model's leading outputs, largest first.
    notes : tuple of str
        What the reader must know.
    provenance : mapping
        Versions, seed, lengths, plane: what is needed to repeat it.
    seconds : float
        How long it took.
    pieces : tuple of Piece
        Of methods that switch pieces on and off: every piece with its weight.
    piece_sounds : tuple of Audio
        The dozen pieces of largest weight in size, strongest first, then everything else in one
        sound if there is more; together they are the input.
    """

    clip: str
    model: str
    method: str
    task: Task
    options: Mapping[str, Any]
    target: Target
    input: Audio
    evidence: Audio
    remainder: Audio
    magnitude: FloatArray
    attribution: Attribution
    mask: Mask
    trust: TrustCard
    outputs: tuple[OutputScore, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]
    seconds: float
    pieces: tuple[Piece, ...] = ()
    piece_sounds: tuple[Audio, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return everything but sounds and maps, as plain JSON values."""
        return {
            "schema": SCHEMA,
            "clip": self.clip,
            "model": self.model,
            "task": self.task,
            "method": self.method,
            "options": dict(self.options),
            "target": asdict(self.target),
            "trust": asdict(self.trust),
            "mask": {k: v for k, v in asdict(self.mask).items() if k != "gains"},
            "details": dict(self.attribution.details),
            "outputs": [asdict(output) for output in self.outputs],
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
            "seconds": self.seconds,
            "pieces": [asdict(piece) for piece in self.pieces],
        }

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> dict[str, Path]:
        """Write sounds, map, picture, labels and facts to a folder, all or nothing.

        Parameters
        ----------
        folder : path
            Made with its parents.
        overwrite : bool
            Whether an explanation that is there may be replaced; anything else never is.

        Returns
        -------
        dict of str to Path
            The files by what they hold.

        Raises
        ------
        OutputError
            If the folder exists, or cannot be written.
        """
        folder = Path(folder)
        _refuse(folder, overwrite)
        sounds = [_piece_file(sound, k) for k, sound in enumerate(self.piece_sounds)]
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
        try:
            self._write(partial)
            partial.chmod(0o755)
            if folder.exists():  # others' files in it stay where they are
                for path in files_in(partial).values():
                    path.replace(folder / path.name)
                for name in _piece_files():
                    if (folder / name).exists() and name not in sounds:
                        (folder / name).unlink()
            else:
                partial.rename(folder)
        except (OSError, RuntimeError) as error:  # libsndfile's are the latter
            reason = getattr(error, "strerror", None) or str(error) or "no space left?"
            raise OutputError(f"{folder}: cannot be written ({reason})") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return files_in(folder)

    def _write(self, folder: Path) -> None:
        for name in _SOUNDS:
            write_audio(folder / f"{name}.wav", getattr(self, name))
        for number, sound in enumerate(self.piece_sounds):
            write_audio(folder / _piece_file(sound, number), sound)
        np.savez_compressed(
            folder / "attribution.npz",
            values=self.attribution.values,
            freqs=self.attribution.freqs,
            times=self.attribution.times,
            gains=self.mask.gains,
            magnitude=self.magnitude,
        )
        title = f"{self.method}: {self.target}"
        save_figure(
            folder / "attribution.png", draw(self.magnitude, self.attribution, self.mask, title)
        )
        labels = region_labels(self.attribution, self.mask, str(self.target))
        (folder / "labels.txt").write_text(labels, encoding="utf-8")
        text = json.dumps(self.facts(), indent=2, allow_nan=False)
        (folder / "explanation.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Explanation:
        """Read what ``save`` wrote.

        Raises
        ------
        OutputError
            If the folder holds no explanation, or files of it are missing or damaged.
        """
        folder = Path(folder)
        try:
            facts = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))
            if facts["schema"] != SCHEMA:
                raise OutputError(
                    f"{folder}: written by another version (schema {facts['schema']}, this one "
                    f"reads {SCHEMA})"
                )
            with np.load(folder / "attribution.npz", allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            sounds = {name: read_audio(folder / f"{name}.wav") for name in _SOUNDS}
            pieces = tuple(Piece(**piece) for piece in facts.get("pieces", ()))
            return _restored(cls, facts, arrays, sounds, pieces, _piece_sounds(folder, pieces))
        except (FileNotFoundError, NotADirectoryError) as error:
            name = Path(str(error.filename)).name
            raise OutputError(f"{folder}: no explanation here ({name} is missing)") from error
        except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise OutputError(f"{folder}: the explanation's files are damaged") from error
        except AudioError as error:
            raise OutputError(f"{folder}: no whole explanation here ({error})") from error

    def show(self) -> Any:
        """Return a matplotlib figure of the spectrogram and the attribution."""
        return draw(self.magnitude, self.attribution, self.mask, f"{self.method}: {self.target}")

    def _repr_html_(self) -> str:
        """Show players and the main figures in a notebook."""
        rows = []
        sounds = [getattr(self, name) for name in _SOUNDS]
        for name, player in zip(_SOUNDS, players(sounds), strict=True):
            data = base64.b64encode(player.data).decode("ascii")
            rows.append(
                f'<div><div style="display:inline-block;width:6em">{name}</div><audio controls '
                f'src="data:audio/mpeg;base64,{data}"></audio></div>'
            )
        return f"<div><p>{html.escape(str(self))}</p>{''.join(rows)}</div>"

    def __str__(self) -> str:
        outcome = self.trust.outcome
        text = (
            f"{Path(self.clip).name}: {self.target} by {self.method}: {self.trust.kind} "
            f"{self.trust.input:.3f}; evidence alone {outcome.evidence.audio:.3f}, remainder alone "
            f"{outcome.remainder.audio:.3f}, at {100 * self.mask.area:.1f} % of the area"
        )
        return f"{text}; the mask is {self.mask.degenerate}" if self.mask.degenerate else text


def files_in(folder: Path) -> dict[str, Path]:
    """Return the files of a saved explanation by what they hold."""
    names = [f"{sound}.wav" for sound in _SOUNDS]
    names += ["attribution.npz", "attribution.png", "labels.txt", "explanation.json"]
    keys = [*_SOUNDS, "attribution", "picture", "labels", "explanation"]
    found = {key: folder / name for key, name in zip(keys, names, strict=True)}
    heard = [name for name in _piece_files() if (folder / name).exists()]
    return {**found, **{name.removesuffix(".wav"): folder / name for name in heard}}


def _piece_files() -> list[str]:
    """Return the names of all files that sounds of pieces may have."""
    return [*(f"piece-{number:02}.wav" for number in range(1, MOST_HEARD + 1)), _REST]


def _piece_file(sound: Audio, number: int) -> str:
    return _REST if sound.name == EVERYTHING_ELSE else _piece_files()[number]


def _piece_sounds(folder: Path, pieces: tuple[Piece, ...]) -> tuple[Audio, ...]:
    """Read the sounds of pieces, in the order of their files."""
    named = {piece.file: piece.name for piece in pieces if piece.file}
    if len(named) < len(pieces):
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
    ours = (folder / "explanation.json").is_file()
    taken = [path.name for path in files_in(folder).values() if path.exists()]
    if taken and not ours:
        raise OutputError(
            f"{folder}: {taken[0]} is there and belongs to no explanation; choose another place"
        )


def _restored(
    cls: type[Explanation],
    facts: Mapping[str, Any],
    arrays: Mapping[str, FloatArray],
    sounds: Mapping[str, Audio],
    pieces: tuple[Piece, ...],
    piece_sounds: tuple[Audio, ...],
) -> Explanation:
    attribution = Attribution(arrays["values"], arrays["freqs"], arrays["times"], facts["details"])
    return cls(
        clip=facts["clip"],
        model=facts["model"],
        method=facts["method"],
        task=facts["task"],
        options=facts["options"],
        target=_restored_target(facts["target"]),
        input=sounds["input"],
        evidence=sounds["evidence"],
        remainder=sounds["remainder"],
        magnitude=arrays["magnitude"],
        attribution=attribution,
        mask=Mask(arrays["gains"], **facts["mask"]),
        trust=_restored_card(facts["trust"]),
        outputs=tuple(OutputScore(**output) for output in facts["outputs"]),
        notes=tuple(facts["notes"]),
        provenance=facts["provenance"],
        seconds=facts["seconds"],
        pieces=pieces,
        piece_sounds=piece_sounds,
    )


def _restored_target(facts: Mapping[str, Any]) -> Target:
    pairs = {name: facts[name] and tuple(facts[name]) for name in ("span", "frames")}
    return Target(**{**facts, **pairs})


def _restored_card(facts: Mapping[str, Any]) -> TrustCard:
    def outcome(sides: Mapping[str, Any]) -> Outcome:
        return Outcome(Pair(**sides["evidence"]), Pair(**sides["remainder"]))

    controls = {
        name: Control(
            mean=outcome(control["mean"]),
            low=outcome(control["low"]),
            high=outcome(control["high"]),
            draws=control["draws"],
            area=control["area"],
            energy=control["energy"],
        )
        for name, control in facts["controls"].items()
    }
    return TrustCard(
        facts["kind"], facts["input"], outcome(facts["outcome"]), controls, facts["sign"]
    )
