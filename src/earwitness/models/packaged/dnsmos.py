"""DNSMOS: quality of speech, of its signal and of its background (P.835), and overall (P.808).

Reddy, Gopal and Cutler (2022), DNSMOS P.835: A Non-Intrusive Perceptual Objective Speech Quality
Metric to Evaluate Noise Suppressors, ICASSP. The package maps the outputs of its network to opinion
scores by polynomials, and evaluates another network on mel bands for P.808.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.files import digest_of
from earwitness.models.adapters.onnx import open_session
from earwitness.models.adapters.registry import register
from earwitness.models.model import Model
from earwitness.models.packaged.reading import package_file
from earwitness.models.wrapping import wrap
from earwitness.plane.mel import mel_edges, mel_triangles

_RATE = 16000
_SECONDS = 9.01  # of its windows
_WINDOW, _HOP, _MELS = 321, 160, 120
_LEAST_POWER = 1e-10
_RANGE_DB = 80.0  # below the largest band
_LABELS = ["OVRL", "SIG", "BAK", "P808"]
# coefficients of the opinion scores of signal, background and both, the highest power first
_USUAL = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
_PERSONALISED = (
    (-0.01019296, 0.02751166, 1.19576786, -0.24348726),
    (-0.04976499, 0.44276479, -0.1644611, 0.96883132),
    (-0.00533021, 0.005101, 1.18058466, -0.11236046),
)


@register(
    "dnsmos",
    summary="quality of speech: OVRL, SIG, BAK and P808, 16 kHz, as a black box (MIT)",
    needs=("speechmos", "onnxruntime"),
    extra="onnx",
    packages={"speechmos": "--no-deps speechmos"},
)
def from_dnsmos(*, personalised: bool = False) -> Model:
    """Load the ONNX files of the package speechmos; longer sounds are read in windows of 9.01 s.

    Parameters
    ----------
    personalised : bool
        Whether other speakers count as background.
    """
    folder = "pdnsmos_models" if personalised else "dnsmos_models"
    paths = [
        package_file("speechmos", folder, "sig_bak_ovr.onnx"),
        package_file("speechmos", "dnsmos_models", "model_v8.onnx"),
    ]
    scores, overall = (open_session(path, "dnsmos") for path in paths)
    polynomials = _PERSONALISED if personalised else _USUAL

    def evaluate(waves: NDArray[np.float32]) -> NDArray[np.float32]:
        raw = scores.run(None, {"input_1": waves})[0]
        signal, background, both = (
            np.polyval(polynomials[k], raw[:, k].astype(np.float64)) for k in range(3)
        )
        rated = overall.run(None, {"input_1": log_mel(waves[:, :-_HOP])})[0][:, 0]
        return np.stack([both, signal, background, rated], axis=1).astype(np.float32)

    model = wrap(
        evaluate, sample_rate=_RATE, labels=_LABELS, output="scores", range=(1.0, 5.0),
        lengths=(_SECONDS, _SECONDS), pad="repeat", name="dnsmos",
    )  # fmt: skip
    model.source = digest_of(paths)
    return model


def log_mel(waves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mel bands (batch, frame, mel) in dB below the largest, as librosa and then scaled.

    Parameters
    ----------
    waves : ndarray, shape (batch, samples)
    """
    spectrum = torch.stft(
        torch.from_numpy(waves).double(), _WINDOW, _HOP, pad_mode="constant", return_complex=True,
        window=torch.hann_window(_WINDOW, dtype=torch.float64),
    )  # fmt: skip
    freqs = torch.arange(_WINDOW // 2 + 1) * (_RATE / _WINDOW)
    filters = mel_triangles(freqs, mel_edges(_MELS, 0.0, _RATE / 2))
    power = filters @ (spectrum.real.square() + spectrum.imag.square())
    loudest = power.amax(dim=(1, 2), keepdim=True).clamp(min=_LEAST_POWER)
    decibels = 10 * (power.clamp(min=_LEAST_POWER) / loudest).log10()
    decibels = decibels.clamp(min=-_RANGE_DB)
    scaled: NDArray[np.float32] = ((decibels + 40) / 40).transpose(1, 2).float().numpy()
    return scaled
