"""Cost of explaining the windows that decide: ``python benchmarks/pool.py``.

Three minutes of noise with calls synthesised by ``earwitness.signals``, explained with
``pool="topk"``, beside three explanations of the windows that it picks, in processor time of one
thread and alternating. Writes ``benchmarks/pool.md``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import earwitness
from earwitness.provenance import stamp
from earwitness.signals import scene
from earwitness.types import Audio

HERE = Path(__file__).parent
SECONDS = 180
METHODS = ("lime", "integrated-gradients", "gradcam", "lmac")
BAR = 1.5  # times the explanations of the windows
PLACES = (30.7, 61.3, 130.9)  # s, of the calls


def recording(rate: int) -> Audio:
    """Return three minutes of faint noise with three scenes of five seconds."""
    samples = 1e-3 * np.random.default_rng(0).standard_normal(SECONDS * rate)
    for seed, place in enumerate(PLACES):
        made = scene(rate, seed).mixture.samples
        first = round(place * rate)
        samples[first : first + len(made)] += made
    return Audio(samples.astype(np.float32), rate, "recording")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    model = earwitness.load_model("esc10")
    sound = recording(model.rate)
    lines = [
        "# Explaining the windows that decide, measured", "",
        f"Made by `python benchmarks/pool.py`: {stamp()}, seed 0. {SECONDS} s, the default "
        f"model; processor time of one thread, medians of {repeats} alternating runs. The pooled "
        "explanation also evaluates all windows once.", "",
        "| method | pooled, s | its windows one by one, s | ratio | bar |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for method in METHODS:
        found = earwitness.explain(model, sound, method, pool="topk")  # also what is made once
        windows = found.attribution.details["windows"]
        target = found.target.label
        pooled, alone = [], []
        for _ in range(repeats):
            began = time.process_time()
            earwitness.explain(model, sound, method, pool="topk", target=target)
            pooled.append(time.process_time() - began)
            began = time.process_time()
            for start, end in windows:
                earwitness.explain(model, sound, method, target=target, start=start, end=end)
            alone.append(time.process_time() - began)
        ratio = float(np.median(pooled) / np.median(alone))
        met = "met" if ratio <= BAR else "**missed**"
        lines.append(
            f"| {method} | {np.median(pooled):.2f} | {np.median(alone):.2f} | {ratio:.2f} | "
            f"{BAR:g}, {met} |"
        )
        print(lines[-1], flush=True)
    (HERE / "pool.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
