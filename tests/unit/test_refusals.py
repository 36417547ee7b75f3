"""What is said when a network cannot be called, and of networks of unusual inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.errors import ModelError, NotApplicableError, ParameterError, UnknownNameError
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests.toys import RATE, Magnitude

SAMPLES = 8000
LABELS = ["a", "b", "c"]


def noise(batch: int = 1) -> Tensor:
    return 0.1 * torch.randn(batch, SAMPLES, generator=torch.Generator().manual_seed(0))


def clip() -> Audio:
    return Audio(noise()[0].numpy(), RATE, "noise")


class Fails(nn.Module):
    def __init__(self, how: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.how = how

    def forward(self, waves: Tensor) -> Tensor:
        self.how(waves)
        return waves[:, :3]


def raising(error: BaseException) -> Callable[[Tensor], object]:
    def how(_: Tensor) -> object:
        raise error

    return how


def without_a_message(_: Tensor) -> None:
    raise ValueError


SCRIPT = """The following operation failed in the TorchScript interpreter.
Traceback of TorchScript (most recent call last):
    return torch.matmul(x, w)
           ~~~~~~~~~~~~ <--- HERE
RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x3968 and 4096x10)"""
ONNX = "Got invalid dimensions for input\n index: 1 Got: 8000 Expected: 16000\n Please fix it."


@pytest.mark.parametrize(
    ("how", "words", "hint"),
    [
        (raising(RuntimeError(SCRIPT)), "mat1 and mat2 shapes cannot be multiplied", True),
        (raising(ValueError(ONNX)), "input index: 1 Got: 8000 Expected: 16000 Please fix", True),
        (raising(RuntimeError("shape '[1, 9]' is invalid for input of size 8")), "size 8", True),
        (raising(AssertionError("Guard failed: x.size()[1] == 9")), r"x.size\(\)\[1\] == 9", True),
        (without_a_message, r"line \d+ of test_refusals.py, raise ValueError", False),
        (lambda waves: nn.Conv1d(1, 1, 9000)(waves[:, None]), "Kernel size can't be", True),
        (raising(KeyError("input_values")), "KeyError: 'input_values'", False),
        (raising(AttributeError("'NoneType' has no attribute 'shape'")), "'NoneType' has", False),
        (raising(TypeError("forward() takes a mapping of size 2")), "takes a mapping", False),
        (raising(RuntimeError("expected input[1, 8] to have 4 channels")), "4 channels", False),
        (raising(RuntimeError("expected scalar type Float but found Double")), "Double", False),
        (raising(RuntimeError("all tensors must be on the same device")), "same device", False),
        (raising(RuntimeError("the licence has expired")), "licence has expired", False),
        (raising(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")), "start and", False),
        (raising(MemoryError()), "not enough memory", False),
        (raising(SystemExit(3)), "SystemExit: 3", False),
    ],
)
def test_every_failure_of_a_model_was_called_one_of_lengths(
    how: Callable[[Tensor], object], words: str, hint: bool
) -> None:
    model = wrap(Fails(how), sample_rate=RATE, name="net")
    with pytest.raises(ModelError, match=words) as raised:
        model(noise())
    assert ("lengths=" in str(raised.value)) == hint
    assert "\n" not in str(raised.value)


class Channels(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.filters = nn.Conv1d(count, 3, 64, stride=16)

    def forward(self, waves: Tensor) -> Tensor:
        return self.filters(waves.reshape(len(waves), -1, SAMPLES)).square().mean(-1)


class Split(nn.Module):
    """Takes its two channels apart by hand."""

    def forward(self, waves: Tensor) -> Tensor:
        left, right = waves.unbind(1)
        return torch.stack([left.mean(-1), right.mean(-1), (left - right).std(-1)], 1)


@pytest.mark.parametrize("network", [Channels(2), Split()])
def test_a_stereo_model_is_refused_by_that_name(network: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"takes two channels .* only mono models"):
        explain(wrap(network, sample_rate=RATE), clip(), "saliency")
    both = wrap(
        network,
        sample_rate=RATE,
        features=lambda waves: waves[:, None].expand(-1, 2, -1),
        output="logits",
    )
    wanted = network(noise(2)[:, None].expand(-1, 2, -1))
    torch.testing.assert_close(both(noise(2)), wanted)  # as the message says


@pytest.mark.parametrize("channels", [1, 2])
def test_a_function_of_other_channels_is_told_a_way_that_functions_have(channels: int) -> None:
    def level(waves: np.ndarray) -> np.ndarray:
        _, count, _ = waves.shape
        assert count == channels, "channels"
        return waves.std(axis=2)[:, [0, -1, 0]] * [1, 2, 3]

    with pytest.raises(ModelError, match=r"wrap\(lambda waves: level\("):
        wrap(level, sample_rate=RATE)(noise())
    ways = {1: lambda one: one[:, None], 2: lambda one: np.stack([one, one], axis=1)}
    one = wrap(lambda waves: level(ways[channels](waves)), sample_rate=RATE)
    deviation = noise(2).std(dim=1, correction=0, keepdim=True)
    torch.testing.assert_close(one(noise(2)), deviation * torch.tensor([1.0, 2.0, 3.0]))


def test_a_missing_axis_of_channels_is_named() -> None:
    class Strict(nn.Module):
        def forward(self, waves: Tensor) -> Tensor:
            batch, _, samples = waves.shape
            return waves.reshape(batch, samples)[:, :3]

    with pytest.raises(ModelError, match=r"takes \(batch, 1, samples\).*waves\[:, None\]"):
        wrap(Strict(), sample_rate=RATE)(noise())


def scripted(network: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated
        return torch.jit.script(network)


class Located(nn.Module):
    """Three outputs of the level, shifted by a place and scaled by a week."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, waves: Tensor, place: Tensor, week: int = 1) -> Tensor:
        level = waves.square().flatten(1).mean(dim=1)
        facts = torch.cat([level[:, None], place], dim=1)  # of equal batches only
        return (facts[:, :1] * self.weights + facts[:, 1:2] - facts[:, 2:]) * week


class PlaceFirst(Located):
    def forward(self, place: Tensor, waves: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(waves, place)


def located(waves: np.ndarray, place: np.ndarray, week: int = 1) -> np.ndarray:
    level = (waves**2).mean(axis=1)
    return (level[:, None] * [1, 2, 3] + place[:, :1] - place[:, 1:]) * week


def wanted(waves: Tensor, week: int) -> Tensor:
    level = waves.square().mean(dim=1)
    return (level[:, None] * torch.tensor([1.0, 2.0, 3.0]) + 52.5 - 13.25) * week


PLACE = [52.5, 13.25]


@pytest.mark.parametrize(
    ("model", "extra", "week"),
    [
        (Located(), {"place": PLACE, "week": 7}, 7),
        (Located(), {"place": torch.tensor(PLACE, dtype=torch.float64)}, 1),
        (Located(), {"week": 7, "place": np.array(PLACE)}, 7),
        (PlaceFirst(), {"place": PLACE}, 1),
        (scripted(Located()), {"place": PLACE}, 1),
        (located, {"place": PLACE, "week": 7}, 7),
    ],
)
def test_constants_are_given_to_every_sound_of_a_batch(
    model: Any, extra: dict[str, Any], week: int
) -> None:
    one = wrap(model, sample_rate=RATE, labels=LABELS, extra=extra)
    with torch.no_grad():
        torch.testing.assert_close(one(noise(3)), wanted(noise(3), week), rtol=1e-5, atol=1e-5)
    assert not one.one_by_one


def test_constants_are_given_to_a_network_on_features_in_explanations() -> None:
    facts: dict[str, Any] = {"sample_rate": RATE, "labels": LABELS, "extra": {"place": PLACE}}
    one = wrap(Located(), features=Magnitude(), **facts)
    found = explain(one, clip(), "input-x-gradient", target=2, trust="none")
    magnitude = one.plane.analyse(noise())[0].abs()
    gradient = 2 * 3 * magnitude.square() / magnitude.numel()  # of 3 times the mean square
    np.testing.assert_allclose(found.attribution.values, gradient, rtol=1e-3, atol=1e-9)
    scaled = wrap(Located(), features=lambda waves: 2 * waves, **facts)
    with torch.no_grad():
        torch.testing.assert_close(scaled(noise(3)), wanted(2 * noise(3), 1), rtol=1e-5, atol=1e-5)


def test_an_exported_program_of_two_inputs_takes_constants_by_position() -> None:
    program = torch.export.export(Located(), (noise(1), torch.zeros(1, 2)))
    one = wrap(program, sample_rate=RATE, labels=LABELS, extra={"place": PLACE})
    with torch.no_grad():
        torch.testing.assert_close(one(noise(3)), wanted(noise(3), 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", [Located(), located, scripted(Located())])
def test_an_input_beside_the_waveform_is_refused_by_its_name(model: Any) -> None:
    with pytest.raises(ParameterError, match=r"inputs beside the waveform \(place\).*extra={'pla"):
        wrap(model, sample_rate=RATE)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"plcae": PLACE}, "did you mean 'place'"),
        ({"place": PLACE, "waves": 0, "week": 1}, "every input"),
        ([PLACE], "mapping"),
    ],
)
def test_constants_for_no_input_are_refused(extra: Any, words: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=words):
        wrap(Located(), sample_rate=RATE, extra=extra)


def test_models_with_other_constants_are_other_models() -> None:
    here, there, again = (
        wrap(Located(), sample_rate=RATE, labels=LABELS, extra={"place": [place, 0.0]})
        for place in (52.5, 48.9, 52.5)
    )
    assert fingerprint(here) == fingerprint(again) != fingerprint(there)


class Small(nn.Module):
    """Differentiable, with batch norms, whose mode matters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.filters = nn.Conv1d(1, 8, 64, stride=16)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 3)

    def forward(self, waves: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.filters(waves[:, None]))).mean(-1))


def compiled(kind: str) -> Any:
    network = Small().eval()
    if kind == "exported":
        return torch.export.export(network, (noise(),))
    if kind == "module of exported":
        return nn.Sequential(torch.export.export(network, (noise(),)).module(), nn.Dropout(0.5))
    script = scripted(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.freeze(script) if kind == "frozen" else script


KINDS = ["scripted", "frozen", "exported", "module of exported"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_a_compiled_network_is_explained_as_the_one_it_was_made_from(
    kind: str, method: str
) -> None:
    maps = [
        explain(
            wrap(network, sample_rate=RATE, labels=LABELS, output="logits"),
            clip(), method, target=1, trust="none",
        ).attribution.values
        for network in (compiled(kind), Small().eval())
    ]  # fmt: skip
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-3, atol=1e-4 * np.abs(maps[1]).max())


def test_modes_of_a_module_around_an_exported_program_are_restored() -> None:
    network = compiled("module of exported")
    network[1].training = True
    one = wrap(network, sample_rate=RATE, labels=LABELS, output="logits")
    with one.undisturbed():
        assert not network[1].training
        torch.testing.assert_close(one(noise()), Small().eval()(noise()))
    assert network[1].training


@pytest.mark.parametrize(
    ("kind", "name"),
    [("scripted", "TorchScript"), ("frozen", "TorchScript"), ("exported", "torch.export")],
)
@pytest.mark.parametrize("options", [{}, {"layer": "filters"}])
def test_layers_of_a_compiled_network_are_not_said_to_be_detached(
    kind: str, name: str, options: dict[str, str]
) -> None:
    one = wrap(compiled(kind), sample_rate=RATE, labels=LABELS, output="logits")
    with pytest.raises(NotApplicableError, match=f"{name}.*use integrated-gradients"):
        explain(one, clip(), "gradcam", trust="none", **options)


class ByNumpy(Small):
    """Its front end leaves torch; with ``detach`` it does so silently."""

    def __init__(self, detach: bool) -> None:
        super().__init__()
        self.detach = detach

    def forward(self, waves: Tensor) -> Tensor:
        array = (waves.detach() if self.detach else waves).numpy()
        return super().forward(torch.from_numpy(np.tanh(array)))


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "lrp"])
def test_a_front_end_in_numpy_is_a_black_box(method: str) -> None:
    one = wrap(ByNumpy(detach=False), sample_rate=RATE, labels=LABELS, output="logits")
    with pytest.raises(NotApplicableError, match="black box; use lime or occlusion"):
        explain(one, clip(), method, trust="none")
    explain(one, clip(), "occlusion", trust="none")


class NoTime(nn.Module):
    """A dense network on waveforms: no layer has a time axis."""

    def __init__(self, detach: bool) -> None:
        super().__init__()
        self.detach = detach
        self.hidden, self.head = nn.Linear(SAMPLES, 16), nn.Linear(16, 3)

    def forward(self, waves: Tensor) -> Tensor:
        waves = waves.detach() if self.detach else waves
        return self.head(torch.relu(self.hidden(waves)))


@pytest.mark.parametrize(
    ("detach", "instead"), [(True, "lime or occlusion"), (False, "integrated-gradients")]
)
@pytest.mark.parametrize("options", [{}, {"layer": "hidden"}])
def test_gradcam_recommends_no_method_that_is_refused_too(
    detach: bool, instead: str, options: dict[str, str]
) -> None:
    one: Model = wrap(NoTime(detach), sample_rate=RATE, labels=LABELS, output="logits")
    with pytest.raises(NotApplicableError, match=f"use {instead}$"):
        explain(one, clip(), "gradcam", trust="none", **options)
    explain(one, clip(), instead.split(" or ")[0], trust="none")


@pytest.mark.parametrize("method", ["lrp", "deep-shap"])
def test_rules_recommend_no_method_that_is_refused_too(method: str) -> None:
    network = Small().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated, and it warns of missing gradients
        quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
        one = wrap(quantised, sample_rate=RATE, labels=LABELS, output="logits")
        with pytest.raises(NotApplicableError, match=r"use lime or occlusion$"):
            explain(one, clip(), method, trust="none")


def test_a_module_that_has_no_length_was_asked_for_one() -> None:
    class Whole(Small):
        def __len__(self) -> int:
            raise TypeError("no length")

    one = wrap(nn.Sequential(Whole()), sample_rate=RATE, labels=LABELS, output="logits")
    assert explain(one, clip(), "gradcam", trust="none").attribution.details["layer"] == "0.norm"
