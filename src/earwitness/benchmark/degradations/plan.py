"""What is measured: degraded excerpts, the methods for each kind, and their options.

The methods' options and the definitions of the scores were chosen on other excerpts and seeds than
those measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from earwitness.benchmark.grid import IDEAL, Choice, Part, choose, named_part
from earwitness.clips import find_clips
from earwitness.data.degraded import KINDS, LEVELS
from earwitness.data.speech import degraded_clips, draw_excerpts
from earwitness.errors import ParameterError
from earwitness.files import digest_of
from earwitness.registry import unknown

LEAST_COST = 0.1  # of the score; what costs less cannot be localised by its cost
KEEP = "50%,smooth:2"  # the mask of the evidence; edges of a binary one are defects of their own
ADDITIVE = tuple(LEVELS)
REPLACED = ("packet-loss", "clipping")
CONTROLS = ("energy", "random")
# what knows the truth: the place, replaced by a background, and the mask of what was added
PLACE = "true place"
PLACE_BACKGROUND = "noise-floor"
CEILINGS = (PLACE, IDEAL)
# of additive degradations, band-limiting and reverberation
METHODS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 16, "background": "silence"},
    "input-x-gradient": {},
    "occlusion": {"pieces": "time x erb", "segments": 20, "bands": 6, "background": "noise-floor"},
    "region-search": {"regions": 1, "background": "noise-floor"},
}
# of what gains cannot restore: pieces of time, replaced by a background
PIECES: dict[str, dict[str, Any]] = {
    "occlusion": {"pieces": "time", "segments": 40, "background": "noise-floor"},
    "region-search": {"regions": 1, "bands": 1, "background": "noise-floor"},
}


@dataclass(frozen=True)
class Plan:
    """Models, their degraded sounds, and methods.

    Attributes
    ----------
    parts : tuple of Part
    targets : tuple of str
        Outputs that are explained, each by itself; the first of the model if empty.
    methods, pieces : tuple of Choice
        For kinds that gains can undo or not, and for ``packet-loss`` and ``clipping``.
    seed : int
    facts : mapping
        Further settings on which the results depend, as plain JSON values.
    """

    parts: tuple[Part, ...]
    targets: tuple[str, ...]
    methods: tuple[Choice, ...]
    pieces: tuple[Choice, ...]
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def choices(self, kind: str) -> tuple[Choice, ...]:
        """Return the methods for one kind of degradation."""
        return self.pieces if kind in REPLACED else self.methods

    def key(self) -> dict[str, Any]:
        """Return all settings on which the results depend, as plain JSON values."""
        return {
            "name": "speech-degradations",
            "parts": [[part.model, [clip.name for clip in part.clips]] for part in self.parts],
            "targets": list(self.targets),
            "methods": [[one.name, dict(one.options)] for one in self.methods],
            "pieces": [[one.name, dict(one.options)] for one in self.pieces],
            "seed": self.seed,
            "facts": dict(self.facts),
        }


def degradation_plan(
    models: Sequence[str],
    data: Sequence[str],
    *,
    targets: Sequence[str] = (),
    kinds: Sequence[str] = tuple(KINDS),
    methods: Sequence[str] = (),
    clips: int = 64,
    seconds: float = 4.0,
    since: float = 0.0,
    until: float | None = None,
    seed: int = 0,
) -> Plan:
    """Return the benchmark.

    Parameters
    ----------
    models : sequence of str
        As for ``load_model``.
    data : sequence of str
        Files and folders of clean speech.
    targets : sequence of str
        Outputs of the model; its first one by default.
    kinds : sequence of str
        Some of ``KINDS``.
    methods : sequence of str
        Only these of ``METHODS`` and ``PIECES``, or others with their defaults.
    clips : int
        Excerpts of every kind.
    seconds, since, until : float
        Length of the excerpts, and the part of each file that they are taken from.
    seed : int
        Of excerpts, degradations and methods.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("degradation", kind, KINDS)
    if until is not None and until <= since:
        raise ParameterError(f"the part from {since:g} to {until:g} s is empty")
    paths = find_clips(data)
    excerpts = draw_excerpts(paths, clips, seconds, seed, since=since, until=until)
    sounds = tuple(degraded_clips(excerpts, kinds, seed))

    def chosen(named: dict[str, dict[str, Any]]) -> tuple[Choice, ...]:
        some = methods or tuple(named)
        names = dict.fromkeys((*some, *CONTROLS))
        return tuple(choose(name, **named.get(name, {})) for name in names)

    return Plan(
        parts=tuple(named_part(model, sounds) for model in models),
        targets=tuple(targets),
        methods=chosen(METHODS),
        pieces=chosen(PIECES),
        seed=seed,
        facts={"since": since, "until": until, "seconds": seconds, "data": digest_of(paths)},
    )
