"""The tables of Pak and Teryokhina (2025), run again: 4 methods, 14 masks and 7 metrics.

Every map is made twice, as published and put right (``methods.pak``), and two controls beside them
do not look at the model: noise, and the levels themselves. All masks of a sound share their forward
passes: each distinct mask is evaluated once. The evidence is also resynthesised as published, and
the classifier evaluated on the sound, which the publication did not do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.benchmark.cells import seed_of
from earwitness.benchmark.grid import Part
from earwitness.benchmark.grids.front_ends import trained
from earwitness.benchmark.grids.sounds import NOISES, Items, noisy_clips, spread
from earwitness.benchmark.ledger import Line, pack
from earwitness.data.clips import Clip
from earwitness.data.collection import Item
from earwitness.errors import EarwitnessError, ParameterError
from earwitness.evaluation.published import PUBLISHED
from earwitness.files import digest_of
from earwitness.masks.keep import parse_keep
from earwitness.masks.measure import degenerate
from earwitness.masks.registry import MASKS
from earwitness.methods import pak
from earwitness.methods.levels import Levels
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model

METHODS = ("saliency", "gradcam", "lime", "shap")
VERSIONS = ("published", "repaired")
CONTROLS = ("random", "energy")
RULES = {
    "bin": "sign", "minmax": "minmax", "minmax_pos": "minmax+", "sigmoid": "sigmoid",
    "sigmoid_pos": "sigmoid+", "pos_thresh_25": "threshold:0.25+",
    "pos_thresh_50": "threshold:0.5+", "pos_thresh_75": "threshold:0.75+",
    "topK_5": "top:5%", "topK_30": "top:30%", "topK_50": "top:50%",
    "topK_5_pos": "top:5%+", "topK_30_pos": "top:30%+", "topK_50_pos": "top:50%+",
}  # fmt: skip
SCENARIOS = {"clean": None, **dict(zip(("white", "room", "horse"), NOISES, strict=True))}
_BACKGROUNDS: PerModel[pak.Background] = PerModel()
Gains = NDArray[np.float32]


@dataclass(frozen=True)
class PakPlan:
    """One scenario and front end.

    Attributes
    ----------
    scenario, front_end : str
    parts : tuple of Part
    background : tuple of Path
        Training sounds of SHAP's background.
    methods, versions : tuple of str
        Some of ``METHODS`` and ``VERSIONS``; controls are always run.
    seed : int
    facts : mapping
        Further settings on which the results depend.
    """

    scenario: str
    front_end: str
    parts: tuple[Part, ...]
    background: tuple[Path, ...]
    methods: tuple[str, ...] = METHODS
    versions: tuple[str, ...] = VERSIONS
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def key(self) -> dict[str, Any]:
        """Return all settings on which the results depend, as plain JSON values."""
        return {
            "name": f"pak-{self.scenario}",
            "front_end": self.front_end,
            "parts": [[part.model, [clip.name for clip in part.clips]] for part in self.parts],
            "background": digest_of(self.background),
            "methods": list(self.methods),
            "versions": list(self.versions),
            "samples": [pak.SAMPLES, pak.DRAWS],
            "seed": self.seed,
            "facts": dict(self.facts),
        }


def pak_plan(
    scenario: str,
    front_end: str,
    items: Items,
    noises: Path,
    *,
    clips: int = 80,
    methods: Sequence[str] = METHODS,
    versions: Sequence[str] = VERSIONS,
    epochs: int = 250,
    models: Path | None = None,
    seed: int = 0,
) -> PakPlan:
    """Return the benchmark of a scenario.

    Parameters
    ----------
    scenario : {"clean", "white", "room", "horse"}
    front_end : {"mel-db", "stft-db"}
    items : Items
    noises : Path
        Folder of ``white_noise``, ``room`` and ``horse``, each a ``.flac`` or ``.wav`` file.
    clips : int
        Sounds, evenly over classes.
    epochs : int
        Of the training of the classifier.
    models : Path, optional
        Folder of trained classifiers; in the run's folder by default.
    """
    chosen = spread(items.explained, clips)
    name = SCENARIOS[scenario]
    noise = None if name is None else _noise(noises, name)
    load = partial(trained, front_end, items.learnt, items.explained, epochs, models)
    sounds = tuple(noisy_clips(chosen, scenario, noise))
    facts = {"noise": "" if noise is None else digest_of([noise]), "epochs": epochs}
    return PakPlan(
        scenario, front_end, (Part(front_end, load, sounds),), _background(items.learnt),
        tuple(methods), tuple(versions), seed, facts,
    )  # fmt: skip


def _noise(folder: Path, name: str) -> Path:
    found = [folder / f"{name}{end}" for end in (".flac", ".wav")]
    there = [path for path in found if path.is_file()]
    if not there:
        raise ParameterError(f"{folder}: needs the noise {name}.flac or {name}.wav")
    return there[0]


def _background(learnt: Sequence[Item]) -> tuple[Path, ...]:
    """Return the first sounds of every class, 100 in all, as published two of each of fifty."""
    labels = sorted({item.label for item in learnt})
    each = max(pak.BACKGROUNDS // len(labels), 1)
    return tuple(
        path
        for label in labels
        for path in [item.path for item in learnt if item.label == label][:each]
    )


def measure_levels(
    model: Model, name: str, clip: Clip, plan: PakPlan, tick: Callable[[int], None] | None = None
) -> list[Line]:
    """Return the lines of one sound, one for each map and mask.

    A line holds the seven metrics as published (``figures``), average drop under two softmaxes
    (``AD2``), the probabilities of the predicted class for evidence and remainder (``p_in``,
    ``p_out``; ``p`` of the input), and what the resynthesised evidence gives (``audio``).
    """
    head: Line = {"model": name, "clip": clip.name, "group": clip.group, "sound": None}
    try:
        with torch.inference_mode(False), model.undisturbed(), model.frozen():
            material = clip.make(model.rate)
            head["sound"] = material.digest
            sound = Levels(model, torch.from_numpy(material.input).to(model.device))
            return [{**head, **line} for line in _lines(sound, clip.name, plan, tick)]
    except EarwitnessError as error:
        return [{**head, "method": None, "mask": None, "failed": str(error)}]


def _lines(
    sound: Levels, clip: str, plan: PakPlan, tick: Callable[[int], None] | None
) -> Iterator[Line]:
    whole = sound.logits(sound.levels[None])[0].double().softmax(dim=0).cpu().numpy()
    index = int(whole.argmax())
    evaluate = _Shared(sound, tick)
    for method, version, values in _maps(sound, clip, index, plan):
        gains = masks_of(values.double().cpu().numpy())
        evidence, remainder, heard = evaluate(gains)
        case = {"all_input": whole, "all_evidence": evidence, "all_remainder": remainder}
        figures = PUBLISHED["pak"]({**case, "gains": gains})
        twice = PUBLISHED["lmac"]({**case, "gains": gains})["AD"]
        audio = PUBLISHED["pak"]({**case, "all_evidence": heard, "gains": gains})
        for k, mask in enumerate(RULES):
            yield {
                "method": method,
                "version": version,
                "mask": mask,
                "target": sound.model.labels[index],
                "degenerate": degenerate(gains[k]),
                "area": pack(float(gains[k].mean(dtype=np.float64))),
                "figures": {one: pack(float(figures[one][k])) for one in figures},
                "AD2": pack(float(twice[k])),
                "p": pack(float(whole[index])),
                "p_in": pack(float(evidence[k, index])),
                "p_out": pack(float(remainder[k, index])),
                "audio": {one: pack(float(audio[one][k])) for one in ("AI", "AD", "AG", "FidIn")},
            }


def masks_of(values: NDArray[np.float64]) -> Gains:
    """Return the fourteen masks (mask, row, frame) of a map (row, frame), in the order of RULES."""
    loudness = np.zeros_like(values)
    found = []
    for text in RULES.values():
        rule = parse_keep(text)
        kept = np.maximum(values, 0) if rule.positive else values
        found.append(MASKS.get(rule.rule).gains(kept, loudness, rule.amount))
    return np.stack(found).astype(np.float32)


def _maps(sound: Levels, clip: str, index: int, plan: PakPlan) -> Iterator[tuple[str, str, Tensor]]:
    own = seed_of(plan.seed, clip)
    for method in plan.methods:
        for version in plan.versions:
            repaired = version == "repaired"
            if method == "saliency":
                yield method, version, pak.saliency(sound, index, repaired=repaired)
            elif method == "gradcam":
                yield method, version, pak.gradcam(sound, index, repaired=repaired)
            elif method == "lime":
                yield method, version, pak.lime(sound, index, own, repaired=repaired)[0]
            else:
                background = _background_of(sound, plan)
                yield method, version, pak.shap(sound, index, background, repaired=repaired)[0]
    generator = torch.Generator().manual_seed(own)
    yield "random", "control", torch.randn(sound.levels.shape, generator=generator)
    yield "energy", "control", sound.levels - sound.levels.mean()


def _background_of(sound: Levels, plan: PakPlan) -> pak.Background:
    """Return SHAP's background, read once for each model."""
    known = _BACKGROUNDS.of(sound.model)
    key = (plan.background, tuple(sound.levels.shape))
    if key not in known:
        known[key] = pak.Background(pak.levels_of(plan.background, sound))
    return known[key]


class _Shared:
    """Class probabilities for masks of one sound; equal masks are evaluated once."""

    def __init__(self, sound: Levels, tick: Callable[[int], None] | None) -> None:
        self.sound, self.tick = sound, tick or (lambda _: None)
        self.known: dict[bytes, tuple[Any, ...]] = {}

    def __call__(self, gains: Gains) -> tuple[NDArray[np.float64], ...]:
        """Return probabilities (mask, class) of evidence, remainder, and evidence as a sound."""
        names = [blake2b(np.ascontiguousarray(one).data).digest() for one in gains]
        new = [k for k, name in enumerate(names) if name not in self.known]
        new = [k for k in new if names.index(names[k]) == k]
        for k in new:
            one = torch.from_numpy(gains[k : k + 1]).to(self.sound.levels.device)
            inside, outside = self.sound.masked(one), self.sound.masked(1 - one)
            audio = self.sound.front(self.sound.sounds(inside))[:, 0]
            logits = self.sound.logits(torch.cat([inside, outside, audio]))
            self.tick(len(logits))
            self.known[names[k]] = tuple(logits.double().softmax(dim=1).cpu().numpy())
        columns = zip(*(self.known[name] for name in names), strict=True)
        return tuple(np.stack(column) for column in columns)
