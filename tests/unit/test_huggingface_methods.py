"""Classifiers of transformers: what explains them, where their tokens lie, at which cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import earwitness
from earwitness.errors import NotApplicableError
from earwitness.layers.choosing import deciding_layer
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.probe import Probe
from tests.transformers_folders import KINDS, LABELS, save

RATE = 16000
QUICK: dict[str, dict[str, Any]] = {"lime": {"samples": 40}, "integrated-gradients": {"steps": 4}}


def noise(seconds: float) -> Any:
    generator = np.random.default_rng(11)
    return 0.1 * generator.standard_normal(round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_is_explained(kind: str, tmp_path: Path) -> None:
    model = load_model(save(kind, tmp_path))
    for method in ("integrated-gradients", "lime", "gradcam", "attention-relevance"):
        found = earwitness.explain(
            model, (noise(1.27), RATE), method, trust="none", **QUICK.get(method, {})
        )
        details = found.attribution.details
        assert np.isfinite(found.attribution.values).all()
        if method in ("gradcam", "attention-relevance"):
            assert details["axes"] == ("time, frequency" if kind == "ast" else "time only")
    with pytest.raises(NotApplicableError, match=r"its activation is gelu.*use saliency"):
        earwitness.explain(model, (noise(1.27), RATE), "guided-backprop", trust="none")


# the last 8 of the 64 bands are in no patch of this AST: nine passes find where they begin
@pytest.mark.parametrize(("kind", "ends"), [("ast", 4 + 9), ("wav2vec2", 4)])
def test_gradcam_takes_ten_passes_and_those_that_find_what_is_read(
    kind: str, ends: int, tmp_path: Path
) -> None:
    model = load_model(save(kind, tmp_path))
    target = make_target(model, torch.tensor([1.0, 0.0, 0.0]))
    ticks: list[int] = []
    probe = Probe(model, torch.from_numpy(noise(1.27)), target, on_passes=ticks.append)
    _ = model.plane  # what any method costs
    calls: list[int] = []
    assert model.module is not None
    model.module.register_forward_pre_hook(lambda *_: calls.append(1))
    with model.undisturbed():
        METHODS.get("gradcam").function(probe)
    # one forward for the map, one for what the score depends on, five for the axes, those for the
    # ends of what is read, and perhaps two for a note; a backward pass counts two
    assert len(calls) in (1 + 1 + 5 + ends, 1 + 1 + 5 + ends + 2)
    assert sum(ticks) == len(calls) + 2 + 2
    assert sum(ticks) - 3 - ends <= 10


def loud_patches(folder: Path, special: float = 1.0) -> str:
    """Save an AST whose class token attends to loud patches, and whose first class is their level.

    The last layer is neutral; its class token reads what the first one's values are.
    """
    config = transformers.ASTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
        max_length=128, num_mel_bins=64, id2label=LABELS,
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.ASTForAudioClassification(config).eval()
    with torch.no_grad():
        for name, one in network.named_parameters():
            if "layernorm" not in name.lower():
                torch.nn.init.normal_(one, std=0.02)
        body = network.audio_spectrogram_transformer
        body.embeddings.position_embeddings.zero_()
        body.embeddings.cls_token.zero_()[..., 1] = special
        body.embeddings.distillation_token.zero_()[..., 1] = special
        body.embeddings.patch_embeddings.projection.weight[0] = 0.05
        body.embeddings.patch_embeddings.projection.bias[0] = 4.0  # a loud patch is positive
        for layer in body.layers:
            layer.attention.q_proj.weight[0, 1] = 3.0
            layer.attention.k_proj.weight[0, 0] = 1.0
            layer.attention.v_proj.weight[0, 0] = 1.0
            layer.attention.o_proj.weight[0, 0] = 1.0
        network.classifier.dense.weight.zero_()[0, 0] = 1.0
    network.save_pretrained(folder)
    transformers.ASTFeatureExtractor(num_mel_bins=64, max_length=128).save_pretrained(folder)
    return f"hf:{folder}"


@pytest.mark.parametrize("method", ["gradcam", "attention-relevance", "attention-rollout"])
@pytest.mark.parametrize(("start", "frequency"), [(0.3, 2500.0), (0.8, 700.0)])
def test_a_planted_patch_is_found_on_both_axes(
    method: str, start: float, frequency: float, tmp_path: Path
) -> None:
    model = load_model(loud_patches(tmp_path))
    wave = 3e-4 * noise(1.27)
    spectrum = np.fft.rfft(noise(0.16))
    freqs = np.fft.rfftfreq(round(0.16 * RATE), 1 / RATE)
    spectrum[(freqs < frequency / 1.5) | (freqs > frequency * 1.5)] = 0
    wave[round(start * RATE) :][: round(0.16 * RATE)] += 5 * np.fft.irfft(spectrum).astype(
        np.float32
    )
    found = earwitness.explain(model, (wave, RATE), method, target="dog", trust="none")
    values = found.attribution.values
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert found.attribution.details["axes"] == "time, frequency"
    # a token covers 0.16 s every 0.1 s, and 16 of 64 mel bands every 10
    np.testing.assert_allclose(found.attribution.times[column], start + 0.08, atol=0.13)
    octaves = np.log2(float(found.attribution.freqs[row]) / frequency)
    np.testing.assert_allclose(octaves, 0, atol=0.9)
    if method != "gradcam":
        assert found.attribution.details["read_from"] == "tokens 0-1"
        assert found.attribution.details["special_tokens"] == 2


def layer_of(model: Model) -> Any:
    target = make_target(model, torch.ones(3), 0)
    return deciding_layer(model, target, model.longest or RATE, lambda _: None)


def test_tokens_of_ast_are_on_their_grid_in_the_last_block(tmp_path: Path) -> None:
    found = layer_of(load_model(save("ast", tmp_path)))
    assert ".layers.1." in found.name
    tokens = found.axes.tokens
    assert (tokens.start, tokens.end, tokens.rows, tokens.freq_major) == (2, 0, 5, True)
    # token k covers frames 10k to 10k + 15, of 25 ms every 10 ms
    centres = (10 * np.arange(12) + 7.5) * 0.01 + 0.0125
    np.testing.assert_allclose(found.axes.times.numpy(), centres, atol=0.05)
    assert (np.diff(found.axes.freqs.numpy()) > 0).all()


def test_an_extractor_without_a_front_end_here_makes_a_black_box(tmp_path: Path) -> None:
    config = transformers.Wav2Vec2BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        feature_projection_input_dim=160, id2label=LABELS, classifier_proj_size=12,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.Wav2Vec2BertForSequenceClassification(config).eval().save_pretrained(tmp_path)
    transformers.SeamlessM4TFeatureExtractor().save_pretrained(tmp_path)
    model = load_model(f"hf:{tmp_path}")
    assert not model.differentiable
    found = earwitness.explain(model, (noise(0.8), RATE), "lime", trust="none", samples=40)
    assert "SeamlessM4TFeatureExtractor is not known as a differentiable" in " ".join(found.notes)
    with pytest.raises(NotApplicableError, match="black box"):
        earwitness.explain(model, (noise(0.8), RATE), "attention-relevance", trust="none")
