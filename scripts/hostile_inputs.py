"""Hostile inputs, made from a seed: sounds, folders of models, tables, grids and options."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
SUFFIXES = ("wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "caf")
RATES = (1, 2, 3, 7, 10, 25, 50, 99, 150, 2_000_000_000)
HUGE = ("1e20", "-1e20", "1e400", "nan", "9" * 40, "99999999999", "0x10", "")
OPTIONS = {
    "lime": ("samples", "segments", "components", "tolerance", "width", "ridge"),
    "integrated-gradients": ("steps",),
    "smoothgrad": ("samples", "noise"),
    "kernel-shap": ("bands",),
}


def sounds(folder: Path, rng: np.random.Generator) -> Iterator[Path]:
    """Write sounds that are no sounds, or say what they are not."""
    noise = 0.1 * rng.standard_normal(RATE)
    whole: dict[str, bytes] = {}
    for suffix in SUFFIXES:
        path = folder / f"whole.{suffix}"
        soundfile.write(path, noise, RATE)
        whole[suffix] = path.read_bytes()
        path.unlink()
    for suffix, rate in ((s, r) for s in ("wav", "flac", "aiff", "au", "w64") for r in RATES):
        path = folder / f"rate_{rate}.{suffix}"
        try:
            soundfile.write(path, noise[:2000], rate)
            yield path
        except (soundfile.LibsndfileError, ValueError):
            path.unlink(missing_ok=True)
    for suffix, data in whole.items():
        for number in range(4):
            path = folder / f"cut_{number}.{suffix}"
            path.write_bytes(data[: int(rng.integers(1, min(len(data), 200 * 10**number)))])
            yield path
        for number in range(5):
            path, damaged = folder / f"flipped_{number}.{suffix}", bytearray(data)
            for place in rng.integers(4, 80, 4):
                damaged[place] = int(rng.integers(256))
            path.write_bytes(damaged)
            yield path
    fields = {"channels": (22, 2), "rate": (24, 4), "align": (32, 2), "bits": (34, 2)}
    fields |= {"size": (4, 4), "data": (40, 4), "code": (20, 2)}
    for name, (place, width) in fields.items():
        for value in (0, 1, 0xFFFF, 2 ** (8 * width) - 1):
            path, damaged = folder / f"{name}_{value}.wav", bytearray(whole["wav"])
            damaged[place : place + width] = value.to_bytes(width, "little")
            path.write_bytes(damaged)
            yield path
    yield from _long(folder, whole)
    for name, content in {
        "empty.wav": b"", "text.wav": b"no sound", "page.flac": b"<!doctype html>",
        "zip.ogg": b"PK\3\4" + bytes(100), "zeros.mp3": bytes(5000), "id3.mp3": b"ID3" + bytes(9),
    }.items():  # fmt: skip
        (folder / name).write_bytes(content)
        yield folder / name
    for name, value in {"nan": np.nan, "inf": np.inf, "large": 1e38}.items():
        broken = noise.astype(np.float32)
        broken[100] = value
        soundfile.write(folder / f"{name}.wav", broken, RATE, subtype="FLOAT")
        yield folder / f"{name}.wav"
    yield from _places(folder)


def _long(folder: Path, whole: dict[str, bytes]) -> Iterator[Path]:
    """Write headers of hours, over holes that take no space on the disk."""
    for rate, channels in ((192000, 1), (48000, 8), (96000, 2)):
        path, size = folder / f"hour_{rate}_{channels}.wav", 3600 * rate * channels
        soundfile.write(path, np.zeros((4, channels)), rate, subtype="PCM_U8")
        head = bytearray(path.read_bytes()[:44])
        head[4:8], head[40:44] = ((one + size).to_bytes(4, "little") for one in (36, 0))
        path.write_bytes(head)
        os.truncate(path, 44 + size)
        yield path
    for name, low in {"unknown": 0, "forever": 0xFFFFFFFF}.items():
        damaged = bytearray(whole["flac"])
        damaged[21] = damaged[21] & 0xF0 | (low & 0xF)
        damaged[22:26] = low.to_bytes(4, "big")
        (folder / f"{name}.flac").write_bytes(damaged)
        yield folder / f"{name}.flac"


def _places(folder: Path) -> Iterator[Path]:
    """Make paths that are no files."""
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "nowhere.wav").symlink_to("missing.wav")
    yield from (folder / f"{name}.wav" for name in ("folder", "pipe", "loop", "nowhere"))
    yield folder / ("x" * 300 + ".wav")
    yield folder / ("y/" * 3000 + "z.wav")
    yield Path("/dev/zero")


def odd_names(folder: Path) -> list[Path]:
    """Write good sounds with names that end what is not careful."""
    names = [b"bad\xff.wav", b"bad\xfe.wav", b"[x] [] [bold red].wav", b"\x1b[31m.wav"]
    names += [b"new\nline.wav", b"'\"<script>alert(1)</script>.wav".replace(b"/", b"_")]
    made = []
    for name in names:
        path = folder / os.fsdecode(name)
        made.append(path)
        soundfile.write("plain.wav", 0.1 * np.random.default_rng(2).standard_normal(8000), RATE)
        Path("plain.wav").rename(path)
    tagged = folder / "[" / "x].wav"  # the path holds [/x]
    tagged.parent.mkdir()
    shutil.copy(made[0], tagged)
    return [*made, tagged]


def models(folder: Path, good: Path, rng: np.random.Generator) -> Iterator[Path]:
    """Make damaged copies of a folder of a model or a decoder."""
    description = next(good.glob("*.json")).name
    weights = next(good.glob("*.safetensors")).name
    facts = json.loads((good / description).read_text(encoding="utf-8"))
    values = [0, -1, 10**12, 1e400, "x", None, [], {}]
    keys = [(one,) for one in facts]
    keys += [(one, two) for one in facts if isinstance(facts[one], dict) for two in facts[one]]
    for number, place in enumerate(rng.permutation(len(keys))[:10]):
        changed = json.loads(json.dumps(facts))
        *above, last = keys[place]
        (changed[above[0]] if above else changed)[last] = values[number % len(values)]
        yield _copy(folder, good, number, description, json.dumps(changed).encode())
    for number, text in enumerate((b"", b"[]", b"\xff\xfe", b"[" * 100_000, b"{}"), start=20):
        yield _copy(folder, good, number, description, text)
    for number, text in enumerate((b"", b"\xff" * 8, bytes(1000)), start=30):
        yield _copy(folder, good, number, weights, text)


def _copy(folder: Path, good: Path, number: int, name: str, content: bytes) -> Path:
    place = folder / f"{good.name}-{number}"
    place.mkdir(parents=True)
    for file in good.iterdir():
        if file.is_file():
            shutil.copy(file, place)
    (place / name).write_bytes(content)
    return place


def tables(folder: Path) -> Iterator[Path]:
    """Make folders of sounds with odd tables of labels."""
    head = b"filename,fold,category\n"
    for number, content in enumerate(
        (
            head + b"caf\xe9.wav,1,a\n", head + b"a.wav,one,a\n", head + b"a.wav\n", head,
            head + b"a.wav,1,\n", head + b'"' + b"a" * 200_000 + b'",1,a\n', b"\xff\xfea\0b\0",
            head + b"a\0.wav,1,a\n", head + b"../../../etc/passwd,1,a\n", b"", head + b",,,,,,\n",
            head + b"a.wav," + b"9" * 5000 + b",a\n",
        )
    ):  # fmt: skip
        place = folder / f"table-{number}"
        place.mkdir(parents=True)
        soundfile.write(place / "a.wav", np.zeros(8000), RATE)
        (place / "labels.csv").write_bytes(content)
        yield place


def grids(folder: Path, good: str) -> Iterator[Path]:
    """Write odd files of grids."""
    sounds = f'[sounds]\nkind = "folder"\npaths = ["{good}"]\n'
    texts = [b"\xff", b"", b"a = " + b"[" * 5000, b"seeds = [1e20]\n" + sounds.encode()]
    texts += [f"seeds = [{10**30}]\n{sounds}".encode(), f"models = [1]\n{sounds}".encode()]
    texts += [
        f'models = ["{"m" * 300}"]\n{sounds}'.encode(),
        b'[sounds]\nkind = "folder"\npaths = 5',
    ]
    texts += [b'[sounds]\nkind = "folder"\npaths = [5]', f"masks = []\n{sounds}".encode()]
    texts += [b'[sounds]\nkind = "mixtures"\ndata = "."\ncount = 99999999999999999999']
    texts += [f'methods = [{{name = "lime", samples = 1e20}}]\n{sounds}'.encode()]
    for number, text in enumerate(texts):
        path = folder / f"grid-{number}.toml"
        path.write_bytes(text)
        yield path


def options(clip: str) -> Iterator[list[str]]:
    """Give the arguments of explain with numbers out of any range."""
    for method, names in OPTIONS.items():
        for number, name in enumerate(names):
            for value in HUGE[number % 2 :: 3]:
                yield [clip, "--method", method, "--set", f"{name}={value}"]
    for option in ("--start", "--end", "--seed", "--jobs", "--keep"):
        for value in HUGE[:5]:
            yield [clip, f"{option}={value}"]
