"""Train a MOSNet on degraded speech: ``python benchmarks/mosnet_train.py DATA WORK``.

DATA holds ``daps`` (a sentence of the DAPS corpus, ``*clean*`` and ``*produced*``) and ``fsdd``
(the Free Spoken Digit Dataset). WORK gets the sounds, their table (``rated.csv``) and the model
(``model``, or the folder given as a third argument), which ``--model WORK/model`` loads.

Nobody rated these sounds. The label is the mean of two intrusive measures, each mapped to 1 to 5:
STOI from 0.4 to 1 (Taal et al. 2011) and SI-SDR from -5 to 30 dB. A clean sound has the label 5.
Only the first 12 s of the sentence and takes from 5 on of the digits are used: what
``earwitness bench speech-degradations --from 13`` measures on was never heard in training.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np

from earwitness.audio import read_audio, write_audio
from earwitness.data.degraded import KINDS, degrade, speech_level
from earwitness.data.digits import read_digits
from earwitness.metrics.localisation import si_sdr
from earwitness.metrics.sound import stoi
from earwitness.types import Audio, FloatArray

RATE = 16000
SEED = 0
CLIPS = 900
SECONDS = (1.0, 1.5)
UNTIL = 12.0  # s of the sentence
LEVELS = (-32.0, -20.0)  # dB, RMS of the speech: the network's input is linear
CLEAN, WHOLE = 0.15, 0.2  # shares of sounds without a degradation, and with noise throughout
FROM_DIGITS = 0.5
TRAINING = (
    "--variant",
    "blstm",
    "--epochs",
    "40",
    "--patience",
    "10",
    "--rate",
    "0.001",
    "--batch",
    "32",
)


def speech_of(data: Path, rng: np.random.Generator, digits: list[list[Path]]) -> FloatArray:
    """Return some clean speech: of the sentence, or digits of one speaker in a row."""
    seconds = rng.uniform(*SECONDS)
    if rng.random() < FROM_DIGITS:
        paths = digits[int(rng.integers(len(digits)))]
        parts: list[FloatArray] = []
        while sum(map(len, parts)) < seconds * RATE:
            parts.append(read_audio(paths[int(rng.integers(len(paths)))], rate=RATE).samples)
            parts.append(np.zeros(round(rng.uniform(0.02, 0.15) * RATE), np.float32))
        return np.concatenate(parts)[: round(seconds * RATE)]
    name = ("clean", "produced")[int(rng.integers(2))]
    path = next((data / "daps").glob(f"*{name}*"))
    start = rng.uniform(0, UNTIL - seconds)
    whole = read_audio(path, rate=RATE).samples
    return whole[round(start * RATE) : round((start + seconds) * RATE)]


def degraded(clean: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return speech as it is, with noise throughout, or with up to three degradations."""
    chance = rng.random()
    if chance < CLEAN:
        return clean
    if chance < CLEAN + WHOLE:
        noise = rng.standard_normal(len(clean))
        level = speech_level(clean.astype(np.float64), RATE) * 10 ** (-rng.uniform(-5, 30) / 20)
        return (clean + level * noise).astype(np.float32)
    kinds = [name for name in KINDS if name not in ("band-limiting", "reverberation")]
    for _ in range(int(rng.integers(1, 4))):
        clean = degrade(clean, RATE, str(rng.choice(kinds)), rng).sound
    return clean


def label(clean: FloatArray, sound: FloatArray) -> float:
    """Return the score of a degraded sound, from 1 to 5."""
    intelligible = float(stoi(sound[None], clean, RATE)[0])
    ratio = float(si_sdr(sound[None], clean)[0])
    parts = (np.clip((intelligible - 0.4) / 0.6, 0, 1), np.clip((ratio + 5) / 35, 0, 1))
    return 1 + 4 * float(np.mean(parts))


def main() -> None:
    data, work = Path(sys.argv[1]), Path(sys.argv[2])
    model = Path(sys.argv[3]) if len(sys.argv) > 3 else work / "model"
    rng = np.random.default_rng(SEED)
    by_speaker: dict[str, list[Path]] = {}
    for item in read_digits(data / "fsdd", test=False):
        by_speaker.setdefault(item.path.stem.split("_")[1], []).append(item.path)
    (work / "sounds").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(CLIPS):
        clean = speech_of(data, rng, list(by_speaker.values()))
        level = speech_level(clean.astype(np.float64), RATE)
        clean = clean * np.float32(10 ** (rng.uniform(*LEVELS) / 20) / level)
        sound = degraded(clean, rng)
        name = f"{number:04}.wav"
        write_audio(work / "sounds" / name, Audio(sound, RATE, name))
        split = "valid" if number % 8 == 0 else "train"
        rows.append([name, f"{label(clean, sound):.4f}", split])
    with (work / "rated.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["filename", "score", "split"], *rows])
    subprocess.run(
        [
            *(sys.executable, "-m", "earwitness", "train", "mosnet", *TRAINING),
            *("--data", work / "rated.csv", "--sounds", work / "sounds", "-o", model),
        ],
        check=True,
    )


if __name__ == "__main__":
    main()
