"""Listen to Interpret: a decision as the sum of a few components, each of which can be played."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor

from earwitness.decoders.components import (
    THRESHOLD,
    Components,
    PowerShares,
    normalised,
    select,
)
from earwitness.decoders.dictionary import peak_freqs
from earwitness.decoders.interpreter import FILES, Interpreter, load_interpreter
from earwitness.decoders.trained import Folders, Learned
from earwitness.errors import NotApplicableError
from earwitness.layers.recording import require_one_call
from earwitness.methods.registry import register
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.types import ComponentTable, Map, Piece, Played

FOLDERS = Folders("l2i", FILES, load_interpreter)
_INSTEAD = "use a method without training, such as lime or lrp"


@register(
    "l2i",
    summary="the components of a trained dictionary that an interpreter finds relevant",
    limits="what the model does itself; relevance is that of an interpreter trained to agree",
    paper="Parekh et al.: Listen to Interpret: Post-hoc Interpretability for Audio Networks with "
    "NMF, 2022",
    gives_gains=True,
    needs_training=True,
    layerwise=True,
    cost=1,
)
def l2i(
    probe: Probe,
    *,
    interpreter: str = "",
    threshold: Annotated[float, Ge(0), Le(1)] = THRESHOLD,
    top: Annotated[int, Ge(0)] = 0,
) -> Map:
    """Filter the sound by its most relevant components; the map is their share of every cell.

    The interpreter's score of a class is a sum over components. A component's relevance is its part
    of the sum, divided by the largest part. Components are played one by one, with their relevance
    as the weight.

    Parameters
    ----------
    interpreter : str
        Folder written by ``earwitness train l2i``; by default the interpreter shipped with the
        model.
    threshold : float
        Components of more than this relevance are kept; the largest relevance is 1. The paper has
        0.2 to 0.35, with other filters.
    top : int
        Largest number of components that are kept; 0 for no limit. The paper keeps 5.
    """
    found = chosen_interpreter(probe.model, interpreter)
    refuse(found, probe)
    target = probe.target
    found.network.to(probe.device)
    activations = found.activations(probe.model, probe.magnitude, probe.wave)
    probe.tick(1)
    theta = found.network.theta
    with torch.no_grad():
        shares = theta.shares(activations[None], target.index, target.versus_index)[0]
        scores = theta(activations[None])[0]
    relevance = normalised(shares)
    kept = select(relevance, threshold, top)
    table = ComponentTable(
        component_names(found),
        tuple(relevance.tolist()),
        activations.cpu().numpy(),
        found.dictionary.T.cpu().numpy(),
        found.strongest,
    )
    pieces = Components(found.dictionary, activations, table.titles)
    details = {
        "interpreter": interpreter or "built in",
        "components": len(relevance),
        "interpreter_score": float(shares.sum()),
        "notes": notes(probe, int(scores.argmax()), bool(kept.any()), found.facts),
    }
    return filtered(probe, pieces, kept, details, table)


def filtered(
    probe: Probe, pieces: PowerShares, kept: Tensor, details: dict[str, Any], table: ComponentTable
) -> Map:
    """Return the gains of the kept pieces as a map, and all pieces with their relevance.

    Parameters
    ----------
    kept : Tensor, shape (component,), bool
    table : ComponentTable
        Of the pieces without the rest.
    """
    switches = torch.cat([kept, kept.new_zeros(1)]).float()
    values = pieces.mix(switches[None])[0].clamp(0, 1)
    details |= {"kept": kept.nonzero().flatten().tolist(), "area": float(values.mean())}
    played = Played(pieces.mix, _table(probe, pieces, list(table.relevance)))
    return Map(values, details, played, table)


def component_names(interpreter: Interpreter) -> tuple[str, ...]:
    """Return a name for every component: its peak, and what it was learnt on."""
    peaks = iter(peak_freqs(interpreter.dictionary, interpreter.plane).tolist())
    names = []
    for group, count in interpreter.groups:
        names += [f"peak {next(peaks):.0f} Hz, learnt on {group}" for _ in range(count)]
    return tuple(names)


def refuse(interpreter: Interpreter | Learned[Any], probe: Probe) -> None:
    """Raise ``NotApplicableError`` for a target or a model that it was not trained for."""
    target, model = probe.target, probe.model
    if model.task == "regression":
        raise NotApplicableError(
            f"an interpreter explains classes, and {model.name} gives values; {_INSTEAD}"
        )
    if target.frames is not None and target.span is not None:
        raise NotApplicableError(
            f"an interpreter explains the output for the whole sound, not for a span; {_INSTEAD}"
        )
    interpreter.require(model)
    require_one_call(model, probe.samples)


def _table(probe: Probe, pieces: PowerShares, relevance: list[float]) -> tuple[Piece, ...]:
    whole = float(probe.magnitude.square().sum()) or 1.0
    shares = (pieces.energies(probe.magnitude) / whole).tolist()
    return tuple(
        Piece(name, weight, weight, weight, share)
        for name, weight, share in zip(pieces.names, [*relevance, 0.0], shares, strict=True)
    )


def notes(probe: Probe, decided: int, kept: bool, facts: Mapping[str, Any]) -> list[str]:
    """Return what to know of an explanation by an interpreter.

    Parameters
    ----------
    decided : int
        The class that the interpreter decides.
    kept : bool
        Whether a component is kept.
    facts : mapping
        Of the interpreter.
    """
    target, model = probe.target, probe.model
    said = []
    if target.decided and model.task == "single-label" and decided != target.index:
        said.append(
            f"the interpreter does not agree with the model: it decides {model.labels[decided]}, "
            f"not {target.label}"
        )
    if not kept:
        said.append(f"no component speaks for {target.label}, so nothing is kept")
    counts = facts.get("asked", [])
    if counts[target.index : target.index + 1] == [0]:
        said.append(f"the interpreter was trained on no sound decided as {target.label}")
    return said


def chosen_interpreter(model: Model, folder: str) -> Interpreter:
    """Return the interpreter of a folder, or the one shipped with the model if empty.

    Raises
    ------
    NotApplicableError
        If none comes with the model.
    """
    if folder:
        return FOLDERS.load(Path(folder))
    every = (one for _, one in FOLDERS.shipped())
    found = next((one for one in every if one.model["weights"] == fingerprint(model)), None)
    if found is None:
        raise NotApplicableError(
            f"no interpreter comes with {model.name} as it is; train one with earwitness train l2i "
            "and give its folder with --set interpreter=DIR"
        )
    return found
