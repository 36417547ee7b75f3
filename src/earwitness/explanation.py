"""The result: everything found out about one decision, and what is needed to find it again."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from earwitness.errors import OutputError, ParameterError
from earwitness.evaluation.verdict import sentence, verdict
from earwitness.scores import Curve, TrustCard, Verdict
from earwitness.types import (
    Attribution,
    Audio,
    ComponentTable,
    Course,
    FloatArray,
    Mask,
    Piece,
    Target,
    Task,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

    from earwitness.render.picture import Scale, What

SCHEMA = 2
EVERYTHING_ELSE = "everything else"


@dataclass(frozen=True)
class OutputScore:
    """One output of the model, for the input and for the sound of evidence and remainder.

    The latter two are None without a trust card.
    """

    label: str
    input: float
    evidence: float | None = None
    remainder: float | None = None


@dataclass(frozen=True, repr=False, eq=False)
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
        The input at the model's rate, the part the mask keeps and the part it removes; the latter
        two add up to the first.
    magnitude : ndarray, shape (freq, frame)
        The input on the plane.
    attribution : Attribution
    mask : Mask
    trust : TrustCard or None
        None if none was asked for.
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
        The dozen pieces of largest absolute weight, strongest first, then everything else in one
        sound if there is more; together they are the input.
    curve : Curve or None
        The target's score at a dozen sizes of the mask; None if none was asked for, and in folders
        of earlier versions.
    piece_map : ndarray, shape (freq, frame), uint16, or None
        Index of the piece that each cell belongs to; None if pieces overlap.
    components : ComponentTable or None
        Of methods that explain by components (``l2i``): spectral patterns, activations over time,
        relevance, and where in the training sounds each is strongest.
    course : Course or None
        The target's score of the input over time: of models with outputs per frame, and of sounds
        that are read in windows.
    published : Audio or None
        The evidence as a repeated publication makes it (``--compat pak``), where it makes any.
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
    trust: TrustCard | None
    outputs: tuple[OutputScore, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]
    seconds: float
    pieces: tuple[Piece, ...] = ()
    piece_sounds: tuple[Audio, ...] = ()
    curve: Curve | None = None
    piece_map: NDArray[np.uint16] | None = None
    components: ComponentTable | None = None
    course: Course | None = None
    published: Audio | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The grade of the explanation with its reasons; None without a trust card."""
        return verdict(self.trust, self.mask)

    def facts(self) -> dict[str, Any]:
        """Return everything but sounds and maps, as plain JSON values."""
        found = self.verdict
        return {
            "schema": SCHEMA,
            "clip": self.clip,
            "model": self.model,
            "task": self.task,
            "method": self.method,
            "options": dict(self.options),
            "target": asdict(self.target),
            "trust": None if self.trust is None else asdict(self.trust),
            "verdict": None if found is None else {**vars(found), "reasons": [*found.reasons]},
            "curve": None if self.curve is None else asdict(self.curve),
            "course": None if self.course is None else asdict(self.course),
            "mask": {k: v for k, v in vars(self.mask).items() if k != "gains"},
            "details": dict(self.attribution.details),
            "outputs": [asdict(output) for output in self.outputs],
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
            "seconds": self.seconds,
            "pieces": [asdict(piece) for piece in self.pieces],
            "components": None if self.components is None else _words(self.components),
        }

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        files: Collection[str] = (),
    ) -> dict[str, Path]:
        """Write sounds, map, labels and facts to a folder, all or nothing.

        Parameters
        ----------
        folder : path
            Made with its parents.
        overwrite : bool
            Whether an explanation that is there may be replaced; anything else never is.
        files : collection of {"picture", "pieces", "gains", "magnitude"}
            What to write besides: a picture, the sounds of pieces, and arrays that can be computed
            from the other files.

        Returns
        -------
        dict of str to Path
            The files by what they hold.

        Raises
        ------
        OutputError
            If the folder exists, or cannot be written.
        """
        from earwitness.files import reachable
        from earwitness.store import save

        return save(self, reachable(folder, OutputError), overwrite=overwrite, files=files)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Explanation:
        """Read what ``save`` wrote, by this version or by an earlier one.

        Raises
        ------
        OutputError
            If the folder holds no explanation, or files of it are missing or damaged.
        """
        from earwitness.files import reachable
        from earwitness.store import load

        return load(reachable(folder, OutputError))

    @overload
    def plot(self, ax: None = ..., what: What = ..., *, scale: Scale = ...) -> Figure: ...
    @overload
    def plot(self, ax: Axes, what: What = ..., *, scale: Scale = ...) -> QuadMesh: ...
    def plot(
        self, ax: Axes | None = None, what: What = "attribution", *, scale: Scale = "linear"
    ) -> Figure | QuadMesh:
        """Draw the attribution, the mask or the evidence over seconds and Hz with matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default in a new figure, beside the input.
        what : {"attribution", "mask", "evidence"}
            The attribution scaled to [-1, 1] with the contour of the mask, the gains, or the level
            of the evidence in dB below the loudest cell of the input.
        scale : {"linear", "log"}
            Of the axis of frequency.

        Returns
        -------
        Figure or QuadMesh
            The figure; with ``ax`` what was drawn, for a colour bar, as of ``librosa.display``.

        Raises
        ------
        ParameterError
            If there is no such thing to draw.
        """
        from earwitness.render.lettering import legible
        from earwitness.render.picture import SCALES, WHATS, draw, draw_on

        for name, given, known in (("what", what, WHATS), ("scale", scale, SCALES)):
            if given not in known:
                raise ParameterError(f"{name} is one of {', '.join(known)}; got {given!r}")
        if ax is not None:
            return draw_on(ax, self.magnitude, self.attribution, self.mask, what, scale)
        shown = self.method if what == "attribution" else f"{what} by {self.method}"
        title = f"{shown}: {legible(self.target)}"
        return draw(self.magnitude, self.attribution, self.mask, title, what, scale)

    def show(self) -> Figure:
        """Return ``plot()``; a former name, for this version only."""
        return self.plot()

    def _repr_html_(self) -> str:
        """Show the picture, the verdict and players in a notebook."""
        from earwitness.render.notebook import cell_html
        from earwitness.render.picture import notebook_picture

        names = ("input", "evidence", "remainder")
        sounds = {name: getattr(self, name) for name in names if len(getattr(self, name).samples)}
        picture = notebook_picture(self.magnitude, self.attribution, self.mask)
        about = f"Spectrogram of the input, attribution for {self.target}, and evidence"
        return cell_html(str(self), (sentence(self.verdict),), picture, sounds, about)

    def __repr__(self) -> str:
        return f"<Explanation {self}>"

    def __str__(self) -> str:
        text = f"{self.clip}: {self.target} by {self.method}"
        if self.trust is not None:
            outcome = self.trust.outcome
            text += (
                f": {self.trust.kind} {self.trust.input:.3f}; evidence alone "
                f"{outcome.evidence.audio:.3f}, remainder alone {outcome.remainder.audio:.3f}"
            )
        area = f"{100 * self.mask.area:.1f}"
        if self.mask.area and area == "0.0":
            area = "under 0.1"
        text += f", at {area} % of the area"
        return f"{text}; the mask is {self.mask.degenerate}" if self.mask.degenerate else text


def _words(components: ComponentTable) -> dict[str, Any]:
    """Return what a table of components holds besides arrays."""
    return {
        "names": list(components.names),
        "relevance": list(components.relevance),
        "strongest": [[asdict(one) for one in some] for some in components.strongest],
    }
