"""What L-MAC costs on CNN14: ``python benchmarks/lmac_cnn14.py``.

Random weights do. One step of training (two sounds of 5 s), in multiples of one classification of
as many, for the slim decoder and the published one; their parameters are counted too. What an
explanation costs is in ``benchmarks/speed.md``.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from earwitness.audio import write_audio
from earwitness.models.zoo.cnn14 import CNN14, cnn14_model
from earwitness.provenance import commit
from earwitness.train.contamination import Contamination
from earwitness.train.lmac import Training
from earwitness.train.settings import Settings, published
from earwitness.types import Audio

BATCH, SECONDS, TURNS = 2, 5.0, 3


def main() -> None:
    torch.manual_seed(0)
    model = cnn14_model(CNN14(50), labels=[str(k) for k in range(50)], task="single-label")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{k}.wav" for k in range(BATCH + 1)]
        for path in paths:
            samples = 0.1 * rng.standard_normal(round(SECONDS * model.rate))
            write_audio(path, Audio(samples.astype(np.float32), model.rate))
        plain = replace(Settings(), batch=BATCH, crop=SECONDS,
                        contamination=Contamination(share=0.0))  # fmt: skip
        waves = torch.stack([torch.zeros(round(SECONDS * model.rate))] * BATCH)
        print(f"commit {commit()}, torch {torch.__version__}, "
              f"{torch.get_num_threads()} threads, seed 0")  # fmt: skip
        for name, settings in (("slim", plain), ("published", published(plain))):
            training = Training(model, paths[:BATCH], paths[BATCH:], settings)
            count = sum(one.numel() for one in training.decoder.parameters())
            ratios, seconds = [], []
            for _ in range(TURNS):
                with model.undisturbed(), torch.no_grad():
                    began = time.perf_counter()
                    model(waves)
                    once = time.perf_counter() - began
                with model.undisturbed(), model.frozen():
                    began = time.perf_counter()
                    training._step(list(range(BATCH)), torch.Generator().manual_seed(0))
                    seconds.append(time.perf_counter() - began)
                ratios.append(seconds[-1] / once)
            print(
                f"{name}: {count / 1e6:.2f} M parameters, a step takes {np.median(seconds):.2f} s, "
                f"{np.median(ratios):.1f} times as long as classifying the batch"
            )


if __name__ == "__main__":
    main()
