"""Why a model gives one recording another score than another recording of the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.comparing.alignment import Alignment, align
from earwitness.comparing.warping import on_axis_of
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.explanation import Explanation
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.target import explained_score, make_target, refuse_numbers
from earwitness.perturbation.background.reference import reference
from earwitness.pipeline import check_request, explain_subject, loaded
from earwitness.probe import Probe
from earwitness.subject import Clip, Subject, open_subject
from earwitness.types import Audio, FloatArray, Request, Target, Trust

UNLIKE = 0.5  # cost of an alignment from which the words, or the voices, are not the same
_DRAWS = 8  # random masks of the control
_SIZES, _ENOUGH = (5, 10, 20, 40, 60, 80, 95, 100), 0.75  # percent; share of the difference
_EDGE = 1.5  # bins and frames; the blur of the edges
_WARPED = 0.2  # share of the difference that the warping may cost without a note


@dataclass(frozen=True)
class Comparison:
    """What one recording has that another of the same words lacks, by the score of a model.

    Attributes
    ----------
    explanation : Explanation
        Of the first recording, with the second one as the background: its attribution sums to
        the score of the first minus that of the second (times ``target.sign``), and its mask
        holds the culprit.
    other : Audio
        The second recording, as the model takes it.
    warped : Audio
        The second recording on the time axis of the first.
    hybrid : Audio
        The first recording with the cells of the mask replaced by the second's.
    alignment : Alignment
        Of the first recording with the second.
    scores : mapping of str to float
        The score that methods explain (a value, or a logit): ``a`` and ``b`` of the recordings,
        ``warped`` of the second on the first's time axis, ``start`` of its magnitudes with the
        first's phase, where the path of the attribution begins; ``hybrid``, and ``random``, the
        mean of hybrids by masks of the same size in random places, with ``random_low`` and
        ``random_high``.
    """

    explanation: Explanation
    other: Audio
    warped: Audio
    hybrid: Audio
    alignment: Alignment
    scores: Mapping[str, float]

    @property
    def difference(self) -> float:
        """The score of the first recording minus that of the second on its time axis."""
        return self.scores["a"] - self.scores["warped"]

    def regained(self, name: str = "hybrid") -> float | None:
        """Return which share of the difference a hybrid regains; ``random`` for the control.

        None if there is no difference.
        """
        gap = self.difference
        return (self.scores["a"] - self.scores[name]) / gap if gap else None

    def __str__(self) -> str:
        scores, one = self.scores, self.explanation
        text = (
            f"{one.clip}: {replace(one.target, sign=1)} {scores['a']:.3f}; {self.other.name}: "
            f"{scores['b']:.3f}, {scores['warped']:.3f} on A's time axis. "
        )
        made, drawn = self.regained(), self.regained("random")
        if made is None or drawn is None:
            return f"{text}On one axis the scores do not differ"
        return (
            f"{text}With what {'lowers' if self.difference < 0 else 'raises'} A replaced by B's: "
            f"{scores['hybrid']:.3f}, {made:.0%} of the difference (random places: "
            f"{scores['random']:.3f}, {drawn:.0%}), at {one.mask.area:.1%} of the area"
        )

    def with_sounds(self, files: Mapping[str, str]) -> Explanation:
        """Return the explanation with the places of sounds that the page plays.

        Parameters
        ----------
        files : mapping of str to str
            Of ``reference`` and ``hybrid``, relative to the folder of the page.
        """
        details = dict(self.explanation.attribution.details)
        details["comparison"] = {**details["comparison"], "sounds": dict(files)}
        attribution = replace(self.explanation.attribution, details=details)
        return replace(self.explanation, attribution=attribution)

    def facts(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return {
            "a": self.explanation.clip,
            "b": self.other.name,
            "target": self.explanation.target.label,
            "scores": dict(self.scores),
            "difference": self.difference,
            "regained": self.regained(),
            "regained_random": self.regained("random"),
            "alignment_cost": self.alignment.cost,
        }


def compare(
    model: Model | str,
    a: Clip,
    b: Clip,
    method: str | None = None,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    keep: str | None = None,
    start: float | None = None,
    end: float | None = None,
    seed: int = 0,
    trust: Trust = "light",
    **options: Any,
) -> Comparison:
    """Explain why a model gives a recording another score than another one of the same words.

    The second recording is put on the time axis of the first by dynamic time warping. A method
    then explains the first one with the second as its background, so that what both share counts
    nothing.

    Parameters
    ----------
    model : Model or str
        What ``wrap`` or ``load_model`` returned, or a name for the latter.
    a, b : path, Audio, (samples, rate) or mapping
        The recording that is explained, and the one that it is compared with.
    method : str, optional
        A method with the option ``background``: ``integrated-gradients``, by default, or
        ``occlusion`` for a model without gradients; ``lime``, ``kernel-shap`` and others.
    target, versus : label or index, optional
        The output to compare; the first one of a regression, or the class decided for ``a``. The
        scores of a classifier are logits.
    keep : str, optional
        How much of the attribution is the culprit: by default the least of eight shares, from
        5 to 100 %, with smooth edges, whose hybrid regains three quarters of the difference, or
        else that which regains most.
    start, end : float, optional
        The part of both recordings that is compared, in seconds.
    seed : int
        Seed of everything drawn at random.
    trust : {"full", "light", "none"}
        How much the trust card scores.
    **options
        Options of the method.

    Returns
    -------
    Comparison

    Raises
    ------
    AudioError
        If a sound cannot be read, is too long or silent.
    NotApplicableError
        If the two sounds or their scores are the same, or the method has no background.

    Examples
    --------
    >>> import earwitness
    >>> from earwitness.signals import scene
    >>> made = scene(32000)
    >>> found = earwitness.compare("esc10", made.mixture, made.sources["rain"], steps=8)
    >>> found.explanation.target.label
    'crying_baby'
    """
    model = loaded(model)
    method = method_for(model, method)
    if "background" in options:
        raise ParameterError("the background of a comparison is the second recording")
    request = Request(
        method, {**options, "background": "reference"}, target, versus,
        keep=keep, start=start, end=end, seed=seed, trust=trust,
    )  # fmt: skip
    check_request(request)
    refuse_numbers(model, request.target, request.versus)
    first, second = (
        open_subject(model, one, start=request.start, end=request.end, seed=request.seed)
        for one in (a, b)
    )
    if np.array_equal(first.audio.samples, second.audio.samples):
        raise NotApplicableError(
            f"{first.audio.name} and {second.audio.name} are the same sound: the difference of "
            "their scores is 0, and nothing is to be explained"
        )
    return compare_subjects(first, second, request)


def method_for(model: Model, method: str | None) -> str:
    """Return the method of a comparison, by default one that the model takes.

    Raises
    ------
    NotApplicableError
        If the method has no background, which the second recording could be.
    """
    if method is None:
        return "integrated-gradients" if model.differentiable else "occlusion"
    if "background" not in METHODS.get(method).declared:
        able = ", ".join(one.name for one in METHODS.all() if "background" in one.declared)
        raise NotApplicableError(
            f"{method} has no background, which B could be; compare with one of {able}"
        )
    return method


def compare_subjects(first: Subject, second: Subject, request: Request) -> Comparison:
    """Compare two sounds as a request asks; see ``compare``."""
    model, count = first.model, len(first.audio.samples)
    alignment = align(first.audio, second.audio)
    samples = on_axis_of(alignment, second.audio, count)
    warped = Audio(samples, model.rate, f"{second.audio.name}, aligned")
    aligned = Subject(model, warped, request.seed)
    first.reference = model.plane.analyse(torch.from_numpy(samples).to(model.device)[None])[0]
    with torch.inference_mode(False), model.undisturbed():
        plain = make_target(
            model, first.outputs, request.target, request.versus,
            span=request.span, seconds=first.audio.seconds,
        )  # fmt: skip
        probe = Probe(model, first.wave, plain, seed=request.seed)
        probe.reference = first.reference
        probe = probe.with_background(reference(probe))
        scores = {
            "a": _score(first, plain),
            "b": _score(second, replace(plain, frames=None)),
            "warped": _score(aligned, plain),
            "start": float(probe.fixed().scores([torch.zeros_like(probe.magnitude)])[0]),
        }
    down = scores["a"] < scores["warped"]
    found = explain_subject(
        first, request, target=replace(plain, sign=-1 if down else 1),
        choose=lambda values: _culprit(probe, values, scores),
    )  # fmt: skip
    gains = found.mask.gains
    with torch.inference_mode(False), model.undisturbed(), torch.no_grad():
        randoms = first.orders.at_random(gains, _DRAWS)
        made, *drawn = (_score_hybrid(probe, one) for one in (gains, *randoms))
        samples = _hybrid(probe, gains).float().cpu().numpy()
    scores |= {
        "hybrid": made, "random": float(np.mean(drawn)),
        "random_low": min(drawn), "random_high": max(drawn),
    }  # fmt: skip
    hybrid = Audio(samples, model.rate, "hybrid")
    course = aligned.course(found.target)
    comparison = Comparison(found, second.audio, warped, hybrid, alignment, scores)
    facts = {**comparison.facts(), "course": None if course is None else asdict(course)}
    details = {**found.attribution.details, "comparison": facts}
    notes = (*found.notes, *(f"B: {note}" for note in second.audio.notes), *_notes(comparison))
    attribution = replace(found.attribution, details=details)
    return replace(comparison, explanation=replace(found, attribution=attribution, notes=notes))


def _score(subject: Subject, target: Target) -> float:
    """Return the score that methods explain for a whole sound, without the target's sign."""
    return float(explained_score(subject.model, subject.outputs[None], target).mean())


def _culprit(probe: Probe, values: Tensor, scores: Mapping[str, float]) -> str:
    """Return the least share of an attribution whose hybrid regains the difference.

    A model may need more than the strongest cells: one that is saturated by a noise still is by
    half of it. Edges are smooth, because between two recordings hard ones are a fault of their own.

    Parameters
    ----------
    probe : Probe
        Of the first recording, with the other one.
    values : Tensor, shape (freq, frame)
    scores : mapping
        ``a`` and ``warped``.
    """
    cells, loudness = (one.float().cpu().numpy() for one in (values, probe.magnitude))
    whole, best = scores["warped"] - scores["a"], ("", -np.inf)
    for percent in _SIZES if whole else _SIZES[-1:]:
        keep = f"{percent}%,smooth:{_EDGE:g}"
        mask = make_mask(cells, loudness, parse_keep(keep))
        gained = (_score_hybrid(probe, mask.gains) - scores["a"]) / (whole or 1.0)
        best = max(best, (keep, gained), key=lambda one: one[1])
        if gained >= _ENOUGH:
            break
    return best[0]


def _score_hybrid(probe: Probe, gains: FloatArray) -> float:
    """Return the score of a hybrid as sound."""
    model = probe.model
    with torch.no_grad():
        outputs = model(_hybrid(probe, gains)[None])
    return float(explained_score(model, outputs, probe.target)[0])


def _hybrid(probe: Probe, gains: FloatArray) -> Tensor:
    """Return the input with the cells of a mask replaced by the other recording's, as sound."""
    assert probe.reference is not None
    kept = torch.from_numpy(gains).to(probe.device)
    change = kept * (probe.reference - probe.spectrum)
    return probe.wave + probe.model.plane.synthesise(change[None], probe.samples)[0]


def _notes(one: Comparison) -> list[str]:
    """Return what a reader of a comparison must know."""
    notes, scores = [], one.scores
    if not one.difference:
        notes.append("both scores are the same, and there is no difference to explain")
    if one.alignment.cost > UNLIKE:
        notes.append(
            f"the sounds hardly match (alignment cost {one.alignment.cost:.2f}; the same words of "
            f"one voice are below {UNLIKE:g}): other words, or another voice; the difference may "
            "be that of the words"
        )
    cost = abs(scores["warped"] - scores["b"])
    if cost > _WARPED * abs(one.difference):
        notes.append(
            f"putting B on the time axis of A changes its score by "
            f"{scores['warped'] - scores['b']:+.3g}, which is not explained here"
        )
    return notes
