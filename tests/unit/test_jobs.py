"""Work on many sounds: in this process and in workers, which end with their parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from earwitness.audio import write_audio
from earwitness.cli.main import main
from earwitness.jobs.explaining import Task, explain_task
from earwitness.jobs.pool import ModelName, run
from earwitness.models.model import Model
from earwitness.types import Audio, Request
from tests import pages
from tests.toys import RATE, spectral

MODEL = "from tests.toys import spectral as make\n"


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.wav" for name in "abc"]
    for path in paths:
        samples = 0.1 * rng.standard_normal(12000).astype(np.float32)
        write_audio(path, Audio(samples, RATE))
    (tmp_path / "model.py").write_text(MODEL)
    return paths


def count(model: Model, item: int, on_passes: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    on_passes(item)
    yield item, os.getpid()
    yield -item, len(model.labels)


def test_one_worker_is_this_process_in_order() -> None:
    ticks: list[int] = []
    found = list(run(count, [1, 2], spectral(), on_passes=ticks.append))
    assert found == [(1, os.getpid()), (-1, 2), (2, os.getpid()), (-2, 2)]
    assert ticks == [1, 2]


def test_several_workers_are_other_processes_with_a_model_each(clips: list[Path]) -> None:
    named = ModelName(f"python:{clips[0].parent / 'model.py'}:make")
    found = list(run(count, [1, 2, 3], named, workers=2))
    assert sorted(item for item, _ in found) == [-3, -2, -1, 1, 2, 3]
    assert os.getpid() not in {place for item, place in found if item > 0}
    assert {labels for item, labels in found if item < 0} == {2}


def nothing(_task: Task, _saved: object) -> None:
    """Write no section."""


def test_a_request_that_fails_leaves_the_others_of_its_sound(clips: list[Path]) -> None:
    requests = (Request("saliency"), Request("lmac"), Request("energy"))
    task = Task(clips[0], clips[0].parent / "out" / "a", requests)
    found = list(explain_task(spectral(), task, lambda _: None, finish=nothing))
    assert [outcome.method for outcome in found] == ["saliency", "lmac", "energy"]
    assert [outcome.folder is None for outcome in found] == [False, True, False]
    assert "no decoder comes with RegionNet" in found[1].lines[0]
    files = sorted(path.name for path in task.folder.iterdir())
    assert files == ["energy", "input.wav", "saliency"]
    assert not (task.folder / "saliency" / "input.wav").exists()


def test_a_sound_that_cannot_be_read_fails_every_request_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"no sound")
    task = Task(tmp_path / "x.wav", tmp_path / "x", (Request("saliency"), Request("energy")))
    found = list(explain_task(spectral(), task, lambda _: None, finish=nothing))
    assert len(found) == 2
    assert all(one.lines[0].startswith(f"{tmp_path / 'x.wav'}: not a sound") for one in found)
    assert not task.folder.exists()


def test_what_was_made_is_finished_when_interrupted(clips: list[Path]) -> None:
    closed: list[tuple[Path, list[str]]] = []

    def finish(task: Task, saved: list[tuple[Path, object]]) -> None:
        closed.append((task.clip, [folder.name for folder, _ in saved]))

    requests = (Request("saliency"), Request("energy"))
    tasks = [Task(clip, clip.parent / "out" / clip.stem, requests) for clip in clips]
    found = run(partial(explain_task, finish=finish), tasks, spectral())
    for _ in range(3):
        next(found)
    found.close()
    assert closed == [(clips[0], ["saliency", "energy"]), (clips[1], ["saliency"])]


def test_two_workers_write_what_one_does(
    clips: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clips[0].parent)
    words = ["explain", *map(str, clips), "--model", "python:model.py:make", "--trust", "light"]
    words += ["--method", "saliency", "--method", "energy", "--json"]
    for workers in ("1", "2"):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "--jobs", workers, "-o", f"r{workers}"])
        assert stopped.value.code == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 12
    one, two = Path("r1"), Path("r2")
    names = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert names == {path.relative_to(two) for path in two.rglob("*") if path.is_file()}
    for name in names:
        if name.suffix == ".npz":
            with np.load(one / name) as first, np.load(two / name) as second:
                np.testing.assert_allclose(first["values"], second["values"], rtol=1e-3, atol=1e-7)
    assert pages.names(two / "index.html") == ["a.wav", "b.wav", "c.wav"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up under /proc")
def test_workers_end_when_their_parent_is_killed(clips: list[Path]) -> None:
    code = (
        "import time\n"
        "from earwitness.jobs.pool import ModelName, run\n"
        "from tests.unit.test_jobs import sleep\n"
        "if __name__ == '__main__':\n"
        f"    named = ModelName('python:{clips[0].parent / 'model.py'}:make')\n"
        "    for pid in run(sleep, [0.0, 0.0, 60.0, 60.0], named, workers=2):\n"
        "        print(pid, flush=True)\n"
    )
    script = clips[0].parent / "script.py"
    script.write_text(code)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
    deadline = time.monotonic() + 20
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(worker)


def sleep(_model: Model, seconds: float, _on_passes: Callable[[int], None]) -> Iterator[int]:
    time.sleep(seconds)
    yield os.getpid()


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
