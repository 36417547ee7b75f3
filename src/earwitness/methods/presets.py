"""Published perturbation methods as presets of ``perturb``: a choice of pieces and an estimator.

A method named after its pieces (slime, audiolime) accepts all options. A method named after its
estimator (kernel-shap, occlusion, rise) has a fixed estimator and no options of other estimators.
"""

from __future__ import annotations

import inspect
from typing import Any

from earwitness.methods.registry import register
from earwitness.options import options_of
from earwitness.perturbation.estimators.registry import ESTIMATORS
from earwitness.perturbation.perturb import check, count, perturb
from earwitness.probe import Probe
from earwitness.types import Map

_ALL = options_of(perturb)
_SAMPLING = ("samples", "tolerance", "width", "ridge")


def _preset(
    name: str,
    text: str,
    *,
    summary: str,
    limits: str,
    paper: str,
    own: bool = False,
    time_only: bool = False,
    **chosen: str,
) -> None:
    """Register ``perturb`` under a name with other defaults; ``own`` fixes the estimator."""
    options = {option: chosen.get(option, one.default) for option, one in _ALL.items()}
    reads = ESTIMATORS.get(options["estimator"]).reads
    fixed: dict[str, Any] = {}
    if own:
        unread = [option for option in _SAMPLING if option not in reads]
        fixed = {option: options.pop(option) for option in ("estimator", *unread)}

    def function(probe: Probe, **given: Any) -> Map:
        return perturb(probe, **fixed, **given)

    kinds = inspect.Parameter
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            kinds("probe", kinds.POSITIONAL_OR_KEYWORD),
            *(
                kinds(key, kinds.KEYWORD_ONLY, default=value, annotation=_ALL[key].annotation)
                for key, value in options.items()
            ),
        ]
    )
    meanings = [f"{key} : {_ALL[key].kind}\n    {_ALL[key].description}" for key in options]
    function.__doc__ = "\n".join([inspect.cleandoc(text), "", "Parameters", "-" * 10, *meanings])
    register(
        name,
        summary=summary,
        limits=limits,
        paper=paper,
        signed=True,
        random="samples" in reads,
        linear=True,
        time_only=time_only,
        cost=lambda given: count({**fixed, **given}),
        check=lambda given: check({**fixed, **given}),
    )(function)


_LIME = "Ribeiro, Singh, Guestrin: Why Should I Trust You?, 2016, eq. 2"

register(
    "pieces",
    summary="any choice of pieces with any estimator: the general form of lime, occlusion and rise",
    limits="detail finer than a piece",
    paper=_LIME,
    signed=True,
    random=True,
    linear=True,
    cost=count,
    check=check,
)(perturb)
_preset(
    "lime",
    """Fit a weighted ridge regression from binary switches of grid pieces to the score.

    The weight of a piece is its mean additive effect over random on/off states of the others.
    ``r2`` is the share of the score's variance that the linear surrogate explains.""",
    summary="a linear surrogate of the score as a function of which grid pieces are on",
    limits="detail finer than a piece, and interactions between pieces (a low R^2)",
    paper=_LIME,
)
_preset(
    "slime",
    """Fit LIME's linear surrogate to time segments.

    The paper's frequency and time-frequency segments are ``pieces=hz`` and ``pieces=grid``.""",
    summary="LIME on time segments",
    limits="which frequencies matter, and interactions between segments",
    paper="Mishra, Sturm, Dixon: Local interpretable model-agnostic explanations for music content "
    "analysis, 2017",
    time_only=True,
    pieces="time",
)
_preset(
    "lime-image",
    """Fit LIME's linear surrogate to superpixels of the spectrogram.

    Superpixels follow edges of level, as in an image; they ignore harmonic and temporal
    structure.""",
    summary="LIME on superpixels of the spectrogram",
    limits="detail finer than a superpixel; superpixel outlines follow level, not sources",
    paper=_LIME,
    pieces="superpixels",
)
_preset(
    "audiolime",
    """Fit LIME's linear surrogate to separated sources in time segments.

    The sources are the harmonic, percussive and residual components by default; use
    ``pieces=stems x time`` or ``pieces=demucs x time`` for others.""",
    summary="LIME on separated sources in time segments",
    limits="sources that the separation algorithm does not separate",
    paper="Haunschmid, Manilow, Widmer: audioLIME: listenable explanations using source "
    "separation, 2020",
    time_only=True,
    pieces="sources x time",
)
_preset(
    "coughlime",
    """Fit LIME's linear surrogate to NMF components, segmented at minima of the level.

    The paper's own decompositions are ``pieces=loudness``, ``pieces=nmf``, ``pieces=time`` and
    ``pieces=mel``.""",
    summary="LIME on NMF components, segmented at minima of the level",
    limits="sources with similar spectra, which share an NMF component",
    paper="Wullenweber, Akman, Schuller: CoughLIME: sonified explanations for the predictions of "
    "COVID-19 cough classifiers, 2022",
    time_only=True,
    pieces="nmf x loudness",
)
_preset(
    "kernel-shap",
    """Estimate Shapley values: each piece's marginal contribution, averaged over all orderings.

    The values sum to the score of the input minus the score of the background (efficiency).""",
    summary="Shapley values of pieces of a grid",
    limits="detail finer than a piece; unnatural coalitions of few pieces have full weight",
    paper=ESTIMATORS.get("kernel-shap").paper,
    estimator="kernel-shap",
    own=True,
)
_preset(
    "occlusion",
    """Compute ``score(input) - score(input without the piece)`` for every piece.

    A high value marks a piece that the decision depends on. Redundant evidence gets low values,
    because removing one copy leaves the other.""",
    summary="the drop of the score when one grid piece is removed",
    limits="redundant evidence: removing one copy leaves the other",
    paper=ESTIMATORS.get("occlusion").paper,
    estimator="occlusion",
    own=True,
)
_preset(
    "rise",
    """Compute the mean score of the random masks that keep the piece, minus that of all masks.""",
    summary=ESTIMATORS.get("rise").summary,
    limits="the contribution of one piece alone: pieces that act together share their weight",
    paper=ESTIMATORS.get("rise").paper,
    estimator="rise",
    own=True,
)
