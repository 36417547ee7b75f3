"""FLINT: a decision as the sum of a few attributes, each of which can be decoded and played."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le

from earwitness.decoders.components import normalised, select
from earwitness.decoders.dictionary import peak_freqs
from earwitness.decoders.flint import AttributeShares, attributes_of, load_flint
from earwitness.decoders.trained import LEARNED, Folders, joined_windows
from earwitness.errors import NotApplicableError
from earwitness.methods.l2i import filtered, notes, refuse
from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import ComponentTable, Map

FOLDERS = Folders("flint", LEARNED, load_flint)


@register(
    "flint",
    summary="the attributes of a trained network that its linear layer finds relevant",
    limits="what the model does itself; an attribute is one number for a whole segment",
    paper="Parekh, Mozharovskyi, d'Alché-Buc: A Framework to Learn with Interpretation, 2021",
    gives_gains=True,
    needs_training=True,
    layerwise=True,
    cost=1,
)
def flint(
    probe: Probe,
    *,
    interpreter: str = "",
    threshold: Annotated[float, Ge(0), Le(1)] = 0.2,
    top: Annotated[int, Ge(0)] = 0,
) -> Map:
    """Filter the sound by its most relevant attributes; the map is their share of every cell.

    The network's score of a class is a sum over attributes. An attribute's relevance is its part of
    the sum, divided by the largest part (in the paper, by the largest absolute part). It is decoded
    alone to a spectrogram, whose share of the sound's power is its gain.

    Parameters
    ----------
    interpreter : str
        Folder written by ``earwitness train flint``.
    threshold : float
        Attributes of more than this relevance are kept; the largest relevance is 1.
    top : int
        Largest number of attributes that are kept; 0 for no limit.
    """
    if not interpreter:
        raise NotApplicableError(
            f"no interpreter of flint comes with {probe.model.name}; train one with earwitness "
            "train flint and give its folder with --set interpreter=DIR"
        )
    found = FOLDERS.load(Path(interpreter))
    refuse(found, probe)
    if probe.model.lengths.longer != "windows" and probe.samples > (
        probe.model.longest or math.inf
    ):
        raise NotApplicableError(
            f"{probe.model.name} reads only the {probe.model.lengths.longer} part of a longer "
            "sound, and attributes are of the whole sound; cut it with --start and --end"
        )
    network, target = found.network.to(probe.device), probe.target
    attributes, levels, starts = attributes_of(found, probe.model, probe.wave)
    probe.tick(1)
    with torch.no_grad():
        mean = attributes.mean(dim=0)
        shares = network.shares(mean, target.index, target.versus_index)
        scores = network.theta(mean)
    relevance = normalised(shares)
    kept = select(relevance, threshold, top)
    frames = probe.magnitude.shape[-1]
    over_time = attributes.unsqueeze(2).expand(-1, -1, levels.shape[-1])
    with torch.no_grad():
        patterns = (network.place @ network.patterns().amax(dim=2).T).T.cpu()
    table = ComponentTable(
        tuple(f"peak {one:.0f} Hz" for one in peak_freqs(patterns.T, found.plane).tolist()),
        tuple(relevance.tolist()),
        joined_windows(over_time, starts, found.plane.hop, frames).cpu().numpy(),
        patterns.numpy(),
    )
    pieces = AttributeShares(
        network, attributes, levels, starts, found.plane.hop, frames, table.titles
    )
    details = {
        "interpreter": interpreter,
        "attributes": len(relevance),
        "interpreter_score": float(shares.sum()),
        "notes": notes(probe, int(scores.argmax()), bool(kept.any()), found.facts),
    }
    return filtered(probe, pieces, kept, details, table)
