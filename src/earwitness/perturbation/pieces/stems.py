"""Stems: separated sounds supplied by the user."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from earwitness.audio import read_audio
from earwitness.clips import find_clips
from earwitness.errors import ParameterError
from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.ratios import ratio_layer
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_SLACK_SECONDS = 0.05  # s, difference in length that codecs and separators introduce


@register(
    "stems",
    summary="separated sounds from a folder, and their residual",
    count=lambda _: 5,
    reads=("stems",),
)
def stems(probe: Probe, sizes: Sizes) -> Partition:
    """Decompose the sound by the files of a folder, one per source, each as long as the sound.

    Files are resampled and mixed down to mono. A length difference up to 50 ms is cut or padded.
    """
    if not sizes.stems:
        raise ParameterError("stems: give the folder of separated sounds with stems=FOLDER")
    folder = Path(sizes.stems)
    if not folder.is_dir():
        raise ParameterError(
            f"stems: {folder} is not a folder; it must contain one file per source"
        )
    files = find_clips([folder])
    return ratio_layer(probe, [file.stem for file in files], [_fit(probe, file) for file in files])


def _fit(probe: Probe, file: Path) -> Tensor:
    rate = probe.model.rate
    wave = torch.from_numpy(read_audio(file, rate=rate).samples)
    if abs(len(wave) - probe.samples) > _SLACK_SECONDS * rate:
        raise ParameterError(
            f"stems: {file.name} has {len(wave) / rate:.2f} s, the sound "
            f"{probe.samples / rate:.2f} s; a stem is as long as the sound that is explained"
        )
    return torch.nn.functional.pad(wave, (0, max(0, probe.samples - len(wave))))[: probe.samples]
