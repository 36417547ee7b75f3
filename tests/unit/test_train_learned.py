"""Training of FLINT and PIQ, what is written of them, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from earwitness.audio import read_audio
from earwitness.cli.main import main
from earwitness.decoders.flint import FlintNetwork
from earwitness.decoders.piq import PiqNetwork
from earwitness.decoders.trained import Learned, load_learned, save_learned
from earwitness.errors import ModelError, NotApplicableError, OutputError, ParameterError
from earwitness.explanation import Explanation
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.plane.stft import Plane
from earwitness.train.contamination import Contamination
from earwitness.train.interpreters.flint import FlintSettings, FlintTraining, train_flint
from earwitness.train.interpreters.piq import PiqSettings, PiqTraining, train_piq
from earwitness.types import Audio
from tests.toys import RATE, REGIONS, Magnitude, RegionNet, WaveNet, two_layers, waveform
from tests.training import STRIDE, coarse, place_of_model

SHORT: dict[str, Any] = {"epochs": 3, "batch": 6, "crop": 1.5, "rate": 1e-2}
MIXED = Contamination(kinds=("mixture",), low=0.0, high=9.0, share=0.6)


@dataclass(frozen=True)
class Kind:
    settings: Any
    train: Callable[..., Learned[Any]]
    network: type[Any]
    training: type[Any]
    enough: int  # epochs


KINDS = {
    "flint": Kind(
        FlintSettings(attributes=8, contamination=MIXED, **SHORT),
        train_flint, FlintNetwork, FlintTraining, 60,
    ),
    "piq": Kind(
        PiqSettings(codes=4, width=16, **SHORT), train_piq, PiqNetwork, PiqTraining, 40
    ),
}  # fmt: skip
both = pytest.mark.parametrize("method", KINDS)


def trained(
    method: str, model: Model, sounds: list[Path], folder: Path, **changes: Any
) -> Learned[Any]:
    kind = KINDS[method]
    settings = replace(kind.settings, **changes)
    return kind.train(model, sounds[:12], sounds[12:], settings, folder)


def loaded(method: str, folder: Path) -> Learned[Any]:
    return load_learned(folder, KINDS[method].network)


def states(found: Learned[Any]) -> dict[str, torch.Tensor]:
    return dict(found.network.state_dict())


@pytest.fixture(scope="module")
def kept(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trained interpreters of the coarse toy model."""
    place = tmp_path_factory.mktemp("learned")
    for method, kind in KINDS.items():
        trained(method, coarse(), sounds, place / method, epochs=kind.enough)
    return {method: place / method for method in KINDS}


def in_band(found: Explanation, target: int) -> tuple[float, float]:
    """Return the mean gain in the band that the target depends on, and in the other's."""
    freqs = np.linspace(0, RATE / 2, len(found.mask.gains))
    bands = [found.mask.gains[(freqs >= low) & (freqs <= high)].mean() for *_, low, high in REGIONS]
    return bands[target], bands[1 - target]


@both
@pytest.mark.parametrize("target", [0, 1])
def test_the_evidence_lies_in_the_band_that_the_decision_depends_on(
    method: str, target: int, kept: dict[str, Path], sounds: list[Path]
) -> None:
    own, other = (read_audio(sounds[12 + k], rate=RATE).samples for k in (target, 1 - target))
    mixture = Audio(own + 0.4 * other, RATE, "mixture")
    made = explain(coarse(), mixture, method, interpreter=str(kept[method]), trust="none")
    assert made.target.index == target
    inside, outside = in_band(made, target)
    assert inside > 0.8
    assert outside < 0.8 * inside
    assert made.mask.area < 0.95
    total = made.evidence.samples + made.remainder.samples
    np.testing.assert_allclose(total, made.input.samples, atol=1e-5)


def test_an_attribute_is_a_piece_with_its_relevance(
    kept: dict[str, Path], sounds: list[Path]
) -> None:
    sound = read_audio(sounds[12], rate=RATE)
    made = explain(coarse(), sound, "flint", interpreter=str(kept["flint"]), trust="none")
    weights = [piece.weight for piece in made.pieces]
    assert len(weights) == 9  # and the rest, which has no relevance
    assert max(weights) == 1.0
    assert weights[-1] == 0.0
    assert made.attribution.details["kept"] == [k for k, one in enumerate(weights) if one > 0.2]
    assert made.pieces[0].name.startswith("component 1 (peak ")


@both
def test_a_waveform_network_is_explained_too(
    method: str, sounds: list[Path], tmp_path: Path
) -> None:
    model = waveform(stride=STRIDE)
    found = trained(method, model, sounds, tmp_path / "i", epochs=10)
    assert found.facts["validation"]["fidelity"] == 1.0
    sound = read_audio(sounds[13], rate=RATE)
    made = explain(model, sound, method, trust="none", interpreter=str(tmp_path / "i"))
    assert made.mask.gains.shape == made.attribution.values.shape == made.magnitude.shape
    assert 0.05 < made.mask.area < 1.0


class Tokens(torch.nn.Module):
    """A network on waveforms whose layers have no frequency axis, of a width of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = torch.nn.Conv1d(1, width, 400, stride=160)
        self.mix = torch.nn.Conv1d(width, width, 3, padding=1)
        self.head = torch.nn.Linear(width, 2)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        level = self.mix(self.embed(waves[:, None]).relu()).relu()
        return self.head(level.mean(dim=2))


@both
@pytest.mark.parametrize("build", [two_layers, "tokens"], ids=["layers", "tokens"])
def test_other_hidden_sizes_are_read(
    method: str, build: Any, sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    model = wrap(Tokens(24), sample_rate=RATE) if build == "tokens" else build()
    found = trained(method, model, sounds, tmp_path / "i", epochs=1, crop=0.5)
    wanted = {"tokens": 24}.get(build if isinstance(build, str) else "", 2)
    assert found.layers[0].channels == wanted
    made = explain(model, white, method, trust="none", interpreter=str(tmp_path / "i"),
                   target=found.facts["asked"].index(max(found.facts["asked"])))  # fmt: skip
    assert made.mask.gains.shape == made.magnitude.shape


@both
def test_the_model_is_left_as_it_was(method: str, sounds: list[Path], tmp_path: Path) -> None:
    model = waveform(stride=STRIDE)
    model.module.train()
    before = {name: one.clone() for name, one in model.module.state_dict().items()}
    state = torch.get_rng_state()
    trained(method, model, sounds, tmp_path, epochs=1)
    torch.testing.assert_close(dict(model.module.state_dict()), before, rtol=0, atol=0)
    torch.testing.assert_close(torch.get_rng_state(), state, rtol=0, atol=0)
    assert model.module.training
    assert all(one.requires_grad and one.grad is None for one in model.module.parameters())


@both
def test_a_broken_training_ends_like_an_unbroken_one(
    method: str, sounds: list[Path], tmp_path: Path
) -> None:
    kind = KINDS[method]
    whole = trained(method, coarse(), sounds, tmp_path / "whole")
    broken = tmp_path / "broken"

    def train(**calls: Any) -> Learned[Any]:
        return kind.train(coarse(), sounds[:12], sounds[12:], kind.settings, broken, **calls)

    def stop(number: int, _figures: dict[str, float]) -> None:
        if number in (1, 2):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(on_epoch=stop)
    with pytest.raises(OutputError, match="unfinished training with other settings"):
        trained(method, coarse(), sounds, broken, epochs=9)
    found = train()
    torch.testing.assert_close(states(found), states(whole), rtol=0, atol=0)
    for name in ("log.csv", "interpreter.safetensors"):
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in broken.iterdir() if not path.name.startswith(".")) == [
        "interpreter.json", "interpreter.safetensors", "log.csv",
    ]  # fmt: skip
    again = train(on_epoch=stop)  # a finished one is not repeated
    torch.testing.assert_close(states(again), states(found), rtol=0, atol=0)
    with pytest.raises(OutputError, match="holds a trained interpreter already"):
        trained(method, coarse(), sounds, broken, epochs=1)


@pytest.mark.parametrize(
    ("method", "prefix", "what"),
    [(method, *part) for method, kind in KINDS.items() for part in kind.network.parts.items()],
)
def test_an_interpreter_without_a_part_is_refused(
    method: str, prefix: str, what: str, kept: dict[str, Path], tmp_path: Path, white: Audio
) -> None:
    (tmp_path / "interpreter.json").write_bytes(
        (kept[method] / "interpreter.json").read_bytes()
    )  # fmt: skip
    tensors = load_file(kept[method] / "interpreter.safetensors")
    rest = {name: one for name, one in tensors.items() if not name.startswith(prefix)}
    save_file(rest, tmp_path / "interpreter.safetensors")
    with pytest.raises(ModelError, match=f"{what} is missing from interpreter.safetensors"):
        explain(coarse(), white, method, interpreter=str(tmp_path))


@both
def test_damaged_interpreters_are_refused(
    method: str, kept: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"no interpreter in this folder \(interpreter.json"):
        loaded(method, tmp_path)
    stored = json.loads((kept[method] / "interpreter.json").read_text())
    tensors = load_file(kept[method] / "interpreter.safetensors")
    save_file(tensors, tmp_path / "interpreter.safetensors")
    large = dict.fromkeys(stored["sizes"], 10**9)  # is refused before memory is taken
    for change in ({"sizes": large}, {"sizes": {}}, {"labels": ["one"]}, {"layers": []},
                   {"plane": {"rate": RATE, "n_fft": 0, "hop": 128}}, {"model": {}},
                   {"facts": {"asked": ["x"]}}):  # fmt: skip
        (tmp_path / "interpreter.json").write_text(json.dumps({**stored, **change}))
        with pytest.raises(ModelError, match="damaged or do not fit each other"):
            loaded(method, tmp_path)
    (tmp_path / "interpreter.json").write_text(json.dumps(stored))
    (tmp_path / "interpreter.safetensors").unlink()
    with pytest.raises(ModelError, match=r"\(interpreter.safetensors is missing\)"):
        loaded(method, tmp_path)


def test_an_interpreter_of_another_method_is_named(kept: dict[str, Path], white: Audio) -> None:
    for method, other in (("flint", "piq"), ("piq", "flint"), ("l2i", "flint")):
        with pytest.raises(ModelError, match=f"an interpreter of {other}, not of {method}$"):
            explain(coarse(), white, method, interpreter=str(kept[other]))


@both
def test_interpreters_refuse_what_they_were_not_trained_for(
    method: str, kept: dict[str, Path], tmp_path: Path, white: Audio
) -> None:
    asked = {"method": method, "interpreter": str(kept[method])}
    other = coarse()
    with torch.no_grad():
        other.module.head.weight.mul_(2)
    trained_for = r"this interpreter was trained for RegionNet \("
    with pytest.raises(NotApplicableError, match=trained_for + f".*earwitness train {method}$"):
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
        KINDS[method].training(value, [tmp_path] * 6, [], KINDS[method].settings)
    with pytest.raises(NotApplicableError, match=f"no interpreter of {method} comes with Region"):
        explain(coarse(), white, method)


def test_codes_of_a_class_that_was_never_decided_are_refused(
    kept: dict[str, Path], tmp_path: Path, white: Audio
) -> None:
    never = loaded("piq", kept["piq"])
    never.facts["asked"] = [5, 0]
    save_learned(tmp_path / "never", never)
    explain(coarse(), white, "piq", target=0, interpreter=str(tmp_path / "never"), trust="none")
    with pytest.raises(NotApplicableError, match="no sound decided as low, so it has no codes"):
        explain(coarse(), white, "piq", target=1, interpreter=str(tmp_path / "never"))
    with pytest.raises(NotApplicableError, match="codes belong to one output, not to one versus"):
        explain(coarse(), white, "piq", target=0, versus=1, interpreter=str(kept["piq"]))
    never = loaded("flint", kept["flint"])
    never.facts["asked"] = [5, 0]
    save_learned(tmp_path / "flint", never)
    found = explain(coarse(), white, "flint", target=1, interpreter=str(tmp_path / "flint"))
    assert "the interpreter was trained on no sound decided as low" in found.notes


def test_piq_takes_one_layer_of_a_model_with_gradients(tmp_path: Path) -> None:
    settings = KINDS["piq"].settings
    with pytest.raises(ParameterError, match="piq takes one layer, got a, b"):
        PiqTraining(coarse(), [tmp_path] * 6, [], settings, layers=["a", "b"])
    box = wrap(lambda waves: np.zeros((len(waves), 2)), sample_rate=RATE)
    with pytest.raises(NotApplicableError, match="is a black box: piq needs its gradients"):
        PiqTraining(box, [tmp_path] * 6, [], settings)


@both
@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_taggers_are_explained_label_by_label(
    method: str, output: str, sounds: list[Path], tmp_path: Path
) -> None:
    network: torch.nn.Module = RegionNet(stride=STRIDE)
    if output == "probabilities":
        network = torch.nn.Sequential(network, torch.nn.Sigmoid())
    model = wrap(network, sample_rate=RATE, labels=["high", "low"], features=Magnitude(),
                 task="multi-label", output=output)  # fmt: skip
    found = trained(method, model, sounds, tmp_path / "i", epochs=8)
    assert min(found.facts["asked"]) > 0
    maps = []
    for target in (0, 1):
        sound = read_audio(sounds[12], rate=RATE)
        made = explain(model, sound, method, target=target, interpreter=str(tmp_path / "i"),
                       trust="none")  # fmt: skip
        assert made.target.label == ("high", "low")[target]
        maps.append(made.attribution.values)
    assert np.abs(maps[0] - maps[1]).max() > 0.01


@both
@pytest.mark.parametrize("seconds", [0.05, 0.3, 4.0])
def test_any_length_is_explained(method: str, seconds: float, kept: dict[str, Path]) -> None:
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)
    found = explain(coarse(), (samples, RATE), method, interpreter=str(kept[method]), trust="none")
    assert found.attribution.values.shape == found.magnitude.shape
    total = found.evidence.samples + found.remainder.samples
    np.testing.assert_allclose(total, samples, atol=1e-6)


@both
def test_silence_is_explained_by_nothing_that_is_not_finite(
    method: str, kept: dict[str, Path]
) -> None:
    silence = (np.zeros(RATE, np.float32), RATE)
    found = explain(coarse(), silence, method, interpreter=str(kept[method]))
    assert np.isfinite(found.attribution.values).all()


@both
def test_a_folder_that_is_written_again_is_read_again(
    method: str, kept: dict[str, Path], tmp_path: Path
) -> None:
    from earwitness.methods.flint import FOLDERS as FLINTS
    from earwitness.methods.piq import FOLDERS as PIQS

    folders: Any = {"flint": FLINTS, "piq": PIQS}[method]
    first = loaded(method, kept[method])
    save_learned(tmp_path / "i", first)
    before = folders.load(tmp_path / "i")
    assert folders.load(tmp_path / "i") is before
    with torch.no_grad():
        for one in first.network.parameters():
            one.add_(1)
    save_learned(tmp_path / "i", first)
    torch.testing.assert_close(states(folders.load(tmp_path / "i")), states(first))


@both
def test_the_command_trains_and_explains(
    method: str, sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = place_of_model(tmp_path)
    words = ["train", method, "--model", place, "--data", str(sounds[0].parent), "--epochs", "2"]
    words += ["--batch", "4", "--crop", "0.5", "--fidelity", "0.5", "--contaminate", "white"]
    words += {"flint": ["--attributes", "3", "--sparsity", "0.1"],
              "piq": ["--codes", "3", "--width", "5", "--loud", "0.4"]}[method]  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        main([*words, "-o", str(tmp_path / "i")])
    assert stop.value.code == 0
    told = capsys.readouterr()
    assert f"interpreter: {tmp_path / 'i'}" in told.out
    assert "16 sounds to train on, 2 to validate on" in told.err
    assert "epoch 2: loss" in told.err
    facts = loaded(method, tmp_path / "i").facts["settings"]
    assert facts["contamination"]["kinds"] == ["white"]
    assert (facts["epochs"], facts["weights"]["fidelity"]) == (2, 0.5)
    given = {"flint": ("attributes", 3), "piq": ("codes", 3)}[method]
    assert facts[given[0]] == given[1]
    words = ["explain", str(sounds[0]), "--model", place, "--method", method, "--trust", "none"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--set", f"interpreter={tmp_path / 'i'}", "-o", str(tmp_path / "out")])
    assert stop.value.code == 0
