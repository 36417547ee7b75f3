"""Attention methods against the papers' equations, by hand in float64 on a small transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.layers.axes import LayerAxes
from earwitness.methods import attention
from earwitness.methods.registry import METHODS
from earwitness.models.wrapping import wrap
from earwitness.probe import Probe
from earwitness.types import Target
from tests.toys import RATE, TOY_PLANE, Magnitude

SIZE, HEADS, LAYERS, HOP = 6, 2, 3, 5
SAMPLES = 4000
Array = np.ndarray[Any, Any]


class Small(nn.Module):
    """Three layers of attention on frames, read from a class token or from the mean."""

    def __init__(self, special: bool) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.lines = nn.Conv1d(TOY_PLANE.bins, SIZE, HOP, stride=HOP)
        self.token = nn.Parameter(torch.randn(1, 1, SIZE))
        self.special = special
        self.project = nn.ModuleList(nn.Linear(SIZE, 3 * SIZE) for _ in range(LAYERS))
        self.head = nn.Linear(SIZE, 2)
        with torch.no_grad():
            for one in self.project:
                one.weight.mul_(3.0)

    def forward(self, features: Tensor) -> Tensor:
        tokens = self.lines(20 * features[:, 0]).transpose(1, 2)
        if self.special:
            tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], dim=1)
        for layer in self.project:
            heads = layer(tokens).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(*heads)
            tokens = tokens + mixed.transpose(1, 2).flatten(2)
        return self.head(torch.tanh(tokens[:, 0] if self.special else tokens.mean(dim=1)))


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def run(net: Small, features: Array, change: Any = lambda _layer, weights: weights) -> Any:
    """Return the score of output 0 and the attention of all layers (layer, head, token, token)."""
    exact = {name: one.detach().double().numpy() for name, one in net.named_parameters()}
    count = features.shape[1] // HOP
    frames = 20 * features[:, : count * HOP].reshape(-1, count, HOP)
    tokens = np.einsum("cfk,ftk->tc", exact["lines.weight"], frames) + exact["lines.bias"]
    if net.special:
        tokens = np.concatenate([exact["token"][0], tokens])
    kept = []
    for layer in range(LAYERS):
        weight, bias = exact[f"project.{layer}.weight"], exact[f"project.{layer}.bias"]
        joint = (tokens @ weight.T + bias).reshape(len(tokens), 3, HEADS, -1)
        query, key, value = joint.transpose(1, 2, 0, 3)
        weights = softmax(query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1]))
        weights = change(layer, weights)
        kept.append(weights)
        tokens = tokens + (weights @ value).transpose(1, 0, 2).reshape(len(tokens), -1)
    read = tokens[0] if net.special else tokens.mean(axis=0)
    return float(exact["head.weight"][0] @ np.tanh(read) + exact["head.bias"][0]), np.array(kept)


def slopes(net: Small, features: Array, step: float = 1e-6) -> Array:
    """Return the derivative of the score with respect to every weight, by differences."""
    kept = run(net, features)[1]
    found = np.zeros_like(kept)
    for place in np.ndindex(kept.shape):

        def change(layer: int, weights: Array, place: Any = place, by: float = 0.0) -> Array:
            weights = weights.copy()
            if layer == place[0]:
                weights[place[1:]] += by
            return weights

        both = (
            run(net, features, lambda one, w, by=by: change(one, w, by=by))[0]
            for by in (step, -step)
        )
        up, down = both
        found[place] = (up - down) / (2 * step)
    return found


def wanted(net: Small, features: Array, method: str) -> Array:
    kept = run(net, features)[1]
    count = kept.shape[-1]
    total = np.eye(count)
    if method == "attention-relevance":  # Chefer et al. 2021, eq. 5 and 6
        for weights, slope in zip(kept, slopes(net, features), strict=True):
            mean = np.maximum(slope * weights, 0).mean(axis=0)
            total = total + mean @ total
        total = total - np.eye(count)
    else:  # Abnar and Zuidema 2020, section 3
        for weights in kept:
            mean = 0.5 * weights.mean(axis=0) + 0.5 * np.eye(count)
            total = (mean / mean.sum(axis=1, keepdims=True)) @ total
    return total[0, 1:] if net.special else total.mean(axis=0)


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("method", ["attention-relevance", "attention-rollout"])
def test_the_map_is_the_papers(method: str, special: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Small(special).eval()
    model = wrap(net, sample_rate=RATE, output="logits", features=Magnitude())
    wave = 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))
    probe = Probe(model, wave, Target(0, "0", "logit"))
    axes: list[LayerAxes] = []

    def place(maps: Tensor, where: LayerAxes, *_: Any) -> Tensor:
        axes.append(where)
        return maps[0, 0]

    monkeypatch.setattr(attention, "place", place)
    found = METHODS.get(method).function(probe).values.double().numpy()
    features = TOY_PLANE.analyse(wave[None])[0].abs().double().numpy()
    expected = wanted(net, features, method)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4 * np.abs(expected).max())
    assert len(found) == TOY_PLANE.frames(SAMPLES) // HOP
    # token k covers frames 5k to 5k + 4
    centres = (HOP * np.arange(len(found)) + 2) * TOY_PLANE.hop / RATE
    np.testing.assert_allclose(axes[0].times.numpy(), centres, atol=0.04)  # a token
