"""Which methods draw, and that only these vary with the seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from earwitness.methods.registry import METHODS
from earwitness.models.target import make_target
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.contract.test_methods import ALL, built, enough_pieces, quick
from tests.toys import curved, two_layers

# what a method draws only with some options
NOISE = {"background": "noise-floor"}
FEW = {"segments": 2, "bands": 2}
SOMETIMES = [
    ("occlusion", NOISE, True),
    ("occlusion", {"pieces": "nmf"}, True),
    ("integrated-gradients", NOISE, True),
    ("optimised-mask", NOISE, True),
    ("lime", FEW, False),
    ("kernel-shap", FEW, False),
    ("lime", {**FEW, **NOISE}, True),
]


@pytest.mark.parametrize(
    ("method", "options", "draws"),
    [*((name, {}, METHODS.get(name).random) for name in ALL), *SOMETIMES],
)
def test_what_draws_is_known_and_nothing_else_varies_with_the_seed(
    method: str, options: dict[str, Any], draws: bool, white: Audio
) -> None:
    spec, wave = METHODS.get(method), torch.from_numpy(white.samples)
    model = built(two_layers if spec.layerwise else curved)
    given = {**quick(method), **({} if options else enough_pieces(method)), **options}
    probes = [
        Probe(model, wave, make_target(model, torch.zeros(2), 0), seed=seed) for seed in (3, 4)
    ]
    with model.undisturbed():
        maps = [spec.function(one, **spec.settle(given)).values for one in probes]
    assert [one.drew for one in probes] == [draws, draws]
    assert (float((maps[0] - maps[1]).abs().max()) > 0) == draws
