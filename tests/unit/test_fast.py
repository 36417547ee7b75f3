"""Fused inference: the same numbers as the model itself, whatever the model does."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from earwitness.models import fast, fusion
from earwitness.models.agreement import gradients_agree, outputs_agree
from earwitness.models.fast import Fast
from earwitness.models.fusion import Fusion

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
    """Goes another way for loud inputs, and looks at strides."""

    def __init__(self) -> None:
        super().__init__()
        self.soft, self.loud = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.loud(x) if float(x.detach().abs().mean()) > 0.5 else self.soft(x)
        maps = torch.relu(maps)
        rows = maps.as_strided(
            (len(maps), maps.numel() // len(maps)), (maps.numel() // len(maps), 1)
        )
        return torch.stack([rows[:, ::3].sum(1), rows[:, 1::3].sum(1)], dim=1) + maps.stride(0) * 0


class Scripted(nn.Module):
    """Part of it is compiled, so its calls cannot be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.rest = torch.jit.trace(  # scripting needs no source here
            nn.Sequential(nn.BatchNorm2d(4).eval(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 180, 2)),
            torch.zeros(2, 4, 10, 18),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.conv(x))


NETWORKS: list[Callable[[], nn.Module]] = [
    Modules,
    lambda: Modules(bias=False),
    Functional,
    InPlaceElsewhere,
    Reused,
    Residual,
    NormLast,
    Grouped,
    Recurrent,
    Branching,
]
NAMES = [getattr(one, "__name__", "no bias").replace("<lambda>", "no bias") for one in NETWORKS]


def built(make: Callable[[], nn.Module]) -> tuple[nn.Module, Tensor]:
    inputs = torch.rand(5, 1, 12, 20, generator=torch.Generator().manual_seed(0))
    network = make()
    with torch.no_grad():
        network.train()(inputs)  # lazy layers find their size
    return settled(network), inputs


@pytest.mark.parametrize("packs", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("make", NETWORKS, ids=NAMES)
def test_fused_equals_plain(
    make: Callable[[], nn.Module], packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "_PACKS", packs and fusion._PACKS)
    network, inputs = built(make)
    mode = Fusion()
    with torch.no_grad():
        wanted = network(inputs.clone())
        with mode:
            found = network(inputs.clone())
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert type(found) is Tensor
    assert mode.work > 0


@pytest.mark.parametrize("make", NETWORKS, ids=NAMES)
def test_fused_gradients_equal_plain_ones(make: Callable[[], nn.Module]) -> None:
    network, inputs = built(make)
    mode = Fusion()

    def gradient() -> Tensor:
        leaf = inputs.clone().requires_grad_()
        with mode if fused else torch.enable_grad():
            score = network(leaf)[:, 1].sum()
        return torch.autograd.grad(score, leaf)[0]

    for parameter in network.parameters():
        parameter.requires_grad_(False)
    fused = False
    wanted = gradient()
    fused = True
    torch.testing.assert_close(gradient(), wanted, **CLOSE)
    assert mode.work > 0


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 3)),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
    norm=st.booleans(),
    relu=st.booleans(),
)
def test_any_geometry(
    kernel: Any, stride: Any, padding: Any, dilation: int, groups: int, bias: bool, norm: bool,
    relu: bool,
) -> None:  # fmt: skip
    layers: list[nn.Module] = [
        nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias=bias),
        *([nn.BatchNorm2d(8)] if norm else []),
        *([nn.ReLU()] if relu else []),
    ]
    network = settled(nn.Sequential(*layers))
    inputs = torch.randn(2, 4, 11, 13, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = network(inputs)
        with Fusion():
            found = network(inputs) + 0
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.filterwarnings("ignore:.torch.jit.trace")
def test_a_scripted_part_is_asked_as_it_is() -> None:
    network = settled(Scripted())
    inputs = torch.rand(2, 1, 12, 20)
    with torch.no_grad():
        wanted = network(inputs)
        with Fusion():
            found = network(inputs)
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("change", ["in place", "another tensor", "norm", "statistics"])
def test_changed_weights_are_noticed(change: str) -> None:
    network, inputs = built(Modules)
    mode = Fusion()
    with torch.no_grad():
        with mode:
            before = network(inputs)
        if change == "in place":
            network[0].weight.mul_(2)
        elif change == "another tensor":
            network[0].weight.data = 2 * network[0].weight.data
        elif change == "norm":
            network[1].weight.add_(1)
        else:
            network[1].running_var.mul_(3)
        with mode:
            found = network(inputs)
        wanted = network(inputs)
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert float((found - before).abs().max()) > 0.01


def test_a_norm_in_training_mode_is_left_alone() -> None:
    network, inputs = built(Modules)
    network.train()
    twin = copy.deepcopy(network)
    with torch.no_grad():
        wanted = twin(inputs)
        with Fusion():
            found = network(inputs)
    torch.testing.assert_close(found, wanted, **CLOSE)
    torch.testing.assert_close(network[1].running_mean, twin[1].running_mean, **CLOSE)
    assert int(network[1].num_batches_tracked) == int(twin[1].num_batches_tracked)


def test_statistics_of_the_batch_are_left_alone() -> None:
    network, inputs = built(Modules)
    conv, norm = network[0], network[1]

    def ask() -> Tensor:
        mean, variance = norm.running_mean.clone(), norm.running_var.clone()
        return functional.batch_norm(conv(inputs), mean, variance, training=True)

    with torch.no_grad():
        wanted = ask()
        with Fusion():
            found = ask()
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_no_trace_is_left_in_the_network() -> None:
    network, inputs = built(Functional)
    before = {
        name: (value.clone(), value.data_ptr()) for name, value in network.state_dict().items()
    }
    names = {name: set(vars(module)) for name, module in network.named_modules()}
    with torch.no_grad(), Fusion():
        network(inputs)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name][0], rtol=0, atol=0)
        assert value.data_ptr() == before[name][1]
        assert value.is_contiguous()
    assert {name: set(vars(module)) for name, module in network.named_modules()} == names


# What is decided -------------------------------------------------------------------------------


class Counting(nn.Module):
    """Enough work to be worth fusing; says whether it was."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 64, 5, padding=2), nn.BatchNorm2d(64)
        self.head = nn.Linear(64, 3)
        self.level = 1.0
        self.fused: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.fused.append(torch._C._len_torch_function_stack() > 0)
        x = torch.relu(self.norm(self.conv(x)))
        return self.level * self.head(x.mean(dim=(2, 3)))


@pytest.fixture
def _pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fusing pays here, whatever else this machine is doing."""
    monkeypatch.setattr(Fast, "_measured", lambda *_: True)


def batches(count: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.rand(6, 1, 40, 60, generator=generator) for _ in range(count)]


def asked(network: nn.Module, one: Fast) -> tuple[Tensor, Tensor]:
    """Return what is found and what is wanted."""
    with torch.no_grad():
        found = torch.cat(list(one.answers(network, batches())))
        return found, torch.cat([network(batch) for batch in batches()])


@pytest.mark.usefixtures("_pays")
def test_all_but_two_items_are_fused_where_it_pays() -> None:
    network = settled(Counting())
    found, wanted = asked(network, Fast())
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert network.fused[:8] == [False, *[True] * 7]  # two items both ways, the rest, five batches


def test_small_networks_are_left_alone() -> None:
    network = settled(Counting())
    with torch.no_grad():
        list(Fast().answers(network, [batch[..., :5, :5] for batch in batches()]))
    assert sum(network.fused) == 1


@pytest.mark.usefixtures("_pays")
def test_a_few_items_cost_one_pass() -> None:
    network = settled(Counting())
    with torch.no_grad():
        list(Fast().answers(network, [batch[:4] for batch in batches(1)]))
    assert network.fused == [False]


def test_fusing_that_does_not_pay_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    network, one = settled(Counting()), Fast()
    clock = iter([0.0, 2.0, 3.0] * 2)  # fused 2 s, plain 1 s

    class Clock:
        perf_counter = staticmethod(lambda: next(clock))

    monkeypatch.setattr(fast, "time", Clock)
    asked(network, one)
    count = len(network.fused)
    asked(network, one)
    assert not any(network.fused[count:])
    assert list(one._pays.values()) == [False]
    assert time.perf_counter() > 0


@pytest.mark.usefixtures("_pays")
def test_weights_changed_behind_torchs_back_are_noticed() -> None:
    network, one = settled(Counting()), Fast()
    before, _ = asked(network, one)
    network.conv.weight.data.neg_()  # no version is counted here, and the place is the same
    found, wanted = asked(network, one)
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert float((found - before).abs().max()) > 0.01
    assert network.fused[-7]  # and what was folded anew is used again: the last six are plain


@pytest.mark.usefixtures("_pays")
def test_other_attributes_may_change_too() -> None:
    network, one = settled(Counting()), Fast()
    asked(network, one)
    network.level = 3.0
    found, wanted = asked(network, one)
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.usefixtures("_pays")
def test_models_that_draw_at_random_are_left_alone() -> None:
    class Noisy(Counting):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.randn(len(x), 3)

    network, one = settled(Noisy()), Fast()
    torch.manual_seed(5)
    with torch.no_grad():
        found = torch.cat(list(one.answers(network, batches())))
    torch.manual_seed(5)
    with torch.no_grad():
        first, *others = batches()
        wanted = torch.cat([network(one) for one in (first[:2], first[2:], *others)])
    # and the trial took nothing from the sequence of draws
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.usefixtures("_pays")
def test_models_with_state_are_left_alone() -> None:
    class Ageing(Counting):
        def forward(self, x: Tensor) -> Tensor:
            self.level += 1.0
            return super().forward(x)

    network, one = settled(Ageing()), Fast()
    with torch.no_grad():
        list(one.answers(network, batches()))
    assert sum(network.fused) == 2  # tried, tried anew, given up


@pytest.mark.usefixtures("_pays")
def test_a_model_that_only_fails_when_fused_is_asked_as_it_is() -> None:
    class Picky(Counting):
        def forward(self, x: Tensor) -> Tensor:
            maps = self.conv(x)
            assert type(maps) is Tensor, "wants the very type"
            return self.head(maps.mean(dim=(2, 3)))

    found, wanted = asked(settled(Picky()), Fast())
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.usefixtures("_pays")
def test_nothing_is_fused_where_calls_are_watched() -> None:
    from torch.overrides import TorchFunctionMode

    class Watch(TorchFunctionMode):
        relus = 0

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.relus += func is torch.relu
            return func(*args, **(kwargs or {}))

    network = settled(Counting())
    with torch.no_grad(), Watch() as watch:
        list(Fast().answers(network, batches()))
    assert watch.relus == 7  # the first batch goes in two parts


def test_copies_start_afresh() -> None:
    one = Fast()
    one._pays["something"] = True  # type: ignore[index]
    assert not copy.deepcopy(one)._pays


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
