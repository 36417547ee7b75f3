"""Cost of a scan, and events on scenes with calls at known times: ``python benchmarks/scan.py``.

``python benchmarks/scan.py ESC10 [--scenes 2] [--minutes 5]``, with the folder of a collection that
has the folds of ESC-50, writes ``benchmarks/scan.md``. Scenes are made and deleted one at a time:
1.5 s of calls of fold 4, which the default model was not trained on, every 15 s at places drawn at
random, in white noise or in rain of fold 4, at levels of -6 to +12 dB relative to it (mean power
over the 1.5 s).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

import earwitness
from earwitness.audio import read_audio
from earwitness.data.collection import Item, read_collection
from earwitness.jobs.predicting import predict
from earwitness.models.model import Model
from earwitness.provenance import stamp
from earwitness.recordings.windows import make_cut
from earwitness.stream import Stream
from earwitness.types import FloatArray

HERE = Path(__file__).parent
RATE = 48000
CALLS = ("dog", "rooster", "crying_baby", "sneezing")
LEVELS = (-6, 0, 6, 12)  # dB
BACKGROUNDS = ("noise", "rain")
FOLD = 4
EVERY, CALL, QUIET = 15.0, 1.5, 0.02  # s, s, RMS of the background
WINDOWS = (1.0, 5.0)  # s
LENGTHS = (2, 10, 60)  # min
SCAN = """
import time, earwitness
model = earwitness.load_model("esc10")
began = time.process_time()
earwitness.scan(model, {path!r}, output={output!r}, top={top})
from earwitness.benchmark.speed.memory import own_peak
print(time.process_time() - began, own_peak())
"""


@dataclass(frozen=True)
class Truth:
    """A call of a scene."""

    label: str
    start: float
    end: float

    def meets(self, event: dict[str, object]) -> bool:
        """Return whether an event is of its label and overlaps it."""
        same = event["label"] == self.label
        return (
            same and float(str(event["start"])) < self.end and float(str(event["end"])) > self.start
        )


def loudest(samples: FloatArray) -> FloatArray:
    """Return the 1.5 s of most energy."""
    size = round(CALL * RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, max(1, len(samples) - size), RATE // 100)
    best = int(starts[np.argmax(energy[starts + size] - energy[starts])])
    return samples[best : best + size]


def at_level(samples: FloatArray, rms: float) -> FloatArray:
    """Return sound of a root mean square."""
    own = float(np.sqrt(np.square(samples, dtype=np.float64).mean()))
    return samples * np.float32(rms / (own + 1e-12))


def background(items: list[Item], kind: str, samples: int, rng: np.random.Generator) -> FloatArray:
    """Return white noise, or recordings of rain one after another."""
    if kind == "noise":
        noise: FloatArray = QUIET * rng.standard_normal(samples, np.float32)
        return noise
    rain = [read_audio(item.path, rate=RATE).samples for item in items if item.label == "rain"]
    parts: list[FloatArray] = []
    while sum(map(len, parts)) < samples:
        parts.append(at_level(rain[rng.integers(len(rain))], QUIET))
    return np.concatenate(parts)[:samples]


def make_scene(
    path: Path, items: list[Item], kind: str, level: float, minutes: float, seed: int
) -> list[Truth]:
    """Write a scene and return its calls."""
    rng = np.random.default_rng(seed)
    sound = background(items, kind, round(60 * minutes * RATE), rng)
    calls = [item for item in items if item.label in CALLS]
    truth = []
    for number in range(int(60 * minutes / EVERY)):
        item = calls[rng.integers(len(calls))]
        call = at_level(
            loudest(read_audio(item.path, rate=RATE).samples), QUIET * 10 ** (level / 20)
        )
        start = EVERY * number + rng.uniform(1.0, EVERY - CALL - 1.0)
        first = round(start * RATE)
        sound[first : first + len(call)] += call
        truth.append(Truth(item.label, start, start + CALL))
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return truth


def events(data: Path, scenes: int, minutes: float) -> Iterator[str]:
    """Yield the lines of the table of events."""
    model = earwitness.load_model("esc10")
    items = [item for item in read_collection(data) if item.fold == FOLD]
    counts: dict[tuple[str, int, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    averaged: dict[tuple[str, int], float] = defaultdict(float)
    calls = 0
    for seed in range(scenes):
        for kind in BACKGROUNDS:
            for level in LEVELS:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder, "scene.wav")
                    truth = make_scene(path, items, kind, level, minutes, seed)
                    calls += len(truth)
                    outputs = predict(model, path)["outputs"]
                    largest = max(outputs[label] for label in CALLS)
                    averaged[kind, level] = max(averaged[kind, level], largest)
                    for window in (None, *WINDOWS):
                        found = earwitness.scan(
                            model, path, output=Path(folder, str(window)), window=window, top=0
                        ).events
                        found = [one for one in found if one["label"] in CALLS]
                        hits = sum(any(call.meets(one) for one in found) for call in truth)
                        right = sum(any(call.meets(one) for call in truth) for one in found)
                        name = "default" if window is None else f"{window:g} s"
                        some = counts[kind, level, name]
                        for k, value in enumerate((hits, len(truth), right, len(found))):
                            some[k] += value
    usual = make_cut(model)
    count = scenes * len(BACKGROUNDS) * len(LEVELS)
    yield f"## Events: {calls} calls in {count} scenes of {minutes:g} min"
    yield ""
    yield (
        f"An event is right if it overlaps a call of its label. The default window is "
        f"{usual.window / usual.rate:g} s. Averaged: the largest probability of any of the four "
        "labels that `predict` gives for a whole scene. Events of rain, and what the model takes "
        "noise for, are left out."
    )
    yield ""
    names = ["default", *(f"{window:g} s" for window in WINDOWS)]
    yield (
        "| background | level | "
        + " | ".join(f"recall, precision: {n}" for n in names)
        + " | averaged |"
    )
    yield "|---|---|" + "---|" * (len(names) + 1)
    for kind in BACKGROUNDS:
        for level in LEVELS:
            cells = [share(counts[kind, level, name]) for name in names]
            yield f"| {kind} | {level:+d} dB | {' | '.join(cells)} | {averaged[kind, level]:.2f} |"


def share(counts: list[int]) -> str:
    """Return recall and precision with their counts."""
    hits, calls, right, found = counts
    precision = f"{right / found:.2f} ({right}/{found})" if found else "no event"
    return f"{hits / calls:.2f} ({hits}/{calls}), {precision}"


def own_costs(path: Path) -> tuple[float, float]:
    """Return the seconds of decoding with resampling, and of the model's passes."""
    model: Model = earwitness.load_model("esc10")
    cut = make_cut(model)
    began, count = time.process_time(), 0
    for block in Stream(path, model.rate):
        count += len(block)
    reading = time.process_time() - began
    waves = 0.1 * torch.randn(cut.batch, cut.window, generator=torch.Generator().manual_seed(0))
    batches = -(-cut.count(count) // cut.batch)
    with model.undisturbed(), torch.no_grad():
        model(waves)
        began = time.process_time()
        for _ in range(batches):
            model(waves)
    return reading, time.process_time() - began


def costs(data: Path) -> Iterator[str]:
    """Yield the lines of the table of costs."""
    items = [item for item in read_collection(data) if item.fold == FOLD]
    yield "## Cost: one recording at 48 kHz, the default model, CPU time"
    yield ""
    yield (
        "| length | peak memory | scan without explanations | decoding and resampling | the "
        "model's passes | ratio |"
    )
    yield "|---|---|---|---|---|---|"
    for minutes in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "scene.wav")
            make_scene(path, items, "noise", 12, minutes, 0)
            code = SCAN.format(path=str(path), output=str(Path(folder, "out")), top=0)
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            seconds, peak = map(float, done.stdout.split())
            reading, passes = own_costs(path)
            yield (
                f"| {minutes} min | {peak:.0f} MB | {seconds:.1f} s | {reading:.1f} s "
                f"| {passes:.1f} s | {seconds / (reading + passes):.2f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=5.0)
    given = parser.parse_args()
    lines = [
        "# Scans, measured", "",
        f"Made by `python benchmarks/scan.py ESC10 --scenes {given.scenes} --minutes "
        f"{given.minutes:g}`: {stamp()}, seed 0.", "",
        *costs(given.data), "", *events(given.data, given.scenes, given.minutes),
    ]  # fmt: skip
    (HERE / "scan.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
