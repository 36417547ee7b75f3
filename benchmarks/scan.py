"""Cost of a scan: ``python benchmarks/scan.py ESC10``, the folder of a collection.

Scenes of ``scan_events.py`` of 2, 10 and 60 minutes at 48 kHz; writes ``benchmarks/scan.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from scan_events import FOLD, HERE, make_scene

import earwitness
from earwitness.data.collection import read_collection
from earwitness.models.model import Model
from earwitness.provenance import stamp
from earwitness.recordings.windows import make_cut
from earwitness.stream import Stream

LENGTHS = (2, 10, 60)  # min
SCAN = """
import time, earwitness
model = earwitness.load_model("esc10")
began = time.process_time()
earwitness.scan(model, {path!r}, output={output!r}, top={top})
from earwitness.benchmark.speed.memory import own_peak
print(time.process_time() - began, own_peak())
"""


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
    given = parser.parse_args()
    lines = [
        "# Scans, measured", "",
        f"Made by `python benchmarks/scan.py ESC10`: {stamp()}, seed 0. Events are in "
        "[another table](scan_events.md).", "",
        *costs(given.data),
    ]  # fmt: skip
    (HERE / "scan.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
