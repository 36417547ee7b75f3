"""Time sparseness and complexity against Quantus: ``python benchmarks/conciseness.py``.

Both get the fourteen masks of one five-second clip in one call, in float32 (64 mel bands by 501
frames, the size that Pak and Teryokhina measured, and 513 by 431, L-MAC's). The fastest of several
runs counts, and the largest difference from what Quantus gives in float64 is printed too.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from earwitness.masks.keep import make_mask, parse_keep
from earwitness.metrics.conciseness import complexity, sparseness

RULES = [
    *("minmax", "sigmoid", "sign", "top:5%", "top:30%", "top:50%"),
    *("minmax+", "sigmoid+", "top:5%+", "top:30%+", "top:50%+"),
    *("threshold:0.25+", "threshold:0.5+", "threshold:0.75+"),
]
RUNS = 15


def fastest(function: Callable[[], Any]) -> tuple[float, Any]:
    seconds, answer = [], None
    for _ in range(RUNS):
        began = time.perf_counter()
        answer = function()
        seconds.append(time.perf_counter() - began)
    return min(seconds), answer


def main() -> None:
    warnings.simplefilter("ignore")
    import quantus

    for shape in ((64, 501), (513, 431)):
        rng = np.random.default_rng(0)
        values = rng.standard_normal(shape).astype(np.float32)
        loudness = rng.random(shape).astype(np.float32)
        masks = np.stack([make_mask(values, loudness, parse_keep(r)).gains for r in RULES])
        theirs = [
            quantus.Sparseness(disable_warnings=True),
            quantus.Complexity(disable_warnings=True),
        ]

        def asked(
            masks: np.ndarray[Any, Any] = masks, theirs: list[Any] = theirs
        ) -> np.ndarray[Any, Any]:
            x, y = np.zeros((len(masks), 1, *masks.shape[1:])), np.zeros(len(masks), int)
            return np.array(
                [one(model=None, x_batch=x, y_batch=y, a_batch=masks[:, None]) for one in theirs]
            )

        def ours(masks: np.ndarray[Any, Any] = masks) -> np.ndarray[Any, Any]:
            return np.array([sparseness(masks), complexity(masks)])

        slow, _ = fastest(asked)
        fast, found = fastest(ours)
        gap = np.abs(found - asked(masks.astype(np.float64))).max()
        print(
            f"{shape[0]} x {shape[1]}, {len(masks)} masks: Quantus {1000 * slow:.1f} ms, "
            f"earwitness {1000 * fast:.1f} ms, {slow / fast:.1f} times as fast; "
            f"largest difference {gap:.1g}"
        )


if __name__ == "__main__":
    main()
