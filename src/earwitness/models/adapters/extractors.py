"""Feature extractors of transformers as differentiable front ends.

Each is built from an extractor's own settings and computes the same numbers. Sums are in double
precision, as in the originals: the logarithm of a quiet band magnifies rounding.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_WINDOW, _HOP, _FFT = 400, 160, 512  # samples, of Kaldi's features at 16 kHz
_EMPHASIS = 0.97  # of the sample before
_LEAST_KALDI = 1.192092955078125e-07  # energy; the smallest float32 above one, minus one
_LEAST_POWER = 1e-10
_LEAST_VARIANCE = 1e-7
_RANGE = 8.0  # decades below the largest value


class Normalised(nn.Module):
    """Waveforms of zero mean and unit variance (``Wav2Vec2FeatureExtractor``)."""

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.normalise = bool(extractor.do_normalize)

    def forward(self, waves: Tensor) -> Tensor:
        """Map waves (batch, samples) to input values of the same shape."""
        if not self.normalise:
            return waves
        centred = waves - waves.mean(dim=1, keepdim=True)
        variance = centred.square().mean(dim=1, keepdim=True)
        return centred / (variance + _LEAST_VARIANCE).sqrt()


class KaldiBands(nn.Module):
    """Kaldi's log mel energies, padded and normalised (``ASTFeatureExtractor``)."""

    filters: Tensor
    window: Tensor

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty bands, as published
            filters = mel_filter_bank(
                num_frequency_bins=_FFT // 2 + 1,
                num_mel_filters=extractor.num_mel_bins,
                min_frequency=20,
                max_frequency=extractor.sampling_rate // 2,
                sampling_rate=extractor.sampling_rate,
                norm=None,
                mel_scale="kaldi",
                triangularize_in_mel_space=True,
            )
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        window = torch.hann_window(_WINDOW, periodic=False, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)
        self.frames = int(extractor.max_length)
        normalise = bool(extractor.do_normalize)
        self.mean = float(extractor.mean) if normalise else 0.0
        self.scale = 2 * float(extractor.std) if normalise else 1.0

    def forward(self, waves: Tensor) -> Tensor:
        """Map waves (batch, samples) to input values (batch, frame, mel)."""
        frames = waves.double().unfold(1, _WINDOW, _HOP)
        frames = frames - frames.mean(dim=2, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
        spectrum = torch.fft.rfft((frames - _EMPHASIS * before) * self.window, _FFT)
        power = spectrum.real.square() + spectrum.imag.square()
        bands = (power @ self.filters).clamp(min=_LEAST_KALDI).log()
        missing = self.frames - bands.shape[1]
        bands = nn.functional.pad(bands, (0, 0, 0, max(missing, 0)))[:, : self.frames]
        return ((bands - self.mean) / self.scale).float()


class WhisperBands(nn.Module):
    """Log mel powers within eight decades of the largest (``WhisperFeatureExtractor``)."""

    filters: Tensor
    window: Tensor

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.register_buffer("filters", torch.tensor(extractor.mel_filters), persistent=False)
        self.size, self.hop = int(extractor.n_fft), int(extractor.hop_length)
        self.samples = int(extractor.n_samples)
        window = torch.hann_window(self.size, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)
        self.loudest: Tensor | None = None  # of each sound itself if None

    def for_sound(self, wave: Tensor) -> WhisperBands:
        """Return a copy whose floor is that of a sound (samples,), whatever it is given."""
        other = copy.copy(self)
        other.loudest = self._logarithms(wave[None]).amax()
        return other

    def forward(self, waves: Tensor) -> Tensor:
        """Map waves (batch, samples) to input features (batch, mel, frame)."""
        bands = self._logarithms(waves)
        loudest = bands.amax(dim=(1, 2), keepdim=True) if self.loudest is None else self.loudest
        return ((torch.maximum(bands, loudest - _RANGE) + 4.0) / 4.0).float()

    def _logarithms(self, waves: Tensor) -> Tensor:
        padded = nn.functional.pad(waves.double(), (0, max(self.samples - waves.shape[1], 0)))
        power = _power(padded[:, : self.samples], self.size, self.hop, self.window)[..., :-1]
        return (self.filters.T @ power).clamp(min=_LEAST_POWER).log10()


class ClapBands(nn.Module):
    """Log mel powers of a repeated sound (``ClapFeatureExtractor``)."""

    filters: Tensor
    window: Tensor

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.fused = extractor.truncation == "fusion"
        filters = extractor.mel_filters if self.fused else extractor.mel_filters_slaney
        self.register_buffer("filters", torch.tensor(filters), persistent=False)
        self.size, self.hop = int(extractor.fft_window_size), int(extractor.hop_length)
        self.samples, self.padding = int(extractor.nb_max_samples), extractor.padding
        window = torch.hann_window(self.size, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Map waves (batch, samples) to input features (batch, 1 or 4, frame, mel)."""
        copies = self.samples // waves.shape[1]
        if self.padding == "repeat":
            waves = waves.repeat(1, copies + 1)[:, : self.samples]
        elif self.padding == "repeatpad" and copies > 1:
            waves = waves.repeat(1, copies)
        padded = nn.functional.pad(waves.double(), (0, max(self.samples - waves.shape[1], 0)))
        power = _power(padded[:, : self.samples], self.size, self.hop, self.window)
        bands = 10 * (self.filters.T @ power).clamp(min=_LEAST_POWER).log10()
        features = bands.transpose(1, 2).unsqueeze(1).float()
        return features.expand(-1, 4, -1, -1) if self.fused else features


FRONT_ENDS: dict[str, Callable[[Any], nn.Module]] = {
    "Wav2Vec2FeatureExtractor": Normalised,
    "ASTFeatureExtractor": KaldiBands,
    "WhisperFeatureExtractor": WhisperBands,
    "ClapFeatureExtractor": ClapBands,
}


def longest_seconds(extractor: Any) -> float | None:
    """Return the longest sound in seconds that an extractor reads whole; None without a limit."""
    kind = type(extractor).__name__
    if kind == "ASTFeatureExtractor":
        return ((extractor.max_length - 1) * _HOP + _WINDOW) / float(extractor.sampling_rate)
    samples = {"WhisperFeatureExtractor": "n_samples", "ClapFeatureExtractor": "nb_max_samples"}
    if kind not in samples:
        return None
    return float(getattr(extractor, samples[kind])) / float(extractor.sampling_rate)


def _power(waves: Tensor, size: int, hop: int, window: Tensor) -> Tensor:
    """Return the power of a transform (batch, bin, frame), reflected at the ends."""
    spectrum = torch.stft(waves, size, hop, window=window, return_complex=True)
    return spectrum.real.square() + spectrum.imag.square()
