"""Choose the multiple of the level: ``python benchmarks/lmac_level.py DATA DECODER``.

DECODER is what ``earwitness train lmac --data DATA/esc10 --folds 1,2 --valid-folds 3`` wrote. Its
masks of 5, 10 and 20 % of the cells are made with several multiples ``a`` of the cell's level in
the order ``z = L + a ln(|X| / rms)``, on mixtures of fold 3 at +12 dB, and scored as audio. Writes
``benchmarks/lmac_level.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from lmac import area_gains, sound_of
from lmac_tables import SECONDS, SEED

from earwitness.data.clips import Clip
from earwitness.data.mixtures import mixtures
from earwitness.decoders.folder import load_explainer
from earwitness.decoders.slim import Decoder
from earwitness.evaluation.cases import heard, measure, output_fields
from earwitness.evaluation.passes import evaluate
from earwitness.models.registry import load_model
from earwitness.provenance import stamp

HERE = Path(__file__).parent
COUNT, FOLD = 40, 3
MULTIPLES = (-0.05, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
SHARES = (0.05, 0.1, 0.2)
FIGURES = ("average-increase", "average-drop", "faithfulness", "fidelity")


def main() -> None:
    data, folder = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    model, explainer = load_model("esc10"), load_explainer(Path(folder))
    decoder = explainer.decoder
    assert isinstance(decoder, Decoder)
    clips = mixtures(data=str(data / "esc10"), folds=[FOLD], levels=[12], count=COUNT,
                     seconds=SECONDS, seed=SEED)  # fmt: skip
    cells = [(multiple, share) for multiple in MULTIPLES for share in SHARES]
    found: dict[str, list[np.ndarray]] = {name: [] for name in FIGURES}
    for clip in clips:
        sound = sound_of(model, None, Clip(clip.name, clip.group, None, clip.make), folder)
        probe = sound.probe
        masks = []
        with model.undisturbed():
            for multiple, share in cells:
                decoder.loudness.fill_(multiple)
                index = probe.target.index
                gains = explainer.gains(model, probe.magnitude, probe.wave, index, share)
                masks.append(area_gains(gains.numpy(), share))
            passes = evaluate(probe, masks, routes=("audio",), sounds=True)
        assert passes.sounds is not None
        case = output_fields(model, probe.target, sound.setting.whole, passes.audio)
        case |= {"gains": np.stack(masks), "heard": heard(probe, passes.sounds)}
        for name, values in measure(case, list(FIGURES)).items():
            found[name].append(np.asarray(values))
        print(clip.name, flush=True)
    means = {name: np.mean(rows, axis=0) for name, rows in found.items()}
    about = (
        f"Made by `python benchmarks/lmac_level.py DATA DECODER`: {stamp()}. {COUNT} mixtures of "
        f"fold {FOLD} at +12 dB, seed {SEED}, scored as audio; a decoder trained on folds 1 and 2 "
        "for 40 epochs, when the multiple was learnt (it ended at -0.05)."
    )
    lines = ["# The level in the order of the cells, measured", "", about, ""]
    lines += ["| multiple | cells | AI, % | AD, % | FF | Fid-In |", "|---|---|---|---|---|---|"]
    digits = (0, 1, 2, 2)
    for k, (multiple, share) in enumerate(cells):
        figures = [f"{means[name][k]:.{n}f}" for name, n in zip(FIGURES, digits, strict=True)]
        lines.append(f"| {multiple:g} | {share:.0%} | {' | '.join(figures)} |")
    (HERE / "lmac_level.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
