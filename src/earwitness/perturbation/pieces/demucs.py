"""Sources separated by Demucs, if it is installed."""

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

_MODEL = "htdemucs"  # Hybrid Transformer Demucs, four sources


@register(
    "demucs",
    summary="vocals, drums, bass and other, separated by Demucs (optional: pip install demucs)",
    count=lambda _: 5,
    paper="Rouard, Massa, Défossez: Hybrid transformers for music source separation, 2023",
)
def demucs(probe: Probe, sizes: Sizes) -> Partition:  # noqa: ARG001
    """Separate music into vocals, drums, bass and other with Demucs.

    Demucs downloads its weights at first use. It was trained on music; on other sounds the
    separation has no defined meaning.
    """
    separator = _import("demucs.pretrained").get_model(_MODEL).eval()
    rate, channels = int(separator.samplerate), int(separator.audio_channels)
    wave = soxr.resample(probe.wave.cpu().numpy(), probe.model.rate, rate)
    mix = torch.from_numpy(wave).expand(1, channels, -1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(probe.seed)
        # random shifts are disabled, so the separation is deterministic
        found = _import("demucs.apply").apply_model(separator, mix, shifts=0)[0].mean(dim=1)
    waves = []
    for source in found:
        back = torch.from_numpy(soxr.resample(source.numpy(), rate, probe.model.rate))
        missing = max(0, probe.samples - len(back))
        waves.append(torch.nn.functional.pad(back, (0, missing))[: probe.samples])
    return ratio_layer(probe, list(separator.sources), waves)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotApplicableError(
            "pieces demucs need the package demucs: pip install demucs, or separate the sound with "
            "another tool and give the folder with pieces=stems and stems=FOLDER"
        ) from error
