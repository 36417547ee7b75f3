"""A ReLU is one in every spelling: DeepLIFT, LRP and guided backpropagation in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.backward.calls import Call
from earwitness.backward.rules import RuleMode
from earwitness.errors import NotApplicableError
from tests.reference.nets import explained, probe, randomised

SIGNS = [1.0, -1.0, 1.0, -1.0, -1.0]


def by_setitem(z: Tensor) -> Tensor:
    z = z.clone()
    z[z < 0] = 0
    return z


def by_switches(z: Tensor) -> Tensor:
    switches = torch.zeros_like(z)
    switches[z > 0] = 1.0
    return z * switches


def without_gradient(z: Tensor) -> Tensor:
    with torch.no_grad():
        mask = z > 0
    return mask * z


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "where": lambda z: torch.where(z > 0, z, torch.zeros_like(z)),
    "where, number first": lambda z: torch.where(z < 0, 0.0, z),
    "where, method": lambda z: z.where(z > 0, torch.tensor(0.0)),
    "times a comparison": lambda z: z * (z > 0),
    "times a number": lambda z: (z >= 0).float() * z,
    "times a negation": lambda z: z * torch.logical_not(z <= 0),
    "detached": lambda z: z * (z.detach() > 0),
    "no_grad": without_gradient,
    "masked_fill": lambda z: z.masked_fill(z < 0, 0.0),
    "masked_fill_": lambda z: z.clone().masked_fill_(z < 0, 0.0),
    "mul_": lambda z: z.clone().mul_(z > 0),
    "setitem": by_setitem,
    "setitem on the mask": by_switches,
    "clip": lambda z: torch.clip(z, 0),
    "clamp to a tensor": lambda z: z.clamp(min=torch.zeros(())),
    "maximum": lambda z: torch.maximum(z, torch.zeros_like(z)),
    "max": lambda z: torch.max(z, torch.zeros(())),
    "half of x and |x|": lambda z: (z + z.abs()) / 2,
    "half of |x| and x": lambda z: 0.5 * (abs(z) + z),
    "threshold": lambda z: functional.threshold(z, 0.0, 0.0),
}
UNGUIDED: dict[str, Callable[[Tensor], Tensor]] = {
    "sign": lambda z: z * (1 + torch.sign(z)) / 2,
    "minimum": lambda z: z - torch.minimum(z, torch.zeros(())),
    "root": lambda z: (z + torch.sqrt(z * z)) / 2,
}


class Cells(nn.Module):
    """Two dense layers over five cells of the plane, the first with activations of both signs."""

    def __init__(self, rectifier: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rectifier = rectifier
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 2, bias=False)
        self.register_buffer("sign", torch.tensor(SIGNS))
        randomised(self)
        with torch.no_grad():
            self.second.weight.mul_(torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, -1.0]))

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.first(features[:, 0, 4, 3:8] * 400 * self.sign)
        return self.second(self.rectifier(hidden))


def exact(net: Cells, cells: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return weights of both layers, activations for the cells and for silence, in float64."""
    one, two, three = (p.detach().double().numpy() for p in net.parameters())
    here, there = one @ (cells * SIGNS) + two, two
    assert ((here < 0) != (there < 0)).any()
    return one, three[0], here, there


@pytest.mark.parametrize("name", [*SPELLINGS, *UNGUIDED])
def test_deep_shap_knows_a_rectifier_written_by_hand(name: str) -> None:
    net = Cells({**SPELLINGS, **UNGUIDED}[name])
    where = probe(net)
    found = explained("deep-shap", where, samples=1, noise=0.0)
    cells = where.magnitude[4, 3:8].double().numpy() * 400
    one, head, here, there = exact(net, cells)
    ratio = (np.maximum(here, 0) - np.maximum(there, 0)) / (here - there)
    wanted = cells * SIGNS * ((head * ratio) @ one)
    np.testing.assert_allclose(
        found.values[4, 3:8].numpy(), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max()
    )
    change = head @ (np.maximum(here, 0) - np.maximum(there, 0))
    np.testing.assert_allclose(float(found.values.sum()), change, rtol=1e-4)


# 1 + sign(z) adds a constant, which keeps half of the relevance
@pytest.mark.parametrize("name", [*SPELLINGS, "minimum", "root"])
def test_lrp_knows_a_rectifier_written_by_hand(name: str) -> None:
    net = Cells({**SPELLINGS, **UNGUIDED}[name])
    where = probe(net)
    found = explained("lrp", where, rule="epsilon", epsilon=0.0, biases="keep")
    cells = where.magnitude[4, 3:8].double().numpy() * 400
    one, head, here, _ = exact(net, cells)
    wanted = cells * SIGNS * ((head * (here > 0)) @ one)
    np.testing.assert_allclose(
        found.values[4, 3:8].numpy(), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max()
    )


@pytest.mark.parametrize("name", SPELLINGS)
def test_guided_backprop_knows_a_rectifier_written_by_hand(name: str) -> None:
    net = Cells(SPELLINGS[name])
    where = probe(net)
    found = explained("guided-backprop", where)
    one, head, here, _ = exact(net, where.magnitude[4, 3:8].double().numpy() * 400)
    wanted = 400 * np.array(SIGNS) * ((np.maximum(head, 0) * (here > 0)) @ one)
    assert (head[here > 0] < 0).any()
    np.testing.assert_allclose(
        found.values[4, 3:8].numpy(), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max()
    )
    assert found.details["relus"] == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda z: z * (z > 0.5),
        lambda z: z.clamp(min=0, max=1e-3),
        lambda z: z.clamp(min=-1e-3),
        lambda z: torch.where(z > 0, z, 0.1 * z),
        lambda z: z.masked_fill(z > 0, 0.0),
        lambda z: z * (torch.arange(6) > 2),
    ],
)
def test_what_is_not_quite_a_rectifier_is_not_guided(other: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(NotApplicableError, match="calls no ReLU that can be intercepted"):
        explained("guided-backprop", probe(Cells(other)))


def test_a_leaky_rectifier_written_by_hand_adds_up() -> None:
    # two inputs and a mask: the mean slope along the line
    net = Cells(lambda z: torch.where(z > 0, z, 0.1 * z))
    where = probe(net)
    found = explained("deep-shap", where, samples=1, noise=0.0)
    _, head, here, there = exact(net, where.magnitude[4, 3:8].double().numpy() * 400)
    here, there = (np.where(z > 0, z, 0.1 * z) for z in (here, there))
    np.testing.assert_allclose(float(found.values.sum()), head @ (here - there), rtol=0.01)


class _Again(RuleMode):
    """Every call is made through its function of the tensors that depend on the sound."""

    def __init__(self) -> None:
        super().__init__(masks=True)
        self.masked: list[bool] = []

    def rule(self, call: Call) -> Any:
        self.masked.append(call.masked)
        found = call.function(*call.inputs)
        return found if found.requires_grad else None


def test_a_mask_whose_input_is_written_over_keeps_its_value() -> None:
    def lowered(z: Tensor) -> Tensor:
        z = z.clone()
        mask = z > 0
        z.sub_(1)  # the mask can no longer be computed from z
        return z * mask

    x = torch.linspace(-2, 2, 9, requires_grad=True)
    mode = _Again()
    with mode:
        found = lowered(x)
    wanted = torch.where(x > 0, x - 1, 0.0)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert mode.masked == [False] * len(mode.masked)


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_call_with_its_mask_gives_the_same_values(name: str) -> None:
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    with _Again():
        found = SPELLINGS[name](x)
    torch.testing.assert_close(found, x.clamp(min=0), rtol=0, atol=1e-6)
