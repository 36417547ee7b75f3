"""Models of other packages by name: their numbers are those of the packages."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import earwitness
from earwitness.errors import ModelError, UnknownNameError
from earwitness.models.adapters.registry import ADAPTERS
from earwitness.models.model import Model
from earwitness.models.packaged.reading import import_without, package_file
from earwitness.models.registry import load_model
from earwitness.types import Audio
from tests.command import run

ROOT = Path(__file__).parents[2]
NAMED = ("silero-vad", "silero-vad:onnx", "basic-pitch", "distillmos", "dnsmos")


def named(name: str, **options: Any) -> Model:
    """A model of a package, if it is installed."""
    adapter = ADAPTERS.get(name)
    if adapter.missing:
        pytest.skip(f"{name} needs {adapter.install}")
    return load_model(name, **options)


def voice(seconds: float, rate: int) -> Tensor:
    """19 harmonics of 150 Hz whose level pulses three times a second, and noise 15 dB below."""
    time = np.arange(int(seconds * rate)) / rate
    harmonics = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 20))
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(time))
    samples = harmonics * (1 + np.sin(2 * np.pi * 3 * time)) * 0.05 + noise
    return torch.from_numpy(samples.astype(np.float32)).unsqueeze(0)


@pytest.mark.parametrize("name", ["silero-vad", "silero-vad:onnx"])
@pytest.mark.parametrize("seconds", [0.04, 0.3, 2.05])
def test_silero_gives_what_its_package_gives_frame_by_frame(name: str, seconds: float) -> None:
    model, waves = named(name), voice(seconds, 16000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.load(str(package_file("silero_vad", "data", "silero_vad.jit"))).eval()
    with torch.no_grad():
        wanted = script.audio_forward(waves, 16000)
        torch.testing.assert_close(model(waves)[:, 0], wanted, rtol=0, atol=1e-5)
        both = model(torch.cat([0.1 * waves.flip(1), waves]))
    torch.testing.assert_close(both[1:, 0], wanted, rtol=0, atol=1e-5)


def test_gradients_of_silero_were_undefined_where_a_sound_is_silent() -> None:
    model, waves = named("silero-vad"), torch.zeros(1, 4096)
    waves[0, 2048:2560] = voice(0.032, 16000)[0, :512]
    waves.requires_grad_(True)
    model(waves)[0, 0, 4].backward()
    assert bool(torch.isfinite(waves.grad).all())  # type: ignore[arg-type]
    assert float(waves.grad[0, 2048:2560].abs().max()) > 0  # type: ignore[index]
    # frames after it do not count
    torch.testing.assert_close(waves.grad[0, 2560:], torch.zeros(1536))  # type: ignore[index]


def test_silero_attends_to_a_span() -> None:
    model = named("silero-vad")
    sound = Audio(voice(1.6, 16000)[0].numpy(), 16000)
    found = earwitness.explain(model, sound, span=(0.64, 0.96), trust="none")
    assert found.target.frames == (20, 30)
    values = found.attribution.values
    assert abs(values[:, 125:]).sum() < 1e-3 * abs(values).sum()  # from 1 s on: it reads forwards


@pytest.mark.parametrize(
    ("seconds", "personalised", "wanted"),
    [
        (0.3, False, [2.2439, 3.20003, 2.6589, 2.29158]),
        (0.3, True, [2.20819, 3.47218, 2.16107, 2.29158]),
        (5.0, False, [2.15067, 3.1251, 2.49998, 2.26195]),
        (9.01, False, [2.11806, 3.09742, 2.43592, 2.24643]),
        (9.01, True, [2.34098, 3.78628, 2.17041, 2.24643]),
    ],
)
def test_dnsmos_gives_what_its_package_gives(
    seconds: float, personalised: bool, wanted: list[float]
) -> None:
    # speechmos 0.0.1.1 with librosa 0.11.0; its dnsmos_personalized
    model = named("dnsmos", personalised=personalised)
    assert model.labels == ("OVRL", "SIG", "BAK", "P808")
    found = model(voice(seconds, 16000))[0]
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=0, atol=1e-4)


def test_dnsmos_of_silence_is_finite() -> None:
    assert bool(torch.isfinite(named("dnsmos")(torch.zeros(1, 16000))).all())


@pytest.mark.parametrize("seconds", [0.3, 7.68])
def test_distillmos_gives_what_its_package_gives(seconds: float) -> None:
    model, waves = named("distillmos"), voice(seconds, 16000)
    code = import_without("distillmos.sqa", "torchaudio")
    weights = package_file("distillmos", "weights", "distill_mos_v7.pt")
    network = code.ConvTransformerSQAModel(load_weights=False).eval()
    network.load_state_dict(torch.load(weights, weights_only=True)["model"])
    with torch.no_grad():
        torch.testing.assert_close(model(waves), network(waves), rtol=0, atol=1e-4)


def test_gradients_of_distillmos_were_undefined_where_a_sound_is_padded() -> None:
    model, waves = named("distillmos"), voice(1.0, 16000).requires_grad_(True)
    model(waves).sum().backward()
    assert bool(torch.isfinite(waves.grad).all())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("select", "label", "wanted"),
    [("note", "D3", 0.77672), ("onset", "D3", 0.26665), ("contour", "149.7 Hz", 0.63661)],
)
def test_basic_pitch_finds_the_note_that_its_package_finds(
    select: str, label: str, wanted: float
) -> None:
    # mean over 5 s by basic_pitch.inference 0.4.0, which cuts windows elsewhere
    model = named("basic-pitch", select=select)
    mean = model(voice(5.0, 22050))[0].mean(dim=1)
    assert model.labels[int(mean.argmax())] == label
    np.testing.assert_allclose(float(mean.max()), wanted, atol=0.02)


@pytest.mark.parametrize(("select", "label"), [("note", "A4"), ("contour", "440.0 Hz")])
def test_a_tone_of_440_hz_has_its_label(select: str, label: str) -> None:
    model = named("basic-pitch", select=select)
    time = torch.arange(22050) / 22050
    tone = sum(0.1 * 0.6**k * torch.sin(2 * torch.pi * 440 * k * time) for k in range(1, 6))
    assert model.labels[int(model(torch.as_tensor(tone)[None])[0].mean(dim=1).argmax())] == label
    assert len(set(model.labels)) == len(model.labels) == {"note": 88, "contour": 264}[select]


@pytest.mark.parametrize("name", NAMED)
def test_a_package_that_is_not_installed_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    package = {"dnsmos": "speechmos"}.get(name, name.partition(":")[0])
    with pytest.raises(ModelError, match=f"^{name} needs .*pip install .*{package}"):
        load_model(name)
    assert f"[pip install {'--no-deps ' * (package != 'silero-vad')}{package}" in "".join(
        line for line in run(capsys, "models")[1].splitlines() if line.startswith(f"{name} ")
    )
    code, _, error = run(capsys, "check", name)
    assert code == 2
    assert len(error.strip().splitlines()) == 1


def test_a_package_of_another_version_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weightless").mkdir()
    (tmp_path / "weightless" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match=r"weightless .* no file data/w\.pt; versions that have"):
        package_file("weightless", "data", "w.pt")
    assert "weightless" not in sys.modules


@pytest.mark.parametrize("there", [False, True])
def test_what_stands_in_for_a_package_is_removed_again(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unused_codec.py").write_text("VERSION = 1" if there else "raise OSError('no .so')")
    (tmp_path / f"user_{there}.py").write_text("import unused_codec\nIT = unused_codec")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = import_without(f"user_{there}", "unused_codec")
    assert hasattr(module.IT, "VERSION") == there
    assert ("unused_codec" in sys.modules) == there
    sys.modules.pop("unused_codec", None)


def test_a_place_behind_the_name_of_a_single_model_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no model called 'silero-vad:onx'; did you mean "
                       "'silero-vad:onnx'"):  # fmt: skip
        load_model("silero-vad:onx")


def test_the_command_describes_a_single_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "models", "silero-vad:onnx")[1].startswith("silero-vad:onnx ")
    described = run(capsys, "models", "basic-pitch")[1]
    assert "select=note (one of note, onset, contour)" in described


def test_every_package_of_weights_is_pinned_and_installed_without_what_it_needs() -> None:
    pinned = (ROOT / "requirements-models.txt").read_text(encoding="utf-8")
    lines = [line for line in pinned.splitlines() if not line.startswith("#")]
    names = {name for name, _ in (line.split("==") for line in lines)}
    given = " ".join(text for name in NAMED for text in ADAPTERS.get(name).packages.values())
    assert names == set(given.split()) - {"--no-deps"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--no-deps -r requirements-models.txt" in makefile
