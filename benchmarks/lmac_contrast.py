"""Compare decoders with and without the contrast: ``python benchmarks/lmac_contrast.py DATA A B``.

A and B are what ``earwitness train lmac --data DATA/esc10 --folds 1,2 --valid-folds 3 --epochs 40``
wrote, A with ``Settings(decoder="sized")`` and B with the default, ``guided``. Their soft gains and
their masks of 10 % of the cells are scored as audio on mixtures of fold 3, at +12 dB for the
decided output and at 0 dB for the first source. Writes ``benchmarks/lmac_contrast.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from lmac import measure_method, mixed, sound_of
from lmac_tables import SEED

from earwitness.models.registry import load_model
from earwitness.provenance import stamp

HERE = Path(__file__).parent
COUNT, FOLD = 80, 3
KINDS = ("sized", "guided")
MASKS = {"same": "soft", "area:10%": "10 %", "map": "map"}
COLUMNS = {
    "area": ("mean gain", 3), "effective-area-audio": ("effective area, audio", 3),
    "average-increase": ("AI, %", 0), "average-drop": ("AD, %", 1), "faithfulness": ("FF", 2),
    "fidelity": ("Fid-In", 2), "gain of si-sdr": ("SI-SDR over the input, dB", 1),
    "relevance-mass": ("relevance mass", 3), "pointing-game": ("pointing game", 3),
}  # fmt: skip


def main() -> None:
    data, folders = Path(sys.argv[1]), sys.argv[2:4]
    torch.set_num_threads(1)
    model = load_model("esc10")
    table = []
    for level, named in ((12, False), (0, True)):
        found = []
        for clip in mixed(data, level, named, fold=FOLD, count=COUNT):
            for kind, folder in zip(KINDS, folders, strict=True):
                sound = sound_of(model, None, clip, folder)
                with model.undisturbed():
                    found += measure_method(sound, kind, "lmac", {"decoder": folder})
            print(level, clip.name, flush=True)
        for mask, title in MASKS.items():
            for kind in KINDS:
                lines = [one for one in found if (one["mask"], one["method"]) == (mask, kind)]
                means = [
                    f"{np.mean([line[name] for line in lines]):.{digits}f}"
                    if name in lines[0]
                    else ""
                    for name, (_, digits) in COLUMNS.items()
                ]
                table.append(f"| {level:+d} dB | {title} | {kind} | {' | '.join(means)} |")
    about = (
        f"Made by `python benchmarks/lmac_contrast.py DATA SIZED GUIDED`: {stamp()}. {COUNT} "
        f"mixtures of fold {FOLD} at each level, seed {SEED}, scored as audio; decoders trained on "
        "folds 1 and 2 for 40 epochs."
    )
    head = ["mixture", "of", "decoder", *(title for title, _ in COLUMNS.values())]
    text = ["# The contrast in the gains of a decoder, measured", "", about, ""]
    text += [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *table]
    (HERE / "lmac_contrast.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
