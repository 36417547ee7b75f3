"""Measure how large the page of a report is, in one file and beside its assets.

``python scripts/page_size.py [--clips 50] [--methods NAME,NAME,...] [--sounds FOLDER]`` explains a
few sounds of a folder (or synthesised scenes) with the built-in model, writes them as often as
there are to be clips, and prints megabytes. ``--keep DIR`` keeps the pages.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from earwitness.audio import read_audio
from earwitness.clips import find_clips
from earwitness.explanation import Explanation
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.pipeline import explain_subject
from earwitness.report.page import Form, write_page
from earwitness.report.sections import write_section
from earwitness.signals import scene
from earwitness.subject import open_subject
from earwitness.types import Audio, Request

METHODS = "integrated-gradients,saliency,gradcam,lmac,lime"
DISTINCT = 8  # sounds that are explained


def sounds(model: Model, folder: str | None, seconds: float) -> Iterator[Audio]:
    """Yield a few sounds of a folder, as far apart in it as they can be, or scenes."""
    if folder is None:
        for seed in range(DISTINCT):
            yield scene(model.rate, seed).mixture
        return
    found = find_clips([folder])
    for path in found[:: max(1, len(found) // DISTINCT)][:DISTINCT]:
        yield read_audio(path, rate=model.rate, end=seconds)


def measure(
    root: Path, model: Model, explained: list[list[Explanation]], clips: int, form: Form
) -> None:
    """Write a page of many clips and print its size and that of what lies beside it."""
    folders = []
    for number, some in enumerate(islice(cycle(explained), clips)):
        place = root / f"{number:03}"
        place.mkdir(parents=True)
        saved = [(place / one.method, replace(one, clip=f"{number:03}.wav")) for one in some]
        write_section(root, saved, audio=form.audio)
        folders += [folder for folder, _ in saved]
    began = time.perf_counter()
    write_page(root / "index.html", root, folders, model, form)
    took = time.perf_counter() - began
    page = (root / "index.html").stat().st_size
    beside = sum(path.stat().st_size for path in root.glob("*/*.js"))
    kind = f"--assets {form.assets}" if form.assets else "one file" if form.audio else "--no-audio"
    print(f"{kind}: page {page / 1e6:.2f} MB, beside it {beside / 1e6:.2f} MB, {took:.1f} s")


def main() -> None:
    """Explain sounds and print sizes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--sounds", help="folder of sounds; scenes by default")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--keep", help="folder for the pages")
    options = parser.parse_args()
    model = load_model("esc10")
    names = options.methods.split(",")
    explained = []
    for sound in sounds(model, options.sounds, options.seconds):
        subject = open_subject(model, sound)
        requests = [Request(name, curve=True) for name in names]
        explained.append([explain_subject(subject, one) for one in requests])
    print(f"{options.clips} clips x {len(names)} methods")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(options.keep or temporary)
        for form in (Form(), Form("assets"), Form(audio=False)):
            place = root / (form.assets or ("one" if form.audio else "silent"))
            measure(place, model, explained, options.clips, form)


if __name__ == "__main__":
    main()
