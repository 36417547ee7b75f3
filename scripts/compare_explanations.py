"""Do explanations stay the same over a change? Twenty of them, saved before and compared after.

``python scripts/compare_explanations.py save FILE.npz`` explains with the source that is imported,
``python scripts/compare_explanations.py compare BEFORE.npz AFTER.npz`` lists the largest difference
of every map (relative to its largest value), mask (share of cells whose gain differs) and card
(in the unit of the score, relative above 1), and fails where one is above float noise. Left out:
superpixels, NMF pieces, intervals of weights, and the spectrogram scores of random controls, which
later versions do not compute.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

import earwitness
from earwitness.signals import scene

# float32 sums in another order move a few cells in ten thousand across the edge of a mask, and
# scores by as much as these cells count
MAP, MASK, CARD = 5e-4, 5e-4, 2e-3
SEED = 0


class Network(nn.Module):
    """A waveform network with a hidden layer that lies along time."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 16, 64, 16)
        self.deeper = nn.Conv1d(16, 16, 9, 4)
        self.head = nn.Linear(16, outputs)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        maps = self.deeper(self.filters(waves[:, None]).relu()).relu()
        return self.head(maps.mean(dim=-1))


def cases() -> Iterator[tuple[str, Any, str, dict[str, Any]]]:
    """Yield name, model, method and what ``explain`` is asked for."""
    esc10 = earwitness.load_model("esc10")
    for method in (
        *("saliency", "input-x-gradient", "smoothgrad", "integrated-gradients", "gradient-shap"),
        *("deep-shap", "lrp", "guided-backprop", "gradcam", "guided-gradcam", "lmac"),
    ):
        yield method, esc10, method, {}
    few = {"samples": 300, "tolerance": 0.0}
    yield "lime", esc10, "lime", few
    yield "kernel-shap", esc10, "kernel-shap", few
    yield "occlusion", esc10, "occlusion", {}
    yield "audiolime", esc10, "audiolime", {**few, "segments": 5}
    yield "versus", esc10, "integrated-gradients", {"target": "crying_baby", "versus": "rain"}
    yield "soft", esc10, "integrated-gradients", {"keep": "minmax+"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        one, other = Network(3).eval(), Network(1).eval()
    waves = earwitness.wrap(one, sample_rate=16000, labels=["a", "b", "c"], name="waves")
    yield "waveform", waves, "integrated-gradients", {"end": 2.0}
    value = earwitness.wrap(other, sample_rate=16000, output="scores", name="value")
    yield "regression", value, "lime", {"end": 2.0, **few}

    def level(sounds: np.ndarray) -> np.ndarray:
        power = np.stack([(sounds[:, a::2] ** 2).mean(axis=1) for a in (0, 1)], axis=1)
        return np.log(power + 1e-6)

    box = earwitness.wrap(level, sample_rate=16000, labels=["even", "odd"], name="box")
    yield "black box", box, "rise", {"end": 2.0, "samples": 100}


def card(found: Any) -> np.ndarray:
    """Return the figures of a trust card that all versions compute."""

    def both(pair: Any) -> list[float]:
        routes = (("plane", "spectrogram"), ("heard", "audio"))
        return [next(getattr(pair, n) for n in names if hasattr(pair, n)) for names in routes]

    trust = found.trust
    figures = [trust.input]
    for outcome in (trust.outcome, trust.controls["energy"].mean):
        figures += [*both(outcome.evidence), *both(outcome.remainder)]
    random = trust.controls["random"]
    for outcome in (random.mean, random.low, random.high):
        figures += [both(outcome.evidence)[1], both(outcome.remainder)[1]]
    return np.array(figures)


def save(path: str) -> None:
    """Explain the scene twenty times."""
    arrays = {}
    for name, model, method, given in cases():
        sound = scene(model.rate).mixture
        found = earwitness.explain(model, sound, method, seed=SEED, **given)
        arrays[f"{name}/map"] = found.attribution.values
        arrays[f"{name}/mask"] = found.mask.gains
        arrays[f"{name}/card"] = card(found)
        print(name, flush=True)
    np.savez_compressed(path, **arrays)


def compare(before: str, after: str) -> int:
    """Print the differences and return 1 if one is too large."""
    with np.load(before) as old, np.load(after) as new:
        if set(old.files) != set(new.files):
            sys.exit(f"not the same explanations: {set(old.files) ^ set(new.files)}")
        names = [name.removesuffix("/map") for name in old.files if name.endswith("/map")]
        failed = False
        print("| explanation | map | mask | card |\n|---|---|---|---|")
        for name in names:
            first, second = old[f"{name}/map"].astype(float), new[f"{name}/map"].astype(float)
            apart = float(np.abs(first - second).max() / max(np.abs(first).max(), 1e-30))
            gains = np.abs(old[f"{name}/mask"] - new[f"{name}/mask"])
            cells = float((gains > MAP).mean())
            first, second = old[f"{name}/card"], new[f"{name}/card"]
            scores = float((np.abs(first - second) / np.maximum(1, np.abs(first))).max())
            bad = apart > MAP or cells > MASK or scores > CARD
            failed |= bad
            print(f"| {name} | {apart:.1e} | {cells:.1e} | {scores:.1e} |{' differs' * bad}")
    print(f"{len(names)} explanations: {'some differ' if failed else 'the same to float noise'}")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "save":
        save(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "compare":
        sys.exit(compare(sys.argv[2], sys.argv[3]))
    else:
        sys.exit(__doc__)
