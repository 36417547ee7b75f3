"""Compare decoders with and without the contrast: ``python benchmarks/lmac_contrast.py DATA A B``.

A and B are what ``earwitness train lmac --data DATA/esc10 --folds 1,2 --valid-folds 3 --epochs 40``
wrote, A with ``Settings(decoder="sized")`` and B with the default, ``guided``. Their soft gains and
their masks of 10 % of the cells are scored as audio on mixtures of fold 3, at +12 dB for the
decided output and at 0 dB for the first source. Writes ``benchmarks/lmac_contrast.md``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lmac import area_gains, map_of, sound_of
from lmac_tables import FAITHFUL, SECONDS, SEED

from earwitness.data.clips import Clip
from earwitness.data.mixtures import mixtures
from earwitness.evaluation.cases import heard, measure, output_fields
from earwitness.evaluation.passes import evaluate
from earwitness.metrics.localisation import map_fields, si_sdr
from earwitness.models.registry import load_model
from earwitness.provenance import stamp

HERE = Path(__file__).parent
COUNT, FOLD, SHARE = 80, 3, 0.1
PLACES = ("relevance-mass", "pointing-game")
COLUMNS = (
    ("gain", "mean gain", 3), ("area-audio", "effective area, audio", 3),
    ("average-increase", "AI, %", 0), ("average-drop", "AD, %", 1), ("faithfulness", "FF", 2),
    ("fidelity", "Fid-In", 2), ("relevance-mass", "relevance mass", 3),
    ("pointing-game", "pointing game", 3), ("si-sdr", "SI-SDR over the input, dB", 1),
)  # fmt: skip


def figures(model: Any, clip: Clip, folder: str) -> dict[str, dict[str, float]]:
    """Return the figures of both masks of one decoder for one mixture."""
    sound = sound_of(model, None, clip, folder)
    probe, truth = sound.probe, sound.setting.truth
    with model.undisturbed():
        cut = area_gains(map_of(sound, "lmac", {"decoder": folder, "size": SHARE}), SHARE)
        masks = {"soft": sound.first, f"{SHARE:.0%}": cut}
        passes = evaluate(probe, list(masks.values()), routes=("audio",), sounds=True)
    assert passes.sounds is not None
    case = output_fields(model, probe.target, sound.setting.whole, passes.audio)
    case |= {"gains": np.stack(list(masks.values())), **truth, "sounds": passes.sounds.numpy()}
    case["heard"] = heard(probe, passes.sounds)
    rows = measure(case, [*FAITHFUL, "effective-area-audio", "si-sdr-source"])
    before = float(si_sdr(probe.wave.numpy()[None], truth["source_sound"])[0])
    found: dict[str, dict[str, float]] = {}
    for k, (name, gains) in enumerate(masks.items()):
        place = measure({**truth, **map_fields(gains[None]), "map": gains}, list(PLACES))
        found[name] = {
            "gain": float(gains.mean()),
            "area-audio": float(rows["effective-area-audio"][k]),
            "si-sdr": float(rows["si-sdr-source"][k]) - before,
            **{one: float(rows[one][k]) for one in FAITHFUL},
            **{one: float(place[one][0]) for one in PLACES},
        }
    return found


def main() -> None:
    data, folders = Path(sys.argv[1]), sys.argv[2:4]
    torch.set_num_threads(1)
    model = load_model("esc10")
    lines = []
    for level, named in ((12, False), (0, True)):
        clips = mixtures(data=str(data / "esc10"), folds=[FOLD], levels=[level], count=COUNT,
                         seconds=SECONDS, seed=SEED)  # fmt: skip
        if not named:
            clips = [Clip(one.name, one.group, None, one.make) for one in clips]
        for folder, kind in zip(folders, ("sized", "guided"), strict=True):
            kept: dict[str, list[dict[str, float]]] = defaultdict(list)
            for clip in clips:
                for name, row in figures(model, clip, folder).items():
                    kept[name].append(row)
                print(kind, level, clip.name, flush=True)
            for name, rows in kept.items():
                means = [
                    f"{np.mean([row[one] for row in rows]):.{digits}f}"
                    for one, _, digits in COLUMNS
                ]
                lines.append(f"| {level:+d} dB | {name} | {kind} | {' | '.join(means)} |")
    about = (
        f"Made by `python benchmarks/lmac_contrast.py DATA SIZED GUIDED`: {stamp()}. {COUNT} "
        f"mixtures of fold {FOLD} at each level, seed {SEED}, scored as audio; decoders trained on "
        "folds 1 and 2 for 40 epochs."
    )
    head = ["mixture", "mask", "decoder", *(title for _, title, _ in COLUMNS)]
    text = ["# The contrast in the gains of a decoder, measured", "", about, ""]
    text += [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *sorted(lines, reverse=True)]
    (HERE / "lmac_contrast.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
