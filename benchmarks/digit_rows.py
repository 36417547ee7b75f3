"""Write spoken digits in a row: ``python benchmarks/digit_rows.py FSDD OUT``.

A digit of the Free Spoken Digit Dataset lasts less than half a second, too short for a degradation
with clean speech around it. OUT gets a file for each speaker, of the takes of the test split in
random order with pauses of 20 to 150 ms, for ``earwitness bench speech-degradations --data OUT``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from earwitness.audio import read_audio, write_audio
from earwitness.data.digits import read_digits
from earwitness.types import Audio, FloatArray

RATE = 8000  # Hz, of the recordings
SEED = 0
PAUSE = (0.02, 0.15)  # s


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    by_speaker: dict[str, list[Path]] = {}
    for item in read_digits(data, test=True):
        by_speaker.setdefault(item.path.stem.split("_")[1], []).append(item.path)
    rng = np.random.default_rng(SEED)
    for speaker, paths in sorted(by_speaker.items()):
        parts: list[FloatArray] = []
        for number in rng.permutation(len(paths)):
            digit = read_audio(paths[number], rate=RATE).samples
            parts += [digit / np.abs(digit).max() / 2, np.zeros(pause(rng), np.float32)]
        write_audio(out / f"{speaker}.wav", Audio(np.concatenate(parts), RATE, speaker))


def pause(rng: np.random.Generator) -> int:
    """Return the samples of a pause."""
    return round(rng.uniform(*PAUSE) * RATE)


if __name__ == "__main__":
    main()
