"""Occlusion: leave one piece of a grid out."""

from __future__ import annotations

from earwitness.methods.pieces import grid
from earwitness.methods.registry import Map, register
from earwitness.probe import Probe


@register(
    "occlusion",
    summary="how far the score falls when one piece of a grid is silenced",
    limits="evidence that is there twice: either place does without the other",
    paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014",
    signed=True,
    cost=lambda options: 1 + (int(options["segments"]) or 20) * int(options["bands"]),
)
def occlusion(probe: Probe, *, segments: int = 0, bands: int = 8) -> Map:
    """Compute ``score(input) - score(input without the piece)`` for every piece.

    It tells what the decision cannot do without; evidence that is there twice is found in neither
    place.

    Parameters
    ----------
    segments, bands : int
        Size of the grid; 0 segments for four a second, 20 at most.
    """
    labels = grid(probe, int(segments), int(bands))
    pieces = int(labels.max()) + 1
    # piece -1 is nowhere: the first score is that of the input
    scores = probe.scores((labels != piece).float() for piece in range(-1, pieces))
    return Map((scores[0] - scores[1:])[labels], {"evaluations": pieces + 1, "pieces": pieces})
