"""The user's own separated sounds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from earwitness.audio import find_clips, read_audio
from earwitness.errors import ParameterError
from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.ratios import ratio_layer
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_SLACK_SECONDS = 0.05


@register(
    "stems",
    summary="separated sounds from a folder, and what they leave over",
    count=lambda _: 5,
    reads=("stems",),
)
def stems(probe: Probe, sizes: Sizes) -> Partition:
    """Part the sound by the files of a folder, one for each source, each as long as the sound.

    Rates and channels are converted; up to 50 ms of difference in length are cut or padded.
    """
    if not sizes.stems:
        raise ParameterError("stems: say where the separated sounds are, with stems=FOLDER")
    folder = Path(sizes.stems)
    if not folder.is_dir():
        raise ParameterError(f"stems: {folder} is no folder; it must hold one file for each source")
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
