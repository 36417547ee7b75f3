"""Give the command hostile inputs, and report what it does not survive.

``python scripts/hostile.py [--quick] [SEED]`` makes 250 inputs or more and runs the command on each
alone and in batches with good sounds. No run may print a traceback or an unexpected error, leave
half a file, lose a good sound, or take more than 600 MB for what it refuses; refused sounds may
cost a batch no more than 100 MB. Runs are forks of one process, so that nothing is imported twice.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
import torch
from hostile_inputs import grids, models, odd_names, options, sounds, tables

from earwitness.cli.main import main as command

ALONE, MORE = 600.0, 100.0  # MB
LONGEST = 120  # s
FAST = ["--method", "energy", "--trust", "none"]


@dataclass(frozen=True)
class Result:
    """What a run of the command left."""

    code: int
    out: str
    err: str
    peak: float  # MB


def run(arguments: Sequence[str], most_bytes: int | None = None) -> Result:
    """Run the command in a fork; ``most_bytes`` is the size at which files count as a full disk.

    Standard error is then a pipe, for a terminal has room on a full disk.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            code = 70
            try:
                signal.alarm(LONGEST)
                for stream, number in ((out, 1), (err, 2)):
                    os.dup2(stream.fileno(), number)
                if most_bytes is not None:
                    os.dup2(writer, 2)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
                command(list(arguments))
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status, usage = os.wait4(child, 0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            err.seek(0, os.SEEK_END)
            err.write(pipe.read())
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
        return Result(os.waitstatus_to_exitcode(status), *texts, usage.ru_maxrss / 1024)


def faults(
    result: Result, folder: str | None = None, done: Sequence[str] | None = None
) -> list[str]:
    """Return what is wrong with a run, in words."""
    found = []
    lines = [line for line in result.err.splitlines() if line]
    if result.code not in (0, 1, 2):
        found.append(f"ended with {result.code}")
    found += [
        word for word in ("Traceback", "unexpected", "Exception ignored") if word in result.err
    ]
    if result.code == 2 and not lines:
        found.append("failed without a line")
    if done is not None:
        try:
            clips = {json.loads(line)["clip"] for line in result.out.splitlines()}
        except (ValueError, KeyError):
            return [*found, "standard output is no JSON"]
        found += [f"{name} is lost" for name in done if name not in clips]
    for path in Path(folder).rglob("*") if folder and Path(folder).exists() else ():
        if path.name.startswith(".") or path.name.endswith(".partial"):
            found.append(f"left {path}")
        elif path.name == "index.html" and not path.read_text("utf-8").endswith("</html>"):
            found.append(f"half a page: {path}")
        elif path.name == "explanation.json":
            json.loads(path.read_text(encoding="utf-8"))
    return [f"{one}: {' / '.join(lines)[-300:]}" for one in found]


class Trial:
    """The runs and what went wrong with them."""

    def __init__(self, quick: bool, seed: int) -> None:
        self.quick, self.rng = quick, np.random.default_rng(seed)
        self.inputs = 0
        self.wrong: list[str] = []

    def some(self, inputs: Sequence[object], most: int) -> list[object]:
        """Return all inputs, or a few of them for a quick trial."""
        order = self.rng.permutation(len(inputs))[:most] if self.quick else range(len(inputs))
        self.inputs += len(order)
        return [inputs[k] for k in sorted(order)]

    def note(self, what: object, found: list[str]) -> None:
        for text in found:
            self.wrong.append(f"{what}: {text}")
            print(ascii(self.wrong[-1]), flush=True)

    def sounds(self) -> None:
        Path("bad").mkdir()
        bad = [str(path) for path in self.some(list(sounds(Path("bad"), self.rng)), 12)]
        refused, least = [], 0.0
        for path in bad:
            result = run(["predict", path, "--json"])
            self.note(path, faults(result, done=[]))
            if result.code == 2:
                refused.append(path)
                if result.peak > ALONE:
                    self.note(path, [f"refused with {result.peak:.0f} MB"])
        for verb in ("predict", "explain"):
            more = ["-o", "r", "--overwrite", *FAST] if verb == "explain" else []
            least = run([verb, "a.wav", "b.wav", "--json", *more]).peak
            for k in range(0, len(bad), 12):
                some = bad[k : k + 12]
                result = run([verb, some[0], "a.wav", *some[1:], "b.wav", "--json", *more])
                self.note(some, faults(result, "r", ["a.wav", "b.wav"]))
                if set(some) <= set(refused) and result.peak > least + MORE:
                    self.note(some, [f"{result.peak - least:.0f} MB more than without"])
            for k in range(0, len(refused), 12):
                result = run([verb, *refused[k : k + 12], "a.wav", "b.wav", "--json", *more])
                self.note(refused[k : k + 12], faults(result, "r", ["a.wav", "b.wav"]))
                if result.peak > least + MORE:
                    self.note(refused[k], [f"{result.peak - least:.0f} MB more than without"])
        shutil.rmtree("bad")

    def names(self) -> None:
        Path("odd").mkdir()
        odd = self.some(odd_names(Path("odd")), 7)
        result = run(["explain", "odd", "--json", "-o", "names", *FAST])
        self.note("odd names", faults(result, "names", []))
        if len(result.out.splitlines()) != 7:
            self.note("odd names", [f"{len(result.out.splitlines())} of {len(odd)} explained"])
        result = run(["evaluate", "esc10", "odd", "--method", "saliency", "--metric", "level",
                      "--keep", "80%", "-o", "grid", "--json", "--no-listening"])  # fmt: skip
        self.note("odd names in a grid", faults(result, "grid"))
        if result.code or not Path("grid/table.md").is_file():
            self.note("odd names in a grid", [f"no table: {result.err[-300:]}"])

    def folders(self) -> None:
        good = Path(str(files("earwitness"))) / "models/zoo/weights/esc10"
        for place in self.some(list(models(Path("models"), good, self.rng)), 2):
            result = run(["predict", "a.wav", "--model", str(place)])
            self.note(place, faults(result))
            if result.code == 2 and str(place) not in result.err:
                self.note(place, [f"not named: {result.err}"])
        for place in self.some(list(models(Path("decoders"), good / "lmac", self.rng)), 3):
            result = run(["explain", "a.wav", "--method", "lmac", "--set", f"decoder={place}",
                          "--trust", "none", "-o", "r", "--overwrite"])  # fmt: skip
            self.note(place, faults(result, "r"))
        for place in self.some(list(tables(Path("tables"))), 2):
            self.note(place, faults(run(["train", "classifier", "--data", str(place), "-o", "t"])))
        for path in self.some(list(grids(Path(), "a.wav")), 3):
            shutil.rmtree("g", ignore_errors=True)
            result = run(["bench", str(path), "-o", "g", "--no-listening"])
            self.note(path.read_bytes()[:60], faults(result, "g"))

    def options(self) -> None:
        for words in self.some(list(options("a.wav")), 3):
            result = run(["explain", *words, "--trust", "none", "-o", "r", "--overwrite"])
            self.note(words, faults(result, "r"))
        for most in self.some([0, 1000, 20_000], 1):
            result = run(["explain", "a.wav", "-o", "full", *FAST], most_bytes=most)
            self.note(f"disk full at {most}", faults(result, "full"))
            shutil.rmtree("full", ignore_errors=True)


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--quick"]
    trial = Trial("--quick" in sys.argv, int(words[0]) if words else 0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for seed, name in enumerate(("a.wav", "b.wav")):
            noise = 0.1 * np.random.default_rng(seed).standard_normal(8000)
            soundfile.write(name, noise, 16000)
        for part in (trial.sounds, trial.names, trial.folders, trial.options):
            part()
        os.chdir("/")
    print(f"{trial.inputs} hostile inputs, {len(trial.wrong)} faults")
    sys.exit(1 if trial.wrong else 0)


if __name__ == "__main__":
    main()
