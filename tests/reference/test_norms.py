"""Norms, added constants and in-place shapes under DeepLIFT and LRP, against float64."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.backward.completeness import completeness, require_complete
from earwitness.backward.rules import Call, Ledger, RuleMode
from earwitness.errors import NotApplicableError
from earwitness.evaluation.notes import gap_notes
from tests.reference.nets import explained, probe, randomised

SIGNS = torch.tensor([1.0, -1.0, 1.0, -1.0, -1.0, 1.0])
SCALE, SHIFT = torch.linspace(0.5, 1.5, 6), torch.linspace(-0.4, 0.6, 6)
POSITIONS = torch.tensor([0.3, -0.2, 0.5, -0.7, 0.1, 0.9])


def by_hand(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-5)


NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer": lambda x: functional.layer_norm(x, (6,), SCALE.to(x), SHIFT.to(x)),
    "group": lambda x: functional.group_norm(x, 2, SCALE.to(x), SHIFT.to(x)),
    "instance": lambda x: functional.instance_norm(x[:, None])[:, 0],
    "rms": lambda x: functional.rms_norm(x, (6,), SCALE.to(x), 1e-5),
    "normalize": lambda x: functional.normalize(x, dim=-1, eps=0.05),
    "by hand": by_hand,
    "softmax": lambda x: x.softmax(-1),
    "peak": lambda x: x / (0.01 + x.abs().amax(-1, keepdim=True)),
}


class Cells(nn.Module):
    """A function of six cells of the plane with both signs, then a dense layer."""

    def __init__(self, function: Callable[[Tensor], Tensor], bias: bool = False) -> None:
        super().__init__()
        self.function, self.head = function, nn.Linear(6, 2, bias=bias)
        randomised(self)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.function(cells_of(features)))


def cells_of(features: Tensor) -> Tensor:
    return features[:, 0, 4, 3:9] * 400 * SIGNS.to(features)


@pytest.mark.parametrize("name", NORMS)
def test_deep_shap_of_a_norm_is_the_integral_and_adds_up(name: str) -> None:
    function = NORMS[name]
    net = Cells(function)
    where = probe(net)
    found = explained("deep-shap", where, samples=1, noise=0.0)
    cells = cells_of(where.magnitude[None, None].double())
    head = net.head.weight[0].double().detach()
    # from silence to the cells, in steps that are finest where the variance is least
    edges = torch.linspace(0, 1, 40001, dtype=torch.float64) ** 3
    places, widths = (edges[1:] + edges[:-1]) / 2, edges.diff()
    points = (places[:, None] * cells).requires_grad_()
    (slopes,) = torch.autograd.grad((function(points) @ head).sum(), points)
    wanted = (cells[0] * (widths[:, None] * slopes).sum(0)).numpy()
    size = np.abs(wanted).max()
    if name != "by hand":  # several calls, whose integrals are taken one by one
        # the tolerance of the quadrature is 0.2 % of the sum; single cells may be off by more
        np.testing.assert_allclose(found.values[4, 3:9].numpy(), wanted, rtol=0, atol=0.02 * size)
    silent = torch.zeros_like(cells)
    change = float((function(cells) - function(silent)) @ head)
    np.testing.assert_allclose(float(found.values.sum()), change, rtol=0.005, atol=1e-5)
    np.testing.assert_allclose(found.details["score_change"], change, rtol=1e-3, atol=1e-6)


ADDED: dict[str, Callable[[Tensor], Tensor]] = {
    "position embedding": lambda x: x + POSITIONS,
    "embedding first": lambda x: torch.add(POSITIONS, x),
    "in place": lambda x: x.clone().add_(POSITIONS),
    "subtracted": lambda x: x - (-POSITIONS),
    "subtracted from": lambda x: -(-POSITIONS - x),
    "twice": lambda x: torch.add(x, POSITIONS, alpha=0.5) + 0.5 * POSITIONS,
}


@pytest.mark.parametrize("biases", ["share", "keep"])
@pytest.mark.parametrize("name", ADDED)
def test_an_added_constant_is_a_bias(name: str, biases: str) -> None:
    net = Cells(lambda x: torch.relu(ADDED[name](x)))
    where = probe(net)
    found = explained("lrp", where, rule="epsilon", epsilon=0.0, biases=biases)
    cells = cells_of(where.magnitude[None, None].double())[0].numpy()
    head, moved = net.head.weight[0].detach().double().numpy(), cells + POSITIONS.double().numpy()
    # shared: the input of every sum gets all relevance; kept: its own part
    part = np.maximum(moved, 0) if biases == "share" else cells * (moved > 0)
    wanted = head * part
    assert (moved < 0).any()
    np.testing.assert_allclose(found.values[4, 3:9].numpy(), wanted, rtol=1e-4, atol=1e-7)
    score = head @ np.maximum(moved, 0)
    np.testing.assert_allclose(found.details["score_change"], score, rtol=1e-5)
    gap = found.details["completeness_gap"]
    np.testing.assert_allclose(gap, wanted.sum() - score, rtol=1e-4, atol=1e-6)
    if biases == "keep":
        np.testing.assert_allclose(found.details["kept_by_biases"], -gap / score, rtol=1e-3)


def test_a_logarithm_with_a_constant_hands_on_all_it_gets() -> None:
    net = Cells(lambda x: torch.log(x.abs() + 0.1))
    where = probe(net)
    found = explained("lrp", where)
    cells = cells_of(where.magnitude[None, None].double())[0].numpy()
    wanted = net.head.weight[0].detach().double().numpy() * np.log(np.abs(cells) + 0.1)
    np.testing.assert_allclose(found.values[4, 3:9].numpy(), wanted, rtol=1e-4)


@pytest.mark.parametrize("biases", ["share", "keep"])
def test_constants_of_the_score_are_left_out_on_every_path(biases: str) -> None:
    class Paths(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(6, 2), nn.Linear(6, 2)
            randomised(self)

        def forward(self, features: Tensor) -> Tensor:
            cells = cells_of(features)
            whole = self.one(cells) + self.two(torch.relu(cells)) + cells.mean(1, keepdim=True)
            whole = 0.5 * (whole + 3.0)
            return whole - 0.25 * whole.flip(1)  # each output takes the same layers twice

    net = Paths()
    where = probe(net)
    found = explained("lrp", where, rule="epsilon", epsilon=0.0, biases=biases)
    cells = cells_of(where.magnitude[None, None].double())[0].numpy()
    mixed = np.array([0.5, -0.125])
    one, two = (mixed @ p.weight.detach().double().numpy() for p in (net.one, net.two))
    wanted = one * cells + two * np.maximum(cells, 0) + 0.375 * cells / 6
    np.testing.assert_allclose(found.values[4, 3:9].numpy(), wanted, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.details["score_change"], wanted.sum(), rtol=1e-4)
    np.testing.assert_allclose(found.details["completeness_gap"], 0, atol=1e-6)


@pytest.mark.parametrize("name", ["layer", "group", "rms", "normalize"])
def test_lrp_of_a_norm_shares_its_bias(name: str) -> None:
    net = Cells(lambda x: torch.tanh(NORMS[name](x)))
    where = probe(net)
    found = explained("lrp", where)
    cells = cells_of(where.magnitude[None, None].double())
    score = float(torch.tanh(NORMS[name](cells)) @ net.head.weight[0].detach().double())
    np.testing.assert_allclose(found.details["score_change"], score, rtol=1e-4)
    np.testing.assert_allclose(float(found.values.sum()), score, rtol=1e-3)


RESHAPED: dict[str, Callable[[Tensor], Tensor]] = {
    "squeeze_": lambda x: x.unsqueeze(1).mul(1.0).squeeze_(1),
    "unsqueeze_": lambda x: x.mul(1.0).unsqueeze_(1).squeeze(1),
    "transpose_": lambda x: x.mul(1.0).transpose_(0, 1).t(),
    "t_": lambda x: x.mul(1.0).t_().t(),
    "swapaxes_": lambda x: x.mul(1.0).swapaxes_(0, 1).t(),
    "swapdims_": lambda x: x.mul(1.0).swapdims_(0, 1).t(),
    "slice of a copy": lambda x: _dropped(x),
}


def _dropped(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., :2] = 0.0
    return x


class _Watching(RuleMode):
    def rule(self, call: Call) -> Any:
        return None


@pytest.mark.parametrize("ledger", [False, True])
@pytest.mark.parametrize("name", RESHAPED)
def test_changes_of_shape_in_place_are_not_lost(name: str, ledger: bool) -> None:
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with _Watching(Ledger() if ledger else None):
        found = RESHAPED[name](x)
    wanted = RESHAPED[name](x)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    slopes = [torch.autograd.grad((one * one).sum(), x)[0] for one in (found, wanted)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=0)


@pytest.mark.parametrize("method", ["lrp", "deep-shap"])
@pytest.mark.parametrize("name", RESHAPED)
def test_maps_do_not_depend_on_shapes_in_place(name: str, method: str) -> None:
    options = {"samples": 1, "noise": 0.0} if method == "deep-shap" else {"biases": "keep"}
    net = Cells(lambda x: RESHAPED[name](torch.tanh(x + POSITIONS)), bias=True)
    where = probe(net)
    found = explained(method, where, **options).values
    cells = cells_of(where.magnitude[None, None].double())[0].numpy()
    place, head = POSITIONS.double().numpy(), net.head.weight[0].detach().double().numpy().copy()
    if name == "slice of a copy":
        head[:2] = 0
    if method == "lrp":
        wanted = head * np.tanh(cells + place) * cells / (cells + place)
    else:
        wanted = head * (np.tanh(cells + place) - np.tanh(place))
    np.testing.assert_allclose(found[4, 3:9].numpy(), wanted, rtol=1e-4, atol=1e-6)


def test_a_slice_of_a_constant_is_written_anew_in_every_pass() -> None:
    def gathered(x: Tensor) -> Tensor:
        whole = torch.zeros_like(x)
        whole[:, :3] = torch.tanh(x[:, :3])
        return whole.add_(torch.relu(x))

    net = Cells(gathered)
    where = probe(net)
    found = explained("deep-shap", where, samples=1, noise=0.0)
    cells = cells_of(where.magnitude[None, None].double())[0].numpy()
    part = np.maximum(cells, 0) + np.where(np.arange(6) < 3, np.tanh(cells), 0)
    wanted = net.head.weight[0].detach().double().numpy() * part
    np.testing.assert_allclose(found.values[4, 3:9].numpy(), wanted, rtol=1e-4, atol=1e-7)


def test_a_constant_that_is_written_over_is_kept_for_the_backward_pass() -> None:
    net = Cells(lambda x: torch.full_like(x, 2.0).div_(1 + x.square().sum(1, keepdim=True)))
    where = probe(net)
    found = explained("deep-shap", where, samples=1, noise=0.0)
    cells = cells_of(where.magnitude[None, None].double())[0].numpy()
    power = (cells**2).sum()
    change = net.head.weight[0].double().sum().item() * (2 / (1 + power) - 2)
    # squares are rescaled one by one, so each cell has its share of the power
    wanted = change * cells**2 / power
    np.testing.assert_allclose(found.values[4, 3:9].numpy(), wanted, rtol=0.01)


def test_a_map_that_does_not_add_up_is_refused() -> None:
    # the gradient of x / (c + m) without that of m, integrated, gives x / m * log(1 + m / c)
    net = Cells(lambda x: x / (0.01 + x.detach().abs().mean(-1, keepdim=True)))
    where = probe(net)
    cells = cells_of(where.magnitude[None, None].double())[0]
    size = float(cells.abs().mean())
    score = float(net.head.weight[0].detach().double() @ cells)
    change, total = score / (0.01 + size), score / size * np.log(1 + size / 0.01)
    with pytest.raises(NotApplicableError) as caught:
        explained("deep-shap", where, samples=1, noise=0.0)
    said = re.search(r"the map sums to (\S+), the score changes by (\S+), ", str(caught.value))
    assert said
    np.testing.assert_allclose([float(one) for one in said.groups()], [total, change], rtol=0.01)
    assert "mostly at torch.Tensor.div" in str(caught.value)


@pytest.mark.parametrize(("gap", "change", "refused"), [
    (0.6, 1.0, True), (-0.6, 1.0, True), (0.4, 1.0, False), (0.1, 0.0, True), (1e-5, 0.0, False),
])  # fmt: skip
def test_gaps_of_more_than_half_are_refused(gap: float, change: float, refused: bool) -> None:
    values = torch.tensor([[1.0 + change + gap, -1.0]], dtype=torch.float64)
    details = completeness(values, change)
    np.testing.assert_allclose(details["completeness_gap"], gap, atol=1e-12)
    if not refused:
        require_complete("deep-shap", values, details, [])
        return
    with pytest.raises(NotApplicableError, match=r"deep-shap: the map sums to .* at torch\.foo;"):
        require_complete("deep-shap", values, details, [{"at": "torch.foo", "share": 0.5}])


@pytest.mark.parametrize(("gap", "change", "noted"), [
    (0.019, 1.0, 0), (0.021, 1.0, 1), (-0.021, 1.0, 1), (0.001, 0.0, 1), (0.0, 0.0, 0),
])  # fmt: skip
def test_a_gap_above_two_percent_is_noted(gap: float, change: float, noted: int) -> None:
    details = completeness(torch.tensor([[change + gap]], dtype=torch.float64), change)
    assert len(gap_notes(details)) == noted
