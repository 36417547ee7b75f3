"""``explain --compat mosnet-lime``: as published, repaired, and of two classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.audio import write_audio
from earwitness.cli.explain import _PUBLISHED
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.explanation import Explanation
from earwitness.methods import mosnet_lime
from earwitness.methods.mosnet_lime import class_of, class_shares, drawn, picture_of
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.zoo.mosnet import MOSNet, mosnet_model, save_mosnet
from earwitness.probe import Probe
from earwitness.report.command import command_line
from earwitness.types import Audio, Map
from tests.command import run

Capture = pytest.CaptureFixture[str]
STORED = "2,1,3,2,2,1,3,2,1,2"


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut pictures of a hundredth of the published size, which takes a hundredth of the time."""
    monkeypatch.setattr(mosnet_lime, "HEIGHT", 37)
    monkeypatch.setattr(mosnet_lime, "WIDTH", 50)


def speech() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(8000, generator=generator)
    return noise * torch.linspace(0, 12, 8000).sin().abs()


def network(score: float = 3.5, seed: int = 0, spread: float = 1.0) -> MOSNet:
    """Return a network at random whose score of the sound is given."""
    torch.manual_seed(seed)
    made = MOSNet("blstm").eval()
    with torch.no_grad():
        made.frame.weight.mul_(spread)
        found = mosnet_model(made)(speech()[None])
        made.frame.bias.add_(score - found[0].mean())
    return made


def map_of(name: str, model: Model, **options: Any) -> Map:
    wave = speech()
    with model.undisturbed():
        probe = Probe(model, wave, make_target(model, model(wave[None])[0]), seed=5)
        spec = METHODS.get(name)
        return spec.function(probe, **spec.settle(options))


def draws(regions: int) -> torch.Tensor:
    found = torch.rand(100, regions, generator=torch.Generator().manual_seed(5)) < 0.5
    found[0] = True
    return found


def ridge(switches: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the weights of the lime package: cosine distance, width 0.25, its own root."""
    norms = np.sqrt(switches.sum(axis=1)) * np.sqrt(switches.shape[1])
    distance = 1 - switches.sum(axis=1) / np.maximum(norms, 1e-12)
    weights = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    columns = np.hstack([switches, np.ones((len(switches), 1))])
    penalty = np.diag([1.0] * switches.shape[1] + [0.0])  # none on the intercept
    gram = columns.T @ (weights[:, None] * columns) + penalty
    found: np.ndarray = np.linalg.solve(gram, columns.T @ (weights * values))[:-1]
    return found


def test_published_map_is_that_of_a_scrambled_model_and_the_repaired_ones_are_not() -> None:
    model, other = (mosnet_model(network(3.02, seed, spread=20)) for seed in (0, 1))
    first, second = (map_of("mosnet-lime", one, stored=STORED).values for one in (model, other))
    assert float(first.abs().max()) > 0.001
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    for name in ("mosnet-lime-repaired", "mosnet-lime-contrast"):
        first, second = (map_of(name, one).values for one in (model, other))
        both = torch.stack([first.flatten(), second.flatten()])
        assert float(torch.corrcoef(both)[0, 1]) < 0.9


def test_published_weights_are_those_of_a_sequence_of_period_ten() -> None:
    found = map_of("mosnet-lime", mosnet_model(network()), stored=STORED)
    probe = Probe(model := mosnet_model(network()), speech(), make_target(model, torch.ones(1, 9)))
    picture = picture_of(probe.magnitude, 5)
    values = np.array([float(one == "2") for one in STORED.split(",")] * 10)
    wanted = ridge(draws(picture.regions).double().numpy(), values)
    np.testing.assert_allclose(found.values, wanted[picture.labels], atol=1e-6)
    assert found.details["evaluations"] == 10
    assert found.details["class"] == 2


def test_one_recording_of_one_class_gives_the_published_code_nothing_to_regress() -> None:
    found = map_of("mosnet-lime", mosnet_model(network(3.5, spread=0.01)))
    assert found.details["class"] == 3
    assert float(found.values.abs().max()) == 0
    assert found.details["r2"] == 0


def test_contrast_of_classes_3_and_4_is_minus_twice_the_regression_of_the_score() -> None:
    model = mosnet_model(network(3.4))  # the perturbed inputs score 3.3 to 3.5
    found = map_of("mosnet-lime-contrast", model)
    wave = speech()
    probe = Probe(model, wave, make_target(model, model(wave[None])[0]))
    magnitude = probe.magnitude
    picture = picture_of(magnitude, 5)
    level = 20 * torch.log10(magnitude / magnitude.max()).clamp(min=-4)
    assert float(level.max()) == 0
    switches = draws(picture.regions)
    off = magnitude.max() * 10 ** (picture.means[picture.labels].float() / 20)
    scores = []
    with torch.no_grad():
        for row in switches:
            mixed = torch.where(row[picture.labels], magnitude, off)
            wave = model.plane.synthesise((mixed * probe.phase)[None], 8000)
            scores.append(float(model(wave).mean()))
    assert 3 < min(scores) < max(scores) < 4
    wanted = -2 * ridge(switches.double().numpy(), np.array(scores))
    np.testing.assert_allclose(found.values, wanted[picture.labels], atol=2e-6)
    assert found.details["class"] == 3
    assert found.details["notes"] == ["class 3: class 3 minus class 4"]


def test_low_frequencies_are_at_the_bottom_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosnet_lime, "HEIGHT", 369)
    monkeypatch.setattr(mosnet_lime, "WIDTH", 496)
    levels = np.full((257, 31), -80.0)
    levels[0, 0] = 0.0  # 0 Hz, at the beginning
    image, pixels = drawn(levels)
    assert image.shape == (369, 496, 3)
    rows, columns = np.nonzero(pixels == 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (368, 368, 0, 15)
    np.testing.assert_array_equal(image[0, 495], [0, 0, 4])  # magma's ends, in 8 bits
    np.testing.assert_array_equal(image[368, 0], [252, 253, 191])


def test_a_cell_has_the_region_of_its_pixel_and_a_region_its_mean_level() -> None:
    magnitude = torch.full((40, 50), 0.01)
    magnitude[:10, 25:] = 1.0  # low and late
    picture = picture_of(magnitude, 0)
    loud = set(picture.labels[:9, 26:].unique().tolist())
    assert not loud & set(picture.labels[11:].unique().tolist())
    assert not loud & set(picture.labels[:, :24].unique().tolist())
    for region in loud:
        assert float(picture.means[region]) == pytest.approx(0, abs=1e-9)
    assert float(picture.means.min()) == pytest.approx(-40, abs=1e-4)


def test_classes_are_whole_parts_of_scores() -> None:
    assert [class_of(score) for score in (3.9, 0.4, 6.2, -1.0)] == [3, 1, 5, 1]
    assert [class_of(score, wrap=True) for score in (3.9, 0.4, 6.2)] == [3, 5, 5]
    shares = class_shares(torch.tensor([3.2, 0.4, 7.0]))
    wanted = [[0, 0, 0.8, 0.2, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    torch.testing.assert_close(shares, torch.tensor(wanted), atol=1e-6, rtol=0)


def test_what_it_is_not_for_is_refused() -> None:
    model = mosnet_model(network())
    with pytest.raises(ParameterError, match="10 classes from 1 to 5, got '1,2'"):
        map_of("mosnet-lime", model, stored="1,2")
    wave = speech()
    target = make_target(model, model(wave[None])[0], direction="down")
    probe = Probe(model, wave, target)
    with pytest.raises(NotApplicableError, match="without versus and direction"):
        METHODS.get("mosnet-lime-repaired").function(probe)


def test_published_pipelines_are_options_and_no_methods(capsys: Capture) -> None:
    assert sorted(_PUBLISHED) == [one.name for one in METHODS.published()]
    assert not set(_PUBLISHED) & {one.name for one in METHODS.all()}
    code, out, _ = run(capsys, "methods", "--json")
    assert code == 0
    assert "mosnet-lime" not in out


def test_the_command_runs_it_and_the_page_says_how(tmp_path: Path, capsys: Capture) -> None:
    save_mosnet(tmp_path / "model", network(), {})
    clip = tmp_path / "speech.wav"
    write_audio(clip, Audio(speech().numpy(), 16000))
    place = ("explain", str(clip), "--model", str(tmp_path / "model"), "--trust", "none")
    report = tmp_path / "report"
    code, out, err = run(capsys, *place, "--compat", "mosnet-lime", "-o", str(report))
    assert code == 0, err
    assert "on none of the 100 perturbed pictures" in out
    line = command_line(
        next(Explanation.load(one.parent) for one in report.rglob("attribution.npz"))
    )
    assert line == f"earwitness explain {clip} --model {place[3]} --compat mosnet-lime --trust none"
    code, _, err = run(capsys, *place, "--method", "mosnet-lime", "-o", str(tmp_path / "other"))
    assert code == 2
    assert "--compat mosnet-lime" in err
