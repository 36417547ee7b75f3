"""Measure ``compare`` on a burst: ``python benchmarks/compare.py SPEECH MODEL...``.

SPEECH is a file of clean speech. B is 4 s of it from 13 s on; A is the same with a burst of noise
from 1 to 3 kHz at 2.0 to 2.3 s, at the RMS of the excerpt, once as it is and once 3 % slower. Both
are compared by the default method. ``benchmarks/compare.md`` is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import signal
from scipy.ndimage import uniform_filter1d

import earwitness
from earwitness.audio import read_audio
from earwitness.models.registry import load_model
from earwitness.provenance import commit
from earwitness.types import Audio

HERE = Path(__file__).parent
START, END = 2.0, 2.3  # s
LOW, HIGH = 1000, 3000  # Hz
SLOWER = 1.03
HEAD = ("model", "A", "A's score", "B's", "B's on A's axis", "hybrid", "regained", "random places",
        "strongest tenth of a second", "share within", "median Hz within", "area")  # fmt: skip


def pair(speech: Path) -> tuple[Audio, dict[str, Audio]]:
    """Return B, and recordings A by what was done to them."""
    b = read_audio(speech, start=13, end=17)
    rng, rate = np.random.default_rng(0), b.rate
    band = signal.butter(4, [LOW, HIGH], "bandpass", fs=rate, output="sos")
    noise = signal.sosfilt(band, rng.standard_normal(len(b.samples)))
    noise *= np.sqrt(np.mean(b.samples**2) / np.mean(noise**2))
    burst = b.samples.copy()
    inside = slice(round(START * rate), round(END * rate))
    burst[inside] += noise[inside].astype(np.float32)
    slower = signal.resample_poly(burst, round(1000 * SLOWER), 1000).astype(np.float32)
    return b, {"burst": Audio(burst, rate), "burst, 3 % slower": Audio(slower, rate)}


def row(name: str, what: str, a: Audio, b: Audio, stretch: float) -> tuple[str, ...]:
    """Return one comparison as cells of a table."""
    found = earwitness.compare(load_model(name), a, b, trust="none")
    attribution = found.explanation.attribution
    values, times, freqs = np.maximum(attribution.values, 0), attribution.times, attribution.freqs
    tenth = max(1, round(0.1 / float(times[1] - times[0])))
    peak = times[uniform_filter1d(values.sum(axis=0), tenth).argmax()]
    within = (times >= START * stretch - 0.1) & (times <= END * stretch + 0.1)
    along = values[:, within].sum(axis=1).cumsum()
    middle = freqs[np.searchsorted(along, along[-1] / 2)]
    scores = [found.scores[one] for one in ("a", "b", "warped", "hybrid")]
    return (
        Path(name).name, what, *(f"{one:.2f}" for one in scores), f"{found.regained():.0%}",
        f"{found.regained('random'):.0%}", f"{peak:.2f} s",
        f"{values[:, within].sum() / values.sum():.2f}", f"{middle:.0f}",
        f"{found.explanation.mask.area:.2%}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("speech", type=Path)
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    b, recordings = pair(arguments.speech)
    rows = [HEAD, ("---",) * len(HEAD)]
    for name in arguments.models:
        for what, a in recordings.items():
            rows.append(row(name, what, a, b, len(a.samples) / len(b.samples)))
            print(rows[-1], flush=True)
    text = (
        "# A burst found by comparison\n\nMade by `python benchmarks/compare.py`, commit "
        f"{commit()}; {arguments.speech.name}, the burst at {START} to {END} s (times {SLOWER} if "
        "slower).\n\n"
    )
    text += "\n".join(f"| {' | '.join(one)} |" for one in rows)
    (HERE / "compare.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
