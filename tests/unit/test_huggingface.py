"""Models of transformers: outputs are those of the library's own extractor and network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

import earwitness
from earwitness.errors import ModelError, ParameterError
from earwitness.models.adapters import extractors, huggingface
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from tests.transformers_folders import KINDS, LABELS, extractor_of, save, save_clap

RATE = 16000


def noise(seconds: float, rate: int = RATE) -> Any:
    generator = np.random.default_rng(11)
    return 0.1 * generator.standard_normal(round(seconds * rate)).astype(np.float32)


def clap_logits(folder: Path, wave: Any, texts: list[str]) -> torch.Tensor:
    """Return what CLAP itself computes for one sound and some texts."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(wave, sampling_rate=48000, return_tensors="pt")
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt")
    clap = transformers.ClapModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return clap(**tokens, **inputs).logits_per_audio


def own_logits(folder: Path, wave: Any) -> torch.Tensor:
    """Return what the library itself computes for one sound."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    network = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return network(**extractor(wave, sampling_rate=RATE, return_tensors="pt")).logits


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_library_itself(kind: str, tmp_path: Path) -> None:
    model = load_model(save(kind, tmp_path))
    assert (model.rate, model.labels, model.task) == (RATE, tuple(LABELS.values()), "single-label")
    assert model.differentiable
    for seconds in (0.3, 0.7, 1.27):
        wave = noise(seconds)
        with torch.no_grad():
            found = model(torch.from_numpy(wave)[None])
        torch.testing.assert_close(found, own_logits(tmp_path, wave), rtol=0, atol=1e-4)


@pytest.mark.parametrize("truncation", ["fusion", "rand_trunc"])
def test_zero_shot_logits_are_those_of_clap_itself(truncation: str, tmp_path: Path) -> None:
    name = save_clap(tmp_path, truncation)
    with pytest.raises(ModelError, match="classifies by labels of your own; give two or more"):
        load_model(name)
    with pytest.raises(ParameterError, match=r"template has \{\} where the label stands"):
        load_model(f"{name}?labels=dog,rain", template="A sound")
    model = load_model(f"{name}?labels=dog,rain")
    assert (model.labels, model.rate, model.longest) == (("dog", "rain"), 48000, 48000)
    wave = noise(0.4, 48000)
    wanted = clap_logits(tmp_path, wave, ["This is a sound of dog.", "This is a sound of rain."])
    with torch.no_grad():
        found = model(torch.from_numpy(wave)[None])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["wav2vec2", "ast", "whisper"])
def test_quiet_sounds_have_the_features_of_the_extractor(kind: str) -> None:
    extractor = extractor_of(kind)
    front_end = extractors.FRONT_ENDS[type(extractor).__name__](extractor)
    for level in (1.0, 1e-3, 1e-5):
        wave = (level * noise(0.9)).astype(np.float32)
        wave[3000:9000] = 0
        wanted = extractor(wave, sampling_rate=RATE, return_tensors="pt")
        (wanted,) = (wanted[name] for name in wanted)
        with torch.no_grad():
            found = front_end(torch.from_numpy(wave)[None])
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def model_of(kind: str, tmp_path: Path, **settings: Any) -> Model:
    return load_model(save(kind, tmp_path, **settings))


@pytest.mark.parametrize("kind", ["wav2vec2", "ast", "whisper"])
def test_gradients_pass_through_the_front_end(kind: str, tmp_path: Path) -> None:
    model = model_of(kind, tmp_path)
    found = earwitness.explain(
        model, (noise(0.8), RATE), "input-x-gradient", trust="none", target="rain"
    )
    values = found.attribution.values
    # the sum is the slope of the score along the level of the sound, by differences of scores
    waves = torch.from_numpy(noise(0.8))[None]
    with torch.no_grad():
        scores = [float(model(level * waves)[0, 1]) for level in (0.999, 1.001)]
    slope = (scores[1] - scores[0]) / 0.002
    np.testing.assert_allclose(values.sum(), slope, rtol=0, atol=0.02)  # float32 differences


def test_tasks_follow_the_configuration(tmp_path: Path) -> None:
    several = model_of("wav2vec2", tmp_path / "a", problem_type="multi_label_classification")
    assert (several.task, several.output) == ("multi-label", "logits")
    value = model_of("wav2vec2", tmp_path / "b", problem_type="regression")
    assert (value.task, value.output) == ("regression", "scores")


@pytest.mark.parametrize("kind", ["Model", "ForCTC", "ForXVector", "ForAudioFrameClassification"])
def test_a_model_of_another_task_is_refused(kind: str, tmp_path: Path) -> None:
    config = transformers.Wav2Vec2Config(**KINDS["wav2vec2"][1])
    getattr(transformers, f"Wav2Vec2{kind}")(config).save_pretrained(tmp_path)
    extractor_of("wav2vec2").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=rf"no trained classifier .* saved as Wav2Vec2{kind};"):
        load_model(f"hf:{tmp_path}")


def test_what_cannot_be_loaded_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    for place, words in ((f"{tmp_path}/none", "no such folder"), (tmp_path, "cannot be loaded")):
        with pytest.raises(ModelError, match=words) as error:
            load_model(f"hf:{place}")
        assert "\n" not in str(error.value)
    with pytest.raises(ParameterError, match="sampling rate is that of its feature extractor"):
        load_model(f"hf:{tmp_path}", rate=8000)


def test_an_unknown_extractor_makes_a_black_box_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = save("wav2vec2", tmp_path)
    monkeypatch.setattr(huggingface, "FRONT_ENDS", {})
    model = load_model(name)
    assert not model.differentiable
    wave = noise(0.3)
    torch.testing.assert_close(
        model(torch.from_numpy(wave)[None]), own_logits(tmp_path, wave), rtol=0, atol=1e-5
    )
    found = earwitness.explain(model, (wave, RATE), "occlusion", trust="none")
    assert "Wav2Vec2FeatureExtractor is not known as a differentiable front end" in found.notes[0]


def test_a_front_end_that_does_not_agree_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = save("whisper", tmp_path)
    assert load_model(name).differentiable
    monkeypatch.setattr(extractors, "_RANGE", 1.0)
    assert not load_model(name).differentiable


def test_settings_of_extractors_are_theirs() -> None:
    plain = Wav2Vec2FeatureExtractor(do_normalize=False)
    wave = torch.from_numpy(noise(0.1))[None]
    torch.testing.assert_close(extractors.Normalised(plain)(wave), wave)
    assert extractors.longest_seconds(plain) is None
    long = WhisperFeatureExtractor(chunk_length=7)
    assert extractors.longest_seconds(long) == 7.0
    bands = ASTFeatureExtractor(max_length=1024, num_mel_bins=64)
    assert extractors.longest_seconds(bands) == (1023 * 160 + 400) / 16000


def test_a_shortest_length_did_away_with_the_longest(tmp_path: Path) -> None:
    name = save("whisper", tmp_path)  # whose extractor reads 2 s
    model = load_model(name, shortest=1)
    assert (model.shortest, model.longest) == (RATE, 2 * RATE)
    later = noise(3.0)
    later[: 2 * RATE] = 0
    with torch.no_grad():
        found = model(torch.from_numpy(later)[None])
        wanted = load_model(name)(torch.from_numpy(later)[None])
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    with pytest.raises(ParameterError, match=r"reads 2 s and no more, got longest=2.5"):
        load_model(name, longest=2.5)
    encoder = load_model(save("wav2vec2", tmp_path / "w"), longest=1)
    own = load_model(f"hf:{tmp_path}/w")
    assert (encoder.shortest, encoder.longest) == (own.shortest, RATE)


def test_labels_that_the_tokenizer_does_not_know_had_the_same_score(tmp_path: Path) -> None:
    name = save_clap(tmp_path, "rand_trunc")
    with pytest.raises(ModelError, match="same embedding, and so the same score; the files of its"):
        load_model(name, labels=["cat", "wolf"])


def test_other_braces_in_a_template_are_text(tmp_path: Path) -> None:
    name, wave = save_clap(tmp_path, "rand_trunc"), noise(0.4, 48000)
    model = load_model(name, labels="dog,rain", template="This sound {of} {} {0}")
    wanted = clap_logits(tmp_path, wave, ["This sound {of} dog {0}", "This sound {of} rain {0}"])
    with torch.no_grad():
        found = model(torch.from_numpy(wave)[None])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    with pytest.raises(ParameterError, match="template has"):
        load_model(name, labels="dog,rain", template="{0}")


def broken(folder: Path, name: str) -> None:
    """Break a file of a model in one way."""
    if name == "weights":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
    elif name == "pickle":
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    else:
        file, key = {
            "rate": ("preprocessor_config.json", "sampling_rate"), "layers": ("config.json",
            "num_hidden_layers"),
        }[name]  # fmt: skip
        settings = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**settings, key: "16k"}))


@pytest.mark.parametrize("name", ["weights", "pickle", "rate", "layers"])
def test_broken_files_end_in_one_line(name: str, tmp_path: Path) -> None:
    model = save("wav2vec2", tmp_path)
    broken(tmp_path, name)
    with pytest.raises(ModelError, match=f"{model}: cannot be loaded: ") as error:
        load_model(model)
    assert "\n" not in str(error.value)
