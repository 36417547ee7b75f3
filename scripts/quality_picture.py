"""Draw docs/images/quality.png: ``python scripts/quality_picture.py``.

The layout of the published figures (spectrogram and regions that LIME weighs), for a synthesised
voice with a burst of noise and two synthetic models of quality: one lowers its score by noise above
3 kHz, the other by what is below 700 Hz. A column for each explanation, a row for each model.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from earwitness.methods.registry import METHODS
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.plane.stft import Plane
from earwitness.probe import Probe
from earwitness.render.picture import strength

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "quality.png"
RATE, SECONDS = 16000, 2.5
BURST = (1.2, 1.5)  # s
CLASSES = "3,1,2,3,3,1,2,3,1,3"  # of the ten stored recordings
COLUMNS = {
    "published": ("mosnet-lime", {"stored": CLASSES}),
    "repaired": ("mosnet-lime-repaired", {}),
    "contrast of classes": ("mosnet-lime-contrast", {}),
    "lime, ERB bands x time": ("lime", {"pieces": "erb x time", "background": "noise-floor"}),
}
MOST_BYTES = 300_000


class Lowered(nn.Module):
    """A score of 4.5, minus the level of a band."""

    def __init__(self, low: float, high: float, slope: float) -> None:
        super().__init__()
        self.low, self.high, self.slope = low, high, slope

    def forward(self, waves: Tensor) -> Tensor:
        freqs = torch.fft.rfftfreq(waves.shape[1], 1 / RATE)
        spectrum = torch.fft.rfft(waves) * ((freqs >= self.low) & (freqs < self.high))
        level = torch.fft.irfft(spectrum, waves.shape[1]).square().mean(dim=1).sqrt()
        return 4.5 - self.slope * level[:, None]


def sound() -> np.ndarray:
    """Return syllables of a voice of 130 Hz, with a burst of noise above 3 kHz."""
    rng, times = np.random.default_rng(0), np.arange(round(SECONDS * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(130 + 15 * np.sin(2 * np.pi * 1.5 * times)) / RATE
    voice = sum(np.sin(k * pitch) / (1 + abs(k * 130 - 600) / 400) for k in range(1, 28))
    voice = voice * np.maximum(np.sin(2 * np.pi * 2 * times), 0)
    noise = np.fft.rfft(rng.standard_normal(len(times)))
    noise[np.fft.rfftfreq(len(times), 1 / RATE) < 3000] = 0
    burst = np.fft.irfft(noise, len(times)) * ((times >= BURST[0]) & (times < BURST[1]))
    made = 0.05 * voice / voice.std() + 0.05 * burst / burst.std()
    made += 1e-4 * rng.standard_normal(len(times))
    found: np.ndarray = made.astype(np.float32)
    return found


def draw() -> Figure:
    """Return the picture."""
    wave = torch.from_numpy(sound())
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    axes = figure.subplots(2, 1 + len(COLUMNS), sharex=True, sharey=True)
    models = {"noise lowers it": (3000, 8000, 30.1), "low tones lower it": (0, 700, 43.3)}
    extent = (0.0, SECONDS, 0.0, RATE / 2000)
    for row, (name, band) in enumerate(models.items()):
        model = wrap(
            Lowered(*band), sample_rate=RATE, labels=["MOS"], output="scores",
            plane=Plane(RATE, 512, 256),
        )  # fmt: skip
        outputs = model(wave[None])[0]
        left = axes[row][0]
        for column, (title, (method, options)) in enumerate(COLUMNS.items(), start=1):
            spec = METHODS.get(method)
            probe = Probe(model, wave, make_target(model, outputs), seed=0)
            values = spec.function(probe, **spec.settle(options)).values.numpy()
            shown = axes[row][column]
            shown.imshow(
                strength(values), cmap="RdBu_r", vmin=-1, vmax=1, origin="lower", aspect="auto",
                extent=extent, interpolation="nearest",
            )  # fmt: skip
            shown.set_title(title if row == 0 else "", fontsize=10)
        level = 20 * np.log10(np.maximum(probe.magnitude.numpy(), 1e-6))
        left.imshow(
            level, cmap="magma", vmin=level.max() - 70, origin="lower", aspect="auto", extent=extent
        )
        left.set_title(f"{name}: {float(outputs[0]):.2f}", fontsize=10)
        left.set_ylabel("frequency (kHz)")
    for one in axes[1]:
        one.set_xlabel("time (s)")
    return figure


def main() -> int:
    """Write the picture and return the exit code."""
    drawn = io.BytesIO()
    draw().savefig(drawn, dpi=100)
    Image.open(drawn).convert("RGB").quantize(96).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE}: {size} bytes")
    return 0 if size <= MOST_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
