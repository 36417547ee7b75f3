"""What every registered metric must do, one test per name."""

from __future__ import annotations

import inspect
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.errors import ParameterError
from earwitness.evaluation.cases import make_cases, size_fields
from earwitness.metrics.curves import nested_gains
from earwitness.metrics.localisation import map_fields, true_cells
from earwitness.metrics.registry import FIELDS, METRICS
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.probe import Probe
from tests.reference.slow_metrics import SLOW
from tests.toys import RATE, TOY_PLANE, Magnitude

ALL = [metric.name for metric in METRICS.all()]
EXTRA = ["stoi"]  # needs a package that is not part of the tests' own
CORE = [name for name in ALL if name not in EXTRA]
DIRECTED = [name for name in CORE if METRICS.get(name).direction]
BATCHED = ("(mask", "(map")
FREQ, FRAME = 9, 12


def random_case(seed: int = 0, count: int = 4) -> dict[str, Any]:
    """A value for every field, of the right shape and range, with ties and negative values."""
    rng = np.random.default_rng(seed)
    plane = (count, FREQ, FRAME)
    gains = rng.random(plane).astype(np.float32)
    gains[1] = gains[1] > 0.7
    maps = rng.standard_normal(plane).astype(np.float32)
    maps[1] = np.round(maps[1])
    answers = rng.dirichlet(np.ones(6), 2 * count + 1)
    time = np.arange(1600) / RATE
    tone = np.sin(2 * np.pi * 440 * time)
    sounds = 0.3 * tone + 0.05 * rng.standard_normal((count, 1600))
    sounds[2, [300, 700, 1200]] += 2.0
    case: dict[str, Any] = {
        "p_input": np.float64(0.6),
        "p_evidence": np.array([0.9, 0.6 + 1e-6, 0.2, 0.6]),
        "p_remainder": np.array([0.1, 0.5, 0.7, 0.0]),
        **{f"z_{side}": 3 * rng.standard_normal(count) for side in ("evidence", "remainder")},
        "z_input": np.float64(2.0),
        "odds_input": np.float64(1.5),
        "odds_evidence": rng.standard_normal(count),
        "odds_remainder": rng.standard_normal(count),
        "all_input": answers[0],
        "all_evidence": answers[1 : count + 1],
        "all_remainder": answers[count + 1 :],
        "insertion": np.sort(rng.random((count, 6)), axis=1),
        "deletion": -np.sort(-rng.random((count, 6)), axis=1),
        "insertion_score": 3 * rng.standard_normal((count, 6)),
        "deletion_score": 3 * rng.standard_normal((count, 6)),
        "shares": np.tile([0, 0.1, 0.3, 0.4, 0.9, 1], (count, 1)),
        "sizes": np.tile([0.02, 0.05, 0.1, 0.3], (count, 1)),
        "sized_evidence": rng.random((count, 4)),
        "sized_remainder": rng.random((count, 4)),
        "gains": gains,
        "magnitude": rng.random((FREQ, FRAME)).astype(np.float32),
        "heard": rng.random(plane).astype(np.float32) ** 2,
        **map_fields(maps),
        **true_cells(rng.random((FREQ, FRAME)), rng.random((FREQ, FRAME))),
        "sounds": sounds.astype(np.float32),
        "input_sound": (tone + 0.05 * rng.standard_normal(1600)).astype(np.float32),
        "source_sound": tone.astype(np.float32),
        "speech_sound": tone.astype(np.float32),
        "rate": RATE,
        "map": maps[0],
        "other_evidence": rng.random(count),
        "other_remainder": rng.random(count),
    }
    for name in ("seed_maps", "noise_maps", "encoded_maps", "random_maps"):
        case[name] = rng.standard_normal(plane).astype(np.float32)
    return case


def row(name: str, case: dict[str, Any], k: int) -> dict[str, Any]:
    """The case of mask or map ``k`` alone, still as a batch."""
    metric = METRICS.get(name)
    return {
        field: case[field][k : k + 1] if FIELDS[field][1].startswith(BATCHED) else case[field]
        for field in metric.given.values()
    }


def test_the_case_has_every_field() -> None:
    assert set(random_case()) == set(FIELDS)


@pytest.mark.parametrize("name", ALL)
def test_facts_are_complete(name: str) -> None:
    metric = METRICS.get(name)
    assert metric.summary
    assert not metric.summary.endswith(".")
    assert metric.range[0] < metric.range[1]
    assert metric.needs
    assert inspect.getdoc(metric.function)
    assert all(json.dumps(default) for default in metric.options.values())


def test_options_are_described_and_their_ranges_enforced() -> None:
    case = random_case()
    for metric in METRICS.all():
        for option in metric.declared.values():
            assert option.description.endswith(".")
            assert option.low is not None
            metric.of(case, **{option.name: option.low})
            words = f"^{metric.name}: {option.name} must be {option.range}, got {option.low - 1}$"
            with pytest.raises(ParameterError, match=words):
                metric.of(case, **{option.name: option.low - 1})


@pytest.mark.parametrize("name", CORE)
def test_agrees_with_the_slow_reference(name: str) -> None:
    case = random_case()
    values = METRICS.get(name).of(case)
    for k in range(4):
        given = []
        for field in METRICS.get(name).given.values():
            one = row(name, case, k)[field]
            given.append(one[0] if FIELDS[field][1].startswith(BATCHED) else one)
        wanted = SLOW[name](*given)
        # the looked-for scale of SI-SDR is 1e-4 fine; all else is arithmetic in float64
        tolerance = 1e-3 if name.startswith("si-sdr") else 1e-6
        np.testing.assert_allclose(values[k], wanted, rtol=tolerance, atol=1e-7, err_msg=f"{k}")


def test_the_references_say_something() -> None:
    # a reference that is the same for every row would let a metric ignore its input
    for name in CORE:
        values = [METRICS.get(name).of(random_case(seed)) for seed in range(8)]
        assert len(np.unique(np.round(values, 9))) > 1, name


@pytest.mark.parametrize("name", CORE)
def test_a_batch_is_its_rows(name: str) -> None:
    case = random_case()
    values = METRICS.get(name).of(case)
    assert values.shape == (4,)
    assert values.dtype == np.float64
    alone = [METRICS.get(name).of(row(name, case, k))[0] for k in range(4)]
    np.testing.assert_allclose(values, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CORE)
def test_values_lie_in_the_stated_range(name: str) -> None:
    low, high = METRICS.get(name).range
    for seed in range(5):
        values = METRICS.get(name).of(random_case(seed))
        assert ((values >= low - 1e-9) & (values <= high + 1e-9)).all()


@pytest.mark.parametrize("name", CORE)
def test_nothing_given_is_changed(name: str) -> None:
    case = random_case()
    before = {field: np.array(value, copy=True) for field, value in case.items()}
    METRICS.get(name).of(case)
    for field, value in case.items():
        np.testing.assert_array_equal(value, before[field], err_msg=field)


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_known_is_not_asked(name: str) -> None:
    metric = METRICS.get(name)
    for field in metric.given.values():
        case = {**random_case(), field: None}
        assert not metric.applies(case)
        with pytest.raises(ParameterError, match=field):
            metric.of(case)


class Grid(nn.Module):
    """Six classes, each hearing the mean magnitude (to a power) of one rectangle of the plane."""

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, features: Tensor) -> Tensor:
        levels = (features[:, 0] * 30) ** self.power
        return torch.stack([(levels * b).sum(dim=(1, 2)) / b.sum() for b in BLOCKS[:6]], dim=1)


def blocks() -> Tensor:
    """Twelve rectangles that tile the toy plane of 1.5 s, shape (block, freq, frame)."""
    shape = (TOY_PLANE.bins, TOY_PLANE.frames(24000))
    rows = torch.arange(shape[0]) * 3 // shape[0]
    columns = torch.arange(shape[1]) * 4 // shape[1]
    numbers = (rows[:, None] * 4 + columns[None, :] + 5) % 12  # class 0 in the middle, right
    return torch.stack([(numbers == k).float() for k in range(12)])


BLOCKS = blocks()


def grid(power: float = 1.0) -> Model:
    return wrap(Grid(power), sample_rate=RATE, features=Magnitude())


def scene_of(seed: int) -> tuple[Tensor, Tensor]:
    """A burst in the rectangle of class 0, and the faint noise around it, as sound."""
    generator = torch.Generator().manual_seed(seed)
    loud, faint = torch.randn(2, 24000, generator=generator) * torch.tensor([[1.5], [0.1]])
    spectrum = TOY_PLANE.analyse(loud[None])
    return TOY_PLANE.synthesise(spectrum * BLOCKS[0], 24000)[0], faint


def stability_fields(good: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Repetitions that find the same, half the same, and the opposite."""
    tiny = 1e-3 * rng.random(good.shape)  # an order among equal cells
    noise = rng.standard_normal((3, *good.shape))
    again = [good + tiny, 0.5 * (good + tiny) + 0.5 * noise[1], -good - tiny]
    # and networks with random weights: the map has changed, changed in part, not changed at all
    scrambled = [noise[0], 0.5 * (good + tiny) + 0.5 * noise[1], good + tiny]
    fields = {f"{name}_maps": np.stack(again) for name in ("seed", "noise", "encoded")}
    return {"map": good + tiny, "random_maps": np.stack(scrambled), **fields}


def figures_of(seed: int) -> dict[str, np.ndarray]:
    """Every metric for truth, chance and falsehood.

    The right rectangle; four of the twelve, in turn over the seeds; and the six that share neither
    time nor frequency with the right one.
    """
    rng = np.random.default_rng(seed)
    source, rest = scene_of(seed)
    model, wave = grid(), source + rest
    with torch.no_grad():
        whole = model(wave[None])[0]
    probe = Probe(model, wave, make_target(model, whole))
    assert probe.target.index == 0
    chance = np.roll([4.0, 3, 2, 1] + [0] * 8, seed)  # strongest first, for the map
    away = [(r, c) != (1, 3) and r != 1 and c != 3 for r in range(3) for c in range(4)]
    falsehood = np.roll(away, 5)  # as blocks are numbered
    weights = np.stack([np.eye(12)[0], chance / 4, falsehood])
    maps = np.einsum("mb,bft->mft", weights, BLOCKS.numpy()).astype(np.float32)
    gains = (maps > 0).astype(np.float32)
    maps = maps + 0.01 * rng.random(maps.shape).astype(np.float32)
    several = [
        make_cases(probe, g[None], whole=whole, attribution=m)["audio"]
        | size_fields(probe, nested_gains(m, 6)[0][1:5], whole, (0.2, 0.4, 0.6, 0.8))["audio"]
        for g, m in zip(gains, maps, strict=True)
    ]
    case = {
        field: np.concatenate([one[field] for one in several])
        if FIELDS[field][1].startswith(BATCHED)
        else value
        for field, value in several[0].items()
    }
    levels = [TOY_PLANE.analyse(one[None])[0].abs().numpy() for one in (source, rest)]
    case |= {**true_cells(*levels), "source_sound": source.numpy()}
    case |= {f"{n}_score": 4 * case[n] + 1 for n in ("insertion", "deletion")}  # as of a regression
    case |= stability_fields(gains[0], rng)
    case["sounds"] = case["sounds"].copy()
    case["sounds"][1, 5000] += 5.0
    case["sounds"][2, [5000, 9000]] += 5.0
    kept = torch.from_numpy(case["sounds"])
    sides = [grid(2.0)(one).softmax(dim=1)[:, 0].detach().numpy() for one in (kept, wave - kept)]
    case["other_evidence"], case["other_remainder"] = sides
    return {name: METRICS.get(name).of(case) for name in CORE}


@pytest.fixture(scope="module")
def known() -> dict[str, np.ndarray]:
    several = [figures_of(seed) for seed in range(12)]
    return {name: np.mean([one[name] for one in several], axis=0) for name in CORE}


@pytest.mark.parametrize("name", DIRECTED)
def test_ranks_truth_above_chance_above_falsehood(name: str, known: dict[str, Any]) -> None:
    truth, chance, falsehood = known[name]
    metric = METRICS.get(name)
    assert metric.better(truth, chance)
    assert metric.better(chance, falsehood)
