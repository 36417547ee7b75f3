"""``--jobs`` of every command: the same results as one process, also where sounds are bad."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.command import MODEL, run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
ROOT = Path(__file__).parents[2]
# it kills the worker that it runs in where a sound is loud, the first time or always
DEADLY = (
    MODEL
    + """
import multiprocessing, os
from pathlib import Path

def deadly(once=False):
    class Deadly(Bands):
        def forward(self, waves):
            if multiprocessing.parent_process() and float(waves.abs().max()) > 0.9:
                died = Path(__file__).with_name("died")
                if not (once and died.exists()):
                    died.touch()
                    os.kill(os.getpid(), 9)
            return super().forward(waves)
    return earwitness.wrap(Deadly(), sample_rate=16000, labels=["low", "high"])

def deadly_once():
    return deadly(once=True)

def slow():
    import time
    class Slow(Bands):
        def forward(self, waves):
            if multiprocessing.parent_process():
                time.sleep(0.4)
            return super().forward(waves)
    return earwitness.wrap(Slow(), sample_rate=16000, labels=["low", "high"])

def gated():
    # sounds after the first two wait for a file
    import time
    class Gated(Bands):
        def forward(self, waves):
            if multiprocessing.parent_process() and waves.shape[-1] in (8200, 8300, 8400):
                until = time.monotonic() + 60
                while not Path(__file__).with_name("go").exists():
                    if time.monotonic() > until:
                        os._exit(1)
                    time.sleep(0.02)
            return super().forward(waves)
    return earwitness.wrap(Gated(), sample_rate=16000, labels=["low", "high"])
"""
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(DEADLY)
    (tmp_path / "clips").mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        sound = 0.1 * rng.standard_normal(8000 + 100 * number)
        if number == 2:
            sound[1000] = 0.97
        soundfile.write(tmp_path / "clips" / f"{number}.wav", sound, 16000, subtype="FLOAT")
    return tmp_path


def model(name: str = "make") -> list[str]:
    return ["--model", f"python:model.py:{name}"]


def names(out: str) -> list[str]:
    return [json.loads(line)["clip"] for line in out.splitlines()]


LEFT_OUT = "clips/2.wav: its process ended twice (SIGKILL, perhaps for want of memory); left out"


def test_predict_prints_the_same_with_two_workers(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clips/1b.wav").write_bytes(b"no sound")
    words = ["predict", "clips", "clips/4.wav", "gone.wav", *model()]
    for form in ([], ["--json"]):
        one, two = (run(capsys, *words, *form, "--jobs", jobs) for jobs in ("1", "2"))
        assert one[:2] == two[:2]
        assert sorted(one[2].splitlines()) == sorted(two[2].splitlines())
    assert two[0] == 1
    assert names(two[1]) == [*(f"clips/{k}.wav" for k in range(5)), "clips/4.wav"]
    assert "1b.wav" in two[2]
    assert "gone.wav: no such file" in two[2]


def test_predict_leaves_out_a_sound_that_kills_its_worker(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "predict", "clips", *model("deadly"), "--json", "--jobs", "2")
    assert (code, names(out)) == (1, [f"clips/{k}.wav" for k in (0, 1, 3, 4)])
    assert err.splitlines()[-1] == f"earwitness: {LEFT_OUT}"


def test_explain_leaves_it_out_and_goes_on_with_it_later(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "clips", "--method", "energy", "--method", "random", "--trust", "none"]
    more = ["--json", "--jobs", "2"]
    code, out, err = run(capsys, *words, *model("deadly"), *more)
    assert code == 1
    assert sorted(names(out)) == sorted(2 * [f"clips/{k}.wav" for k in (0, 1, 3, 4)])
    assert [line for line in err.splitlines() if "left out" in line] == [f"earwitness: {LEFT_OUT}"]
    page = Path("earwitness-report/index.html").read_text()
    assert "3.wav" in page


def test_explain_tries_a_sound_once_more(
    place: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = ["explain", "clips", "--method", "energy", "--trust", "none", "--json"]
    code, out, _ = run(capsys, *words, *model("deadly_once"), "--jobs", "2")
    assert (code, sorted(names(out))) == (0, [f"clips/{k}.wav" for k in range(5)])
    assert [one.message.partition(":")[0] for one in caplog.records] == ["clips/2.wav"]


def evaluated(folder: str) -> list[dict[str, Any]]:
    lines = Path(folder, "cells.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def test_evaluate_gives_the_same_with_two_workers(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clips/1b.wav").write_bytes(b"no sound")
    words = ["evaluate", "python:model.py:make", "clips", "--method", "saliency", "--no-listening"]
    words += ["--metric", "faithfulness", "--metric", "transfer", "--other", "python:model.py:slow"]
    one, two = (run(capsys, *words, "-o", f"e{jobs}", "--jobs", jobs) for jobs in ("1", "2"))
    assert one[:2] == two[:2]
    assert one[0] == 1  # for the file that is no sound
    assert evaluated("e1") == evaluated("e2")


def test_evaluate_leaves_out_a_sound_that_kills_its_worker_and_tries_it_again_when_repeated(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["clips", "--method", "saliency", "--metric", "faithfulness", "--no-listening"]
    deadly = ["evaluate", "python:model.py:deadly", *words, "--jobs", "2"]
    for _ in range(2):
        code, _, err = run(capsys, *deadly)
        assert code == 1
        assert err.splitlines().count(f"earwitness: {LEFT_OUT}") == 1
    there = {line["clip"] for line in evaluated("earwitness-evaluation")}
    assert there == {f"clips/{k}.wav" for k in (0, 1, 3, 4)}


def test_scan_leaves_it_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["scan", "clips", "--window", "0.3", "--top", "1", "--method", "energy", "--json"]
    code, _, err = run(capsys, *words, *model("deadly"), "--trust", "none", "--jobs", "2")
    assert code == 1
    assert [line for line in err.splitlines() if "left out" in line] == [f"earwitness: {LEFT_OUT}"]
    scored = sorted(path.parent.name for path in Path("earwitness-scan").rglob("scores.csv"))
    assert scored == ["0", "1", "3", "4"]


@pytest.mark.parametrize("verb", ["explain", "predict", "evaluate", "scan"])
@pytest.mark.parametrize("jobs", ["0", "-1", "1001", "two"])
def test_other_numbers_of_jobs_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str], verb: str, jobs: str
) -> None:
    first = ["python:model.py:make"] if verb == "evaluate" else []
    code, _, err = run(capsys, verb, *first, "clips", "--jobs", jobs)
    assert code == 2
    assert "--jobs" in err


def command(*words: str, **more: Any) -> subprocess.Popen[str]:
    """Start the command in a session of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.Popen(
        [sys.executable, "-m", "earwitness", *words], env=environment, text=True,
        start_new_session=True, stderr=subprocess.PIPE, **more,
        # a process that a shell has put in the background begins without it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def members(session: int) -> set[int]:
    """Return the processes of a session that are no zombies."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = stat.read_text().rsplit(")", 1)[1].split()[:4]
        except OSError:
            continue
        if int(own) == session and state != "Z":
            found.add(int(stat.parent.name))
    return found


def wait_for_none(session: int) -> None:
    end = time.monotonic() + 30
    while members(session) and time.monotonic() < end:
        time.sleep(0.05)
    assert not members(session)


EXPLAIN = ["explain", "clips", "--method", "lime", "--set", "samples=40", "--trust", "none"]
PROC = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up under /proc")


@PROC
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_stopped_leaves_no_process_and_the_same_command_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str], kind: signal.Signals
) -> None:
    words = [*EXPLAIN, *model("gated"), "--jobs", "2", "-o", "out", "--json"]
    process = command(*words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    done = Path("out")
    made = {path: path.stat().st_mtime_ns for path in done.rglob("explanation.json")}
    if kind == signal.SIGINT:  # as a terminal does it
        os.killpg(process.pid, kind)
    else:
        process.send_signal(kind)
    said = process.communicate()[1]
    code = process.wait()
    wait_for_none(process.pid)
    assert "Traceback" not in said
    if kind != signal.SIGKILL:
        assert code == 1
        assert "stopped" in said
        assert not list(done.rglob(".*.partial"))
    Path("go").touch()
    code, out, _ = run(capsys, *words)
    assert (code, sorted(names(out))) == (0, [f"clips/{k}.wav" for k in range(5)])
    assert made
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert not list(done.rglob(".*"))


@PROC
def test_workers_that_are_killed_from_outside_cost_nothing(place: Path) -> None:
    words = [*EXPLAIN, *model("gated"), "--jobs", "2", "--json", "-o", "out"]
    process = command(*words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    workers = [
        pid for pid in members(process.pid)
        if b"spawn_main" in Path("/proc", str(pid), "cmdline").read_bytes()
    ]  # fmt: skip
    os.kill(workers[0], signal.SIGKILL)
    Path("go").touch()
    assert process.stderr is not None
    with process.stdout, process.stderr:
        lines += process.stdout.readlines()  # communicate loses what readline has read ahead
        said = process.stderr.read()
    assert process.wait() == 0
    assert sorted(names("".join(lines))) == [f"clips/{k}.wav" for k in range(5)]
    assert said.count("tried once more, alone") <= 1  # it may have been between two sounds
    wait_for_none(process.pid)


@PROC
def test_a_closed_standard_output_ends_the_workers(place: Path) -> None:
    process = command("predict", *40 * ["clips"], *model("slow"), "--jobs", "2",
                      stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert "Traceback" not in process.stderr.read()
    assert process.wait() == 1
    wait_for_none(process.pid)
