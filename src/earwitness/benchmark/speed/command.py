"""The cost of the whole command ``earwitness explain --no-curve`` per sound, from file to page.

The unit is one eager classification of the same sound in the same run, in processor time of one
thread, because absolute times differ threefold between machines. Start-up is excluded by a first
run on other sounds; computations once per model, such as the axes of a layer, are included. What
the method's map takes of it is measured in the same run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from earwitness.audio import write_audio
from earwitness.errors import EarwitnessError
from earwitness.signals import scene

CLIPS = 40  # sounds of the measured run
_FIRST = 2  # sounds of the first run, which is not measured
BARS = {"lmac": 30.0, "gradcam": 35.0}  # most classifications per sound
BARS_BESIDES = {"integrated-gradients": 30.0}  # the same, of all but the map
_RATE = 44100  # Hz; differs from the model's rate, so that resampling is included

_CODE = """
import contextlib, io, json, sys, time
from pathlib import Path
import torch
from earwitness.cli.run import Run, Settings, make_requests
from earwitness.jobs.allocator import keep_memory
from earwitness.methods.registry import Method
from earwitness.models.registry import load_model
from earwitness.subject import load_clip
from earwitness.types import Request

torch.set_num_threads(1)
keep_memory()
name, method, first, folder = sys.argv[1:]
clips = sorted(map(str, Path(folder).glob("*.wav")))
before, clips = clips[: int(first)], clips[int(first) :]
model = load_model(name)
waves = [torch.from_numpy(load_clip(clip, model.rate).samples)[None] for clip in clips]

def classify():
    with torch.no_grad(), model.undisturbed():
        for wave in waves:
            model(wave)

def explain(some, output):
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with quiet[0], quiet[1]:
        settings = Settings(name, "cpu", output, overwrite=True, as_json=False)
        return Run(make_requests((method,), {}, Request(curve=False)), settings).over(some)

own, plain = [], Method.map

def timed(*words, **settings):
    began = time.process_time()
    try:
        return plain(*words, **settings)
    finally:
        own.append(time.process_time() - began)

Method.map = timed

def seconds(work):
    began = time.process_time()
    work()
    return time.process_time() - began

classify()
assert explain(before, folder + "/before") == 0
unit = seconds(classify)
own.clear()
taken = seconds(lambda: explain(clips, folder + "/report"))
unit = (unit + seconds(classify)) / 2
assert len(own) == len(clips)
files = [path for path in Path(folder, "report").rglob("*") if path.is_file()]
written = sum(path.stat().st_size for path in files)
inputs = sum(path.stat().st_size for path in Path(folder, "report").glob("*/input.wav"))
found = {"unit": unit, "taken": taken, "own": sum(own)}
found = {name: value / len(clips) for name, value in found.items()}
print(json.dumps(found | {"size": written / inputs}))
"""


@dataclass(frozen=True)
class Cost:
    """The cost of one method per sound.

    Attributes
    ----------
    method : str
    unit, taken, own : float
        Processor seconds of a classification, of the command and of the map in it, per sound.
    size : float
        Size of the folder relative to the input's float WAV.
    """

    method: str
    unit: float
    taken: float
    own: float
    size: float

    @property
    def ratio(self) -> float:
        """Cost of the command in classifications."""
        return self.taken / self.unit

    @property
    def besides(self) -> float:
        """Cost of all but the map in classifications."""
        return (self.taken - self.own) / self.unit


def command_cost(model: str, method: str, clips: int = CLIPS, seed: int = 0) -> Cost:
    """Measure ``earwitness explain --method`` on scenes of 5 s in a separate process.

    Raises
    ------
    EarwitnessError
        If the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_FIRST + clips):
            made = scene(_RATE, seed + number).mixture
            write_audio(Path(folder) / f"{number:03}.wav", made)
        words = [sys.executable, "-c", _CODE, model, method, str(_FIRST), folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().split("\n")[-1]
        raise EarwitnessError(f"the command could not be measured here: {last}")
    found = json.loads(done.stdout.strip().split("\n")[-1])
    return Cost(method, **found)


def cost_lines(costs: list[Cost]) -> list[str]:
    """Return the costs as lines of a Markdown table."""
    lines = [
        "",
        "| command, for each sound | classifications | all but the map | one of them "
        "| folder, in inputs |",
        "|---|---|---|---|---|",
    ]
    for one in costs:
        whole = _held(one.ratio, BARS.get(one.method))
        besides = _held(one.besides, BARS_BESIDES.get(one.method))
        lines.append(
            f"| `explain --no-curve --method {one.method}` | {whole} | {besides} | "
            f"{1e3 * one.unit:.1f} ms | {one.size:.2f} |"
        )
    return lines


def _held(value: float, bar: float | None) -> str:
    """Return a value, and whether it is within its bar."""
    if bar is None:
        return f"{value:.1f}"
    return f"{value:.1f} (bar {bar:g}, {'met' if value <= bar else '**missed**'})"
