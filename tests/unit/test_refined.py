"""``lmac`` at a size, refined on one sound, and which of its options a run shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.cli.run import make_requests
from earwitness.decoders.folder import load_explainer
from earwitness.errors import ParameterError, UnknownNameError
from earwitness.evaluation.cases import make_cases
from earwitness.methods.lmac import refined
from earwitness.methods.registry import METHODS
from earwitness.models.target import make_target
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio, Request
from tests.training import coarse, trained


@pytest.fixture(scope="module")
def folder(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("decoder") / "d"
    trained(coarse(), sounds, place, epochs=4)
    return str(place)


def test_keep_asks_the_decoder_for_its_size(folder: str, white: Audio) -> None:
    model = coarse()
    found = explain(model, white, "lmac", decoder=folder, keep="area:5%", trust="none")
    named = explain(model, white, "lmac", decoder=folder, keep="area:5%", size=0.05, trust="none")
    soft = explain(model, white, "lmac", decoder=folder, trust="none")
    np.testing.assert_allclose(found.mask.area, 0.05, atol=1e-3)
    np.testing.assert_array_equal(found.attribution.values, named.attribution.values)
    other = (found.mask.gains > 0) != (found.attribution.values >= 0.5)
    assert other.mean() < 5e-4  # maps are stored with 12 bits, so cells at the edge may be tied
    assert (found.options["size"], soft.options["size"]) == (0.05, 0.0)
    assert float(np.abs(soft.attribution.values - found.attribution.values).max()) > 0.1
    own = explain(model, white, "lmac", decoder=folder, size=0.2, trust="none")
    assert own.mask.soft  # the gains themselves, with soft edges at that size
    np.testing.assert_allclose((own.mask.gains >= 0.5).mean(), 0.2, atol=1e-3)
    with pytest.raises(ParameterError, match="size must be"):
        explain(model, white, "lmac", decoder=folder, size=1.0)


def test_steps_refine_the_order_of_one_sound(folder: str, white: Audio) -> None:
    model, counted = coarse(), []
    wave = torch.from_numpy(white.samples)
    with torch.no_grad():
        whole = model(wave[None])[0]
    probe = Probe(model, wave, make_target(model, whole), on_passes=counted.append)
    method = METHODS.get("lmac")
    masks = []
    for steps in (0, 10):
        options = method.settle({"decoder": folder, "size": 0.01, "steps": steps})
        counted.clear()
        with model.undisturbed():
            found = method.function(probe, **options)
        assert sum(counted) == method.passes(options)
        masks.append((found.values >= 0.5).float().numpy())
        np.testing.assert_allclose(masks[-1].mean(), 0.01, atol=1e-3)
        assert len(found.details.get("notes", ())) == (steps > 0)
    assert method.passes({"size": 0.1, "steps": 10}) == 63
    case = make_cases(probe, masks)["audio"]
    loss = 4 * -np.log(case["p_evidence"]) + np.log(case["p_remainder"])
    assert loss[1] < loss[0] - 0.1, loss
    # without a size, that of the soft gains
    with model.undisturbed():
        soft = method.function(probe, decoder=folder, size=0.0, steps=0).values
        found = method.function(probe, decoder=folder, size=0.0, steps=1).values
    np.testing.assert_allclose((found >= 0.5).float().mean(), soft.mean(), atol=1e-3)


def test_a_change_is_made_of_cells_of_four_by_two(folder: str, white: Audio) -> None:
    model = coarse()
    wave = torch.from_numpy(white.samples)
    with model.undisturbed(), torch.no_grad():
        whole = model(wave[None])[0]
        probe = Probe(model, wave, make_target(model, whole))
    explainer = load_explainer(Path(folder))
    with model.undisturbed():
        logits = explainer.logits(model, probe.magnitude, wave, probe.target.index, 0.05)
        change = (refined(probe, logits, 0.05, 1) - logits).double()
    # one step of Adam moves each value by its rate, or not at all
    assert 0.4 < float(change.abs().max()) <= 0.5 + 1e-5
    bend = change.diff(n=2, dim=0).abs()  # linear between the centres of cells
    straight = bend < 1e-4
    assert float(straight.double().mean()) > 0.45


def test_options_reach_the_methods_that_are_meant() -> None:
    both = ("integrated-gradients", "lmac")
    shared, own = make_requests(both, {"steps": "64"}, Request())
    assert dict(shared.options) == {"steps": 64}
    assert dict(own.options) == {}  # 64 steps of a path are no gradient steps
    shared, own = make_requests(both, {"steps": "64", "lmac.steps": "10"}, Request())
    assert (dict(shared.options), dict(own.options)) == ({"steps": 64}, {"steps": 10})
    (alone,) = make_requests(("lmac",), {"steps": "10"}, Request())
    assert dict(alone.options) == {"steps": 10}
    named, other = make_requests(both, {"integrated_gradients.steps": "8"}, Request())
    assert (dict(named.options), dict(other.options)) == ({"steps": 8}, {})
    with pytest.raises(UnknownNameError, match=r"lmac\.stepz"):
        make_requests(both, {"lmac.stepz": "1"}, Request())
