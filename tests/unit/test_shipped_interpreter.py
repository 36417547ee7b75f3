"""The interpreter of l2i that comes with the default model."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from earwitness.decoders.interpreter import load_interpreter
from earwitness.models.registry import load_model
from earwitness.pipeline import explain


@pytest.mark.parametrize("seconds", [0.3, 5.0, 11.7])
def test_the_shipped_interpreter_explains_sounds_of_any_length(seconds: float) -> None:
    model = load_model("esc10")
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(seconds * model.rate))).astype(np.float32)
    found = explain(model, (samples, model.rate), "l2i", target="rain", trust="none")
    assert found.attribution.details["interpreter"] == "built in"
    assert found.attribution.values.shape == (1025, model.plane.frames(len(samples)))
    assert 0.0 < found.mask.gains.mean() < 1.0
    total = found.evidence.samples + found.remainder.samples
    np.testing.assert_allclose(total, samples, atol=1e-5)


def test_the_shipped_interpreter_is_small_and_all_its_patterns_have_a_shape() -> None:
    place = resources.files("earwitness.models.zoo") / "weights" / "esc10" / "l2i"
    with resources.as_file(place) as folder:
        sizes = [one.stat().st_size for one in folder.iterdir()]
        found = load_interpreter(folder)
    assert sum(sizes) <= 1_500_000
    flat = found.dictionary.amax(dim=0) < 1.01 * found.dictionary.amin(dim=0)
    assert int(flat.sum()) == 0
