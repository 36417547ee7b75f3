"""Threads that explain at once: the network and the results are as if they took turns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

import earwitness
from tests.toys import RATE


class Normed(nn.Module):
    """A network with statistics, which drift in training mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv1d(1, 6, 64, 32), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 2),
        )  # fmt: skip

    def forward(self, waves: Tensor) -> Tensor:
        found: Tensor = self.net(waves[:, None])
        return found


def test_threads_take_turns_with_one_network() -> None:
    network = Normed()  # in training mode
    before = {name: one.clone() for name, one in network.state_dict().items()}
    model = earwitness.wrap(network, sample_rate=RATE, labels=["a", "b"])
    waves = np.random.default_rng(0).standard_normal((4, RATE)).astype(np.float32)
    methods = ["saliency", "occlusion", "gradcam", "lime"]

    def explained(k: int) -> earwitness.Explanation:
        found = earwitness.explain(model, (waves[k % 4], RATE), methods[k % 4], trust="light")
        assert isinstance(found, earwitness.Explanation)
        return found

    alone = [explained(k) for k in range(4)]
    state = torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(explained, range(16)))
    torch.testing.assert_close(torch.random.get_rng_state(), state)
    assert network.training
    for name, one in network.state_dict().items():
        torch.testing.assert_close(one, before[name], rtol=0, atol=0)
    for k, found in enumerate(together):
        np.testing.assert_array_equal(found.attribution.values, alone[k % 4].attribution.values)
        assert found.trust == alone[k % 4].trust
