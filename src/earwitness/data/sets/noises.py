"""Sounds without labels: noise, read speech, and converted speech with opinions of listeners."""

from __future__ import annotations

from pathlib import Path

from earwitness.clips import find_clips
from earwitness.data.collection import Item
from earwitness.data.sets.registry import Remote, register


def _is_wham(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in ("tr", "cv", "tt"))


def _is_ljspeech(folder: Path) -> bool:
    return (folder / "metadata.csv").is_file() and (folder / "wavs").is_dir()


def _is_vcc2018(folder: Path) -> bool:
    return any(folder.glob("converted/*VCC2*.wav"))


def sounds(folder: Path) -> list[Item]:
    """Return all sounds, without labels."""
    return [Item(path, "") for path in find_clips([folder])]


register(
    "wham",
    summary="WHAM! noise: ambient noise of cafes, restaurants and bars; no labels",
    licence="CC BY-NC 4.0",
    citation="G. Wichern and others. WHAM!: Extending Speech Separation to Noisy Environments. "
    "Proc. Interspeech, 2019",
    page="http://wham.whisper.ai/",
    sources=(
        "licence: model cards of huggingface.co/JorisCos that were trained on it",
        "address: generate_librimix.sh of github.com/JorisCos/LibriMix",
    ),
    remotes=(
        Remote(
            "wham_noise.zip",
            "https://my-bucket-a8b4b49c25c811ee9a7e8bba05fa24c7.s3.amazonaws.com/wham_noise.zip",
            top="wham_noise",
        ),
    ),
    labelled=False,
    recognises=_is_wham,
)(sounds)

register(
    "ljspeech",
    summary="LJ Speech 1.1: 13100 read sentences of one speaker; no labels",
    licence="public domain",
    citation="K. Ito, L. Johnson. The LJ Speech Dataset, 2017",
    page="https://keithito.com/LJ-Speech-Dataset/",
    sources=(
        "licence: huggingface.co/datasets/keithito/lj_speech",
        "address and checksum: torchaudio/datasets/ljspeech.py of github.com/pytorch/audio",
        "size: url_checksums/ljspeech.txt of github.com/tensorflow/datasets",
    ),
    remotes=(
        Remote(
            "LJSpeech-1.1.tar.bz2",
            "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
            digest="sha256:be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
            size=2748572632,
            top="LJSpeech-1.1",
        ),
    ),
    labelled=False,
    recognises=_is_ljspeech,
)(sounds)

register(
    "vcc2018",
    summary="Voice Conversion Challenge 2018: converted speech of all systems; train mosnet needs "
    "the list of scores (mos_list.txt of MOSNet) beside it",
    licence="CC BY 4.0",
    citation="J. Lorenzo-Trueba and others. The Voice Conversion Challenge 2018. Proc. Speaker "
    "Odyssey, 2018",
    page="https://datashare.ed.ac.uk/handle/10283/3061",
    sources=(
        "licence: the readme of the database, section COPYING",
        "page: README of github.com/lochenchou/MOSNet",
        "address: public scripts that download it from that page",
    ),
    remotes=(
        Remote(
            "vcc2018_submitted_systems_converted_speech.tar.gz",
            "https://datashare.ed.ac.uk/bitstream/handle/10283/3061/"
            "vcc2018_submitted_systems_converted_speech.tar.gz",
            top="mnt/sysope/test_files/testVCC2",
            into="converted",
        ),
    ),
    labelled=False,
    recognises=_is_vcc2018,
)(sounds)
