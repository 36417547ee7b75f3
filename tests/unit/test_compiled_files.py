"""TorchScript, torch.export and scikit-learn: files of models that are loaded by their kind."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, OneClassSVM
from torch import Tensor, nn

import earwitness
from earwitness.errors import ModelError
from earwitness.models.registry import load_model

RATE = 8000


class Bands(nn.Module):
    """Logarithms of the power below and above 1 kHz."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.fft.rfft(waves, 1024).abs().square()
        return torch.stack([power[:, :128].sum(1), power[:, 128:].sum(1)], 1).add(1e-3).log()


@pytest.fixture
def noise() -> tuple[Any, int]:
    return 0.1 * np.random.default_rng(3).standard_normal(1024).astype(np.float32), RATE


@pytest.mark.parametrize("frozen", [False, True])
def test_torchscript_files_are_differentiated(
    frozen: bool, tmp_path: Path, noise: tuple[Any, int]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and its files are still there
        script = torch.jit.trace(Bands().eval(), torch.zeros(2, 1024))
        (torch.jit.freeze(script) if frozen else script).save(tmp_path / "m.pt")
    model = load_model(f"torchscript:{tmp_path}/m.pt", rate=RATE, labels="low,high")
    waves = torch.from_numpy(noise[0])[None]
    torch.testing.assert_close(model(waves), Bands()(waves))
    found = earwitness.explain(model, noise, "integrated-gradients", steps=8, trust="none")
    wrapped = earwitness.wrap(Bands(), sample_rate=RATE, labels=["low", "high"])
    wanted = earwitness.explain(wrapped, noise, "integrated-gradients", steps=8, trust="none")
    np.testing.assert_allclose(
        found.attribution.values, wanted.attribution.values, atol=1e-5  # sums in another order
    )  # fmt: skip


def test_a_pickle_is_no_torchscript(tmp_path: Path) -> None:
    torch.save(Bands().state_dict(), tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"no TorchScript that can be loaded.*python:FILE.py"):
        load_model(f"torchscript:{tmp_path}/m.pt", rate=RATE)


def test_exported_programs_have_the_length_and_batch_they_were_exported_with(
    tmp_path: Path, noise: tuple[Any, int]
) -> None:
    torch.export.save(torch.export.export(Bands(), (torch.zeros(1, 1024),)), tmp_path / "m.pt2")
    name = f"export:{tmp_path}/m.pt2"
    with pytest.raises(ModelError, match=r"runs code that is in the file.*--trust-code"):
        load_model(name, rate=RATE)
    model = load_model(name, rate=RATE, labels="low,high", trust_code=True)
    assert (model.shortest, model.longest, model.one_by_one) == (1024, 1024, True)
    waves = torch.from_numpy(np.stack([noise[0], -2 * noise[0]]))
    torch.testing.assert_close(model(waves), Bands()(waves))
    short = torch.nn.functional.pad(waves[:, :900], (0, 124))
    torch.testing.assert_close(model(waves[:, :900]), Bands()(short))
    pair = torch.export.export(Bands(), (torch.zeros(3, 1024),))
    torch.export.save(pair, tmp_path / "three.pt2")
    with pytest.raises(ModelError, match="takes batches of 3 only"):
        load_model(f"export:{tmp_path}/three.pt2", rate=RATE, trust_code=True)


FEATURES = """
import numpy as np

def bands(waves):
    power = np.abs(np.fft.rfft(waves, 1024)) ** 2
    return np.log(np.stack([power[:, :128].sum(1), power[:, 128:].sum(1)], 1) + 1e-3)
"""


def fitted(tmp_path: Path, estimator: Any, targets: list[Any]) -> str:
    """Fit on features and write; the first half of the features is low, the second high."""
    (tmp_path / "bands.py").write_text(FEATURES)
    rows = np.array([[3.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 2.0]])
    joblib.dump(estimator.fit(rows, targets), tmp_path / "m.joblib")
    return f"sklearn:{tmp_path}/m.joblib"


def test_a_pipeline_on_features_gives_probabilities_by_the_names_of_its_classes(
    tmp_path: Path, noise: tuple[Any, int]
) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    name = fitted(tmp_path, pipeline, ["hum", "hum", "hiss", "hiss"])
    options = {"rate": RATE, "features": f"{tmp_path}/bands.py:bands"}
    with pytest.raises(ModelError, match="--trust-code"):
        load_model(name, **options)
    model = load_model(name, **options, trust_code=True)
    assert (model.labels, model.output) == (("hiss", "hum"), "probabilities")
    waves = torch.from_numpy(noise[0])[None]
    features = Bands()(waves).numpy()
    torch.testing.assert_close(
        model(waves), torch.from_numpy(pipeline.predict_proba(features)).float(), rtol=0, atol=1e-5
    )
    with pytest.raises(ModelError, match=r"features are FILE.py:FUNCTION, got bands"):
        load_model(name, rate=RATE, features="bands", trust_code=True)


def test_decisions_of_two_classes_are_logits_whose_difference_is_the_margin(tmp_path: Path) -> None:
    estimator = Perceptron(random_state=0)
    name = fitted(tmp_path, estimator, ["a", "a", "b", "b"])
    model = load_model(name, rate=RATE, trust_code=True)
    found = model(torch.tensor([[1.0, 4.0]]))[0]
    margin = float(estimator.decision_function([[1.0, 4.0]])[0])
    np.testing.assert_allclose(float(found[1] - found[0]), margin, rtol=1e-6)


def test_regressions_are_scores_and_mere_decisions_are_refused(tmp_path: Path) -> None:
    model = load_model(fitted(tmp_path, Ridge(0.0), [3, 2, 0, 0]), rate=RATE, trust_code=True)
    assert (model.task, model.output) == ("regression", "scores")
    torch.testing.assert_close(
        model(torch.tensor([[5.0, 0.0]])), torch.tensor([[5.0]]), rtol=0, atol=1e-3
    )
    decider = DummyRegressor()
    decider.classes_ = [0, 1]
    with pytest.raises(ModelError, match="gives decisions and no scores"):
        load_model(fitted(tmp_path, decider, [0, 0, 1, 1]), rate=RATE, trust_code=True)


def test_programs_that_take_no_waveform(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Constant(nn.Module):
        def forward(self) -> Tensor:
            return torch.zeros(1, 2)

    torch.export.save(torch.export.export(Constant(), ()), tmp_path / "none.pt2")
    torch.export.save(torch.export.export(Bands(), (torch.zeros(1, 60),)), tmp_path / "short.pt2")
    (tmp_path / "bad.pt2").write_bytes(b"no archive")
    cases = {"none": "first input is no tensor", "short": "60 values is no waveform; compute",
             "bad": "cannot be loaded"}  # fmt: skip
    capfd.readouterr()
    for file, words in cases.items():
        with pytest.raises(ModelError, match=words) as error:
            load_model(f"export:{tmp_path}/{file}.pt2", rate=RATE, trust_code=True)
        assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_the_score_of_an_outlier_was_made_two_classes(tmp_path: Path) -> None:
    estimator = OneClassSVM()
    model = load_model(fitted(tmp_path, estimator, [1, 1, 1, 1]), rate=RATE, trust_code=True)
    assert (model.task, model.output) == ("regression", "scores")
    rows = [[1.0, 4.0], [2.0, 0.0]]
    wanted = torch.from_numpy(estimator.decision_function(rows)).float()[:, None]
    torch.testing.assert_close(model(torch.tensor(rows)), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "targets", "words"),
    [
        (make_pipeline(StandardScaler(), KMeans(2)), [0, 0, 1, 1], "gives numbers of clusters"),
        (KNeighborsClassifier(1), [[0, 1], [0, 0], [1, 1], [1, 0]], "has several targets"),
        (SVC(decision_function_shape="ovo"), [0, 1, 2, 2], "gives a value for each pair of class"),
    ],
)
def test_estimators_without_one_score_for_each_class_end_in_one_line(
    estimator: Any, targets: list[Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(fitted(tmp_path, estimator, targets), rate=RATE, trust_code=True)
