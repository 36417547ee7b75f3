"""Events of long scenes with calls at known times: ``python benchmarks/scan_events.py ESC10``.

Scenes are made and deleted one at a time: 1.5 s of calls of fold 4, which the default model was not
trained on, every 15 s at places drawn at random, in white noise or in rain of fold 4, at levels of
-6 to +12 dB relative to it (mean power over the 1.5 s). Each scene is a row of
``benchmarks/scan_events.csv``; the command goes on where it was stopped, and ``--table`` writes
``benchmarks/scan_events.md`` from the rows.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
import soundfile

import earwitness
from earwitness.audio import read_audio
from earwitness.data.collection import Item, read_collection
from earwitness.jobs.predicting import predict
from earwitness.models.model import Model
from earwitness.provenance import commit, stamp
from earwitness.recordings.windows import make_cut
from earwitness.types import FloatArray

HERE = Path(__file__).parent
RATE = 48000
CALLS = ("dog", "rooster", "crying_baby", "sneezing")
LEVELS = (-6, 0, 6, 12)  # dB
BACKGROUNDS = ("noise", "rain")
FOLD = 4
EVERY, CALL, QUIET = 15.0, 1.5, 0.02  # s, s, RMS of the background
SCENES, MINUTES = 3, 30.0  # of each background and level
PART = 600.0  # s; predict reads a sound at once
ROWS = HERE / "scan_events.csv"


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


@dataclass(frozen=True)
class Row:
    """What was found in one scene with windows of so many seconds.

    ``found`` are events of the four labels, ``right`` those that overlap a call of their label,
    ``hits`` the calls that an event meets. ``averaged`` is the largest probability of the four
    labels that ``predict`` gives, averaged over parts of 10 min.
    """

    background: str
    level: int
    seed: int
    minutes: float
    window: float
    calls: int
    hits: int
    found: int
    right: int
    averaged: float
    commit: str


def measure(
    model: Model, items: list[Item], kind: str, level: int, seed: int, minutes: float, window: float
) -> Row:
    """Make a scene, scan it, and count."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scene.wav")
        truth = make_scene(path, items, kind, level, minutes, seed)
        starts = np.arange(0, 60 * minutes, PART)
        parts = [
            predict(model, read_audio(path, rate=model.rate, start=start, end=start + PART))
            for start in starts
        ]
        found = earwitness.scan(
            model, path, output=Path(folder, "out"), window=window, top=0
        ).events
    found = [one for one in found if one["label"] in CALLS]
    hits = sum(any(call.meets(one) for one in found) for call in truth)
    right = sum(any(call.meets(one) for call in truth) for one in found)
    averaged = max(np.mean([part["outputs"][label] for part in parts]) for label in CALLS)
    return Row(
        kind, level, seed, minutes, window, len(truth), hits, len(found), right,
        round(float(averaged), 5), commit() or "",
    )  # fmt: skip


def stored() -> list[Row]:
    """Return the rows that are there."""
    if not ROWS.is_file():
        return []
    with ROWS.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                one["background"], int(one["level"]), int(one["seed"]), float(one["minutes"]),
                float(one["window"]), int(one["calls"]), int(one["hits"]), int(one["found"]),
                int(one["right"]), float(one["averaged"]), one["commit"],
            )
            for one in csv.DictReader(file)
        ]  # fmt: skip


def add(row: Row) -> None:
    """Append a row to the file."""
    new = not ROWS.is_file()
    with ROWS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(row)))
        if new:
            writer.writeheader()
        writer.writerow(asdict(row))


def share(part: Iterable[int], whole: Iterable[int]) -> str:
    """Return a share with its Wilson 95 % interval, and the counts."""
    hits, count = sum(part), sum(whole)
    if not count:
        return "no event"
    z, p = 1.96, hits / count
    middle = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return f"{p:.2f} [{max(middle - half, 0):.2f}, {min(middle + half, 1):.2f}] ({hits}/{count})"


def table(rows: list[Row], usual: float) -> str:
    """Return the page of the tables, a section for each length of scenes and windows."""
    commits = ", ".join(dict.fromkeys(one.commit for one in rows))
    lines = [
        "# Events in long recordings, measured", "",
        f"Made by `python benchmarks/scan_events.py ESC10`: {stamp()}; rows of commit {commits}.",
        "", "An event is right if it overlaps a call of its label; on at 0.5, off at 0.3. Recall "
        "and precision have Wilson 95 % intervals over calls, though calls of one recording are "
        "not independent. Averaged: the largest probability of the four labels that `predict` "
        "gives, averaged over parts of 10 min. Events of rain, and what the model takes noise "
        "for, are left out.",
    ]  # fmt: skip
    for minutes, window in sorted({(-one.minutes, one.window) for one in rows}):
        chosen = [one for one in rows if (-one.minutes, one.window) == (minutes, window)]
        calls = sum(one.calls for one in chosen)
        lines += [
            "", f"## {len(chosen)} scenes of {-minutes:g} min, {calls} calls; windows of "
            f"{window:g} s{', the default' if window == usual else ''}", "",
            "| background | level | recall | precision | averaged |", "|---|---|---|---|---|",
        ]  # fmt: skip
        for kind in (*BACKGROUNDS, ""):
            for level in LEVELS:
                some = [o for o in chosen if o.level == level and kind in ("", o.background)]
                if some:
                    recall = share((one.hits for one in some), (one.calls for one in some))
                    precision = share((one.right for one in some), (one.found for one in some))
                    largest = max(one.averaged for one in some)
                    cells = (kind or "both", f"{level:+d} dB", recall, precision, f"{largest:.2f}")
                    lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--window", type=float, help="seconds; the default of scan if not given")
    parser.add_argument("--table", action="store_true", help="write the table only")
    given = parser.parse_args()
    model = earwitness.load_model("esc10")
    cut = make_cut(model)
    usual = cut.window / cut.rate
    window = given.window or usual
    items = [item for item in read_collection(given.data) if item.fold == FOLD]
    for seed in range(0 if given.table else given.scenes):
        for kind in BACKGROUNDS:
            for level in LEVELS:
                one = (kind, level, seed, given.minutes, window)
                if one not in {astuple(row)[: len(one)] for row in stored()}:
                    add(measure(model, items, *one))
                    print(stored()[-1], flush=True)
    (HERE / "scan_events.md").write_text(table(stored(), usual), encoding="utf-8")


if __name__ == "__main__":
    main()
