"""The browser's Fourier transform and plane against numpy and the library's plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from earwitness.plane.stft import Plane
from tests.browser.engine import array, call

pytestmark = pytest.mark.browser
# powers of two, small primes, a prime (2 * 509) and a product with one (2 * 3 * 17)
LENGTHS = [2, 4, 6, 16, 102, 400, 882, 1018, 1764, 2048]
PLANES = {
    "speech at 8 kHz": (Plane(8000, 400, 100), 12000),
    "44.1 kHz, 20 ms": (Plane(44100, 882, 220), 30001),
    "half a window": (Plane(16000, 256, 128), 24000),
    "bats at 250 kHz": (Plane(250000, 8192, 2048), 50000),
    "2 kHz": (Plane(2000, 64, 16), 1999),
    "shorter than a window": (Plane(16000, 1024, 256), 100),
    "a window of a prime": (Plane(16000, 1018, 300), 9000),
}


@pytest.mark.parametrize("length", LENGTHS)
def test_the_transform_is_that_of_numpy(engine: Any, length: int) -> None:
    signal = np.random.default_rng(length).standard_normal(length)
    found = call(
        engine,
        """(() => {
            const re = new Float64Array(x.length / 2 + 1), im = re.slice();
            const back = new Float64Array(x.length), transform = realTransform(x.length);
            transform.forward(Float64Array.from(x), re, im);
            transform.inverse(re, im, back);
            return [[...re], [...im], [...back]];
        })()""",
        x=signal.tolist(),
    )
    wanted = np.fft.rfft(signal)
    scale = np.abs(wanted).max()  # float64 keeps some 15 digits of the largest
    np.testing.assert_allclose(found[0], wanted.real, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(found[1], wanted.imag, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(found[2], signal, rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("name", PLANES)
def test_the_plane_is_that_of_the_library(engine: Any, name: str) -> None:
    plane, samples = PLANES[name]
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(samples).astype(np.float32)
    shape = {"n_fft": plane.n_fft, "hop": plane.hop, "bins": plane.bins}
    shape["frames"] = plane.frames(samples)
    gains = rng.random((shape["bins"], shape["frames"])).astype(np.float32)
    gains[:, shape["frames"] // 3 : shape["frames"] // 2] = 0  # silent frames count as others do
    spectrum = plane.analyse(torch.from_numpy(wave).double()[None])
    size = array(engine, "magnitudes(analyse(wave, shape))", wave=wave, shape=shape)
    # the browser keeps the spectrum in float32, of 7 digits
    np.testing.assert_allclose(
        size.reshape(gains.shape), spectrum[0].abs().numpy(), rtol=0, atol=1e-6
    )
    sound = array(
        engine,
        "synthesise(analyse(wave, shape), gains, shape, wave.length)",
        wave=wave, shape=shape, gains=gains.ravel(),
    )  # fmt: skip
    wanted = plane.synthesise(torch.from_numpy(gains)[None] * spectrum, samples)[0].numpy()
    np.testing.assert_allclose(sound, wanted, rtol=0, atol=2e-6 * np.abs(wave).max())


def test_all_gains_at_one_give_the_input_back(engine: Any) -> None:
    wave = np.random.default_rng(1).standard_normal(10000).astype(np.float32)
    shape = {"n_fft": 882, "hop": 441, "bins": 442, "frames": Plane(1, 882, 441).frames(10000)}
    code = "synthesise(analyse(wave, shape), gains, shape, wave.length)"
    ones = np.ones(shape["bins"] * shape["frames"], np.float32)
    sound = array(engine, code, wave=wave, shape=shape, gains=ones)
    np.testing.assert_allclose(sound, wave, rtol=0, atol=1e-6 * np.abs(wave).max())
