"""What an interpreter's components do to the model: agreement, removal, reconstruction of a sound.

Parekh et al. 2022, section 4: the drop of the decided class's logit when the relevant components
are removed, beside the drop when as many random components are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earwitness.decoders.components import THRESHOLD, Components, normalised, select
from earwitness.decoders.dictionary import (
    DictionarySettings,
    fit_activations,
    log_magnitude,
    relative_error,
)
from earwitness.decoders.interpreter import Interpreter
from earwitness.methods.l2i import component_names
from earwitness.models.target import explained_score, overall, probabilities
from earwitness.probe import Probe

_DRAWS = 5  # of random components


@dataclass(frozen=True)
class ComponentFigures:
    """Figures of one sound.

    Attributes
    ----------
    scores : tuple of float
        Logits of the interpreter.
    chances : tuple of float
        Probabilities of the model.
    relevance : tuple of float
        Of every component for the target, normalised.
    kept : int
        Number of relevant components.
    area : float
        Mean gain of the relevant components.
    drop, drop_random, drop_active : float
        Fall of the explained score when the relevant components are removed; as many random ones;
        as many random ones of those that are active. Means over five draws.
    reconstruction, fitted : float
        Relative squared error of ``W H`` in ``ln(1 + |X|)``, with ``H`` of the interpreter, and
        with the best ``H`` for the same ``W``.
    power : float
        Mean square of ``ln(1 + |X|)``, by which the errors of several sounds are weighted.
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]
    relevance: tuple[float, ...]
    kept: int
    area: float
    drop: float
    drop_random: float
    drop_active: float
    reconstruction: float
    fitted: float
    power: float


def component_figures(
    probe: Probe, interpreter: Interpreter, *, threshold: float = THRESHOLD, top: int = 0
) -> ComponentFigures:
    """Return the figures of one sound, of no more than one window of the model.

    It costs 13 forward passes and a non-negative least-squares fit.

    Parameters
    ----------
    threshold, top : float, int
        As in ``l2i``.
    """
    model, target = probe.model, probe.target
    activations = interpreter.activations(model, probe.magnitude, probe.wave)
    theta = interpreter.network.theta
    with torch.no_grad():
        scores = theta(activations[None])[0]
        relevance = normalised(
            theta.shares(activations[None], target.index, target.versus_index)[0]
        )
        outputs = model(probe.wave[None])
    kept = select(relevance, threshold, top)
    pieces = Components(interpreter.dictionary, activations, component_names(interpreter))
    active = (activations.amax(dim=1) > 0).nonzero().flatten().tolist()
    rng = np.random.default_rng(probe.seed)
    count = int(kept.sum())
    every = list(range(len(relevance)))
    drawn = [rng.permutation(some)[:count].tolist() for some in [every, active] * _DRAWS]
    switches = torch.zeros(1 + len(drawn), len(pieces), device=probe.device)
    switches[0, :-1] = kept.float()
    for row, numbers in zip(switches[1:], drawn, strict=True):
        row[numbers] = 1.0
    whole = float(explained_score(model, outputs, target)[0])
    drops = whole - probe.scores(1 - pieces.mix(row[None])[0].clamp(0, 1) for row in switches)
    values = log_magnitude(probe.magnitude[None], probe.wave[None], model.plane)[0]
    return ComponentFigures(
        scores=_floats(scores),
        chances=_floats(overall(model, probabilities(model, outputs))[0]),
        relevance=_floats(relevance),
        kept=count,
        area=float(pieces.mix(switches[:1]).mean()),
        drop=float(drops[0]),
        drop_random=float(drops[1::2].mean()),
        drop_active=float(drops[2::2].mean()),
        reconstruction=_miss(values, interpreter.dictionary, activations),
        fitted=_fitted(values, interpreter),
        power=float(values.square().mean()),
    )


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())


def _miss(values: Tensor, dictionary: Tensor, activations: Tensor) -> float:
    arrays = (one.cpu().numpy() for one in (values, dictionary, activations))
    return relative_error(*arrays)


def _fitted(values: Tensor, interpreter: Interpreter) -> float:
    """Return the error with activations of least squares, the error that is measured."""
    found, dictionary = values.cpu().numpy(), interpreter.dictionary.cpu().numpy()
    best = fit_activations(found, dictionary, DictionarySettings(divergence="euclidean"))
    return relative_error(found, dictionary, best)
