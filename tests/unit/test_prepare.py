"""The faster copy of a network gives the same numbers as the network itself, whatever that does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.models import prepare
from earwitness.models.model import Model
from earwitness.models.prepare import Checked, gradients_agree, outputs_agree, prepared
from earwitness.models.wrapping import wrap
from earwitness.types import Optimise

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # another order of float32 sums


def settled(network: nn.Module) -> nn.Module:
    """Give batch norms statistics as training leaves them, and evaluation mode."""
    generator = torch.Generator().manual_seed(3)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
                if tensor is not None:
                    tensor.data = 0.5 + torch.rand(tensor.shape, generator=generator)
    return network.eval()


def wrapped(network: nn.Module, optimise: Optimise = True) -> Model:
    return wrap(network, sample_rate=8000, output="scores", optimise=optimise)


class Modules(nn.Sequential):
    def __init__(self, **facts: Any) -> None:
        conv = nn.Conv2d(1, 8, 3, padding=1, **facts)
        super().__init__(conv, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


class Functional(nn.Module):
    """Functions and methods, work in place, views that need a contiguous map."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.Conv2d(8, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.one(x)), inplace=True)
        x = functional.max_pool2d(x, 2)
        x = torch.conv2d(x, self.two.weight, self.two.bias, 2).relu_()
        return self.head(x.view(x.size(0), -1))


class InPlaceElsewhere(nn.Module):
    """The result of a convolution is used before, and changed after, what follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.conv(x)
        normed = self.norm(kept)
        bent = torch.relu(normed)
        if x.requires_grad:  # a backward pass would need what is written over
            return self.head((kept - bent + normed).flatten(1))
        both = torch.relu_(kept)
        both += normed
        both.mul_(0.5)
        return self.head((both - bent + kept).flatten(1))


class Reused(nn.Module):
    """One convolution with two norms, and one norm after two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.conv, self.one, self.two = nn.Conv2d(8, 8, 3, padding=1), *map(nn.BatchNorm2d, (8, 8))
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.one(self.first(x)))
        x = torch.relu(self.one(self.conv(x)))
        x = torch.relu(self.two(self.conv(x)))
        return self.head(x.mean(dim=(2, 3)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.side = (nn.Conv2d(c, 8, 3, padding=1) for c in (1, 8, 8))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norms[0](self.first(x)))
        main, side = self.norms[1](self.conv(x)), self.norms[2](self.side(x))
        main += side
        return self.head(functional.relu(main).amax(dim=(2, 3)))


class NormLast(nn.Module):
    """Norms behind a ReLU cannot be folded into what is before it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.next = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.relu(self.conv(x)))
        return self.head(self.next(x).tanh().flatten(1))


class Grouped(nn.Module):
    """Groups, dilation, padding on one side, a padding by name, and a reflected border."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, (3, 5), padding=(1, 2), stride=(1, 2)),
            nn.BatchNorm2d(8, affine=False),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding="same"),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
            nn.BatchNorm2d(8, track_running_stats=False),
        )
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).flatten(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.lstm = nn.LSTM(4 * 12, 6, batch_first=True, bidirectional=True)
        self.line = nn.Conv1d(12, 5, 3)
        self.norm1 = nn.BatchNorm1d(5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x, _ = self.lstm(x.permute(0, 3, 1, 2).reshape(len(x), x.shape[3], -1))
        return self.head(torch.relu(self.norm1(self.line(x.transpose(1, 2)))).mean(dim=2))


class Branching(nn.Module):
    """Goes another way for loud inputs, which no trace shows."""

    def __init__(self) -> None:
        super().__init__()
        self.soft, self.loud = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.loud(x) if float(x.detach().abs().mean()) > 0.5 else self.soft(x)
        return torch.relu(maps).mean(dim=(2, 3))


class Scripted(nn.Module):
    """Part of it is compiled already."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.rest = torch.jit.trace(  # scripting needs no source here
            nn.Sequential(nn.BatchNorm2d(4).eval(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 180, 2)),
            torch.zeros(2, 4, 10, 18),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.conv(x))


FOLLOWED = [Modules, lambda: Modules(bias=False), Residual, NormLast, Grouped, Reused]
NAMES = ["modules", "no bias", "residual", "norm last", "grouped", "reused"]


def built(make: Callable[[], nn.Module]) -> tuple[nn.Module, Tensor]:
    inputs = torch.rand(5, 1, 12, 20, generator=torch.Generator().manual_seed(0))
    network = make()
    with torch.no_grad():
        network.train()(inputs)  # lazy layers find their size
    return settled(network), inputs


@pytest.mark.parametrize("make", FOLLOWED, ids=NAMES)
def test_the_faster_copy_gives_the_same(make: Callable[[], nn.Module]) -> None:
    network, inputs = built(make)
    faster = prepared(wrapped(network))
    assert faster is not None
    with torch.no_grad():
        torch.testing.assert_close(faster.module(inputs), network(inputs), **CLOSE)
    leaf, other = (inputs.clone().requires_grad_() for _ in range(2))
    (wanted,) = torch.autograd.grad(network(leaf)[:, 1].sum(), leaf)
    (found,) = torch.autograd.grad(faster.module(other)[:, 1].sum(), other)
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert not any(one.requires_grad for one in faster.module.parameters())


def test_norms_are_folded_and_filters_lie_channels_last() -> None:
    network, _ = built(Residual)
    faster = prepared(wrapped(network))
    assert faster is not None
    kinds = [type(part) for part in faster.module.modules()]
    assert nn.BatchNorm2d not in kinds
    convs = [part for part in faster.module.modules() if isinstance(part, nn.Conv2d)]
    assert all(one.weight.is_contiguous(memory_format=torch.channels_last) for one in convs)


@pytest.mark.parametrize("make", [Branching, lambda: nn.Linear(4, 2)], ids=["branching", "linear"])
def test_what_cannot_be_made_faster_has_no_copy(make: Callable[[], nn.Module]) -> None:
    assert prepared(wrapped(make().eval())) is None


def test_a_black_box_and_a_choice_against_it_have_no_copy() -> None:
    assert prepared(wrap(lambda waves: waves[:, :2], sample_rate=8000)) is None
    network, _ = built(Modules)
    assert prepared(wrapped(network, optimise=False)) is None


@pytest.mark.parametrize("change", ["in place", "another tensor", "norm", "statistics"])
def test_changed_weights_are_noticed(change: str) -> None:
    network, inputs = built(Modules)
    model = wrapped(network)
    first = prepared(model)
    assert first is not None
    assert prepared(model) is first
    with torch.no_grad():
        before = first.module(inputs)
        if change == "in place":
            network[0].weight.mul_(2)
        elif change == "another tensor":
            network[0].weight.data = 2 * network[0].weight.data
        elif change == "norm":
            network[1].weight.add_(1)
        else:
            network[1].running_var.mul_(3)
        second = prepared(model)
        assert second is not None
        found = second.module(inputs)
        torch.testing.assert_close(found, network(inputs), **CLOSE)
    assert float((found - before).abs().max()) > 0.01


def test_no_trace_is_left_in_the_network() -> None:
    network, _ = built(Functional)
    before = {
        name: (value.clone(), value.data_ptr()) for name, value in network.state_dict().items()
    }
    names = {name: set(vars(module)) for name, module in network.named_modules()}
    assert prepared(wrapped(network)) is not None
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name][0], rtol=0, atol=0)
        assert value.data_ptr() == before[name][1]
        assert value.is_contiguous()
    assert {name: set(vars(module)) for name, module in network.named_modules()} == names


# What is checked -------------------------------------------------------------------------------


def batches(count: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.rand(6, 1, 12, 20, generator=generator) for _ in range(count)]


def counted(ask: Callable[[Tensor], Tensor]) -> tuple[Callable[[Tensor], Tensor], list[int]]:
    sizes: list[int] = []

    def count(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return ask(batch)

    return count, sizes


def run(
    plain: Callable[[Tensor], Tensor], faster: Callable[[Tensor], Tensor], some: list[Tensor]
) -> tuple[Tensor, list[int], list[int]]:
    """Return what is found, and the sizes of batches by the plain and by the faster way."""
    plain, slow = counted(plain)
    faster, quick = counted(faster)
    with torch.no_grad():
        found = torch.cat(list(map(Checked(plain, faster, outputs_agree, 5), some)))
    return found, slow, quick


def test_two_inputs_are_computed_both_ways_and_the_rest_by_the_copy() -> None:
    network, _ = built(Modules)
    faster = prepared(wrapped(network))
    assert faster is not None
    found, slow, quick = run(network, faster.module, batches())
    with torch.no_grad():
        torch.testing.assert_close(found, torch.cat([network(b) for b in batches()]), **CLOSE)
    assert slow == [2]
    assert quick == [2, 4, 6, 6, 6]


def test_a_few_inputs_cost_one_pass() -> None:
    network, _ = built(Modules)
    _, slow, quick = run(network, network, [batches(1)[0][:4]])
    assert (slow, quick) == ([4], [])


def test_a_copy_that_differs_is_not_used() -> None:
    network, _ = built(Modules)
    found, slow, quick = run(network, lambda batch: 1.01 * network(batch), batches())
    with torch.no_grad():
        torch.testing.assert_close(found, torch.cat([network(b) for b in batches()]), **CLOSE)
    assert (slow, quick) == ([2, 6, 6, 6, 6], [2])


def test_a_copy_that_fails_is_not_used() -> None:
    network, _ = built(Modules)

    def fail(batch: Tensor) -> Tensor:
        raise RuntimeError("no compiler")

    found, slow, _ = run(network, fail, batches())
    assert slow == [2, 6, 6, 6, 6]
    assert found.shape == (24, 3)


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("make", [InPlaceElsewhere, Scripted, Functional, Recurrent])
def test_networks_that_folding_gets_wrong_or_not_at_all(make: Callable[[], nn.Module]) -> None:
    network, _ = built(make)
    with torch.no_grad():
        faster = prepared(wrapped(network))
        faster_way = None if faster is None else faster.module
        found = torch.cat(list(map(Checked(network, faster_way, outputs_agree, 5), batches())))
        torch.testing.assert_close(found, torch.cat([network(b) for b in batches()]), **CLOSE)


def test_random_numbers_are_not_used_up_by_the_check() -> None:
    def noisy(batch: Tensor) -> Tensor:
        return batch.mean(dim=(2, 3)) + torch.randn(len(batch), 1)

    torch.manual_seed(5)
    found, slow, _ = run(noisy, noisy, batches())
    torch.manual_seed(5)
    noisy(batches()[0][:2])  # the check itself
    wanted = torch.cat([noisy(one) for one in batches()])
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert slow == [2, 6, 6, 6, 6]


def test_compile_is_torch_compile_on_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs = built(Modules)
    compiled: list[Any] = []

    def eager(module: nn.Module) -> nn.Module:
        compiled.append(module)
        return module

    monkeypatch.setattr(prepare.torch, "compile", eager)
    faster = prepared(wrapped(network, optimise="compile"))
    assert faster is not None
    assert faster.module is compiled[0]
    assert compiled[0] is not network
    with torch.no_grad():
        torch.testing.assert_close(faster.module(inputs), network(inputs), rtol=0, atol=0)


def test_copies_of_a_model_are_prepared_anew() -> None:
    network, _ = built(Modules)
    model = wrapped(network)
    other = copy.deepcopy(model)
    assert prepared(model) is not prepared(other)


def test_tolerances_are_what_is_stated() -> None:
    outputs = torch.tensor([[0.0, 10.0], [20.0, 30.0]])
    spread = float(outputs.std())
    for share, agrees in ((0.9e-4, True), (1.1e-4, False)):
        assert outputs_agree(outputs + share * spread, outputs) is agrees
    # where nothing varies, rounding is allowed and nothing else
    same = torch.full((3, 1), 7.0)
    assert outputs_agree(same * (1 + 1e-6), same)
    assert not outputs_agree(same * (1 + 1e-5), same)
    gradient = torch.tensor([3.0, 4.0])
    assert gradients_agree(gradient * 1.0009, gradient)
    assert not gradients_agree(gradient * 1.0011, gradient)
