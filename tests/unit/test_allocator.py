"""Memory that is freed and kept: page faults of real processes, counted by the system."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from earwitness.jobs.pool import ModelName, run
from earwitness.models.model import Model

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not with glibc")
TIMES = 50
PAGES = 1000  # of one array, 4 MB
COMMAND = """
from contextlib import suppress
from tests.unit.test_allocator import faults
{before}
print(faults())
"""


def faults() -> int:
    """Return the page faults of filling 50 pairs of arrays, one pair after another."""
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(TIMES):
        pair = [np.ones(PAGES * 512), np.ones(PAGES * 512)]
        del pair
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began)


def counted(before: str) -> int:
    code = COMMAND.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def count_faults(_model: Model, _item: int, _tick: Callable[[int], None]) -> Iterator[int]:
    """Work of a worker."""
    yield faults()


def test_the_command_keeps_memory_for_the_next_array() -> None:
    without = counted("pass")
    command = "from earwitness.cli.main import main\nwith suppress(SystemExit): main(['--version'])"
    kept = counted(command)
    assert without > TIMES * PAGES / 2  # otherwise there is nothing to gain here
    assert kept < without / 10


def test_a_worker_keeps_memory_for_the_next_array(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("from tests.toys import spectral as make\n")
    named = ModelName(f"python:{tmp_path / 'model.py'}:make")
    found = list(run(count_faults, [1, 2], named, workers=2))
    assert len(found) == 2
    assert max(found) < TIMES * PAGES / 10
