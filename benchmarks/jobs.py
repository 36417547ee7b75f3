"""Two workers against one: ``python benchmarks/jobs.py ESC10 [--clips 12] [--folder DIR]``.

``earwitness explain --method lmac --no-curve`` with the default model over the sounds of a
collection, with ``--jobs 1`` and with ``--jobs 2``, twice, in turn first, with one thread for each
process. It writes ``benchmarks/jobs.md`` with the ratio of the wall times, processor times beside
them, as other programs may run on the machine, and whether the files are the same byte for byte.
Times of runs are left out of the comparison (the ``seconds`` of an explanation, and in the page).
Pairs of runs that are finished lie in the folder (default: ``jobs-benchmark``) and are not run
again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earwitness.data.collection import read_collection
from earwitness.files import write_json
from earwitness.provenance import stamp

HERE = Path(__file__).parent
PAIRS = 2  # of runs
WORKERS = (1, 2)
BAR = 1.7
SHOWN = 5  # files that differ
TIMES = rb'"seconds": ?[0-9.e-]+|[0-9.]+ s\b'  # of runs, in explanations and in the page


def measure(clips: list[Path], folder: Path, workers: int) -> dict[str, float]:
    """Run the command over sounds, and return its wall and processor time in seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    words = ["explain", *map(str, clips), "--method", "lmac", "--no-curve", "--jobs", str(workers)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "earwitness", *words, "-o", str(folder)],
        env={**os.environ, **threads}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "processor": spent}


def different(one: Path, two: Path) -> list[str]:
    """Return the files that are not in both folders with the same bytes, without times."""
    files = [
        {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        for root in (one, two)
    ]
    found = sorted(files[0].keys() ^ files[1].keys())
    both = files[0].keys() & files[1].keys()
    return found + sorted(
        name for name in both if timeless(files[0][name], one) != timeless(files[1][name], two)
    )


def timeless(path: Path, root: Path) -> bytes:
    """Return the bytes of a file, of text without the times of the run and the folder's name."""
    data = path.read_bytes()
    if path.suffix not in (".json", ".html"):
        return data
    return re.sub(TIMES, b"", data.replace(root.name.encode(), b""))


def pair(clips: list[Path], number: int, folder: Path) -> dict[str, Any]:
    """Return the times and the differences of two runs, measured now or before."""
    record = folder / f"pair-{number}.json"
    names = [clip.name for clip in clips]
    if record.exists():
        known: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if known["clips"] == names:
            return known
    places = {workers: folder / f"jobs-{workers}" for workers in WORKERS}
    order = WORKERS if number % 2 == 0 else WORKERS[::-1]
    times = {str(workers): measure(clips, places[workers], workers) for workers in order}
    files = sum(path.is_file() for path in places[1].rglob("*"))
    unlike = different(*places.values())
    found = {"clips": names, "times": times, "files": files, "different": unlike}
    write_json(record, found)
    for place in places.values():
        shutil.rmtree(place)
    return found


def report(pairs: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the page."""
    sums = {
        (workers, kind): sum(one["times"][str(workers)][kind] for one in pairs)
        for workers in WORKERS
        for kind in ("wall", "processor")
    }
    unlike = list(dict.fromkeys(name for one in pairs for name in one["different"]))
    yield "# Two workers against one, measured"
    yield ""
    yield f"Made by `python benchmarks/jobs.py ESC10`: {stamp()}, {os.cpu_count()} cores."
    yield ""
    yield (
        "`earwitness explain --method lmac --no-curve` with the default model over "
        f"{len(pairs[0]['clips'])} sounds of ESC-10, {len(pairs)} times with `--jobs 1` and with "
        "`--jobs 2`, in turn first; one thread for each process. Loading and the page are included."
    )
    yield ""
    yield "| processes | wall time | processor time | cores in use |"
    yield "|---|---|---|---|"
    for workers in WORKERS:
        wall, spent = sums[workers, "wall"], sums[workers, "processor"]
        yield f"| {workers} | {wall:.1f} s | {spent:.1f} s | {spent / wall:.2f} |"
    yield ""
    ratio = sums[1, "wall"] / sums[2, "wall"]
    verdict = "reached" if ratio >= BAR else "missed"
    yield f"One process takes {ratio:.2f} times as long as two; the bar of {BAR} is {verdict}."
    if sums[2, "processor"] / sums[2, "wall"] < BAR:
        yield (
            "Two processes together had less than that many cores: other programs ran on the "
            "machine, or the processes waited."
        )
    same = "all the same byte for byte, times left out"
    if unlike:
        more = f" and {len(unlike) - SHOWN} more" if len(unlike) > SHOWN else ""
        same = f"different: {', '.join(unlike[:SHOWN])}{more}"
    yield f"Files of a run: {pairs[0]['files']}, {same}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, metavar="ESC10")
    parser.add_argument("--clips", type=int, help="default: all")
    parser.add_argument("--folder", type=Path, default=Path("jobs-benchmark"))
    parser.add_argument("--page", type=Path, default=HERE / "jobs.md")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    clips = [item.path for item in read_collection(given.data)][: given.clips]
    pairs = []
    for number in range(PAIRS):
        pairs.append(pair(clips, number, given.folder))
        print(f"{number + 1} of {PAIRS} pairs of runs", flush=True)
    text = "\n".join(report(pairs)) + "\n"
    given.page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
