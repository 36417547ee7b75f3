"""What a benchmark costs beside the model's own passes: ``python benchmarks/overhead.py``.

One synthesised sound of five seconds, CNN14 with random weights, one method, three masks with their
controls, and every metric that applies. The time inside the network is taken by hooks; all else
(transforms, masks, metrics, the inverse transform for what is heard) is the rest.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from earwitness.benchmark.cells import measure_clip
from earwitness.benchmark.grid import Grid, Part, choose
from earwitness.data.clips import Clip, Material
from earwitness.models.zoo.cnn14 import CNN14, cnn14_model
from earwitness.provenance import stamp

HERE = Path(__file__).parent
SECONDS = 5.0
CLASSES = 50
MOST = 0.10


def sound(seed: int, rate: int) -> Material:
    """Return noise, with a louder burst of it as the source."""
    rng = np.random.default_rng(seed)
    samples = round(SECONDS * rate)
    source = 0.2 * rng.standard_normal(samples) * (np.arange(samples) // (rate // 2) % 4 == 1)
    rest = 0.05 * rng.standard_normal(samples)
    return Material((source + rest).astype(np.float32), source.astype(np.float32))


def main() -> None:
    torch.manual_seed(0)
    network = CNN14(CLASSES).eval()
    model = cnn14_model(network, labels=[str(k) for k in range(CLASSES)])
    clip = Clip("noise", "noise", None, partial(sound, 0))
    grid = Grid(
        "overhead",
        (Part("cnn14", lambda _: model, (clip,)),),
        methods=(choose("input-x-gradient"),),
        masks=("area:10%", "80%", "minmax+"),
    )
    inside, begun, passed = [0.0], [0.0], [0]

    def start(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        begun[0] = time.perf_counter()
        passed[0] += len(inputs[0])

    def stop(*_: object) -> None:
        inside[0] += time.perf_counter() - begun[0]

    network.register_forward_pre_hook(start)
    network.register_forward_hook(stop)
    measure_clip(model, "cnn14", clip, grid)  # what is kept with the model is found once
    inside[0], passed[0] = 0.0, 0
    before = time.perf_counter()
    lines = measure_clip(model, "cnn14", clip, grid)
    whole = time.perf_counter() - before
    figures = sum(len(line["figures"]) for line in lines)
    share = 1 - inside[0] / whole
    text = (
        "# A benchmark's own cost, measured\n\n"
        f"Made by `python benchmarks/overhead.py`: {stamp()}, {torch.get_num_threads()} threads, "
        "seed 0.\n\n"
        "One sound of 5 s, CNN14 with random weights, one method, three masks with their controls, "
        "every metric.\n\n"
        "| forward passes | figures | whole | in the network, without its backward pass | "
        "everything else | at most |\n|---|---|---|---|---|---|\n"
        f"| {passed[0]} | {figures} | {whole:.1f} s | {inside[0]:.1f} s | {share:.1%} | {MOST:.0%} "
        "|\n"
    )
    (HERE / "overhead.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
