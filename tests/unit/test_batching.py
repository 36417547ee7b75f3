"""Models whose output for one input depends on the others in its batch."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

import earwitness
from earwitness.errors import NotApplicableError
from earwitness.explanation import Explanation
from earwitness.models.model import Model

RATE = 8000
NOTE = "depends on the others in its batch"


class Coupled(nn.Module):
    """A small classifier on log spectrograms; ``kind`` names how it mixes the inputs of a batch."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.register_buffer("window", torch.hann_window(128))
        self.filters = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)
        self.recurrent = nn.GRU(4, 4)  # its first axis is time, but gets the batch
        self.head = nn.Linear(4, 2)

    def forward(self, waves: Tensor) -> Tensor:
        if self.kind == "peak of the batch":
            waves = waves / (waves.abs().max() + 1e-6)
        if self.kind == "one input only" and len(waves) != 1:
            raise ValueError("expected a batch of 1")
        spectrum = torch.stft(waves, 128, 64, window=self.window, return_complex=True)
        decibels = 10 * torch.log10(spectrum.abs().square() + 1e-12)
        if self.kind == "floor below the batch":
            decibels = decibels.clamp(min=decibels.detach().max().item() - 40)
        maps = self.filters(decibels.unsqueeze(1) / 20)
        maps = self.norm(maps) if self.kind == "batch statistics" else maps
        found = torch.relu(maps).mean(dim=(2, 3))
        if self.kind == "recurrent over the batch":
            found = self.recurrent(found.unsqueeze(1))[0].squeeze(1) * 3
        return self.head(found)


KINDS = (
    "peak of the batch",
    "floor below the batch",
    "batch statistics",
    "recurrent over the batch",
    "one input only",
)


class Alone(nn.Module):
    """A network evaluated on every row by itself."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, waves: Tensor) -> Tensor:
        return torch.cat([self.network(wave) for wave in waves.split(1)])


def sound() -> np.ndarray:
    """A loud tone, a soft tone and a noise floor, 0.5 s."""
    time = np.arange(RATE // 2) / RATE
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(time))
    loud = 0.5 * np.sin(2 * np.pi * 800 * time) * ((time > 0.3) & (time < 0.4))
    soft = 0.01 * np.sin(2 * np.pi * 2500 * time) * ((time > 0.05) & (time < 0.15))
    return (noise + loud + soft).astype(np.float32)


def shapley(model: Model, explanation: Explanation) -> list[float]:
    """Shapley values by their definition, of the model on one sound at a time."""
    pieces = [one.samples for one in explanation.piece_sounds]
    count = len(pieces)

    def value(chosen: tuple[int, ...]) -> float:
        wave = sum((pieces[piece] for piece in chosen), np.zeros_like(pieces[0]))
        with torch.no_grad():
            return float(model.module(torch.from_numpy(wave)[None])[0, 1])  # type: ignore[misc]

    found = np.zeros(count)
    for order in itertools.permutations(range(count)):
        before = value(())
        for place, piece in enumerate(order):
            after = value(order[: place + 1])
            found[piece] += after - before
            before = after
    return list(found / len(list(itertools.permutations(range(count)))))


def wrapped(network: nn.Module) -> Model:
    return earwitness.wrap(network.eval(), sample_rate=RATE, labels=["a", "b"])


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_shap_of_a_model_that_mixes_its_batch_equals_the_model_on_one_sound(
    kind: str,
) -> None:
    options = {"target": "b", "pieces": "time", "segments": 4}
    model = wrapped(Coupled(kind))
    found = earwitness.explain(model, (sound(), RATE), "kernel-shap", **options)
    weights = {piece.name: piece.weight for piece in found.pieces}
    wanted = shapley(model, found)
    ours = [weights[one.name] for one in found.piece_sounds]
    assert_allclose(ours, wanted, atol=2e-3 * max(map(abs, wanted)))  # float32, log of silence
    assert sum(NOTE in note for note in found.notes) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["integrated-gradients", "gradcam", "lime"])
def test_the_card_of_a_model_that_mixes_its_batch_is_the_model_on_each_file(
    kind: str, method: str
) -> None:
    network = Coupled(kind)
    found = earwitness.explain(wrapped(network), (sound(), RATE), method, target="b")
    assert found.trust is not None
    outcome = found.trust.outcome
    scores = [outcome.evidence.audio, outcome.remainder.audio, found.trust.input]
    files = [found.evidence, found.remainder, found.input]
    with torch.no_grad():
        rows = [network(torch.from_numpy(file.samples)[None]) for file in files]
    assert_allclose(scores, [float(row.softmax(1)[0, 1]) for row in rows], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_a_model_that_mixes_its_batch_equal_those_of_its_rows_alone(kind: str) -> None:
    maps = [
        earwitness.explain(
            wrapped(network), (sound(), RATE), "integrated-gradients", target="b", trust="none"
        ).attribution.values
        for network in (Coupled(kind), Alone(Coupled(kind)))
    ]
    assert_allclose(maps[0], maps[1], atol=1e-4 * np.abs(maps[1]).max())


def test_dynamic_int8_is_evaluated_one_by_one() -> None:
    network = nn.Sequential(nn.Unflatten(1, (8, 500)), nn.Linear(500, 8), nn.ReLU(), nn.Flatten(),
                            nn.Linear(64, 2))  # fmt: skip
    with warnings.catch_warnings(action="ignore"):
        quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    model = wrapped(quantised)
    waves = torch.from_numpy(sound()) * torch.tensor([[1.0], [0.01]])
    with torch.no_grad():
        assert_allclose(model(waves)[1], quantised(waves[1:])[0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["none of the batch", "drawn at random"])
def test_a_model_with_independent_items_shares_batches_without_a_note(kind: str) -> None:
    calls = []

    class Counted(Coupled):
        def forward(self, waves: Tensor) -> Tensor:
            calls.append(len(waves))
            found = super().forward(waves)
            return found + torch.rand(len(found), 1) if kind == "drawn at random" else found

    found = earwitness.explain(wrapped(Counted(kind)), (sound(), RATE), "lime", target="b")
    assert max(calls) >= 16
    assert [note for note in found.notes if NOTE in note] == []


def test_windows_of_one_sound_do_not_affect_each_other() -> None:
    network = Coupled("peak of the batch").eval()
    model = earwitness.wrap(
        network, sample_rate=RATE, labels=["a", "b"], lengths=(0.25, 0.25), name="windowed"
    )
    wave = torch.from_numpy(sound())
    with torch.no_grad():
        rows = [network(wave[None, start : start + 2000]) for start in (0, 1000, 2000)]
        assert_allclose(model(wave[None])[0], torch.cat(rows).mean(dim=0), rtol=1e-5)


def test_gradcam_on_windows_that_affect_each_other_is_refused_in_one_line() -> None:
    network = Coupled("peak of the batch").eval()
    model = earwitness.wrap(network, sample_rate=RATE, labels=["a", "b"], lengths=(0.25, 0.25))
    with pytest.raises(NotApplicableError, match="one of 3 windows at a time"):
        earwitness.explain(model, (sound(), RATE), "gradcam")
