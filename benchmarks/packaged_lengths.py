"""Models of packages on sounds of 0.3 to 60 s: the time of an explanation, or why there is none.

``python benchmarks/packaged_lengths.py > benchmarks/packaged_lengths.md``: four pieces of time
are switched off one by one, so that a model of windows takes its longest on the longest sound.
"""

from __future__ import annotations

import time

import numpy as np

import earwitness
from earwitness.errors import EarwitnessError
from earwitness.types import Audio

MODELS = ("silero-vad", "silero-vad:onnx", "basic-pitch", "distillmos", "dnsmos")
LENGTHS = (0.3, 4.9, 11.7, 60.0)  # s


def main() -> None:
    print("# Models of packages on sounds of several lengths\n")
    print("Seconds of one explanation by `occlusion` of four pieces of time, one core; noise with")
    print("pulses of a tone. Written by `benchmarks/packaged_lengths.py`, on a machine in use.\n")
    print("| model |", " | ".join(f"{one:g} s" for one in LENGTHS), "|")
    print("|---|" + "---|" * len(LENGTHS))
    for name in MODELS:
        print(f"| `{name}` |", " | ".join(explained(name, one) for one in LENGTHS), "|", flush=True)


def explained(name: str, seconds: float) -> str:
    """The seconds that an explanation took, or the reason why there is none."""
    try:
        model = earwitness.load_model(name)
        places = np.arange(round(seconds * model.rate)) / model.rate
        tone = 0.1 * np.sin(2 * np.pi * 220 * places) * (np.sin(2 * np.pi * 2 * places) > 0)
        samples = tone + 0.01 * np.random.default_rng(0).standard_normal(len(places))
        began = time.perf_counter()
        found = earwitness.explain(
            model, Audio(samples.astype(np.float32), model.rate), "occlusion",
            pieces="time", segments=4, trust="none",
        )  # fmt: skip
        if not np.isfinite(found.attribution.values).all():
            return "not finite"
        return f"{time.perf_counter() - began:.1f}"
    except EarwitnessError as error:
        return str(error)


if __name__ == "__main__":
    main()
