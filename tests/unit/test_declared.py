"""Outputs that are not what they are declared as, and other ways to hand over a model wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.errors import ModelError, ParameterError
from earwitness.jobs.predicting import predict
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.plane.stft import Plane

RATE = 16000
CLIP = (np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), RATE)
Shape = Callable[[Tensor], Tensor]


def levels(waves: Tensor) -> Tensor:
    """Return three logits (batch, output) that depend on level and spectrum of the sound."""
    steps = (waves[:, 1:] - waves[:, :-1]).std(dim=1)
    parts = [3 * waves.std(dim=1).add(1e-6).log(), steps.add(1e-6).log(), waves.abs().amax(dim=1)]
    return torch.stack(parts, dim=1)


class Shaped(nn.Module):
    """Those logits in another shape or on another scale."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, waves: Tensor) -> Tensor:
        return self.shape(levels(waves))


def model(shape: Shape, **facts: Any) -> Model:
    return wrap(Shaped(shape), sample_rate=RATE, **facts)


def black_box(shape: Shape, **facts: Any) -> Model:
    return wrap(lambda waves: shape(levels(torch.from_numpy(waves))).numpy(), sample_rate=RATE,
                **facts)  # fmt: skip


SOFTMAX: Shape = lambda logits: logits.softmax(dim=1)  # noqa: E731
SIGMOID: Shape = lambda logits: logits.sigmoid()  # noqa: E731
LOGS: Shape = lambda logits: logits.log_softmax(dim=1)  # noqa: E731
BUILD = pytest.mark.parametrize("build", [model, black_box])


@BUILD
@pytest.mark.parametrize(
    "facts", [{}, {"output": "logits"}, {"task": "multi-label"}, {"labels": ["a", "b", "c"]}]
)
def test_a_softmax_is_not_applied_twice(build: Any, facts: dict[str, Any]) -> None:
    wrapped = build(SOFTMAX, **facts)
    for use in (explain, predict):
        args = ("occlusion",) if use is explain else ()
        with pytest.raises(ModelError, match="applied twice; use output='probabilities'"):
            use(wrapped, CLIP, *args)  # type: ignore[operator]


@BUILD
def test_probabilities_that_are_declared_are_reported_as_they_are(build: Any) -> None:
    found = predict(build(SOFTMAX, output="probabilities"), CLIP)["outputs"]
    wanted = levels(torch.from_numpy(CLIP[0])[None]).softmax(dim=1)[0]
    np.testing.assert_allclose(list(found.values()), wanted.numpy(), rtol=1e-5)


@BUILD
@pytest.mark.parametrize("facts", [{}, {"task": "multi-label"}])
def test_sigmoids_are_not_taken_for_logits_by_default(build: Any, facts: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"output='probabilities', task='multi-label' if they are"):
        predict(build(SIGMOID, **facts), CLIP)


def test_similarities_that_are_declared_logits_are_logits_and_it_is_said() -> None:
    found = predict(model(SIGMOID, output="logits"), CLIP)
    wanted = levels(torch.from_numpy(CLIP[0])[None]).sigmoid().softmax(dim=1)[0]
    np.testing.assert_allclose(list(found["outputs"].values()), wanted.numpy(), rtol=1e-5)
    assert [note for note in found["notes"] if "as declared" in note]


def test_log_probabilities_are_logits_and_it_is_said() -> None:
    found = explain(model(LOGS), CLIP, "occlusion", trust="none")
    wanted = levels(torch.from_numpy(CLIP[0])[None]).softmax(dim=1)[0]
    np.testing.assert_allclose(found.outputs[0].input, float(wanted.max()), rtol=1e-5)
    assert [note for note in found.notes if "log-probabilities" in note]
    with pytest.raises(ModelError, match="use task='single-label'"):
        predict(model(LOGS, task="multi-label"), CLIP)


def test_logits_in_the_unit_interval_for_one_sound_only_are_logits() -> None:
    quiet = torch.from_numpy(CLIP[0])[None]
    inside: Shape = lambda logits: (logits - levels(quiet)) + torch.tensor([0.2, 0.3, 0.5])  # noqa: E731
    found = predict(model(inside), CLIP)
    wanted = torch.tensor([0.2, 0.3, 0.5]).softmax(dim=0)
    np.testing.assert_allclose(list(found["outputs"].values()), wanted.numpy(), rtol=1e-4)


def test_logits_that_are_zero_whatever_the_sound_tell_nothing() -> None:
    found = predict(model(lambda logits: 0 * logits), CLIP)["outputs"]
    np.testing.assert_allclose(list(found.values()), 1 / 3, rtol=1e-6)


def test_a_black_box_may_return_tensors_with_gradients() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    wrapped = wrap(lambda waves: network(levels(torch.from_numpy(waves))), sample_rate=RATE)
    wanted = network(levels(torch.from_numpy(CLIP[0])[None])).softmax(dim=1)[0].detach()
    found = predict(wrapped, CLIP)["outputs"]
    np.testing.assert_allclose(list(found.values()), wanted.numpy(), rtol=1e-5)


def test_values_of_a_regression_may_lie_anywhere() -> None:
    dimensions = model(SIGMOID, output="scores", labels=["arousal", "valence", "dominance"])
    wanted = levels(torch.from_numpy(CLIP[0])[None]).sigmoid()[0]
    found = predict(dimensions, CLIP)["outputs"]
    np.testing.assert_allclose(list(found.values()), wanted.numpy(), rtol=1e-5)


def test_the_check_is_made_once_for_a_set_of_weights() -> None:
    calls = []

    def counted(logits: Tensor) -> Tensor:
        calls.append(len(logits))
        return logits

    wrapped = model(counted, labels=["a", "b", "c"])
    predict(wrapped, CLIP)
    assert len(calls) == 1 + 1  # once more, whether outputs are the same
    suspicious = model(
        lambda logits: counted(logits).sigmoid(), output="logits", labels=list("abc")
    )
    calls.clear()
    for _ in range(3):
        predict(suspicious, CLIP)
    assert len(calls) == 3 + 3 + 1  # three noises, and once more


class Frames(nn.Module):
    """The level of every 10 ms, as one value or as five classes, in a given order of axes."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order

    def forward(self, waves: Tensor) -> Tensor:
        level = waves.unfold(1, 160, 160).std(dim=2)
        if self.order == "frame":
            return level - 1
        maps = torch.stack([level - k for k in range(1, 6)], dim=1)
        return maps if self.order == "output, frame" else maps.transpose(1, 2)


@pytest.mark.parametrize(
    ("order", "facts", "words"),
    [
        (
            "frame",
            {},
            "100 outputs for one length of sound and 50 for .*use per_frame=True",
        ),
        ("output, frame", {"per_frame": True}, r"these are frames; transpose them to \(batch, fr"),
        (
            "output, frame",
            {"per_frame": True, "labels": list("abcde")},
            r"\(batch, output, frame\), 5 in each of 100 frames",
        ),
        ("output, frame", {}, r"if they are \(batch, frame, output\), use per_frame=True"),
        ("frame", {"output": "scores"}, "regression without labels has one output, got 100"),
    ],
)
def test_frames_are_not_taken_for_classes(order: str, facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        predict(wrap(Frames(order), sample_rate=RATE, **facts), CLIP)


def test_frames_in_the_declared_order_are_accepted() -> None:
    found = predict(wrap(Frames("frame, output"), sample_rate=RATE, per_frame=True), CLIP)
    assert (len(found["outputs"]), found["notes"]) == (5, [])
    fixed = wrap(Frames("frame, output"), sample_rate=RATE, per_frame=True, lengths=(1.0, 1.0))
    assert "5 outputs in each of 100 frames" in predict(fixed, CLIP)["notes"][0]


@BUILD
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda logits: logits.argmax(dim=1), "int64.*class indices.*before argmax"),
        (lambda logits: (logits > 0).int(), "decisions or counts"),
        (lambda logits: logits > 0, "torch.bool"),
        (lambda logits: torch.complex(logits, logits), "real numbers, got torch.complex64"),
    ],
)
def test_outputs_that_are_no_scores_are_refused(build: Any, shape: Shape, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        predict(build(shape), CLIP)


@BUILD
def test_whole_numbers_of_a_regression_are_values(build: Any) -> None:
    found = predict(build(lambda x: x[:, :1].round().int(), output="scores"), CLIP)
    np.testing.assert_allclose(found["outputs"]["value"], round(3 * np.log(0.1)), atol=0)


def test_complex_features_keep_their_imaginary_part() -> None:
    class Phase(nn.Module):
        def forward(self, spectrum: Tensor) -> Tensor:
            return torch.stack([spectrum.real.mean(dim=1), spectrum.imag.mean(dim=1)], dim=1)

    wrapped = wrap(Phase(), sample_rate=RATE, features=lambda x: torch.complex(x, 2 * x))
    wave = torch.full((1, RATE), 0.25)
    torch.testing.assert_close(wrapped(wave), torch.tensor([[0.25, 0.5]]), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "labels",
    [
        {0: "cat", 1: "dog", 2: "rain"},
        {"2": "rain", "1": "dog", "0": "cat"},
        {"dog": 1, "cat": 0, "rain": 2},
        {"dog": np.int64(1), "cat": np.int64(0), "rain": np.int64(2)},
        ["cat", "dog", "rain"],
    ],
)
def test_labels_are_read_from_mappings_of_either_direction(labels: Any) -> None:
    assert model(LOGS, labels=labels).labels == ("cat", "dog", "rain")


def test_labels_of_digits_are_read_by_their_index() -> None:
    assert wrap(Shaped(LOGS), sample_rate=RATE, labels={"1": 0, "0": 1}).labels == ("1", "0")
    assert wrap(Shaped(LOGS), sample_rate=RATE, labels={0: 1, 1: 0}).labels == ("1", "0")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({0: "cat", 2: "dog"}, "2 names, but none for output 1"),
        ({"cat": "dog"}, "from index to name or from name to index"),
        ({"cat", "dog", "rain"}, "a set has no order"),
        ({"cat": 0, "dog": 0}, "none for output 1"),
    ],
)
def test_labels_without_an_order_are_refused(labels: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        model(LOGS, labels=labels)


class Spectrogram(nn.Module):
    """Two logits from a spectrogram of the given parameters, after resampling by two or not."""

    def __init__(self, n_fft: int, hop: int, win: int | None = None, step: int = 1) -> None:
        super().__init__()
        self.sizes, self.step = (n_fft, hop, win), step

    def forward(self, waves: Tensor) -> Tensor:
        n_fft, hop, win = self.sizes
        window = torch.hann_window(win or n_fft)
        found = torch.stft(waves[:, :: self.step], n_fft, hop, win, window, return_complex=True)
        return found.abs().flatten(1)[:, :2] - 2


class Attributes(nn.Module):
    """A spectrogram by convolution, with the attributes that say so."""

    def __init__(self) -> None:
        super().__init__()
        self.n_fft, self.hop_length = 640, 160

    def forward(self, waves: Tensor) -> Tensor:
        return waves[:, :2] - 2


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        (Spectrogram(256, 64), Plane(RATE, 256, 64)),
        (Spectrogram(512, 160, 400), Plane(RATE, 400, 160)),
        (Spectrogram(256, 64, step=2), Plane(RATE, 512, 128)),
        (Spectrogram(512, 1), Plane(RATE, 512, 32)),
        (Spectrogram(256, 256), Plane(RATE, 256, 128)),
        (Attributes(), Plane(RATE, 640, 160)),
        (Shaped(LOGS), Plane(RATE, 1024, 256)),
    ],
)
def test_the_plane_is_the_models_own(network: nn.Module, wanted: Plane) -> None:
    assert wrap(network, sample_rate=RATE).plane == wanted
    other = Plane(RATE, 128, 32)
    assert wrap(network, sample_rate=RATE, plane=other).plane == other


def test_a_plane_is_given_by_its_window_in_seconds() -> None:
    bats = wrap(Shaped(LOGS), sample_rate=384000, plane=0.002)
    assert bats.plane == Plane(384000, 1024, 256)  # 768 samples lie nearest 2^10 on a log scale
    for plane in (0, -1, 1e-5, 60, "2 ms", Plane(8000, 256, 64)):
        with pytest.raises(ParameterError, match="plane"):
            wrap(Shaped(LOGS), sample_rate=RATE, plane=plane)  # type: ignore[arg-type]
