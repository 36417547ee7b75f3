"""Every kind of model on sounds from 0.3 to 60 s: explained, whatever it takes at a time."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests.toys import WaveNet

transformers_folders = pytest.importorskip(
    "tests.transformers_folders", reason="transformers is not installed"
)
KINDS = [*transformers_folders.KINDS, "clap", "torchscript", "black box", "esc10"]
LENGTHS = (0.3, 4.9, 11.7, 60.0)  # s


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    kind, folder = request.param, tmp_path_factory.mktemp("model")
    if kind in transformers_folders.KINDS:
        return load_model(transformers_folders.save(kind, folder))
    if kind == "clap":
        name = transformers_folders.save_clap(folder, "rand_trunc")
        return load_model(name, labels=["dog", "rain"])
    if kind == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            torch.jit.trace(WaveNet(), torch.zeros(1, 8000)).save(str(folder / "m.pt"))
        return load_model(f"torchscript:{folder / 'm.pt'}", rate=16000, shortest=1.0, longest=2.0)
    if kind == "black box":

        def level(waves: np.ndarray) -> np.ndarray:
            halves = np.abs(waves).mean(axis=1)
            return np.stack([halves, 1 - halves], axis=1)

        return wrap(level, sample_rate=16000, output="probabilities", lengths=(1.0, 5.0))
    return load_model(kind)


@pytest.mark.parametrize("seconds", LENGTHS)
def test_every_kind_explains_sounds_of_any_length(model: Model, seconds: float) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * model.rate))
    method, options = "saliency", {}
    if not model.differentiable:
        method, options = "occlusion", {"pieces": "time", "segments": 3}
    clip = Audio(samples.astype(np.float32), model.rate)
    found = explain(model, clip, method, trust="none", **options)  # type: ignore[arg-type]
    values = found.attribution.values
    assert values.shape[1] == model.plane.frames(len(samples))
    assert np.isfinite(values).all()
    assert np.abs(values).max() > 0
    if seconds < 1:  # padded with silence, with which a part may count no more
        return
    # what lies in the beginning and what lies at the end both count
    third = values.shape[1] // 3
    assert np.abs(values[:, :third]).max() > 0
    assert np.abs(values[:, -third:]).max() > 0
