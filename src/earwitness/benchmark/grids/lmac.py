"""L-MAC's tables (Paissan et al. 2024), run again: explanations of contaminated sounds.

Each explanation is measured twice. As published: the soft mask ``|A| / max |A|``, or the gains of a
method that gives gains, on ``ln(1 + |X|)``, with the metrics of the published code. And put right:
the tenth of the cells with the largest values, for all alike, on linear magnitudes, with one
softmax, on the spectrogram and on the resynthesised sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.benchmark.cells import explain_by, prepare, seed_of
from earwitness.benchmark.grid import Choice, Part, choose, named_part
from earwitness.benchmark.grids.sounds import Items, contaminated_clips, spread
from earwitness.benchmark.ledger import Line, pack
from earwitness.clips import find_clips
from earwitness.data.clips import Clip
from earwitness.errors import AudioError, EarwitnessError
from earwitness.evaluation.cases import make_cases
from earwitness.evaluation.passes import Memo
from earwitness.evaluation.published import PUBLISHED
from earwitness.files import digest_of
from earwitness.masks.measure import degenerate
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.types import FloatArray

KINDS = {"in-domain": "1", "mixture": "2", "white": "4", "speech": "4"}  # tables of the paper
MATCHED = 0.1  # share of the cells of masks of one size
CONTROLS = ("random", "energy", "all-ones", "ideal-ratio-mask")
_OPTIONS: dict[str, dict[str, Any]] = {  # as the publication's code sets them
    "saliency": {},
    "smoothgrad": {"samples": 50},
    "integrated-gradients": {"steps": 50, "background": "silence"},
    "gradcam": {},
    "guided-gradcam": {},
    "guided-backprop": {},
    "gradient-shap": {"samples": 5, "background": "silence"},
}
_THRESHOLDS = (0.2, 0.4, 0.6, 0.8)  # of relevance, of L2I
_OUTPUTS = ("AI", "AD", "AG", "FF", "FidIn")


@dataclass(frozen=True)
class LmacPlan:
    """One contamination.

    Attributes
    ----------
    kind, level : str
        Contamination, and whether its level is that of the code or of the paper.
    parts : tuple of Part
    rows : tuple of (str, Choice)
        Explanations by the names that they have in the table.
    seed : int
    facts : mapping
        Further settings on which the results depend.
    """

    kind: str
    level: str
    parts: tuple[Part, ...]
    rows: tuple[tuple[str, Choice], ...]
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def key(self) -> dict[str, Any]:
        """Return all settings on which the results depend, as plain JSON values."""
        return {
            "name": f"lmac-{self.kind}",
            "level": self.level,
            "parts": [[part.model, [clip.name for clip in part.clips]] for part in self.parts],
            "rows": [[name, one.name, dict(one.options)] for name, one in self.rows],
            "files": [digest_of(choice.files) for _, choice in self.rows],
            "seed": self.seed,
            "facts": dict(self.facts),
        }


def lmac_plan(
    kind: str,
    items: Items,
    model: str,
    *,
    others: Path | None = None,
    level: str = "coded",
    clips: int = 80,
    interpreter: str = "",
    decoders: Sequence[tuple[str, str]] = (("l-mac", ""),),
    seed: int = 0,
) -> LmacPlan:
    """Return the benchmark of a contamination.

    Parameters
    ----------
    kind : {"in-domain", "mixture", "white", "speech"}
    model : str
        As for ``load_model``.
    others : Path, optional
        Sounds, or a file, to contaminate with; the explained sounds for ``mixture``.
    level : {"coded", "printed"}
    interpreter : str
        Folder of L2I's interpreter; the one that comes with the model if empty.
    decoders : sequence of (str, str)
        Name in the table and folder of each of L-MAC's decoders, such as fine-tuned ones.
    """
    chosen = spread(items.explained, clips)
    found: list[Path] = []
    if kind == "mixture" and others is None:
        found = [item.path for item in items.explained]
    elif kind != "white":
        if others is None or not others.exists():
            raise AudioError(f"{kind}: {others or 'nothing'} to contaminate with")
        found = find_clips([others])
    sounds = tuple(contaminated_clips(chosen, kind, level, found, seed))
    rows = [(name, choose(name, **options)) for name, options in _OPTIONS.items()]
    rows += [
        (f"l2i-rt{at:g}", choose("l2i", threshold=at, **_given(interpreter=interpreter)))
        for at in _THRESHOLDS
    ]
    rows += [(name, choose("lmac", **_given(decoder=decoder))) for name, decoder in decoders]
    rows += [(name, Choice(name, {})) for name in CONTROLS]
    facts = {"others": digest_of(found)}
    return LmacPlan(kind, level, (named_part(model, sounds),), tuple(rows), seed, facts)


def _given(**folders: str) -> dict[str, str]:
    """Return the options that name a folder."""
    return {name: folder for name, folder in folders.items() if folder}


def measure_contaminated(
    model: Model, name: str, clip: Clip, plan: LmacPlan, tick: Callable[[int], None] | None = None
) -> list[Line]:
    """Return the lines of one sound, one for each explanation; failed ones say why.

    A line holds the seven metrics as published and the mean mask (``figures``), average drop under
    one softmax (``AD1``), and the metrics of a mask of matched size by both routes.
    """
    head: Line = {"model": name, "clip": clip.name, "group": clip.group, "sound": None}
    try:
        with torch.inference_mode(False), model.undisturbed():
            return [{**head, **line} for line in _lines(model, clip, plan, tick)]
    except EarwitnessError as error:
        return [{**head, "method": None, "mask": None, "failed": str(error)}]


def _lines(
    model: Model, clip: Clip, plan: LmacPlan, tick: Callable[[int], None] | None
) -> Iterator[Line]:
    setting = prepare(model, clip)
    memos: dict[str, Memo] = {"log1p": {}, "linear": {}}
    head = {"sound": setting.material.digest, "target": str(setting.target)}
    for name, choice in plan.rows:
        wave = torch.from_numpy(setting.material.input)
        own = seed_of(plan.seed, clip.name)
        probe = Probe(model, wave, setting.target, seed=own, on_passes=tick)
        try:
            values = explain_by(choice, probe, setting.truth).values.float().cpu().numpy()
        except EarwitnessError as error:
            yield {**head, "method": name, "failed": str(error)}
            continue
        gains, matched = soft_mask(choice, values), strongest(np.abs(values))
        cases = {
            domain: make_cases(
                probe, mask[None], whole=setting.whole, domain=domain, sounds=False,
                memo=memos[domain],
            )
            for domain, mask in (("log1p", gains), ("linear", matched))
        }  # fmt: skip
        soft = cases["log1p"]["spectrogram"]
        figures = {one: found[0] for one, found in PUBLISHED["lmac"](soft).items()}
        figures["MM"] = gains.mean(dtype=np.float64)
        yield {
            **head,
            "method": name,
            "degenerate": degenerate(gains),
            "figures": {one: pack(float(figure)) for one, figure in figures.items()},
            "AD1": pack(float(PUBLISHED["pak"](soft)["AD"][0])),
            "matched": {
                "degenerate": degenerate(matched),
                "area": pack(float(matched.mean(dtype=np.float64))),
                **{route: _outputs(cases["linear"][route]) for route in ("spectrogram", "audio")},
            },
        }


def soft_mask(choice: Choice, values: FloatArray) -> FloatArray:
    """Return the published mask of a map (freq, frame): its gains, or ``|A| / max |A|``."""
    if choice.name in ("ideal-ratio-mask", "all-ones") or METHODS.get(choice.name).gives_gains:
        return values.clip(0, 1)
    size = np.abs(values)
    largest = size.max()
    found: FloatArray = size / largest if largest > 0 else size
    return found


def strongest(values: NDArray[np.floating]) -> FloatArray:
    """Return a mask of the largest tenth of the cells, of equal ones those that come first."""
    order = np.argsort(-values, axis=None, kind="stable")
    mask = np.zeros(values.size, np.float32)
    mask[order[: round(MATCHED * values.size)]] = 1
    return mask.reshape(values.shape)


def _outputs(case: dict[str, Any]) -> dict[str, float | str]:
    found = PUBLISHED["pak"](case)  # one softmax
    return {one: pack(float(found[one][0])) for one in _OUTPUTS}
