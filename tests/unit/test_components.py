"""Metrics of interpreters: agreement, removal of components, reconstruction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from earwitness.metrics.agreement import tag_fidelity, top_fidelity
from earwitness.models.target import make_target
from earwitness.probe import Probe
from earwitness.train.interpreters.figures import component_figures
from earwitness.types import Audio
from tests.interpreters import BANDS, WEIGHTS, gain, known
from tests.toys import TOY_PLANE, spectral


def test_figures_of_known_components(white: Audio) -> None:
    model = spectral()
    interpreter = known(model, WEIGHTS)
    wave = torch.from_numpy(white.samples)
    with model.undisturbed():
        outputs = model(wave[None])
        probe = Probe(model, wave, make_target(model, outputs[0], 1), seed=3)
        found = component_figures(probe, interpreter, top=1)
        gains = torch.zeros(probe.shape)
        gains[BANDS[1][0] : BANDS[1][1], 60:80] = gain(1)
        left = model.from_magnitude(((1 - gains) * probe.magnitude)[None])
    frames = TOY_PLANE.frames(24000)
    z = 10 * np.array([2 * 20 / frames, 20 / frames, 0.5])
    np.testing.assert_allclose(found.scores, np.array(WEIGHTS) @ z, rtol=1e-5)
    np.testing.assert_allclose(found.chances, outputs[0].detach().softmax(dim=0), rtol=1e-4)
    np.testing.assert_allclose(found.relevance, [0.0, 1.0, z[2] / (6 * z[1])], rtol=1e-5)
    assert found.kept == 1
    np.testing.assert_allclose(found.area, float(gains.mean()), rtol=1e-5)
    np.testing.assert_allclose(found.drop, float((outputs - left).detach()[0, 1]), rtol=1e-3)
    # the peak of the sound is at full scale in ln(1 + |X|) of the transform that is not scaled
    values = np.log1p(probe.magnitude.numpy() * 128 / np.abs(white.samples).max())
    np.testing.assert_allclose(found.power, (values**2).mean(), rtol=1e-4)
    patterns = interpreter.dictionary.numpy().astype(float)
    h = np.zeros((3, frames))
    h[0, 20:40], h[1, 60:80], h[2] = 20.0, 10.0, 5.0
    wanted = ((values - patterns @ h) ** 2).sum() / (values**2).sum()
    np.testing.assert_allclose(found.reconstruction, wanted, rtol=1e-4)
    best = np.stack([nnls(patterns, column)[0] for column in values.T.astype(float)], axis=1)
    wanted = ((values - patterns @ best) ** 2).sum() / (values**2).sum()
    np.testing.assert_allclose(found.fitted, wanted, rtol=1e-3)


def test_random_components_are_as_many_and_drawn_from_all(white: Audio) -> None:
    """With all components kept, as many random ones are the same: the drops are equal."""
    model = spectral()
    interpreter = known(model, [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    wave = torch.from_numpy(white.samples)
    with model.undisturbed():
        probe = Probe(model, wave, make_target(model, model(wave[None])[0], 0), seed=3)
        found = component_figures(probe, interpreter, threshold=0.0)
        few = component_figures(probe, interpreter, threshold=0.0, top=1)
        again = component_figures(probe, interpreter, threshold=0.0, top=1)
        two = component_figures(probe, interpreter, threshold=0.0, top=2)
    assert (found.kept, few.kept) == (3, 1)
    np.testing.assert_allclose([found.drop_random, found.drop_active], found.drop, rtol=1e-5)
    assert few == again
    assert few.drop_random != few.drop
    # the model depends on the third component alone, which is not always one of two of three
    assert 0.1 * found.drop < two.drop_random < 0.9 * found.drop


def test_top_fidelity_by_hand() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]])
    decided = np.array([0, 0, 0])
    assert [top_fidelity(scores, decided, k) for k in (1, 2, 3)] == [1 / 3, 2 / 3, 1.0]


def test_fidelity_of_tags_by_hand() -> None:
    decided = np.array([[True, False], [False, False], [True, False], [False, True]])
    chances = np.array([[0.9, 0.1], [0.8, 0.3], [0.6, 0.2], [0.1, 0.95]])
    found = tag_fidelity(chances, decided)
    # of the first label the ranks of the two true sounds are 1 and 3: (1 + 2 / 3) / 2
    np.testing.assert_allclose(found["macro_auprc"], (5 / 6 + 1) / 2)
    # of all eight, true ones rank 1, 2 and 4: (1 + 1 + 3 / 4) / 3
    np.testing.assert_allclose(found["micro_auprc"], 11 / 12)
    # from 0.6 on: three right and one wrong of three true ones
    np.testing.assert_allclose(found["max_f1"], 6 / 7)
    only = tag_fidelity(chances[:, :1], decided[:, :1])
    wider = tag_fidelity(chances[:3], decided[:3])  # the second label is decided for no sound
    np.testing.assert_allclose(only["macro_auprc"], 5 / 6)
    np.testing.assert_allclose(wider["macro_auprc"], 5 / 6)
    nothing = tag_fidelity(chances, np.zeros_like(decided))
    assert [np.isnan(value) for value in nothing.values()] == [True] * 3


@pytest.mark.parametrize("worse", [True, False])
def test_truth_is_above_chance_above_falsehood(worse: bool) -> None:
    rng = np.random.default_rng(0)
    decided = rng.random((200, 3)) < 0.3
    truth = tag_fidelity(decided.astype(float), decided)
    chance = tag_fidelity(rng.random((200, 3)), decided)
    assert truth["macro_auprc"] == 1.0
    assert 0.2 < chance["macro_auprc"] < 0.45
    if worse:
        assert tag_fidelity(1.0 - decided, decided)["macro_auprc"] < chance["macro_auprc"]
