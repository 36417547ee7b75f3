"""Mixtures of pieces and summed gradients: the short way and the plain way are the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.methods.registry import METHODS
from earwitness.models.frontend import LogMel
from earwitness.models.model import Model
from earwitness.models.target import explained_score, make_target
from earwitness.models.wrapping import wrap
from earwitness.perturbation.background.registry import with_backgrounds
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.plane.stft import Plane
from earwitness.probe import Probe
from tests.toys import RATE, TOY_PLANE, curved, quadratic, spectral, waveform

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Norms(nn.Module):
    """A small network with all that is fused, on features of any height."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 3, 3),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return 40 * self.body(features).mean(dim=(2, 3))


def mel(**facts: Any) -> Model:
    torch.manual_seed(3)
    frontend = LogMel(TOY_PLANE, 20)
    return wrap(Norms().eval(), sample_rate=RATE, features=frontend, task="multi-label", **facts)


def black_box() -> Model:
    return wrap(
        lambda waves: np.stack([waves.std(1), np.abs(waves[:, ::7]).mean(1)], 1),
        sample_rate=RATE,
        task="multi-label",
    )


MODELS: list[Callable[[], Model]] = [
    mel,
    lambda: mel(lengths=(2.0, None)),
    lambda: mel(lengths=(None, 0.5)),
    spectral,
    waveform,
    black_box,
]
NAMES = ["mel", "padded", "windows", "no linear part", "waveform", "black box"]


def probe(model: Model, background: str = "silence") -> Probe:
    generator = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(16000, generator=generator)
    other = None
    if background == "noise":
        noise = 0.002 * torch.randn(1, 16000, generator=generator)
        other = model.plane.analyse(noise)[0]
    if background == "mean":  # which must differ from the sound
        wave = wave * torch.linspace(0, 3, 16000) ** 3
        wave[4000:6000] = 0
    target = make_target(model, torch.zeros(len(model.labels)), 0)
    where = Probe(model, wave, target, background=other)
    # it has the input's phase, so magnitudes mix linearly
    return with_backgrounds(where, "mean")[0] if background == "mean" else where


def soft_pieces(where: Probe, count: int, *, whole: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    raw = torch.rand(count + (not whole), *where.shape, generator=generator) ** 2
    return (raw / raw.sum(dim=0))[:count]


def mixed(where: Probe, pieces: Tensor, drawn: Tensor) -> Tensor:
    """Return the scores of mixtures of pieces, given as gains or as the number of each cell."""
    if pieces.ndim == 2:
        return where.mixture(lambda some: some[:, pieces], drawn.shape[1])(drawn)
    return where.mixture(lambda some: torch.tensordot(some, pieces, dims=1), len(pieces))(drawn)


def grid(where: Probe, segments: int, bands: int) -> Tensor:
    pieces = cut(where, "grid", Sizes(segments, bands))
    return pieces.mix(torch.eye(len(pieces))).argmax(dim=0)


def switches(count: int, pieces: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    drawn = torch.rand(count, pieces, generator=generator)
    drawn[: count // 2] = (drawn[: count // 2] < 0.5).float()
    drawn[0], drawn[1] = 1.0, 0.0
    return drawn


@pytest.mark.parametrize("background", ["silence", "noise", "mean"])
@pytest.mark.parametrize("make", MODELS, ids=NAMES)
@pytest.mark.parametrize("kind", ["labels", "soft", "incomplete"])
def test_mixed_scores_are_scores_of_the_gains(
    kind: str, make: Callable[[], Model], background: str
) -> None:
    where = probe(make(), background)
    pieces = grid(where, 4, 3) if kind == "labels" else soft_pieces(where, 5, whole=kind == "soft")
    count = int(pieces.max()) + 1 if kind == "labels" else 5
    drawn = switches(21, count)
    gains = [
        row[pieces] if kind == "labels" else torch.tensordot(row, pieces, dims=1) for row in drawn
    ]
    wanted = torch.cat([where.score(one.unsqueeze(0)).detach() for one in gains])
    torch.testing.assert_close(mixed(where, pieces, drawn), wanted, **CLOSE)
    torch.testing.assert_close(where.scores(gains), wanted, **CLOSE)
    assert float(wanted.std()) > (1e-4 if background == "mean" else 1e-3)


@pytest.mark.parametrize("background", ["noise", "mean"])
def test_a_background_of_another_phase_adds_as_complex_numbers(background: str) -> None:
    where = probe(mel(), background)
    assert where.background is not None
    gains = torch.rand(3, *where.shape, generator=torch.Generator().manual_seed(3))
    mixture = gains * where.spectrum + (1 - gains) * where.background
    wanted = where.model.from_magnitude(mixture.abs()).detach()
    torch.testing.assert_close(where.outputs(gains).detach(), wanted, **CLOSE)
    assert (where.floor is None) == (background == "noise")


@pytest.mark.parametrize("make", MODELS, ids=NAMES)
def test_labels_in_any_order_and_unused_ones(make: Callable[[], Model]) -> None:
    where = probe(make())
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(0, 6, where.shape, generator=generator)
    labels[labels == 2] = 5  # a piece without a cell
    drawn = switches(9, 7)
    wanted = where.scores(row[labels] for row in drawn)
    torch.testing.assert_close(mixed(where, labels, drawn), wanted, **CLOSE)


def test_pieces_too_large_to_keep_are_masked_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    where = probe(waveform())
    pieces, drawn = soft_pieces(where, 5), switches(9, 5)
    wanted = mixed(where, pieces, drawn)
    monkeypatch.setattr("earwitness.probe._MOST_KEPT", 10)
    torch.testing.assert_close(mixed(where, pieces, drawn), wanted, **CLOSE)


def test_all_pieces_on_is_the_input_to_the_last_digit() -> None:
    heard: list[Tensor] = []

    class Listening(nn.Module):
        def forward(self, waves: Tensor) -> Tensor:
            heard.append(waves)
            return waves.abs().mean(dim=1, keepdim=True)

    where = probe(wrap(Listening(), sample_rate=RATE, output="scores"))
    mixed(where, soft_pieces(where, 4), torch.ones(1, 4))
    torch.testing.assert_close(heard[-1][0], where.wave, rtol=0, atol=0)


def test_passes_are_counted() -> None:
    model = mel()
    counts: list[int] = []
    wave = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    where = Probe(model, wave, make_target(model, torch.zeros(3), 0), on_passes=counts.append)
    mixed(where, grid(where, 4, 3), switches(70, 12))
    assert sum(counts) == 70
    counts.clear()
    ones = torch.ones(where.shape)
    where.total_gradient([ones] * 37, [1.0] * 37)
    assert sum(counts) == 3 * 37


# Gradients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_magnitude", [False, True], ids=["gains", "magnitude"])
@pytest.mark.parametrize("background", ["silence", "noise", "mean"])
@pytest.mark.parametrize("make", [*MODELS[:5], curved], ids=[*NAMES[:5], "curved"])
def test_the_total_is_the_sum_of_gradients(
    make: Callable[[], Model], background: str, of_magnitude: bool
) -> None:
    where = probe(make(), background)
    generator = torch.Generator().manual_seed(5)
    points = [0.2 + 0.8 * torch.rand(where.shape, generator=generator) for _ in range(40)]
    if of_magnitude:
        points = [one * where.magnitude for one in points]
    weights = torch.randn(40, generator=generator).tolist()
    found, skipped = where.total_gradient(points, weights, of_magnitude=of_magnitude)
    assert skipped == []
    each = torch.cat([g for _, g in where.gradients(points, of_magnitude=of_magnitude)])
    wanted = torch.tensordot(torch.tensor(weights), each, dims=1)
    tolerance = 1e-5 * float(wanted.abs().max())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=tolerance)


def test_the_total_has_a_closed_form_on_a_quadratic() -> None:
    weights = torch.rand(TOY_PLANE.bins, TOY_PLANE.frames(16000))
    where = probe(quadratic(weights))
    points = [torch.full(where.shape, level) for level in (0.5, 1.0)]
    # d/dg sum of w (g m)^2 = 2 w g m^2
    wanted = 2 * weights * where.magnitude**2 * (3 * 0.5 - 2 * 1.0)
    found, _ = where.total_gradient(points, [3.0, -2.0])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["integrated-gradients", "smoothgrad", "saliency", "gradcam"])
@pytest.mark.parametrize("fails", [False, True])
def test_parameters_ask_for_no_gradient_meanwhile(
    name: str, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mel()
    assert model.module is not None
    model.module.body[3].weight.requires_grad_(False)
    before = [one.requires_grad for one in model.module.parameters()]
    seen: list[list[bool]] = []
    plain = explained_score

    def explained(*arguments: Any) -> Tensor:
        assert model.module is not None
        if torch.is_grad_enabled():
            seen.append([one.requires_grad for one in model.module.parameters()])
        if fails:
            raise ZeroDivisionError
        return plain(*arguments)

    monkeypatch.setattr("earwitness.probe.explained_score", explained)
    where = probe(model)
    if fails:
        with pytest.raises(ZeroDivisionError):
            METHODS.get(name).function(where)
    else:
        METHODS.get(name).function(where)
    assert not any(seen[0]) if seen else fails
    assert [one.requires_grad for one in model.module.parameters()] == before


# What a front end promises ----------------------------------------------------------------------


def test_log_mel_is_its_linear_part_and_the_rest() -> None:
    frontend = LogMel(Plane(RATE, 512, 128), 30)
    one, two = torch.rand(2, 3, 257, 11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        frontend.linear(one + 2 * two), frontend.linear(one) + 2 * frontend.linear(two), **CLOSE
    )
    torch.testing.assert_close(frontend.nonlinear(frontend.linear(one)), frontend(one))
    # frame by frame
    torch.testing.assert_close(frontend.linear(one)[..., 4:6], frontend.linear(one[..., 4:6]))


def test_memory_does_not_grow_with_the_number_of_evaluations() -> None:
    where = probe(mel())
    labels = grid(where, 4, 3)
    most: list[int] = []

    def alive() -> int:
        import gc

        return sum(
            one.numel()
            for one in gc.get_objects()
            if type(one) is Tensor and one.numel() >= TOY_PLANE.frames(16000) * 20
        )

    class Watching(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            most.append(alive())
            return features.mean(dim=(2, 3))

    where = probe(
        wrap(Watching(), sample_rate=RATE, features=LogMel(TOY_PLANE, 20), output="scores")
    )
    peaks = []
    for count in (200, 800):
        most.clear()
        mixed(where, labels, switches(count, 12))
        peaks.append(max(most))
    assert peaks[1] - peaks[0] <= 800 * 12  # the switches themselves, which the caller holds
