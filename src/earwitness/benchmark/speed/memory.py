"""Peak memory of a computation in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from earwitness.errors import EarwitnessError


def peak_of(code: str) -> float:
    """Return the peak memory in MB of a process that runs Python code.

    Raises
    ------
    EarwitnessError
        If it fails, or the system does not report the peak.
    """
    last_line = "from earwitness.benchmark.speed.memory import own_peak\nprint(own_peak())"
    command = [sys.executable, "-c", f"{code}\n{last_line}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().split("\n")[-1]
        raise EarwitnessError(f"the peak memory could not be measured here: {last}")
    return float(done.stdout.split()[-1])


def own_peak() -> float:
    """Return the peak memory of this process in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # the resource module's value includes the parent's peak
        (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
        return int(line.split()[1]) / 1e3
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)
