"""The nouns: frozen values that carry no behaviour but their own consistency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["single-label", "multi-label", "regression"]
Output = Literal["logits", "probabilities", "scores"]
Kind = Literal["probability", "logit-difference", "value"]
Direction = Literal["up", "down"]
Trust = Literal["full", "light", "none"]
Grade = Literal["strong", "moderate", "weak", "none", "degenerate"]
Optimise = bool | Literal["compile"]
Pad = Literal["end", "start", "repeat"]
Longer = Literal["windows", "first", "last"]
Pool = Literal["mean", "max", "topk"]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class Audio:
    """One mono sound.

    Attributes
    ----------
    samples : ndarray, shape (time,), float32
        Full scale is ±1; values beyond it are kept.
    rate : int
        Sampling rate in Hz.
    name : str
        What to call it in messages and reports.
    notes : tuple of str
        What was done to it on the way in, and what the listener should know.
    """

    samples: FloatArray
    rate: int
    name: str = "clip"
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.rate

    def __repr__(self) -> str:
        notes = f"; {'; '.join(self.notes)}" if self.notes else ""
        return f"<Audio {self.name}: {self.seconds:.3g} s at {self.rate} Hz{notes}>"


@dataclass(frozen=True)
class Target:
    """What an explanation is about: one output, or the difference of two, whole or in a span.

    Attributes
    ----------
    index, label
        The output and its name.
    versus_index, versus_label
        The output it is compared with, or None.
    kind : str
        Unit of the reported score: ``probability``, ``logit-difference`` or ``value``.
    decided : bool
        Whether the model's own decision chose it (and not the user).
    sign : int
        1, or -1 to explain what lowers the value of a regression.
    span : (float, float) or None
        The seconds of a per-frame answer that it is about.
    frames : (int, int) or None
        The frames of the answer that it is averaged over; None if there is one answer.
    """

    index: int
    label: str
    kind: Kind
    versus_index: int | None = None
    versus_label: str | None = None
    decided: bool = False
    sign: int = 1
    span: tuple[float, float] | None = None
    frames: tuple[int, int] | None = None

    def __str__(self) -> str:
        text = f"{self.label} versus {self.versus_label}" if self.versus_label else self.label
        text = text if self.sign > 0 else f"lower {text}"
        return f"{text} from {self.span[0]:g} to {self.span[1]:g} s" if self.span else text


def plain_number(value: Any) -> Any:
    """Return a number of numpy or torch as Python's; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


@dataclass(frozen=True, repr=False)
class Request:
    """One explanation to make: everything but the model and the sound.

    Attributes
    ----------
    method : str
        A name of ``list_methods()``.
    options : mapping
        Options of the method; those not named have their defaults.
    target, versus : str, int or None
        Label or index of the output to explain and of the one it is compared with; the decided
        class if None.
    span : (float, float) or None
        Seconds, for a model with an output for every frame.
    direction : {"up", "down"}
        Whether to explain what raises a value or what lowers it.
    keep : str or None
        How the mask is made, as ``--keep`` spells it; the method's own way if None.
    start, end : float or None
        Part of the sound to explain, in seconds.
    seed : int
        Of everything drawn at random.
    trust : {"full", "light", "none"}
        How much the trust card scores.
    curve : bool
        Whether the score is computed at a dozen sizes of the mask.
    names : str or None
        A CSV table of the user's own names of components.
    pool : {"mean", "max", "topk"} or None
        How outputs for the windows of a long sound become one; the model's own way if None. Of
        ``max`` and ``topk`` only the windows that decided are explained.
    """

    method: str = "integrated-gradients"
    options: Mapping[str, Any] = field(default_factory=dict)
    target: str | int | None = None
    versus: str | int | None = None
    span: tuple[float, float] | None = None
    direction: Direction = "up"
    keep: str | None = None
    start: float | None = None
    end: float | None = None
    seed: int = 0
    trust: Trust = "full"
    curve: bool = False
    names: str | None = None
    pool: Pool | None = None

    def __post_init__(self) -> None:
        """Take numbers of numpy and torch as Python's, which JSON can hold."""
        for one in fields(self):
            object.__setattr__(self, one.name, plain_number(getattr(self, one.name)))

    def __repr__(self) -> str:
        own = {one.name: one.default for one in fields(self)[2:]}  # after method and options
        said = {name: getattr(self, name) for name in own if getattr(self, name) != own[name]}
        given = [f"{name}={value!r}" for name, value in {**self.options, **said}.items()]
        return f"<Request {', '.join([self.method, *given])}>"


@dataclass(frozen=True, repr=False)
class Attribution:
    """A map of importance on the plane.

    Attributes
    ----------
    values : ndarray, shape (freq, frame), float32
        Positive speaks for the target; signed if the method is.
    freqs, times : ndarray
        Centres of bins in Hz and of frames in seconds.
    details : mapping
        What the method says of itself: ``completeness_gap``, ``r2``, ``evaluations``, ``layer``.
    """

    values: FloatArray
    freqs: FloatArray
    times: FloatArray
    details: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        bins, frames = self.values.shape
        low, high = float(self.values.min()), float(self.values.max())
        return (
            f"<Attribution {bins} bins to {self.freqs[-1]:.0f} Hz, {frames} frames to "
            f"{self.times[-1]:.3g} s, values {low:.3g} to {high:.3g}>"
        )


@dataclass(frozen=True)
class Piece:
    """A piece of the sound that a method switched on and off.

    Attributes
    ----------
    name : str
        What it is: ``0.25-0.50 s, 400-900 Hz``.
    weight : float
        What the method found it to add to the score.
    low, high : float
        95 % bootstrap interval of the weight; equal to it where nothing was drawn at random.
    energy : float in [0, 1]
        Share of the input's energy that the piece alone holds.
    file : str
        Where its own sound is saved; empty for weak pieces, heard together as everything else.
    """

    name: str
    weight: float
    low: float
    high: float
    energy: float
    file: str = ""


@dataclass(frozen=True)
class Segment:
    """A part of a sound file.

    Attributes
    ----------
    file : str
        Path of the file relative to the folder of its collection, with ``/``: ``dog/01.wav``; or
        its bare name.
    start, end : float
        In seconds.
    """

    file: str
    start: float
    end: float


@dataclass(frozen=True)
class Course:
    """A score over time: of the frames of a model with outputs per frame, or of windows.

    Attributes
    ----------
    starts, ends : tuple of float
        Seconds from the start of the sound.
    values : tuple of float
        In the unit of the target.
    """

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class ComponentTable:
    """The components by which a method explains a decision.

    Attributes
    ----------
    names : tuple of str
        What each component is, without its number: ``peak 500 Hz, learnt on rain``, or a user's
        own name.
    relevance : tuple of float
        Signed; positive speaks for the target.
    activations : ndarray, shape (component, frame), float32
        How active each component is over time; not negative.
    patterns : ndarray, shape (component, freq), float32, or None
        The magnitude of each component over frequency, on a scale of the method's own; None if it
        has none.
    strongest : tuple of tuple of Segment
        Where in the training sounds each component is strongest; empty if not known.
    """

    names: tuple[str, ...]
    relevance: tuple[float, ...]
    activations: FloatArray
    patterns: FloatArray | None = None
    strongest: tuple[tuple[Segment, ...], ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """Names with the numbers of the components, which differ."""
        return tuple(f"component {k} ({name})" for k, name in enumerate(self.names, start=1))


@dataclass(frozen=True, repr=False)
class Mask:
    """Gains on the plane, and what they amount to.

    Attributes
    ----------
    gains : ndarray, shape (freq, frame), float32
        In [0, 1].
    rule : str
        How they were made, as ``--keep`` spells it.
    area : float in [0, 1]
        Mean gain.
    energy : float in [0, 1]
        Share of the input's energy that is kept, sum (g |X|)^2 / sum |X|^2; 0 for silence.
    degenerate : str or None
        ``empty``, ``full`` or ``constant``: such a mask says nothing about where.
    soft : bool
        Whether a gain lies between 0 and 1. Figures of soft and of binary masks are not compared.
    """

    gains: FloatArray
    rule: str
    area: float
    energy: float
    degenerate: str | None = None
    soft: bool = False

    def __repr__(self) -> str:
        kind = f", {self.degenerate}" if self.degenerate else ", soft" if self.soft else ""
        size = f"{100 * self.area:.3g} % of the area, {100 * self.energy:.3g} % of the energy"
        return f"<Mask {self.rule}: {size}{kind}>"


@dataclass(frozen=True)
class Played:
    """The pieces that a method switched on and off.

    Attributes
    ----------
    mix : callable
        Maps switches (batch, piece) to gains (batch, freq, frame); all ones give ones.
    table : tuple of Piece
    labels : Tensor, shape (freq, frame), int64, optional
        Index of the piece that each cell belongs to; None if pieces overlap.
    """

    mix: Callable[[Tensor], Tensor]
    table: tuple[Piece, ...]
    labels: Tensor | None = None


@dataclass(frozen=True)
class Map:
    """What a method returns.

    Attributes
    ----------
    values : Tensor, shape (freq, frame)
    details : mapping
        Figures about the run, plain JSON values: ``completeness_gap``, ``r2``, ``evaluations``, ...
        ``notes``, a list of str, are shown with the explanation.
    played : Played, optional
        Of methods that work on pieces.
    components : ComponentTable, optional
        Of methods that explain by components. If they are pieces too, they are the first ones, in
        the same order, and are called by their titles.
    published : callable, optional
        Of repetitions of a publication: ``published(keep)`` returns the evidence as it makes it,
        a Tensor (samples,).
    """

    values: Tensor
    details: Mapping[str, Any] = field(default_factory=dict)
    played: Played | None = None
    components: ComponentTable | None = None
    published: Callable[[str], Tensor] | None = None
