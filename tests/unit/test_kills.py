"""Commands killed at random moments: a small part of ``scripts/kills.py``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import kills  # noqa: E402


@pytest.mark.parametrize(("command", "times"), [("explain", 2), ("scan", 1), ("scan-jobs", 1)])
def test_a_killed_command_ends_as_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, times: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    kills.prepare(tmp_path, sounds=4)
    assert kills.kill_all(tmp_path, [command], kills=times, seed=7) == 0


def test_the_comparison_finds_what_a_kill_leaves(tmp_path: Path) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text(f'{{"seconds": {len(name)}, "value": 1}}')
    both = [kills.contents(tmp_path / name) for name in ("whole", "broken")]
    assert kills.differences(*both) == []
    (tmp_path / "broken" / ".a.partial").touch()
    (tmp_path / "broken" / "a.json").write_text('{"seconds": 1, "value": 2}')
    (tmp_path / "whole" / "b.wav").touch()
    both = [kills.contents(tmp_path / name) for name in ("whole", "broken")]
    assert kills.differences(*both) == [
        ".a.partial is hidden", ".a.partial was left", "a.json differs", "b.wav is missing"
    ]  # fmt: skip
