"""Commands on a full disk: one line that names the file, and nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import kills  # noqa: E402

MODEL = ("--model", "python:model.py:make")
CLASSIFIER = ("train", "classifier", "--data", "sounds", "--epochs", "1")
LMAC = ("train", "lmac", *MODEL, "--data", "sounds", "--epochs", "1", "--crop", "0.5", "--batch",
        "4", "--contaminate", "none")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "most", "named"),
    [
        (CLASSIFIER, 3000, "out/weights.safetensors"),
        (LMAC, 3000, "out"),
        (("bench", "grid.toml"), 500, "out/run.json"),
        (("bench", "grid.toml"), 3000, "out/cells.jsonl"),
        (("explain", "sounds", *MODEL, "--method", "energy"), 3000, "sounds"),
    ],
)
def test_a_full_disk_is_one_line(
    tmp_path: Path, words: tuple[str, ...], most: int, named: str
) -> None:
    kills.prepare(tmp_path)

    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        [sys.executable, "-m", "earwitness", *words, "-o", "out"], cwd=tmp_path, text=True,
        capture_output=True, preexec_fn=limit, env=environment,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if line.startswith("earwitness:")]
    assert (done.returncode, len(set(said))) == (2, len(said))
    assert said[0].startswith(f"earwitness: {named}")
    assert "cannot be written (" in said[0]
    assert not [word for word in ("Traceback", "unexpected") if word in done.stderr]
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".partial")]
