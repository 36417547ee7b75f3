from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from earwitness.cli import scene as demo_scene
from earwitness.cli.scene import METHODS
from earwitness.explanation import Explanation
from earwitness.models.registry import load_model
from earwitness.models.target import probabilities
from earwitness.pipeline import explain_subject
from earwitness.signals import scene
from earwitness.subject import Subject
from earwitness.types import Request
from tests.pages import clips, heard


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with light trust cards and few samples of LIME, for speed."""
    folder = tmp_path_factory.mktemp("demo") / "r"

    def quick(subject: Subject, request: Request) -> Explanation:
        few = {"samples": 200} if request.method == "lime" else {}
        return explain_subject(subject, replace(request, options=few, trust="light"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_scene, "explain_subject", quick)
        assert demo_scene.explain_scene(0, str(folder), overwrite=False) == 0
    return folder


def truth(folder: Path, name: str) -> dict[str, Any]:
    found = Explanation.load(folder / "baby_in_the_rain" / name)
    return {**found.attribution.details["truth"], "found": found}


def test_the_sources_are_the_scene() -> None:
    for seed in (0, 1):
        made = scene(16000, seed)
        total = sum(source.samples.astype(float) for source in made.sources.values())
        np.testing.assert_allclose(total, made.mixture.samples, atol=1e-6)
    assert np.abs(scene(16000, 0).mixture.samples - made.mixture.samples).max() > 0.01


@pytest.mark.parametrize("name", ["crying_baby", "rain"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_model_knows_the_sources(name: str, seed: int) -> None:
    model = load_model("esc10")
    source = scene(model.rate, seed).sources[name]
    with torch.no_grad():
        shares = probabilities(model, model(torch.from_numpy(source.samples)[None]))[0]
    assert model.labels[int(shares.argmax())] == name


def test_the_explanation_follows_the_question(made: Path) -> None:
    baby = truth(made, "integrated-gradients-crying_baby")
    rain = truth(made, "integrated-gradients-rain")
    assert baby["mass"] > 2 * baby["area"]
    difference = baby["found"].attribution.values - rain["found"].attribution.values
    assert np.abs(difference).max() > 0
    # the energy control cannot follow: it is the same map for both
    energy = [truth(made, f"energy-{name}")["found"] for name in ("crying_baby", "rain")]
    np.testing.assert_array_equal(energy[0].attribution.values, energy[1].attribution.values)


def test_the_rain_is_found_behind_the_louder_baby(made: Path) -> None:
    found, control = truth(made, "gradcam-rain"), truth(made, "energy-rain")
    assert found["mass"] > 0.9 > 0.5 > control["mass"]
    assert found["si_sdr_evidence"] > found["si_sdr_input"] > control["si_sdr_evidence"]


def test_components_are_shown_with_where_they_are_strongest(made: Path) -> None:
    (shown,) = clips(made / "index.html")
    some = [one for one in shown["explanations"] if one["method"] == "l2i"]
    assert [one["label"] for one in some] == ["crying_baby", "rain"]
    for one in some:
        rows = one["components"]["rows"]
        relevance = [row["relevance"] for row in rows]
        assert max(relevance) == relevance[0] == 1.0
        assert all(row["strongest"] for row in rows)
        found = truth(made, f"l2i-{one['label']}")
        assert found["si_sdr_evidence"] > found["si_sdr_input"]


def test_the_page_plays_the_truth(made: Path) -> None:
    (shown,) = clips(made / "index.html")
    assert len(shown["explanations"]) == 2 * len(METHODS)
    for one in shown["explanations"]:
        source, _ = soundfile.read(made / "sounds" / f"{one['label']}.wav")
        # 16 bits of full scale
        np.testing.assert_allclose(heard(one["truth"]), source, atol=np.abs(source).max() / 32767)
