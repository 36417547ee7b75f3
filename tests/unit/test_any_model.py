"""The example of thirteen models: as short as it says, and each explains a sound."""

from __future__ import annotations

import ast
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import earwitness
from earwitness.models.packaged.reading import package_file
from earwitness.types import Audio
from tests.transformers_folders import save, save_clap
from tests.unit.test_packaged import named, voice

FILE = Path(__file__).parents[2] / "docs" / "examples" / "any_model.py"
FEATURES = """
import numpy as np
def bands(waves):
    power = np.abs(np.fft.rfft(waves, 1024))
    return np.stack([power[:, :64].mean(1), power[:, 64:].mean(1)], 1)
"""


class Bands(torch.nn.Module):
    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        power = torch.fft.rfft(waves, 1024).abs()
        return torch.stack([power[:, :64].mean(1), power[:, 64:].mean(1)], 1)


def _features(folder: Path) -> str:
    (folder / "features.py").write_text(FEATURES)
    return f"{folder}/features.py:bands"


def _forest(folder: Path) -> Path:
    rows = np.random.default_rng(0).random((40, 2))
    pipe = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, rows[:, 0] > rows[:, 1])
    joblib.dump(pipe, folder / "m.joblib")
    return folder / "m.joblib"


def _script(folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Bands(), torch.zeros(1, 4000)).save(str(folder / "m.pt"))
    return folder / "m.pt"


def _dnsmos(folder: Path) -> Path:
    named("dnsmos")
    return package_file("speechmos", "dnsmos_models", "sig_bak_ovr.onnx")


def _notes(folder: Path) -> Path:
    named("basic-pitch")
    return package_file("basic_pitch", "saved_models", "icassp_2022", "nmp.tflite")


def _hf(folder: Path, kind: str) -> str:
    name = save_clap(folder, "rand_trunc") if kind == "clap" else save(kind, folder)
    return name.removeprefix("hf:")


GIVEN: dict[str, Callable[[Path], tuple[Any, ...]]] = {
    "silero_vad": lambda folder: (),
    "silero_vad_onnx": lambda folder: (),
    "basic_pitch": lambda folder: (),
    "distillmos": lambda folder: (),
    "dnsmos": lambda folder: (),
    "wav2vec2": lambda folder: (_hf(folder, "wav2vec2"),),
    "audio_spectrogram_transformer": lambda folder: (_hf(folder, "ast"),),
    "clap": lambda folder: (_hf(folder, "clap"),),
    "onnx_file": lambda folder: (_dnsmos(folder),),
    "tflite_file": lambda folder: (_notes(folder),),
    "torchscript_file": lambda folder: (_script(folder),),
    "sklearn_pipeline": lambda folder: (_forest(folder), _features(folder)),
    "speaker_embedding": lambda folder: (Bands(), Audio(voice(0.5, 16000)[0].numpy(), 16000)),
}


def test_thirteen_models_take_at_most_five_lines_each() -> None:
    functions = [node for node in ast.parse(FILE.read_text()).body
                 if isinstance(node, ast.FunctionDef)]  # fmt: skip
    assert sorted(one.name for one in functions) == sorted(GIVEN)
    assert len(functions) == 13
    assert all((one.end_lineno or 0) - one.lineno <= 5 for one in functions)


@pytest.mark.parametrize("name", GIVEN)
def test_each_of_the_thirteen_explains_a_sound(name: str, tmp_path: Path) -> None:
    package = name.replace("_onnx", ":onnx").replace("_", "-")
    if package in ("silero-vad", "silero-vad:onnx", "basic-pitch", "distillmos", "dnsmos"):
        named(package)  # or skipped
    spec = importlib.util.spec_from_file_location("any_model", FILE)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    model = getattr(module, name)(*GIVEN[name](tmp_path))
    sound = Audio(voice(0.4, model.rate)[0].numpy(), model.rate)
    found = earwitness.explain(model, sound, "occlusion", pieces="time", trust="none")
    assert found.attribution.values.shape == found.magnitude.shape
    assert np.isfinite(found.attribution.values).all()
    assert np.ptp(found.attribution.values) > 0  # it depends on the sound
