"""Gradients and rules against Captum and shap, on modules where these are right."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from torch import Tensor, nn
from torch.nn import functional

from earwitness.probe import Probe
from tests.reference.nets import Stack, close, explained, probe


class Called(nn.Module):
    """The same weights with every activation and pooling called as a function, some in place."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.one, self.two, self.head = stack.body[0], stack.body[3], stack.head

    def forward(self, features: Tensor) -> Tensor:
        maps = self.one(features)
        functional.relu_(maps)
        maps = torch.relu(self.two(functional.avg_pool2d(maps, 2)))
        return self.head(maps.flatten(1))


def outside(
    make: Callable[[nn.Module], Any], net: nn.Module, where: Probe, target: int = 0, **options: Any
) -> Any:
    """Return what Captum attributes to the magnitude."""
    inputs = where.magnitude[None, None].clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = make(net).attribute(inputs, target=target, **options)
    return (found[0] if isinstance(found, tuple) else found).detach()[0, 0]


@pytest.mark.parametrize("gamma", [0.0, 0.25])
def test_lrp_agrees_with_captum_on_modules(gamma: float) -> None:
    net = Stack().eval()
    for one in net.modules():
        if isinstance(one, nn.Conv2d):  # Captum does not count positive biases 1 + gamma times
            one.bias.data = -one.bias.data.abs()
        if isinstance(one, nn.Conv2d | nn.Linear):
            one.rule = (
                GammaRule(gamma=gamma, set_bias_to_zero=False) if gamma else EpsilonRule(1e-9)
            )
        elif isinstance(one, nn.AvgPool2d):
            one.rule = EpsilonRule(1e-9)
    # Captum's gamma rule knows positive results only, which a ReLU ensures for all but the head
    where = probe(net)
    net.head.rule = EpsilonRule(1e-9)
    wanted = outside(captum.attr.LRP, net, where)
    for twin in (net, Called(net)):
        found = explained("lrp", probe(twin), gamma=gamma, epsilon=0.0, biases="keep")
        close(found.values, wanted, 1e-3)


@pytest.mark.parametrize(
    ("method", "make", "options"),
    [
        ("saliency", captum.attr.Saliency, {}),
        ("input-x-gradient", captum.attr.InputXGradient, {}),
        ("guided-backprop", captum.attr.GuidedBackprop, {}),
        ("deep-shap", captum.attr.DeepLift, {}),
    ],
)
def test_gradient_methods_agree_with_captum_on_modules(
    method: str, make: Any, options: dict[str, Any]
) -> None:
    net = Stack().eval()
    wanted = outside(make, net, probe(net), **options)
    mine = {"noise": 0.0, "samples": 1} if method == "deep-shap" else {}
    for twin in (net, Called(net)):  # on the second, Captum's own answer is another one
        close(explained(method, probe(twin), **mine).values, wanted)
    if method in ("guided-backprop", "deep-shap"):
        wrong = outside(make, Called(net).eval(), probe(net), **options)
        assert float((wrong - wanted).abs().max()) > 0.05 * float(wanted.abs().max())


def test_integrated_gradients_agree_with_captum() -> None:
    net = Stack().eval()
    where = probe(net)
    wanted = outside(captum.attr.IntegratedGradients, net, where, n_steps=400)
    close(explained("integrated-gradients", where, steps=256).values, wanted, 0.01)


def test_grad_cam_weights_agree_with_captum() -> None:
    net = Stack().eval()
    where = probe(net)
    wanted = outside(
        lambda own: captum.attr.LayerGradCam(own, own.body[3]),
        net, where, 1, relu_attributions=True,
    )  # fmt: skip
    from earwitness.layers.axes import LayerAxes
    from earwitness.methods.gradcam import _class_maps

    kept: list[Tensor] = []
    handle = net.body[3].register_forward_hook(lambda *a: kept.append(a[2]))
    score = net(where.magnitude[None, None])[0, 1]
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    axes = LayerAxes(3, 2, torch.zeros(0), torch.zeros(0))
    close(_class_maps(kept[0].detach(), gradient, axes)[0], wanted)


def test_deep_shap_agrees_with_shap_on_modules() -> None:
    shap = pytest.importorskip("shap")
    net = Stack().eval()
    where = probe(net)
    inputs = where.magnitude[None, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = shap.DeepExplainer(net, torch.zeros_like(inputs))
        wanted = explainer.shap_values(inputs, check_additivity=False)[0, 0, :, :, 0]
    for twin in (net, Called(net)):
        found = explained("deep-shap", probe(twin), noise=0.0, samples=1).values
        close(found, torch.from_numpy(np.asarray(wanted, np.float32)))
