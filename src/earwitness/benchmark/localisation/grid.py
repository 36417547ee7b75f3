"""A benchmark of localisation on sounds with known sources.

Three kinds of sounds: mixtures of two everyday sounds, one of which is the source, with the default
model; mixtures of two spoken digits, with a classifier of digits; and recordings with a faint
planted sound, with a classifier trained to depend on it. In the first two the output may depend on
something other than the source; in the third it depends on the planted sound by construction.

The default model, these classifiers and all options were chosen without fold 4 of ESC-10 and
without takes 0 to 4 of the digits, which are the sounds explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from earwitness.benchmark.grid import Grid, Part, choose, named_part
from earwitness.benchmark.localisation.taught import TARGET, digit_model, reliance, shortcut_model
from earwitness.data.collection import read_collection
from earwitness.data.digits import digit_mixtures
from earwitness.data.mixtures import mixtures
from earwitness.data.planted import planted
from earwitness.errors import AudioError
from earwitness.models.model import Model
from earwitness.models.zoo.checkpoint import load_checkpoint

SOUNDS = ("shortcuts", "digits", "esc10")
KINDS = ("tone", "band")
OPTIONS: dict[str, dict[str, int]] = {
    "saliency": {},
    "input-x-gradient": {},
    "smoothgrad": {"samples": 10},
    "integrated-gradients": {"steps": 16},
    "gradient-shap": {"samples": 16},
    "guided-backprop": {},
    "guided-gradcam": {},
    "deep-shap": {"samples": 4},
    "lrp": {},
    "gradcam": {},
    "lime": {"samples": 128, "segments": 8, "bands": 8},
}
MASKS = ("area:10%", "minmax+")
METRICS = (
    *("relevance-mass", "relevance-rank", "roc-auc", "pointing-game"),
    *("relevance-mass-time", "roc-auc-time", "relevance-mass-frequency", "roc-auc-frequency"),
    *("si-sdr-source", "faithfulness", "average-drop", "log-odds"),
)
RANK = "si-sdr-source"


def localisation_grid(
    data: Path,
    *,
    sounds: Sequence[str] = SOUNDS,
    methods: Sequence[str] = tuple(OPTIONS),
    clips: int = 64,
    fold: int = 4,
    seeds: Sequence[int] = (0,),
) -> Grid:
    """Return the benchmark as a grid.

    Parameters
    ----------
    data : Path
        Holds ``esc10`` (in the layout of ESC-50) and ``fsdd`` (the Free Spoken Digit Dataset).
    sounds : sequence of str
        Some of ``SOUNDS``.
    methods : sequence of str
    clips : int
        Mixtures at each level, and recordings with each planted sound.
    fold : int
        The fold of ESC-10 that is explained; shortcuts are trained on the others of 1 to 3.
    seeds : sequence of int
    """
    parts = {"esc10": _esc10, "digits": _digits, "shortcuts": _shortcuts}
    for name in ("esc10", "fsdd"):
        if not (data / name).is_dir():
            raise AudioError(f"{data / name}: no such folder; --data holds esc10 and fsdd")
    return Grid(
        name="localisation",
        parts=tuple(part for name in sounds for part in parts[name](data, clips, fold)),
        methods=tuple(choose(name, **OPTIONS.get(name, {})) for name in methods),
        masks=MASKS,
        metrics=METRICS,
        seeds=tuple(seeds),
        rank=RANK,
        facts={"fold": fold},
    )


def _esc10(data: Path, count: int, fold: int) -> list[Part]:
    clips = mixtures(data=str(data / "esc10"), folds=[fold], count=count, group="ESC-10")
    return [named_part("esc10", tuple(clips))]


def _digits(data: Path, count: int, _fold: int) -> list[Part]:
    clips = digit_mixtures(data=str(data / "fsdd"), count=count, group="digits")
    return [Part("digits", lambda run: digit_model(run / "digits", data / "fsdd"), tuple(clips))]


def _shortcuts(data: Path, count: int, fold: int) -> list[Part]:
    esc10 = data / "esc10"
    folds = [one for one in (1, 2, 3) if one != fold]
    return [
        Part(
            f"shortcut-{kind}",
            partial(_shortcut, esc10, kind, folds),
            tuple(planted(data=str(esc10), target=TARGET, kind=kind, folds=[fold], count=count)),
        )
        for kind in KINDS
    ]


def _shortcut(data: Path, kind: str, folds: Sequence[int], run: Path) -> Model:
    return shortcut_model(run / f"shortcut-{kind}", data, kind, folds=folds)


def reliance_table(run: Path, data: Path, fold: int = 4) -> str:
    """Return a Markdown table of the shortcut classifiers' predictions, with and without sound.

    Parameters
    ----------
    run : Path
        Folder of the run, which holds the classifiers.
    data, fold
        As for ``localisation_grid``.
    """
    items = [item for item in read_collection(data / "esc10") if item.fold == fold]
    lines = [
        f"| planted sound | {TARGET} predicted with it | without | others predicted {TARGET} with "
        "it | without | recordings |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        found = reliance(load_checkpoint(run / f"shortcut-{kind}"), kind, items)
        shares = (
            *(found.found_with, found.found_without),
            *(found.fooled_with, found.fooled_without),
        )
        cells = " | ".join(f"{100 * share:.0f} %" for share in shares)
        lines.append(f"| {kind} | {cells} | {len(items)} |")
    return "\n".join(lines) + "\n"
