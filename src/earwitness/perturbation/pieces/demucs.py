"""Sources that Demucs separates, where it is installed."""

from __future__ import annotations

import importlib
from typing import Any

import soxr
import torch

from earwitness.errors import NotApplicableError
from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.ratios import ratio_layer
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_MODEL = "htdemucs"


@register(
    "demucs",
    summary="voice, drums, bass and other, separated by Demucs (optional: pip install demucs)",
    count=lambda _: 5,
    paper="Rouard, Massa, Défossez: Hybrid transformers for music source separation, 2023",
)
def demucs(probe: Probe, sizes: Sizes) -> Partition:  # noqa: ARG001
    """Part music into what Demucs takes for voice, drums, bass and other.

    Demucs fetches its weights itself at first use. It was trained on music: of other sounds its
    parts are what they are.
    """
    separator = _part("demucs.pretrained").get_model(_MODEL).eval()
    rate, channels = int(separator.samplerate), int(separator.audio_channels)
    wave = soxr.resample(probe.wave.cpu().numpy(), probe.model.rate, rate)
    mix = torch.from_numpy(wave).expand(1, channels, -1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(probe.seed)
        # shifts are random and off, so that the same sound is always parted the same way
        found = _part("demucs.apply").apply_model(separator, mix, shifts=0)[0].mean(dim=1)
    waves = []
    for source in found:
        back = torch.from_numpy(soxr.resample(source.numpy(), rate, probe.model.rate))
        missing = max(0, probe.samples - len(back))
        waves.append(torch.nn.functional.pad(back, (0, missing))[: probe.samples])
    return ratio_layer(probe, list(separator.sources), waves)


def _part(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotApplicableError(
            "pieces demucs need the package demucs: pip install demucs, or separate by yourself "
            "and give the folder with pieces=stems and stems=FOLDER"
        ) from error
