"""A network is after a use as it was before, and outputs do not depend on earlier uses."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor, nn

from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from tests.toys import RATE


class Merging(nn.Linear):
    """A linear layer with an adapter of low rank, which ``train(mode)`` merges, as in loralib."""

    def __init__(self) -> None:
        super().__init__(4, 2)
        self.down, self.up = (nn.Parameter(torch.full(s, 0.5)) for s in ((1, 4), (2, 1)))
        self.merged = False

    def train(self, mode: bool = True) -> Merging:
        super().train(mode)
        if mode == self.merged:
            sign = -1 if mode else 1
            self.weight.data += sign * self.up.detach() @ self.down.detach()
            self.merged = not mode
        return self

    def forward(self, values: Tensor) -> Tensor:
        found = super().forward(values)
        return found if self.merged else found + values @ self.down.T @ self.up.T


class Levels(nn.Module):
    """Two outputs of the power in four parts of a sound, over the largest level heard so far."""

    peak: Tensor

    def __init__(self, *, replaced: bool = False) -> None:
        super().__init__()
        self.last, self.replaced = Merging(), replaced
        self.register_buffer("peak", torch.zeros(()))

    def forward(self, waves: Tensor) -> Tensor:
        largest = torch.maximum(self.peak, waves.detach().abs().amax())
        if self.replaced:
            self.peak = largest
        else:
            self.peak.copy_(largest)
        parts = (waves / largest.clamp(min=1e-9)).square().unflatten(1, (4, -1))
        found: Tensor = self.last(parts.mean(dim=2))
        return found


def wrapped(network: nn.Module) -> Model:
    return wrap(network, sample_rate=RATE, labels=["a", "b"], batch=1)


def noise(level: float = 0.1) -> tuple[np.ndarray, int]:
    return level * np.random.default_rng(0).standard_normal(RATE).astype(np.float32), RATE


def test_modes_are_restored_by_the_networks_own_way() -> None:
    network = Levels().train()
    network.last.eval()
    network.last.train()
    model = wrapped(network)
    weight = network.last.weight.detach().clone()
    with model.undisturbed():
        assert network.last.merged
        assert not any(one.training for one in network.modules())
    assert not network.last.merged
    assert all(one.training for one in network.modules())
    torch.testing.assert_close(network.last.weight.detach(), weight)
    network.last.eval()  # a part of its own mode
    with model.undisturbed():
        pass
    assert (network.training, network.last.training, network.last.merged) == (True, False, True)


def test_a_loop_called_train_is_not_called() -> None:
    class Trainer(Levels):
        def train(self, loader: Any) -> None:  # type: ignore[override]
            raise AssertionError

        def eval(self, loader: Any) -> None:  # type: ignore[override]
            raise AssertionError

    network = Trainer()
    with wrapped(network).undisturbed():
        assert not any(one.training for one in network.modules())
        assert network.last.merged
    assert all(one.training for one in network.modules())
    assert not network.last.merged


@pytest.mark.parametrize("replaced", [False, True])
def test_buffers_are_restored_and_earlier_sounds_do_not_matter(replaced: bool) -> None:
    network = Levels(replaced=replaced).eval()
    model, buffer = wrapped(network), network.peak
    first = explain(model, noise(), "occlusion", trust="light")
    assert network.peak is buffer
    assert float(buffer) == 0
    explain(model, noise(0.9), "occlusion", trust="light")
    again = explain(model, noise(), "occlusion", trust="light")
    assert_array_equal(again.attribution.values, first.attribution.values)

    def stopped() -> None:
        with model.undisturbed():
            model(torch.ones(1, RATE))
            assert float(network.peak) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert network.peak is buffer
    assert float(buffer) == 0


def test_statistics_of_a_norm_that_stays_in_training_are_restored() -> None:
    class Stays(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Stays:
            super().train(True)
            return self

    network = nn.Sequential(nn.Unflatten(1, (2, -1)), Stays(2), nn.Flatten(), nn.Linear(RATE, 2))
    before = {name: one.clone() for name, one in network.state_dict().items()}
    model = wrapped(network)
    with model.undisturbed(), torch.no_grad():
        model(torch.from_numpy(noise()[0])[None])
        assert int(network[1].num_batches_tracked) > 0
    for name, one in network.state_dict().items():
        torch.testing.assert_close(one, before[name], rtol=0, atol=0)


def test_all_generators_draw_the_same_in_every_use_and_go_on_afterwards() -> None:
    model = wrapped(Levels())

    def draws() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002

    def seeded() -> None:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)

    seeded()
    wanted = [draws() for _ in range(4)]
    seeded()
    assert draws() == wanted[0]
    inside = []
    for _ in range(2):
        with model.undisturbed():
            inside.append(draws())
        draws()
    assert inside[0] == inside[1]
    assert draws() == wanted[3]
