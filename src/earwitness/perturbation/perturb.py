"""Perturbation methods: how a sound is cut into pieces, and how their weights are estimated.

Every published method of this kind is a choice of pieces, an estimator and a background that
replaces the pieces that are off; ``methods/presets.py`` registers them by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt

from earwitness.errors import ParameterError
from earwitness.perturbation.background.registry import (
    check_background,
    named_background,
    with_backgrounds,
)
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import ESTIMATORS, Estimate, Sampling
from earwitness.perturbation.pieces.decomposition import Pieces
from earwitness.perturbation.pieces.registry import CUTS, Sizes, cut, read_pieces
from earwitness.probe import Probe
from earwitness.types import Map, Piece, Played

_SIZES = {field.name: field.default for field in fields(Sizes)}
_SAMPLING = {field.name: field.default for field in fields(Sampling)} | {"samples": None}
_EACH = 10  # draws for every piece, if their number is not given


def perturb(
    probe: Probe,
    *,
    pieces: str = "grid",
    estimator: str = "lime",
    background: str = "auto",
    segments: Annotated[int, Ge(0)] = 0,
    bands: Annotated[int, Ge(1)] = 8,
    components: Annotated[int, Ge(0)] = 0,
    stems: str = "",
    samples: Annotated[int, Ge(2)] | None = None,
    tolerance: Annotated[float, Ge(0)] = 0.1,
    width: Annotated[float, Gt(0)] = 0.25,
    ridge: Annotated[float, Ge(0)] = 1.0,
) -> Map:
    """Cut the sound into pieces, evaluate the model with random pieces off, estimate their weights.

    Parameters
    ----------
    pieces : str
        ``grid`` (mel x time), ``sources`` (harmonic-percussive), or any of ``time``,
        ``loudness``, ``pauses``, ``hz``, ``mel``, ``erb``, ``harmonic-percussive``, ``nmf``,
        ``stems``, ``demucs``, ``superpixels``. Different kinds are combined by `` x ``:
        ``nmf x loudness``.
    estimator : str
        ``lime``, ``kernel-shap``, ``occlusion``, ``rise`` or ``forest``.
    background : str
        What replaces the pieces that are off: ``silence``, ``noise-floor``, ``mean``, ``median``,
        or the path of a sound; ``auto`` is the mean for a regression, and silence otherwise. Scores
        are averaged over several, separated by commas.
    segments : int
        Number of time segments; 0 for four per second (one per 20 windows on a plane with
        windows shorter than 12.5 ms), 20 at most.
    bands : int
        Number of frequency bands.
    components : int
        Number of components of ``nmf`` (0 for 6) or of superpixels (0 for about 100).
    stems : str
        Folder of the separated sounds for ``pieces=stems``.
    samples : int
        Maximal number of draws; by default ten for every piece, and 1000 at least.
    tolerance : float
        Sampling stops when the estimated error of the weights, relative to their norm, is below
        this; 0 to use all samples.
    width : float
        Width of LIME's kernel.
    ridge : float
        L2 penalty of LIME's regression.
    """
    sizes = Sizes(segments, bands, components, stems)
    decomposition = cut(probe, pieces, sizes)
    game = Game(with_backgrounds(probe, background), decomposition)
    sampling = Sampling(samples or _enough(game.players), tolerance, width, ridge)
    if game.players:
        estimate = ESTIMATORS.get(estimator).function(game, sampling)
    else:
        nothing = torch.zeros(0, dtype=torch.float64)
        estimate = Estimate(nothing, nothing, nothing, 0.0, 0.0)
    table = _table(probe, decomposition, game, estimate)
    weights = torch.tensor(
        [piece.weight for piece in table], dtype=torch.float32, device=probe.device
    )
    details = {
        "background": named_background(background, probe.model.task),
        "r2": estimate.r2,
        "evaluations": game.evaluations,
        "pieces": len(decomposition),
        "settled": estimate.error <= sampling.tolerance,
        "error": estimate.error if estimate.error < float("inf") else None,
    }
    played = Played(decomposition.mix, table, decomposition.labels())
    return Map(decomposition.mix(weights[None])[0], details, played)


def _table(probe: Probe, pieces: Pieces, game: Game, estimate: Estimate) -> tuple[Piece, ...]:
    """Return a record for every piece; a piece equal to the background has weight zero."""
    columns = torch.zeros(3, len(pieces), dtype=torch.float64)
    columns[:, game.live] = torch.stack([estimate.weights, estimate.low, estimate.high])
    whole = float(probe.magnitude.square().sum()) or 1.0
    shares = (pieces.energies(probe.magnitude) / whole).tolist()
    return tuple(
        Piece(name, weight, low, high, share)
        for name, (weight, low, high), share in zip(
            pieces.names, columns.T.tolist(), shares, strict=True
        )
    )


def _enough(pieces: int) -> int:
    """Return the maximal number of draws for some pieces, if it is not given."""
    return max(Sampling.samples, _EACH * pieces)


def check(options: Mapping[str, Any]) -> None:
    """Raise for unknown names of pieces, estimators and backgrounds, and for unused options.

    Parameters
    ----------
    options : mapping
        All options of ``perturb``, each valid in itself.
    """
    cuts, estimator = read_pieces(options["pieces"]), ESTIMATORS.get(options["estimator"])
    check_background(options)
    chosen = " x ".join(one.name for one in cuts)
    for name, default in _SIZES.items():
        if options[name] != default and not any(name in one.reads for one in cuts):
            users = ", ".join(one.name for one in CUTS.all() if name in one.reads)
            raise ParameterError(f"{name} is not used by pieces {chosen}; it is for {users}")
    for name, default in _SAMPLING.items():
        if options[name] != default and name not in estimator.reads:
            users = ", ".join(one.name for one in ESTIMATORS.all() if name in one.reads)
            raise ParameterError(
                f"{name} is not used by estimator {estimator.name}; it is for {users}"
            )


def count(options: Mapping[str, Any]) -> int:
    """Return the approximate number of forward passes for these options."""
    backgrounds = len(options["background"].split(","))
    sizes = Sizes(*(options[name] for name in _SIZES))
    pieces = math.prod(one.count(sizes) for one in read_pieces(options["pieces"]))
    if options["estimator"] == "occlusion":
        return backgrounds * (pieces + 2)
    return backgrounds * (options["samples"] or _enough(pieces))
