"""Kill commands at random moments and compare what the same command makes of it with a whole run.

``python scripts/kills.py [COMMAND...] [--kills 4] [--seed 0] [--folder DIR]`` runs ``explain``,
``evaluate``, ``bench``, ``scan`` and both trainings once undisturbed, on sounds and a model that it
makes; three of them with ``--jobs 2`` too.
Then every kill -9 comes at a moment drawn from the time in which the command writes, in a folder of
its own; the command is repeated, and must end with the same files, none of them hidden, and no
process may be left. Of commands with several processes, all are killed, or the first one only, or
one worker, as drawn; after the last, the command must end by itself. With
``--folder`` the results are kept, and the script goes on where it was.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16000
PATIENCE = 10.0  # s in which workers notice that their parent has ended
VICTIMS = ("all", "first", "worker")
TIMES = ("seconds", "versions", "commit")  # of a run, not of its results
MODEL = """
import torch
import earwitness

def features(waves):
    window = torch.hann_window(512, device=waves.device)
    return torch.stft(waves, 512, 256, window=window, return_complex=True).abs().log1p()

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 8, 9, stride=4, padding=4)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, features):
        maps = self.conv(features.unsqueeze(1)).relu()
        return self.head(maps.mean((2, 3)))

def make():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Net().eval()
    return earwitness.wrap(net, sample_rate=16000, labels=["a", "b"], features=features)
"""
GRID = """
models = ["python:model.py:make"]
methods = ["saliency", {name = "occlusion", segments = 4, bands = 4}]
masks = ["area:10%"]
metrics = ["faithfulness"]
[sounds]
kind = "folder"
paths = ["sounds"]
target = "a"
"""
MODEL_OPTION = ("--model", "python:model.py:make")
COMMANDS: dict[str, tuple[str, ...]] = {
    "explain": ("explain", "sounds", *MODEL_OPTION, "--method", "saliency", "--method", "lime",
                "--set", "samples=100", "--files", "picture"),
    "evaluate": ("evaluate", "python:model.py:make", "sounds", "--method", "saliency",
                 "--metric", "faithfulness"),
    "bench": ("bench", "grid.toml"),
    "scan": ("scan", "recordings", *MODEL_OPTION, "--window", "0.5", "--on", "0.4", "--top", "2",
             "--method", "saliency", "--trust", "light"),
    "explain-jobs": ("explain", "sounds", *MODEL_OPTION, "--method", "saliency", "--method", "lime",
                     "--set", "samples=100", "--jobs", "2"),
    "evaluate-jobs": ("evaluate", "python:model.py:make", "sounds", "--method", "saliency",
                      "--metric", "faithfulness", "--jobs", "2"),
    "scan-jobs": ("scan", "recordings", *MODEL_OPTION, "--window", "0.5", "--on", "0.4", "--top",
                  "2", "--method", "saliency", "--trust", "light", "--jobs", "2"),
    "classifier": ("train", "classifier", "--data", "sounds", "--epochs", "25"),
    "lmac": ("train", "lmac", *MODEL_OPTION, "--data", "sounds", "--epochs", "4", "--batch", "4",
             "--crop", "0.5", "--contaminate", "white"),
}  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: when its folder appeared, when it ended, and what it wrote."""

    begun: float
    ended: float
    contents: dict[str, Any]


def prepare(root: Path, sounds: int = 16) -> None:
    """Write the sounds, the model and the grid that the commands take."""
    rng = np.random.default_rng(0)
    for number in range(sounds):
        path = root / "sounds" / "ab"[number % 2] / f"{number:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * (300 + 900 * (number % 2)) * np.arange(RATE) / RATE)
        soundfile.write(path, tone + 0.05 * rng.standard_normal(RATE), RATE)
    for number in range(2):  # of the model's rate: a resampler that begins elsewhere rounds
        path = root / "recordings" / f"recorder-{number}" / "night.wav"
        path.parent.mkdir(parents=True)
        sound = 0.05 * rng.standard_normal(60 * RATE)
        for second in range(5 + number, 60, 10):
            sound[second * RATE : (second + 1) * RATE] += tone
        soundfile.write(path, sound, RATE)
    (root / "model.py").write_text(MODEL, encoding="utf-8")
    (root / "grid.toml").write_text(GRID, encoding="utf-8")


def start(root: Path, words: Sequence[str], output: str) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; what it says goes to ``OUTPUT.log``."""
    with (root / f"{output}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "earwitness", *words, "-o", output],
            cwd=root, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def run_whole(root: Path, words: Sequence[str], output: str) -> Whole:
    """Run a command undisturbed."""
    before = time.monotonic()
    process = start(root, words, output)
    begun = 0.0
    while process.poll() is None:
        begun = begun or (time.monotonic() - before if (root / output).exists() else 0.0)
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit((root / f"{output}.log").read_text(encoding="utf-8"))
    return Whole(begun, time.monotonic() - before, contents(root / output))


def kill_once(
    root: Path, words: Sequence[str], output: str, whole: Whole, moment: float, victim: str
) -> list[str]:
    """Kill a command after ``moment`` seconds, repeat it, and return what is wrong then."""
    process = start(root, words, output)
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    wrong = []
    if process.poll() is None:
        if victim == "all":
            os.killpg(process.pid, signal.SIGKILL)
        elif victim == "first":
            process.kill()
        else:
            for pid in sorted(members(process.pid) - {process.pid}, reverse=True)[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        code = process.wait()
        if victim == "worker" and code:
            wrong.append(f"the command ended with {code} after its worker")
        wrong += left_running(process.pid)
    again = start(root, words, output)
    if again.wait():
        wrong.append(f"the command ends with {again.returncode}")
    wrong += left_running(again.pid)
    return wrong + differences(whole.contents, contents(root / output))


def left_running(session: int) -> list[str]:
    """Return a line on the processes of a session that are still there after a few seconds."""
    end = time.monotonic() + PATIENCE
    while members(session) and time.monotonic() < end:
        time.sleep(0.05)
    left = members(session)
    return [f"{len(left)} processes are left"] if left else []


def members(session: int) -> set[int]:
    """Return the processes of a session, without zombies; none where there is no ``/proc``."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = stat.read_text().rsplit(")", 1)[1].split()[:4]
        except OSError:  # it has ended
            continue
        if int(own) == session and state != "Z":
            found.add(int(stat.parent.name))
    return found


def contents(folder: Path) -> dict[str, Any]:
    """Return what the files of a folder hold, by name, without times and encoders' numbers."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): content(path) for path in files}


def content(path: Path) -> Any:
    """Return what a file holds, in a form that is equal for equal results."""
    data = path.read_bytes()
    if path.suffix == ".json":
        return timeless(json.loads(data))
    if path.suffix == ".jsonl":
        return [timeless(json.loads(line)) for line in data.splitlines()]
    if path.suffix == ".html":  # players have a random number, and pictures 12 bits
        text = re.sub(r"data:[^\"')]*", "", data.decode()).replace(path.parent.name, "")
        return re.sub(r"\d+\.\d+ s\b|\"seconds\":[^,]*", "", text)
    if path.suffix == ".ogg":
        return soundfile.read(io.BytesIO(data))[0].tolist()
    return data


def timeless(value: Any) -> Any:
    """Return a JSON value without times."""
    if isinstance(value, dict):
        return {name: timeless(one) for name, one in value.items() if name not in TIMES}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def differences(whole: dict[str, Any], broken: dict[str, Any]) -> list[str]:
    """Return a line on each file that is missing, hidden, additional or different."""
    found = [f"{name} is missing" for name in whole.keys() - broken.keys()]
    found += [f"{name} was left" for name in broken.keys() - whole.keys()]
    parts = [(name, name.split("/")) for name in broken]
    found += [f"{n} is hidden" for n, some in parts if any(p.startswith(".") for p in some)]
    both = whole.keys() & broken.keys()
    return sorted(found + [f"{name} differs" for name in both if whole[name] != broken[name]])


def kill_all(root: Path, commands: Sequence[str], kills: int, seed: int) -> int:
    """Run all kills that are not in the results yet, and return how many went wrong."""
    results = root / "kills.jsonl"
    known: dict[str, list[str]] = {}
    if results.exists():
        lines = results.read_text(encoding="utf-8").splitlines()
        known = {line["run"]: line["wrong"] for line in map(json.loads, lines)}
    if not (root / "grid.toml").exists():
        prepare(root)
    for name in commands:
        runs = [f"{name}-{seed}-{number}" for number in range(kills)]
        left = [run for run in runs if run not in known]
        if not left:
            continue
        words = COMMANDS[name]
        whole = run_whole(root, words, f"{name}-whole-{time.time_ns()}")
        for run in left:
            drawn = random.Random(run)
            moment = drawn.uniform(whole.begun, whole.ended)
            victim = drawn.choice(VICTIMS) if "--jobs" in words else "all"
            output = f"{run}-{time.time_ns()}"
            known[run] = kill_once(root, words, output, whole, moment, victim)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"run": run, "moment": moment, "wrong": known[run]}) + "\n")
            print(f"{run}: killed {victim} after {moment:.2f} s of {whole.ended:.2f} s:",
                  "; ".join(known[run]) or "ends as the whole run", flush=True)  # fmt: skip
    failed = sum(bool(wrong) for wrong in known.values())
    print(f"{len(known)} kills, {failed} did not end as the whole run")
    return failed


def main() -> int:
    """Read the command line and run all kills."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    commands = given.commands or list(COMMANDS)
    if set(commands) - set(COMMANDS):
        parser.error(f"commands are {', '.join(COMMANDS)}")
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        return 1 if kill_all(given.folder, commands, given.kills, given.seed) else 0
    with tempfile.TemporaryDirectory() as folder:
        return 1 if kill_all(Path(folder), commands, given.kills, given.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
