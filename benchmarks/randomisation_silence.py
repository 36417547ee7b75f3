"""How much digital silence raises the SSIM of the model randomisation test, on folds 1 to 3.

Grad-CAM of the default model on 30 sounds of ESC-10, with five draws of the logits' weights. Fold 4
is not read: the frames that count were chosen by this table.

    python benchmarks/randomisation_silence.py data/esc10 > benchmarks/randomisation_silence.md
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from earwitness.benchmark.cells import Setting, explain_by, prepare
from earwitness.benchmark.grid import choose
from earwitness.benchmark.sanity.measure import sounding
from earwitness.data.clips import folder
from earwitness.data.collection import read_collection
from earwitness.evaluation.scrambling import find_blocks, scrambled
from earwitness.metrics.similarity import ssim
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.provenance import commit
from earwitness.types import FloatArray

SOUNDS, DRAWS = 30, 5


def main() -> None:
    model = load_model("esc10")
    items = [item for item in read_collection(Path(sys.argv[1])) if item.fold in (1, 2, 3)]
    chosen = np.random.default_rng(0).permutation(len(items))[:SOUNDS]
    clips = folder(paths=[str(items[k].path) for k in chosen])
    rows = []
    for clip in clips:
        with model.undisturbed():
            setting = prepare(model, clip)
            wave = torch.from_numpy(setting.material.input)
            frames = sounding(model.plane.analyse(wave).abs().numpy())
            blocks = find_blocks(model, wave)
            first, *others = (
                explain_by(choose("gradcam"), setting.probe(0), {}).values.numpy()
                if seed is None
                else _scrambled(model, blocks[:1], setting, seed)
                for seed in (None, *range(DRAWS))
            )
        some = np.stack(others)
        own = [ssim(first, some, which).mean() for which in (frames, ~frames, None)]
        rows.append([*own, float((~frames).mean())])
    table = np.array(rows)
    padded = table[:, 3] > 0.01
    print("# Digital silence in the model randomisation test\n")
    print(
        f"Grad-CAM of `esc10`, SSIM at the logits, {SOUNDS} sounds of folds 1 to 3, {DRAWS} draws;"
    )
    print(
        f"{int(padded.sum())} of the sounds are padded with digital silence. Commit {commit()}.\n"
    )
    print("| sounds | frames that sound | frames of digital silence | all frames |")
    print("| --- | --- | --- | --- |")
    for name, some in (("all", table), ("padded", table[padded]), ("others", table[~padded])):
        means = [float(np.nanmean(c)) if np.isfinite(c).any() else None for c in some.T[:3]]
        print(f"| {name} |", " | ".join("" if m is None else f"{m:.3f}" for m in means), "|")


def _scrambled(
    model: Model, blocks: list[tuple[str, ...]], setting: Setting, seed: int
) -> FloatArray:
    with scrambled(model, blocks, seed=seed):
        return explain_by(choose("gradcam"), setting.probe(0), {}).values.numpy()


if __name__ == "__main__":
    main()
