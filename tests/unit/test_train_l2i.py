"""Training of interpreters, and what is written of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from earwitness.audio import read_audio
from earwitness.cli.main import main
from earwitness.cli.train_l2i import l2i_settings
from earwitness.decoders.components import THRESHOLD
from earwitness.decoders.dictionary import DictionarySettings
from earwitness.decoders.interpreter import Interpreter, load_interpreter, save_interpreter
from earwitness.errors import ModelError, NotApplicableError, OutputError
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.plane.stft import Plane
from earwitness.train.contamination import Contamination
from earwitness.train.interpreters.l2i import InterpreterTraining, train_l2i
from earwitness.train.interpreters.loop import agreement
from earwitness.train.interpreters.objective import InterpreterWeights
from earwitness.train.interpreters.settings import InterpreterSettings
from earwitness.types import Audio
from tests.toys import RATE, REGIONS, TOY_PLANE, Magnitude, RegionNet, WaveNet, waveform
from tests.training import STRIDE, coarse, place_of_model

LEARNT = DictionarySettings(components=4, per_class=0, passes=2, batch=128, sparsity=0.002)
SETTINGS = InterpreterSettings(
    epochs=3, batch=6, crop=1.5, rate=2e-2, contamination=Contamination(kinds=()),
    dictionary=LEARNT,
)  # fmt: skip


def trained(model: Model, sounds: list[Path], folder: Path, **changes: Any) -> Interpreter:
    return train_l2i(model, sounds[:12], sounds[12:], replace(SETTINGS, **changes), folder)


@pytest.fixture(scope="module")
def kept(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained interpreter of the coarse toy model."""
    folder = tmp_path_factory.mktemp("l2i") / "i"
    trained(coarse(), sounds, folder, epochs=20, dictionary=replace(LEARNT, passes=6))
    return folder


def test_relevant_components_are_in_the_band_that_the_model_listens_to(
    kept: Path, sounds: list[Path]
) -> None:
    found = load_interpreter(kept)
    assert found.facts["validation"]["fidelity"] == 1.0
    assert found.facts["validation"]["reconstruction"] < 0.4
    freqs = found.plane.freqs().numpy()
    power = found.dictionary.square().numpy()
    for target, (_, _, low, high) in enumerate(REGIONS):
        sound = read_audio(sounds[12 + target], rate=RATE)
        made = explain(coarse(), sound, "l2i", interpreter=str(kept))
        assert made.target.index == target
        weights = [piece.weight for piece in made.pieces[:-1]]
        inside = power[(freqs >= low) & (freqs <= high)].sum(axis=0)
        assert inside[int(np.argmax(weights))] > 0.6  # of 1: columns have unit norm
        assert made.attribution.details["kept"] == [
            k for k, weight in enumerate(weights) if weight > THRESHOLD
        ]
        total = made.evidence.samples + made.remainder.samples
        np.testing.assert_allclose(total, made.input.samples, atol=1e-6)


def test_a_class_begins_with_the_patterns_learnt_on_its_sounds(sounds: list[Path]) -> None:
    model = coarse()
    training = InterpreterTraining(model, sounds[:12], sounds[12:], SETTINGS)
    dictionary = torch.rand(model.plane.bins, 6)
    weights = {}
    for name in ("all sounds", model.labels[1]):
        training.use(dictionary, (("noise", 2), (name, 3), ("noise", 1)))
        weights[name] = training.decoder.theta.theta.weight.detach().clone()
    wanted = torch.zeros(2, 6)
    wanted[1, 2:5] = 0.5
    torch.testing.assert_close(weights[model.labels[1]] - weights["all sounds"], wanted)


def test_a_waveform_network_is_explained_too(sounds: list[Path], tmp_path: Path) -> None:
    model = waveform(stride=STRIDE)
    found = trained(model, sounds, tmp_path / "i", epochs=20)
    assert found.facts["validation"]["fidelity"] == 1.0
    sound = read_audio(sounds[13], rate=RATE)
    options = {"interpreter": str(tmp_path / "i"), "top": 1}
    made = explain(model, sound, "l2i", trust="none", **options)
    assert made.mask.gains.shape == made.attribution.values.shape == made.magnitude.shape
    assert 0 < made.mask.area < 1


def test_the_model_is_left_as_it_was(sounds: list[Path], tmp_path: Path) -> None:
    model = waveform(stride=STRIDE)
    model.module.train()
    before = {name: one.clone() for name, one in model.module.state_dict().items()}
    state = torch.get_rng_state()
    trained(model, sounds, tmp_path, epochs=1)
    torch.testing.assert_close(dict(model.module.state_dict()), before, rtol=0, atol=0)
    torch.testing.assert_close(torch.get_rng_state(), state, rtol=0, atol=0)
    assert model.module.training
    assert all(one.requires_grad and one.grad is None for one in model.module.parameters())


def test_a_broken_training_ends_like_an_unbroken_one(sounds: list[Path], tmp_path: Path) -> None:
    whole = trained(coarse(), sounds, tmp_path / "whole")
    broken = tmp_path / "broken"

    def train(**calls: Any) -> Interpreter:
        return train_l2i(coarse(), sounds[:12], sounds[12:], SETTINGS, broken, **calls)

    passes: list[int] = []

    def stop(number: int, _figures: dict[str, float]) -> None:
        if number in (1, 2):
            raise KeyboardInterrupt

    def stop_early(_group: str, number: int, _error: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_pass=stop_early)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(on_epoch=stop, on_pass=lambda _g, number, _e: passes.append(number))
    assert passes == [1, 2]  # the dictionary was learnt once and kept
    with pytest.raises(OutputError, match="unfinished training with other settings"):
        train_l2i(coarse(), sounds[:12], sounds[12:], replace(SETTINGS, epochs=9), broken)
    (broken / "training.safetensors").unlink()  # as if it stopped after the dictionary
    with pytest.raises(OutputError, match="unfinished training with other settings"):
        train_l2i(coarse(), sounds[:12], sounds[12:], replace(SETTINGS, epochs=9), broken)
    found = train()
    torch.testing.assert_close(
        dict(found.network.state_dict()), dict(whole.network.state_dict()), rtol=0, atol=0
    )
    for name in ("log.csv", "dictionary.csv", "interpreter.safetensors"):
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    rows = list(csv.DictReader((broken / "dictionary.csv").read_text().splitlines()))
    assert [(row["patterns"], row["pass"]) for row in rows] == [
        ("all sounds", "1"), ("all sounds", "2"),
    ]  # fmt: skip
    assert sorted(path.name for path in broken.iterdir() if not path.name.startswith(".")) == [
        "dictionary.csv", "interpreter.json", "interpreter.safetensors", "log.csv",
    ]  # fmt: skip
    again = train(on_epoch=stop)  # a finished one is not repeated
    torch.testing.assert_close(
        dict(again.network.state_dict()), dict(found.network.state_dict()), rtol=0, atol=0
    )
    with pytest.raises(OutputError, match="holds a trained interpreter already"):
        trained(coarse(), sounds, broken, epochs=1)


@pytest.mark.parametrize(
    ("prefix", "what"),
    [("dictionary", "the dictionary"), ("psi.", "Psi"), ("theta.", "Theta")],
)
def test_an_interpreter_without_a_part_is_refused(
    prefix: str, what: str, kept: Path, tmp_path: Path, white: Audio
) -> None:
    (tmp_path / "interpreter.json").write_bytes((kept / "interpreter.json").read_bytes())
    tensors = load_file(kept / "interpreter.safetensors")
    rest = {name: one for name, one in tensors.items() if not name.startswith(prefix)}
    save_file(rest, tmp_path / "interpreter.safetensors")
    with pytest.raises(ModelError, match=f"{what} is missing from interpreter.safetensors"):
        explain(coarse(), white, "l2i", interpreter=str(tmp_path))


def test_damaged_interpreters_are_refused(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no interpreter in this folder \(interpreter.json"):
        load_interpreter(tmp_path)
    stored = json.loads((kept / "interpreter.json").read_text())
    tensors = load_file(kept / "interpreter.safetensors")
    save_file(tensors, tmp_path / "interpreter.safetensors")
    for change in ({"groups": [["all sounds", 5]]}, {"labels": ["one"]}, {"layers": []},
                   {"plane": {"rate": RATE, "n_fft": 512, "hop": 128}}, {"model": {}}):  # fmt: skip
        (tmp_path / "interpreter.json").write_text(json.dumps({**stored, **change}))
        with pytest.raises(ModelError, match="damaged or do not fit each other"):
            load_interpreter(tmp_path)
    (tmp_path / "interpreter.json").write_text(json.dumps(stored))
    for dictionary in (2 * tensors["dictionary"], -tensors["dictionary"]):
        save_file({**tensors, "dictionary": dictionary}, tmp_path / "interpreter.safetensors")
        with pytest.raises(ModelError, match="damaged or do not fit each other"):
            load_interpreter(tmp_path)
    (tmp_path / "interpreter.safetensors").unlink()
    with pytest.raises(ModelError, match=r"\(interpreter.safetensors is missing\)"):
        load_interpreter(tmp_path)


def test_interpreters_refuse_what_they_were_not_trained_for(
    kept: Path, tmp_path: Path, white: Audio
) -> None:
    asked = {"method": "l2i", "interpreter": str(kept)}
    other = coarse()
    with torch.no_grad():
        other.module.head.weight.mul_(2)
    with pytest.raises(NotApplicableError, match=r"this interpreter was trained for RegionNet \("):
        explain(other, white, **asked)
    faster = wrap(WaveNet(stride=STRIDE), sample_rate=2 * RATE, labels=["high", "low"])
    with pytest.raises(NotApplicableError, match="at 16000 Hz, not for WaveNet at 32000 Hz"):
        explain(faster, white, **asked)
    finer = wrap(WaveNet(stride=STRIDE), sample_rate=RATE, labels=["high", "low"],
                 plane=Plane(RATE, 512, 128))  # fmt: skip
    with pytest.raises(NotApplicableError, match="on another plane"):
        explain(finer, white, **asked)
    value = wrap(RegionNet(stride=STRIDE), sample_rate=RATE, output="scores", labels=["a", "b"],
                 features=Magnitude())  # fmt: skip
    with pytest.raises(NotApplicableError, match=r"explains classes.*gives values"):
        explain(value, white, **asked)
    with pytest.raises(NotApplicableError, match=r"explains classes.*gives values"):
        InterpreterTraining(value, [tmp_path] * 6, [], SETTINGS)
    with pytest.raises(NotApplicableError, match=r"no interpreter comes with RegionNet"):
        explain(coarse(), white, "l2i")
    never = load_interpreter(kept)
    never.facts["asked"] = [5, 0]
    save_interpreter(tmp_path / "never", never)
    found = explain(coarse(), white, "l2i", target=1, interpreter=str(tmp_path / "never"))
    assert "the interpreter was trained on no sound decided as low" in found.notes


def test_a_folder_that_is_written_again_is_read_again(kept: Path, tmp_path: Path) -> None:
    from earwitness.methods.l2i import FOLDERS

    first = load_interpreter(kept)
    save_interpreter(tmp_path / "i", first)
    before = FOLDERS.load(tmp_path / "i")
    assert FOLDERS.load(tmp_path / "i") is before
    with torch.no_grad():
        first.network.theta.theta.weight.add_(1)
    save_interpreter(tmp_path / "i", first)
    after = FOLDERS.load(tmp_path / "i")
    torch.testing.assert_close(
        after.network.theta.theta.weight, before.network.theta.theta.weight + 1
    )


def test_half_precision_halves_the_file_and_hardly_changes_the_map(
    kept: Path, tmp_path: Path, white: Audio
) -> None:
    save_interpreter(tmp_path / "half", load_interpreter(kept), half=True)
    sizes = [(folder / "interpreter.safetensors").stat().st_size
             for folder in (tmp_path / "half", kept)]  # fmt: skip
    assert sizes[0] < 0.6 * sizes[1]
    gains = [
        explain(coarse(), white, "l2i", target=0, interpreter=str(folder), trust="none").mask.gains
        for folder in (tmp_path / "half", kept)
    ]
    np.testing.assert_allclose(gains[0], gains[1], atol=0.01)


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_taggers_are_explained_label_by_label(
    output: str, sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    network: torch.nn.Module = RegionNet(stride=STRIDE)
    if output == "probabilities":
        network = torch.nn.Sequential(network, torch.nn.Sigmoid())
    model = wrap(network, sample_rate=RATE, labels=["high", "low"], features=Magnitude(),
                 task="multi-label", output=output)  # fmt: skip
    found = trained(model, sounds, tmp_path / "i", epochs=20)
    assert found.facts["validation"]["fidelity"] > 0.9
    for target in (0, 1):
        made = explain(model, white, "l2i", target=target, interpreter=str(tmp_path / "i"))
        assert made.target.label == ("high", "low")[target]
        assert not any("does not agree" in note for note in made.notes)


def test_the_loss_of_a_step_has_the_term_for_half_of_its_clips(sounds: list[Path]) -> None:
    def losses(weight: float) -> torch.Tensor:
        weights = InterpreterWeights(faithfulness=weight, turn=0.0)
        settings = InterpreterSettings(
            epochs=3, batch=6, crop=1.5, contamination=Contamination(kinds=()), weights=weights
        )
        training = InterpreterTraining(coarse(), sounds[:6], sounds[6:8], settings)
        training.use(torch.eye(TOY_PLANE.bins)[:, 8:40], (("all sounds", 32),))
        generator = torch.Generator().manual_seed(2)
        with training.model.undisturbed(), training.model.frozen():
            return training.step([0, 1, 2, 3, 4, 5], generator).detach()

    without, once, thrice = (losses(weight).double() for weight in (0.0, 0.1, 0.3))
    torch.testing.assert_close(once[3:], without[3:])
    assert float((once - without)[:3].abs().min()) > 0.01
    torch.testing.assert_close((thrice - without)[:3], 3 * (once - without)[:3], rtol=1e-3, atol=0)


def test_psi_reads_the_finest_layer_too(sounds: list[Path]) -> None:
    training = InterpreterTraining(load_model("esc10"), sounds[:6], sounds[6:8], SETTINGS)
    assert [len(layer.freqs) for layer in training.layers] == [8, 16, 32, 64]


def test_agreement_by_hand() -> None:
    outputs, scores = torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([[1.0, 2], [1, 2]])
    assert agreement(coarse(), outputs, scores).tolist() == [0.0, 1.0]
    tagger = wrap(RegionNet(), sample_rate=RATE, features=Magnitude(), task="multi-label")
    scores = torch.tensor([[2.0, -1.0], [1.0, -3.0]])
    assert agreement(tagger, outputs, scores).tolist() == [0.5, 0.5]  # a logit of 0 is decided


@pytest.mark.parametrize("seconds", [0.05, 0.3, 4.0])
def test_any_length_is_explained(seconds: float, kept: Path) -> None:
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)
    found = explain(coarse(), (samples, RATE), "l2i", interpreter=str(kept), trust="none")
    assert found.attribution.values.shape == found.magnitude.shape
    total = found.evidence.samples + found.remainder.samples
    np.testing.assert_allclose(total, samples, atol=1e-6)


def test_silence_is_explained_by_nothing_that_is_not_finite(kept: Path) -> None:
    found = explain(coarse(), (np.zeros(RATE, np.float32), RATE), "l2i", interpreter=str(kept))
    assert np.isfinite(found.attribution.values).all()
    assert all(np.isfinite(piece.weight) for piece in found.pieces)


def test_the_command_trains_and_explains(
    sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = place_of_model(tmp_path)
    words = ["train", "l2i", "--model", place, "--data", str(sounds[0].parent), "--epochs", "1"]
    words += ["--batch", "4", "--crop", "0.5", "--components", "3", "--per-class", "1"]
    words += ["--noise", str(sounds[0].parent), "--noise-components", "2", "--passes", "1"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "-o", str(tmp_path / "i")])
    assert stop.value.code == 0
    told = capsys.readouterr()
    assert f"interpreter: {tmp_path / 'i'}" in told.out
    assert "16 sounds to train on, 2 to validate on" in told.err
    assert "dictionary, noise, pass 1: relative error 0." in told.err
    assert "epoch 1: loss" in told.err
    assert (
        sum(count for _, count in load_interpreter(tmp_path / "i").groups) == 6
    )  # 3, one of the only class decided, 2
    words = ["explain", str(sounds[0]), "--model", place, "--method", "l2i", "--trust", "none"]
    words += ["--set", f"interpreter={tmp_path / 'i'}", "--set", "top=1", "-o"]
    with pytest.raises(SystemExit) as stop:
        main([*words, str(tmp_path / "out")])
    assert stop.value.code == 0


def test_options_of_the_command_are_settings() -> None:
    given: dict[str, Any] = {"amp": False, "seed": 3, "noise": 0, "components": 9}
    found = l2i_settings({**given, "fidelity": 3.0, "sparsity": 0.1, "faithfulness": 0.3,
                          "dictionary_sparsity": 0.5, "divergence": "kl",
                          "kinds": ("none",), "snr": (1.0, 2.0)})  # fmt: skip
    assert (found.weights.early, found.weights.late, found.weights.sparsity) == (1.5, 3.0, 0.1)
    assert found.weights.reconstruction == InterpreterWeights().reconstruction
    assert found.weights.faithfulness == 0.3
    learnt = found.dictionary
    assert (learnt.components, learnt.divergence, learnt.sparsity) == (9, "kl", 0.5)
    assert (found.seed, learnt.seed) == (3, 3)
    assert found.contamination.kinds == ()
    assert (found.contamination.low, found.contamination.high) == (1.0, 2.0)
