"""Grids of a benchmark: models and sounds, methods, masks, metrics and seeds.

A grid is declared in a TOML file::

    models = ["esc10", "my-model/"]
    methods = ["gradcam", {name = "lime", samples = 200}]
    masks = ["area:10%", "minmax+"]       # of every method, so that sizes match
    metrics = ["faithfulness", "level"]   # default: all that apply
    seeds = [0, 1]
    rank = "faithfulness"                 # selects the sounds with players
    other = "cnn14:FILE.pth"              # another classifier, for the metric transfer

    [sounds]
    kind = "folder"                       # or mixtures, digit-mixtures, planted
    paths = ["recordings/"]

Controls are added to every grid.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from earwitness.data.clips import MAKERS, Clip
from earwitness.errors import OutputError, ParameterError
from earwitness.files import digest_of
from earwitness.jobs.pool import Source
from earwitness.matching import stated
from earwitness.methods.registry import METHODS, named_files
from earwitness.metrics.registry import METRICS
from earwitness.models.fingerprint import identity
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.registry import unknown

IDEAL = "ideal-ratio-mask"
CONTROLS = ("random", "energy", "all-ones", "all-zeros")
MASKS = ("area:10%", "80%", "minmax+")
RANK = "faithfulness"
_KEYS = ("models", "methods", "masks", "metrics", "seeds", "rank", "other", "sounds")


@dataclass(frozen=True)
class Choice:
    """A method with all its options."""

    name: str
    options: Mapping[str, Any]

    @property
    def control(self) -> bool:
        """Whether it ignores the model."""
        return self.name == IDEAL or METHODS.get(self.name).control

    @property
    def files(self) -> list[Path]:
        """Files and folders that its options name: sounds, stems or a decoder."""
        return named_files(self.options)


@dataclass(frozen=True)
class Part:
    """A model and its sounds.

    Attributes
    ----------
    model : str
        Its name in the results.
    load : callable
        ``load(folder) -> Model``; the folder of the run holds models that are trained for it.
    clips : tuple of Clip
    named : Source or None
        How workers load the model; by ``load`` if None, which must be picklable then.
    """

    model: str
    load: Callable[[Path], Model]
    clips: tuple[Clip, ...]
    named: Source | None = None


@dataclass(frozen=True)
class Grid:
    """A benchmark: every method, mask and seed on every sound of every model.

    Attributes
    ----------
    name : str
    parts : tuple of Part
    methods : tuple of Choice
        Controls that are not named are added.
    masks : tuple of str
        Rules as for ``--keep``, or like ``area:10% as heard``; every method uses all of them.
    metrics : tuple of str
        All that apply if empty.
    seeds : tuple of int
    rank : str
        The metric that selects the best, the median and the worst sound of a row.
    facts : mapping
        Further settings on which the results depend, as plain JSON values; a run with others does
        not resume.
    other : Model or None
        Another classifier, which ``transfer`` compares with; put what tells it from others into
        ``facts``.
    """

    name: str
    parts: tuple[Part, ...]
    methods: tuple[Choice, ...]
    masks: tuple[str, ...] = MASKS
    metrics: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    rank: str = RANK
    facts: Mapping[str, Any] = field(default_factory=dict)
    other: Model | None = None

    def __post_init__(self) -> None:
        named = {choice.name for choice in self.methods}
        missing = tuple(choose(name) for name in CONTROLS if name not in named)
        object.__setattr__(self, "methods", self.methods + missing)
        object.__setattr__(self, "masks", tuple(map(stated, self.masks)))
        for what, some in (
            ("method", self.methods),
            ("mask", self.masks),
            ("metric", self.metrics),
            ("seed", self.seeds),
            ("model", [part.model for part in self.parts]),
        ):
            names = [str(one) for one in some]
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ParameterError(f"{self.name}: {what} {twice[0]} is named twice")
        if not self.masks or not self.seeds:
            raise ParameterError(f"{self.name}: a grid needs at least one mask and one seed")
        for name in (*self.metrics, self.rank):
            METRICS.get(name)
        for part in self.parts:
            if len({clip.name for clip in part.clips}) < len(part.clips):
                raise ParameterError(f"{self.name}: two sounds of {part.model} have the same name")

    def key(self) -> dict[str, Any]:
        """Return all settings on which the results depend, as plain JSON values."""
        return {
            "name": self.name,
            "parts": [[part.model, [clip.name for clip in part.clips]] for part in self.parts],
            "methods": [[choice.name, dict(choice.options)] for choice in self.methods],
            "masks": list(self.masks),
            "metrics": list(self.metrics),
            "seeds": list(self.seeds),
            "files": [digest_of(choice.files) for choice in self.methods],
            "facts": dict(self.facts),
        }


def choose(name: str, **options: Any) -> Choice:
    """Return a method with its options settled.

    Raises
    ------
    UnknownNameError, ParameterError
        If there is no such method or option, or a value is of the wrong kind.
    """
    return Choice(name, METHODS.get(name).settle(options))


def read_grid(path: Path) -> Grid:
    """Read a grid from a TOML file.

    Raises
    ------
    EarwitnessError
        If the file cannot be read, or names anything that does not exist.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{path}: not a TOML file ({error})") from error
    for key in table:
        if key not in _KEYS:
            raise unknown("entry of a grid", key, _KEYS)
    sounds = table.get("sounds")
    if not isinstance(sounds, dict) or not isinstance(sounds.get("kind"), str):
        raise ParameterError(
            f"{path}: a grid needs a table [sounds] with kind, one of "
            f"{', '.join(maker.name for maker in MAKERS.all())}"
        )
    options = {name: value for name, value in sounds.items() if name != "kind"}
    maker = MAKERS.get(sounds["kind"])
    models = _texts(path, table, "models", ["esc10"])
    methods = table.get("methods", ["integrated-gradients"])
    if not isinstance(methods, list):
        raise ParameterError(f"{path}: methods is a list, got {methods!r}")
    chosen = tuple(_choice(path, one) for one in methods)
    seeds = table.get("seeds", [0])
    if not isinstance(seeds, list) or not all(
        type(one) is int and 0 <= one < 2**63 for one in seeds
    ):
        raise ParameterError(f"{path}: seeds is a list of whole numbers from 0 on, got {seeds!r}")
    rank = table.get("rank", RANK)
    masks = tuple(_texts(path, table, "masks", list(MASKS)))
    metrics = tuple(_texts(path, table, "metrics", []))
    other = table.get("other", "")
    if not isinstance(other, str):
        raise ParameterError(f"{path}: other is the name of a model, got {other!r}")
    second = load_model(other) if other else None
    facts = {"sounds": sounds} | ({"other": identity(second)} if second else {})
    clips = tuple(maker.clips(options))
    return Grid(
        name=path.stem,
        parts=tuple(named_part(model, clips) for model in models),
        methods=chosen,
        masks=masks,
        metrics=metrics,
        seeds=tuple(seeds),
        rank=rank,
        facts=facts,
        other=second,
    )


def named_part(name: str, clips: tuple[Clip, ...]) -> Part:
    """Return a part for a model that ``load_model`` loads by name."""
    return Part(name, partial(_by_name, name), clips)


def _by_name(name: str, _folder: Path) -> Model:
    return load_model(name)


def _texts(path: Path, table: Mapping[str, Any], key: str, default: list[str]) -> list[str]:
    value = table.get(key, default)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ParameterError(f"{path}: {key} is a list of names, got {value!r}")
    return value


def _choice(path: Path, given: Any) -> Choice:
    if isinstance(given, str):
        return choose(given)
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise ParameterError(
            f'{path}: a method is a name or like {{name = "lime", samples = 200}}, got {given!r}'
        )
    return choose(**given)
