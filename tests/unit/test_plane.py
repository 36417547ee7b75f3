from __future__ import annotations

import numpy as np
import pytest
import torch

from earwitness.errors import ParameterError
from earwitness.plane.mel import hz_to_mel, mel_edges, mel_filterbank, mel_to_hz
from earwitness.plane.stft import Plane, default_plane, modulus
from tests.reference import slow

# librosa.mel_frequencies(n_mels=40, fmax=11025), as its documentation prints it
LIBROSA = [
    0.0, 85.317, 170.635, 255.952, 341.269, 426.586, 511.904, 597.221, 682.538, 767.855, 853.173,
    938.49, 1024.856, 1119.114, 1222.042, 1334.436, 1457.167, 1591.187, 1737.532, 1897.337,
    2071.84, 2262.393, 2470.47, 2697.686, 2945.799, 3216.731, 3512.582, 3835.643, 4188.417,
    4573.636, 4994.285, 5453.621, 5955.205, 6502.92, 7101.009, 7754.107, 8467.272, 9246.028,
    10096.408, 11025.0,
]  # fmt: skip


def snr(wanted: torch.Tensor, found: torch.Tensor) -> float:
    error = (wanted.double() - found.double()).pow(2).sum()
    return float(10 * torch.log10(wanted.double().pow(2).sum() / error.clamp(min=1e-300)))


@pytest.mark.parametrize("rate", [100, 8000, 11025, 16000, 22050, 44100, 48000, 192000])
@pytest.mark.parametrize("seconds", [0.05, 0.0613, 0.5, 1.234])
def test_round_trip_is_the_identity(rate: int, seconds: float) -> None:
    plane = default_plane(rate)
    waves = torch.randn(2, int(seconds * rate) + 1)
    back = plane.synthesise(plane.analyse(waves), waves.shape[1])
    assert back.shape == waves.shape
    assert snr(waves, back) > 100
    edge = max(1, waves.shape[1] // 50)  # also at the very ends
    assert snr(waves[:, :edge], back[:, :edge]) > 100
    assert snr(waves[:, -edge:], back[:, -edge:]) > 100


@pytest.mark.parametrize("hop", [1, 7, 16, 32])
def test_round_trip_for_any_hop(hop: int) -> None:
    plane = Plane(1000, 64, hop)
    waves = torch.randn(1, 333)
    assert snr(waves, plane.synthesise(plane.analyse(waves), 333)) > 100


@pytest.mark.parametrize(("n_fft", "hop"), [(64, 7), (64, 16), (64, 32), (400, 160), (2, 1)])
@pytest.mark.parametrize("samples", [1, 399, 1234])
def test_masked_spectrum_is_inverted_as_by_istft(n_fft: int, hop: int, samples: int) -> None:
    plane = Plane(1000, n_fft, hop)
    spectrum = plane.analyse(torch.randn(2, samples, dtype=torch.float64))
    spectrum = spectrum * torch.rand(spectrum.shape[1:], dtype=torch.float64)
    window = torch.hann_window(n_fft, dtype=torch.float64)
    wanted = torch.istft(spectrum * window.sum(), n_fft, hop, window=window, length=samples)
    torch.testing.assert_close(plane.synthesise(spectrum, samples), wanted, rtol=0, atol=1e-12)


def test_modulus_is_that_of_complex_numbers() -> None:
    values = torch.randn(50, 60, dtype=torch.complex64) * torch.logspace(-9, 9, 60)
    values[0, :3] = torch.tensor([0, -2, 3j])
    torch.testing.assert_close(modulus(values), values.abs(), rtol=3e-7, atol=0)


def test_analysis_is_the_fourier_sum() -> None:
    plane = Plane(1000, 32, 8)
    wave = np.random.default_rng(0).standard_normal(70)
    wanted = slow.stft(wave, 32, 8, plane.frames(70))
    found = plane.analyse(torch.from_numpy(wave)[None])[0].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_tone_lies_at_its_frequency_and_a_click_at_its_time() -> None:
    plane = default_plane(16000)
    time = torch.arange(16000) / 16000
    peak = plane.analyse(torch.sin(2 * torch.pi * 3000 * time)[None])[0].abs()
    assert float(plane.freqs()[peak[:, 30].argmax()]) == 3000.0
    np.testing.assert_allclose(float(peak[:, 30].max()), 0.5, rtol=1e-3)
    click = torch.zeros(1, 16000)
    click[0, 8000] = 1
    loudest = plane.analyse(click)[0].abs().sum(dim=0).argmax()
    np.testing.assert_allclose(float(plane.times(100)[loudest]), 0.5, atol=0.008)


def test_silence_at_the_end_only_adds_frames_of_zeros() -> None:
    plane = Plane(8000, 512, 128)
    wave = torch.randn(1, 3001)
    short = plane.analyse(wave)
    long = plane.analyse(torch.nn.functional.pad(wave, (0, 5000)))
    torch.testing.assert_close(long[..., : short.shape[-1]], short, rtol=0, atol=1e-7)
    assert float(long[..., short.shape[-1] :].abs().max()) == 0.0


@pytest.mark.parametrize(("rate", "n_fft", "hop"), [(0, 64, 16), (8000, 63, 16), (8000, 64, 33)])
def test_planes_that_cannot_invert_are_refused(rate: int, n_fft: int, hop: int) -> None:
    with pytest.raises(ParameterError, match=r"got|invert"):
        Plane(rate, n_fft, hop)


def test_mel_scale_is_slaneys() -> None:
    np.testing.assert_allclose(mel_edges(38, 0, 11025).numpy(), LIBROSA, atol=6e-4)


def test_mel_scale_inverts() -> None:
    hz = torch.linspace(0, 20000, 201, dtype=torch.float64)
    torch.testing.assert_close(mel_to_hz(hz_to_mel(hz)), hz, rtol=1e-12, atol=1e-9)


def test_mel_filters_have_unit_area_and_peak_at_their_centre() -> None:
    plane = Plane(16000, 2048, 512)
    filters = mel_filterbank(plane, 40)
    area = filters.sum(dim=1) * (plane.rate / plane.n_fft)
    torch.testing.assert_close(area, torch.ones(40, dtype=torch.float64), rtol=0, atol=0.03)
    peaks = plane.freqs().double()[filters.argmax(dim=1)]
    centres = mel_edges(40, 0, 8000)[1:-1]
    torch.testing.assert_close(peaks, centres, rtol=0, atol=plane.rate / plane.n_fft)


def test_empty_mel_bands_are_refused() -> None:
    with pytest.raises(ParameterError, match="without a bin"):
        mel_filterbank(Plane(16000, 256, 64), 200)
