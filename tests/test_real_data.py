"""The main job on real recordings, where there are any."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.audio import read_audio
from earwitness.data.collection import read_collection
from earwitness.evaluation.scrambling import scrambled_maps
from earwitness.methods.registry import METHODS
from earwitness.metrics.sanity import sanity_ssim
from earwitness.models.registry import load_model
from earwitness.models.target import make_target, probabilities
from earwitness.models.zoo.checkpoint import load_checkpoint
from earwitness.pipeline import explain
from earwitness.train.classifier import evaluate

pytestmark = pytest.mark.real_data


def test_the_shipped_model_is_as_good_as_its_card_says(real_data: Path) -> None:
    items = [item for item in read_collection(real_data / "esc10") if item.fold == 4]
    with resources.as_file(
        resources.files("earwitness.models.zoo") / "weights" / "esc10"
    ) as folder:
        stored = json.loads((folder / "model.json").read_text())
        model = load_checkpoint(folder)
    from earwitness.models.zoo.checkpoint import default_recipe

    found = evaluate(model.module, default_recipe(stored["recipe"]["labels"]), items)
    card = stored["facts"]["test"]
    assert found["accuracy"] == card["accuracy"] >= 0.88
    np.testing.assert_allclose(found["ece"], card["ece"], atol=1e-3)


@pytest.mark.parametrize("name", ["4-182395-A-0", "fsdd", "daps"])
def test_integrated_gradients_are_complete(real_data: Path, name: str) -> None:
    clip = {
        "fsdd": real_data / "fsdd" / "3_jackson_16.wav",
        "daps": next(iter(sorted((real_data / "daps").glob("*.flac")))),
    }.get(name, next(iter(sorted((real_data / "esc10" / "audio").glob("4-*-0.ogg")))))
    model = load_model("esc10")
    found = explain(model, clip, end=6.0 if name == "daps" else None, steps=128, trust="none")
    details = found.attribution.details
    assert abs(details["completeness_gap"]) < 0.01 * abs(details["score_change"])


# no interpreter of these comes with the model
UNTRAINED = ("flint", "piq")
ALL = [
    m.name
    for m in METHODS.all()
    if not (m.name in UNTRAINED or m.needs_attention or m.needs_frames)
]


@pytest.mark.parametrize("method", ALL)
def test_every_method_explains_a_real_clip(real_data: Path, method: str) -> None:
    clip = next(iter(sorted((real_data / "esc10" / "audio").glob("3-*-0.ogg"))))
    model = load_model("esc10")
    most = {"samples": 100, "steps": 30}
    options = {
        k: min(v or most[k], most[k]) for k, v in METHODS.get(method).options.items() if k in most
    }
    found = explain(model, clip, method, end=1.5, trust="light", **options)
    total = found.evidence.samples.astype(float) + found.remainder.samples
    error = np.sum((total - found.input.samples) ** 2) / np.sum(found.input.samples**2.0)
    assert error < 1e-10  # 100 dB
    with torch.no_grad():
        whole = probabilities(model, model(torch.from_numpy(found.input.samples)[None]))
    np.testing.assert_allclose(found.trust.input, float(whole.max()), rtol=1e-4)


@pytest.mark.parametrize("method", ["deep-shap", "lrp"])
@pytest.mark.parametrize("clip", ["3-104632-A-12.ogg", "4-161579-A-40.ogg", "4-194754-A-0.ogg"])
def test_rules_add_up_or_name_what_leaks(real_data: Path, clip: str, method: str) -> None:
    found = explain(load_model("esc10"), real_data / "esc10" / "audio" / clip, method, trust="none")
    details = found.attribution.details
    if method == "lrp" and clip.startswith("4-161579"):
        # digital silence: what the first layer's bias makes of it is no sound's contribution
        (leak,) = details["leaks"]
        assert leak["at"] == "torch.nn.functional.batch_norm in scale"
        np.testing.assert_allclose(leak["share"], details["completeness_share"], atol=0.01)
        assert any("completeness gap" in note and leak["at"] in note for note in found.notes)
    else:
        assert details["completeness_share"] < 0.02


def test_the_map_of_lmac_hangs_on_the_weights(real_data: Path) -> None:
    """On those of the head already, by which a class is asked about."""
    model = load_model("esc10")
    likeness = []
    for clip in sorted((real_data / "esc10" / "audio").glob("4-*-1.ogg"))[:3]:
        wave = torch.from_numpy(read_audio(clip, rate=model.rate, end=2.0).samples)
        with model.undisturbed(), torch.no_grad():
            target = make_target(model, model(wave[None])[0])
        _, maps = scrambled_maps(model, wave, target, {"lmac": {}}, seed=0)
        likeness.append(sanity_ssim(maps["lmac"]["map"], maps["lmac"]["random_maps"])[:4])
    assert np.mean(likeness, axis=0).max() < 0.5
