"""Published perturbation methods, each a pair of choices: pieces, and an estimator.

Where a method is named after its pieces, all options can be overridden; where it is named after its
estimator, the estimator and what only others read are fixed.
"""

from __future__ import annotations

import inspect
from typing import Any

from earwitness.methods.registry import register
from earwitness.perturbation.estimators.registry import ESTIMATORS
from earwitness.perturbation.perturb import check, count, perturb
from earwitness.probe import Probe
from earwitness.types import Map

_ALL = {
    name: one.default
    for name, one in inspect.signature(perturb).parameters.items()
    if one.kind is one.KEYWORD_ONLY
}
_SAMPLING = ("samples", "tolerance", "width", "ridge")
_OPTIONS = "Its options are those of ``pieces``, in which they are described."


def _preset(
    name: str, text: str, *, summary: str, limits: str, paper: str, own: bool = False, **chosen: Any
) -> None:
    """Register ``perturb`` under a name with other defaults; ``own`` fixes its estimator."""
    options = {**_ALL, **chosen}
    fixed: dict[str, Any] = {}
    if own:
        reads = ESTIMATORS.get(options["estimator"]).reads
        unread = [option for option in _SAMPLING if option not in reads]
        fixed = {option: options.pop(option) for option in ("estimator", *unread)}

    def function(probe: Probe, **given: Any) -> Map:
        return perturb(probe, **fixed, **given)

    kinds = inspect.Parameter
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            kinds("probe", kinds.POSITIONAL_OR_KEYWORD),
            *(kinds(key, kinds.KEYWORD_ONLY, default=value) for key, value in options.items()),
        ]
    )
    function.__doc__ = f"{inspect.cleandoc(text)}\n\n{_OPTIONS}"
    register(
        name,
        summary=summary,
        limits=limits,
        paper=paper,
        signed=True,
        cost=lambda given: count({**fixed, **given}),
        check=lambda given: check({**fixed, **given}),
    )(function)


_LIME = "Ribeiro, Singh, Guestrin: Why Should I Trust You?, 2016, eq. 2"

register(
    "pieces",
    summary="any pieces with any estimator: the choices behind lime, occlusion and the like",
    limits="anything finer than its pieces",
    paper=_LIME,
    signed=True,
    cost=count,
    check=check,
)(perturb)
_preset(
    "lime",
    """Fit weighted ridge regression from switched pieces of a grid to the score.

    A weight is what a piece adds on average when others are on or off; ``r2`` says how much of the
    score a sum of pieces explains at all.""",
    summary="a linear model of how the score reacts to switching pieces of a grid on and off",
    limits="anything finer than its pieces, nor what no sum of pieces describes (a low R^2)",
    paper=_LIME,
)
_preset(
    "slime",
    """Fit LIME's linear model to segments of time.

    The paper's other grids are ``pieces=hz`` and ``pieces=grid``.""",
    summary="LIME on segments of time",
    limits="which frequencies matter; as for lime, what no sum of pieces describes",
    paper="Mishra, Sturm, Dixon: Local interpretable model-agnostic explanations for music content "
    "analysis, 2017",
    pieces="time",
)
_preset(
    "lime-image",
    """Fit LIME's linear model to superpixels of the spectrogram.

    Superpixels follow the edges of a picture; they know nothing of harmonics or of time.""",
    summary="LIME on superpixels of the spectrogram",
    limits="anything finer than its pieces, whose outlines follow level and not sources",
    paper=_LIME,
    pieces="superpixels",
)
_preset(
    "audiolime",
    """Fit LIME's linear model to separated sources in segments of time.

    Sources are tones and bursts, unless ``pieces=stems x time`` or ``pieces=demucs x time`` is
    said.""",
    summary="LIME on separated sources in segments of time",
    limits="sources that the separation does not tell apart",
    paper="Haunschmid, Manilow, Widmer: audioLIME: listenable explanations using source "
    "separation, 2020",
    pieces="sources x time",
)
_preset(
    "coughlime",
    """Fit LIME's linear model to parts of a factorisation, cut where the sound is quiet.

    The paper's own cuts, one at a time, are ``pieces=loudness``, ``pieces=nmf``, ``pieces=time``
    and ``pieces=mel``.""",
    summary="LIME on spectra that come and go, cut where the sound is quiet",
    limits="sources that share a spectrum",
    paper="Wullenweber, Akman, Schuller: CoughLIME: sonified explanations for the predictions of "
    "COVID-19 cough classifiers, 2022",
    pieces="nmf x loudness",
)
_preset(
    "kernel-shap",
    """Estimate Shapley values of pieces: their mean contribution over all orders of adding them.

    The values add up to the score of the whole sound minus that of the background alone.""",
    summary="Shapley values of pieces of a grid",
    limits="anything finer than its pieces; mixtures of few pieces count as much as likely ones",
    paper=ESTIMATORS.get("kernel-shap").paper,
    estimator="kernel-shap",
    own=True,
)
_preset(
    "occlusion",
    """Compute ``score(input) - score(input without the piece)`` for every piece.

    It tells what the decision cannot do without; evidence that is there twice is found in neither
    place.""",
    summary="how far the score falls when one piece of a grid is silenced",
    limits="evidence that is there twice: either place does without the other",
    paper=ESTIMATORS.get("occlusion").paper,
    estimator="occlusion",
    own=True,
)
_preset(
    "rise",
    """Compute the mean score of random masks that keep the piece, minus that of all masks.""",
    summary=ESTIMATORS.get("rise").summary,
    limits="how much a piece adds: pieces that go together share their credit",
    paper=ESTIMATORS.get("rise").paper,
    estimator="rise",
    own=True,
)
