"""Every method against a slow float64 version of its paper, or a closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.errors import NotApplicableError
from earwitness.layers.axes import LayerAxes
from earwitness.methods.gradcam import _class_maps
from earwitness.methods.integrated_gradients import fade_in
from earwitness.methods.registry import METHODS
from earwitness.models.wrapping import wrap
from earwitness.perturbation.noise import noisy_magnitudes
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.probe import Probe
from earwitness.types import Target
from tests.reference import slow
from tests.toys import RATE, TOY_PLANE, Magnitude, additive, quadratic, two_layers

SAMPLES = 1600
SHAPE = (TOY_PLANE.bins, TOY_PLANE.frames(SAMPLES))


def wave(seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(seed))


def probe(model: Any, seed: int = 0) -> Probe:
    return Probe(model, wave(), Target(0, "a", "probability"), seed=seed)


def weights() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(9))


def explained(name: str, where: Probe, **options: Any) -> Any:
    spec = METHODS.get(name)
    return spec.function(where, **spec.settle(options))


def magnitudes() -> np.ndarray[Any, Any]:
    """The plane's magnitude in float64, by the slow transform."""
    return np.abs(slow.stft(wave().double().numpy(), 256, 128, SHAPE[1]))


@pytest.fixture(scope="module")
def magnitude() -> np.ndarray[Any, Any]:
    return magnitudes()


def test_saliency_is_the_size_of_the_slope(magnitude: np.ndarray[Any, Any]) -> None:
    # score = sum w m^2, so |d score / d m| = |2 w m|
    found = explained("saliency", probe(quadratic(weights()))).values.numpy()
    wanted = np.abs(2 * weights().double().numpy() * magnitude)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)


def test_input_x_gradient_is_the_slope_by_gain(magnitude: np.ndarray[Any, Any]) -> None:
    # score = sum w (g m)^2, so d score / d g = 2 w m^2 at g = 1
    found = explained("input-x-gradient", probe(quadratic(weights()))).values.numpy()
    wanted = 2 * weights().double().numpy() * magnitude**2
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-7)


def test_integrated_gradients_of_a_square(magnitude: np.ndarray[Any, Any]) -> None:
    # the integral of 2 w g m^2 over g from 0 to 1 is w m^2
    found = explained("integrated-gradients", probe(quadratic(weights())), steps=128)
    wanted = weights().double().numpy() * magnitude**2
    np.testing.assert_allclose(found.values.numpy(), wanted, rtol=2e-3, atol=1e-7)
    assert abs(found.details["score_change"] - wanted.sum()) < 1e-4 * np.abs(wanted).sum()


def test_integrated_gradients_of_a_logarithm_against_a_riemann_sum() -> None:
    rng = np.random.default_rng(3)
    scale = rng.uniform(0.5, 3, (2, 3))
    steps = slow.integrated(lambda g: math.log(1 + (g * scale).sum()), 400, (2, 3))
    levels, widths = fade_in(64)
    gradient = [scale / (1 + level * scale.sum()) for level in levels]
    found = sum(width * one for width, one in zip(widths.tolist(), gradient, strict=True))
    np.testing.assert_allclose(found, steps, rtol=1e-3)
    np.testing.assert_allclose(found.sum(), math.log(1 + scale.sum()), rtol=1e-3)


def test_fade_in_covers_the_path_once() -> None:
    levels, widths = fade_in(50)
    np.testing.assert_allclose(float(widths.sum()), 1.0, rtol=1e-12)
    assert (np.diff([0.0, *levels, 1.0]) > 0).all()


def test_grad_cam_map_is_the_papers() -> None:
    generator = torch.Generator().manual_seed(2)
    activation = torch.randn(1, 4, 5, 7, generator=generator)
    gradient = torch.randn(1, 4, 5, 7, generator=generator)
    wanted = slow.grad_cam(activation[0].double().numpy(), gradient[0].double().numpy())
    empty = torch.zeros(0)
    straight = _class_maps(activation, gradient, LayerAxes(3, 2, empty, empty))[0]
    np.testing.assert_allclose(straight.numpy(), wanted, rtol=1e-4, atol=1e-6)
    swapped = _class_maps(
        activation.transpose(2, 3), gradient.transpose(2, 3), LayerAxes(2, 3, empty, empty)
    )[0]
    np.testing.assert_allclose(swapped.numpy(), wanted, rtol=1e-4, atol=1e-6)
    assert wanted.max() > 0


@pytest.mark.parametrize("name", ["lime", "kernel-shap", "occlusion", "rise"])
def test_methods_on_pieces_recover_a_sum_of_pieces(
    name: str, magnitude: np.ndarray[Any, Any]
) -> None:
    where = probe(additive(weights()))
    pieces = cut(where, "grid", Sizes(segments=3, bands=4))
    cells = weights().double().numpy() * magnitude
    gains = torch.cat([pieces.mix(row[None]) for row in torch.eye(len(pieces))]).double().numpy()
    wanted = (gains * cells).sum(axis=(1, 2)) * (0.5 if name == "rise" else 1)
    options = {"lime": {"ridge": 0.0}}.get(name, {})
    found = explained(name, where, segments=3, bands=4, background="silence", **options)
    table = found.played.table
    got = np.array([piece.weight for piece in table])
    np.testing.assert_allclose(got, wanted, rtol=1e-2, atol=2e-4)
    mapped = np.einsum("k,kft->ft", wanted, gains)
    np.testing.assert_allclose(found.values.numpy(), mapped, rtol=1e-2, atol=2e-4)
    np.testing.assert_allclose(found.details["r2"], 1.0, atol=1e-4)
    assert found.details["pieces"] == 12
    energy = (gains**2 * magnitude**2).sum(axis=(1, 2)) / (magnitude**2).sum()
    np.testing.assert_allclose([piece.energy for piece in table], energy, rtol=1e-3)


def test_energy_is_the_squared_magnitude(magnitude: np.ndarray[Any, Any]) -> None:
    found = explained("energy", probe(quadratic(weights())))
    np.testing.assert_allclose(found.values.numpy(), magnitude**2, rtol=1e-3, atol=1e-9)


def test_all_ones_is_one_everywhere() -> None:
    found = explained("all-ones", probe(quadratic(weights())))
    np.testing.assert_array_equal(found.values.numpy(), np.ones(SHAPE))


def test_random_is_as_smooth_as_it_says() -> None:
    # white noise blurred by a Gaussian of deviation s has autocorrelation exp(-d^2 / (4 s^2))
    where = probe(quadratic(weights()))
    where.magnitude = torch.zeros(256, 256)
    values = explained("random", where, smoothness=4.0).values.double().numpy()
    centred = values - values.mean()
    spectrum = np.abs(np.fft.fft2(centred)) ** 2
    correlation = np.fft.ifft2(spectrum).real / np.sum(centred**2)
    np.testing.assert_allclose(correlation[4, 0], math.exp(-0.25), atol=0.08)
    np.testing.assert_allclose(correlation[0, 4], math.exp(-0.25), atol=0.08)


def test_smoothgrad_of_a_square(magnitude: np.ndarray[Any, Any]) -> None:
    # the slope 2 w m is linear, so its mean over noisy m is 2 w E|m + n|; with the noise small
    # against the cell that is 2 w m
    where = probe(quadratic(weights()))
    found = explained("smoothgrad", where, samples=20, noise=1e-3).values.numpy()
    wanted = np.abs(2 * weights().double().numpy() * magnitude)
    loud = magnitude > 0.5 * np.sqrt((magnitude**2).mean())
    np.testing.assert_allclose(found[loud], wanted[loud], rtol=0.01)


def test_smoothgrad_noise_is_fresh_legal_and_as_loud_as_it_says() -> None:
    where = probe(quadratic(weights()))
    draws = torch.stack(list(noisy_magnitudes(where, 200, 0.3)))
    assert float(draws.min()) >= 0
    assert len({float(draw[3, 3]) for draw in draws}) == 200
    # E |m + n|^2 = m^2 + 2 s^2 for complex noise of deviation s in each part
    level = 0.3 * float(where.magnitude.square().mean().sqrt())
    extra = (draws.double().square().mean(dim=0) - where.magnitude.double() ** 2).mean()
    np.testing.assert_allclose(float(extra), 2 * level**2, rtol=0.02)


def test_gradient_shap_of_a_sum(magnitude: np.ndarray[Any, Any]) -> None:
    # the slope of sum w m is w everywhere, so the map is w (m - E b)
    where = probe(additive(weights()))
    options = {"samples": 400, "noise": 0.5, "background": "silence"}
    found = explained("gradient-shap", where, **options).values.numpy()
    level = 0.5 * np.sqrt((magnitude**2).mean())
    mean = level * math.sqrt(math.pi / 2)  # of a Rayleigh distribution
    wanted = weights().double().numpy() * (magnitude - mean)
    np.testing.assert_allclose(found, wanted, atol=5 * level * 3 / math.sqrt(400))
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.99


def test_gradient_shap_adds_up_on_average() -> None:
    where = probe(quadratic(weights()))
    found = explained("gradient-shap", where, samples=200)
    assert abs(found.details["expected_gap"]) < 0.02 * abs(found.details["score_change"])


class Relus(torch.nn.Module):
    """Two layers over two cells of the plane, with the ReLU called in one of many ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.module = torch.nn.ReLU(inplace=how == "module in place")
        self.first = torch.nn.Parameter(torch.tensor([[2.0, 0.0], [0.5, 0.5], [0.3, 1.0]]))
        self.second = torch.nn.Parameter(torch.tensor([[2.0, -1.0, 1.0], [-0.5, 1.0, 2.0]]))

    def relu(self, values: torch.Tensor) -> torch.Tensor:
        if self.how.startswith("module"):
            return self.module(values)
        if self.how == "in place":
            values = values + 0
            torch.relu_(values)
            return values
        calls = {
            "torch": torch.relu,
            "function": torch.nn.functional.relu,
            "function in place": lambda v: torch.nn.functional.relu(v, inplace=True),
            "method": lambda v: v.relu(),
            "method in place": lambda v: v.relu_(),
        }
        return calls[self.how](values)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        cells = features[:, 0, 4, 3:5] * 100
        hidden = self.relu(cells @ self.first.T)
        return self.relu(hidden @ self.second.T)


WAYS = [
    "module",
    "module in place",
    "torch",
    "function",
    "function in place",
    "in place",
    "method",
    "method in place",
]


@pytest.mark.parametrize("how", WAYS)
def test_guided_backprop_is_the_papers_however_relu_is_called(
    how: str, magnitude: np.ndarray[Any, Any]
) -> None:
    net = Relus(how)
    model = wrap(net, sample_rate=RATE, features=Magnitude(), labels=["a", "b"])
    found = explained("guided-backprop", probe(model))
    first, second = net.first.detach().double().numpy(), net.second.detach().double().numpy()
    cells = magnitude[4, 3:5] * 100
    hidden = np.maximum(first @ cells, 0)
    out = second @ hidden
    back = np.array([1.0 * (out[0] > 0), 0.0])
    back = np.maximum(second.T @ back, 0) * (hidden > 0)
    wanted = 100 * (first.T @ back)
    np.testing.assert_allclose(found.values[4, 3:5].numpy(), wanted, rtol=1e-4)
    assert found.details["relus"] == 2
    plain = explained("saliency", probe(model)).values[4, 3:5].numpy()
    assert np.abs(plain - np.abs(wanted)).max() > 1  # on this network the rule matters


def test_guided_backprop_refuses_networks_without_relus() -> None:
    with pytest.raises(NotApplicableError, match="calls no ReLU"):
        explained("guided-backprop", probe(quadratic(weights())))


def test_guided_gradcam_is_the_product() -> None:
    model, where = two_layers(), None
    maps = {}
    for name in ("gradcam", "guided-backprop", "guided-gradcam"):
        where = probe(model)
        maps[name] = explained(name, where).values
    wanted = maps["gradcam"] * maps["guided-backprop"]
    torch.testing.assert_close(maps["guided-gradcam"], wanted)
    assert float(wanted.abs().max()) > 0


@pytest.mark.parametrize("how", WAYS)
def test_deep_shap_is_the_rescale_rule_however_relu_is_called(
    how: str, magnitude: np.ndarray[Any, Any]
) -> None:
    net = Relus(how)
    with torch.no_grad():  # some units off for the input, others for the background
        net.first.copy_(torch.tensor([[2.0, -3.0], [-1.0, 2.5], [0.3, 1.0]]))
    model = wrap(net, sample_rate=RATE, features=Magnitude(), labels=["a", "b"])
    where = probe(model)
    found = explained("deep-shap", where, samples=1, noise=1.0)
    level = float(where.magnitude.square().mean().sqrt())
    both = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0)).double().numpy()
    quiet = (level * np.hypot(*both))[4, 3:5]
    first, second = net.first.detach().double().numpy(), net.second.detach().double().numpy()
    here, there = first @ (100 * magnitude[4, 3:5]), first @ (100 * quiet)
    assert ((here > 0) != (there > 0)).any()  # the rule differs from the gradient here
    hidden = (np.maximum(here, 0), np.maximum(there, 0))
    lower = (hidden[0] - hidden[1]) / (here - there)
    ends = second[0] @ hidden[0], second[0] @ hidden[1]
    upper = (max(ends[0], 0) - max(ends[1], 0)) / (ends[0] - ends[1])
    wanted = (magnitude[4, 3:5] - quiet) * 100 * (first.T @ (lower * second[0] * upper))
    np.testing.assert_allclose(found.values[4, 3:5].numpy(), wanted, rtol=1e-3)
    np.testing.assert_allclose(
        found.details["score_change"], max(ends[0], 0) - max(ends[1], 0), rtol=1e-3
    )


class Mixed(torch.nn.Module):
    """Everything that is not linear: pooling, a gate, attention, norms and several activations."""

    def __init__(self, hidden: float | None = None) -> None:
        super().__init__()
        self.hidden = hidden
        generator = torch.Generator().manual_seed(4)
        self.conv = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.gate = torch.nn.Linear(4, 4)
        self.norm = torch.nn.LayerNorm(4)
        self.head = torch.nn.Linear(4, 2)
        with torch.no_grad():
            for one in self.parameters():
                one.copy_(torch.randn(one.shape, generator=generator))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        maps = torch.log1p(features * 100)
        maps = torch.nn.functional.max_pool2d(torch.nn.functional.gelu(self.conv(maps)), 2)
        maps = maps * torch.sigmoid(self.gate(maps.mean(dim=(2, 3))))[:, :, None, None]
        tokens = maps.mean(dim=2).transpose(1, 2)
        scores = tokens @ tokens.transpose(1, 2) / 8
        if self.hidden is not None:  # of later tokens
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), self.hidden)
        weights = torch.softmax(scores, dim=-1)
        return self.head(self.norm(weights @ tokens).tanh().amax(dim=1))


@pytest.mark.parametrize("hidden", [None, -1e9, -torch.inf])
def test_deep_shap_adds_up_through_every_kind_of_layer(hidden: float | None) -> None:
    model = wrap(Mixed(hidden), sample_rate=RATE, features=Magnitude(), labels=["a", "b"])
    found = explained("deep-shap", probe(model), samples=3)
    details = found.details
    assert abs(details["completeness_gap"]) < 0.02 * abs(details["score_change"])
    assert all(one.requires_grad for one in model.module.parameters())


class Hidden(torch.autograd.Function):
    """A cube that no rule can see: its plain gradient sums to three times its value."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(values)
        return values**3

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * 3 * ctx.saved_tensors[0] ** 2


class Cube(torch.nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        level = Hidden.apply(features.mean(dim=(1, 2, 3)) * 100)
        return torch.stack([level, -level], dim=1)


@pytest.mark.parametrize("method", ["deep-shap", "lrp"])
def test_rules_refuse_what_they_cannot_see(method: str) -> None:
    model = wrap(Cube(), sample_rate=RATE, features=Magnitude(), labels=["a", "b"])
    with pytest.raises(NotApplicableError, match=r"intercepted \(HiddenBackward in Cube.*200%"):
        explained(method, probe(model), **({"noise": 0.0} if method == "deep-shap" else {}))


def test_deep_shap_leaves_the_arguments_of_other_functions_alone() -> None:
    class Careful(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leaky = torch.nn.LeakyReLU(0.3, inplace=True)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            level = self.leaky(features.mean(dim=3)[:, 0] * 100 - 0.5)
            kept = torch.nn.functional.dropout(
                level + 0, p=0.5, training=self.training, inplace=True
            )
            return torch.stack([kept.mean(dim=1), -kept.mean(dim=1)], dim=1)

    model = wrap(Careful().eval(), sample_rate=RATE, features=Magnitude(), labels=["a", "b"])
    details = explained("deep-shap", probe(model), samples=3, noise=0.5).details
    assert abs(details["completeness_gap"]) < 1e-3 * abs(details["score_change"])
