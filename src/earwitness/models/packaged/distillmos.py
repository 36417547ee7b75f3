"""DistillMOS: the quality of speech as a mean opinion score, from a differentiable network.

Stahl and Gamper (2025), Distillation and Pruning for Scalable Self-Supervised Representation-Based
Speech Quality Assessment, ICASSP.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from earwitness.errors import ModelError, reason
from earwitness.files import digest_of
from earwitness.models.adapters.registry import register
from earwitness.models.model import Model
from earwitness.models.packaged.reading import import_without, package_file
from earwitness.models.wrapping import wrap

_RATE = 16000
_LEAST_PEAK = 1e-8  # of a sound that is normalised
_LEAST_POWER = 1e-24  # of a bin; the power of an exponent below one has no derivative at zero
_EXPONENT = 0.3  # to which magnitudes are compressed


@register(
    "distillmos",
    summary="mean opinion score of speech, 16 kHz, differentiable (MIT)",
    needs=("distillmos", "xls_r_sqa"),
    packages=dict.fromkeys(("distillmos", "xls_r_sqa"), "--no-deps distillmos xls-r-sqa"),
)
def from_distillmos() -> Model:
    """Load the network of the package distillmos; longer sounds are read in windows of 7.68 s."""
    path = package_file("distillmos", "weights", "distill_mos_v7.pt")
    code = import_without("distillmos.sqa", "torchaudio")
    try:
        network = code.ConvTransformerSQAModel(load_weights=False, segmenting_in_forward=False)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"distillmos: {path} cannot be read: {reason(error)}") from error
    seconds = code.SEQ_LEN / _RATE
    model = wrap(
        DistillMos(network).eval(), sample_rate=_RATE, labels=["MOS"], output="scores",
        range=(1.0, 5.0), lengths=(seconds, seconds), name="distillmos",
    )  # fmt: skip
    model.source = digest_of([path])
    return model


class DistillMos(nn.Module):
    """The package's network, from waveforms (batch, samples) of 7.68 s to (batch, 1).

    The spectrogram is computed here: the package's has undefined gradients where a sound is silent,
    as where it is padded.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.n_fft, self.hop_length = network.cnn.win_length, network.cnn.hop_length
        self.cnn, self.quality = network.cnn.cnn, network.transformer_pool_attn

    def forward(self, waves: Tensor) -> Tensor:
        """Return scores from 1 to 5."""
        waves = waves / (waves.abs().amax(dim=1, keepdim=True) + _LEAST_PEAK)
        features = self.cnn(self._spectrogram(waves))
        quality: Tensor = self.quality(features.flatten(1, 2).transpose(1, 2))
        return 1 + 4 * quality

    def _spectrogram(self, waves: Tensor) -> Tensor:
        """Return real and imaginary parts (batch, 2, freq, frame) of compressed magnitude."""
        missing = (self.n_fft - self.hop_length) // 2
        spectrum = torch.stft(
            nn.functional.pad(waves, (missing, missing), mode="reflect"), self.n_fft,
            self.hop_length, center=False, return_complex=True,
            window=torch.hann_window(self.n_fft, device=waves.device),
        )  # fmt: skip
        parts = torch.stack([spectrum.real, spectrum.imag], dim=1)
        power = parts.square().sum(dim=1, keepdim=True).clamp(min=_LEAST_POWER)
        return parts * power ** ((_EXPONENT - 1) / 2)
