"""Training of L-MAC's decoder, on models whose region is known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from earwitness.cli.main import main
from earwitness.cli.train import lmac_settings
from earwitness.decoders.folder import load_explainer, save_explainer
from earwitness.decoders.objective import (
    Known,
    Weights,
    distance,
    guidance,
    leak,
    likeness,
)
from earwitness.errors import ModelError, NotApplicableError, ParameterError
from earwitness.evaluation.scrambling import scrambled
from earwitness.metrics.localisation import si_sdr
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.cnn14 import CNN14, cnn14_model
from earwitness.pipeline import explain
from earwitness.train.contamination import Contamination
from earwitness.train.explaining import evaluate_batch
from earwitness.train.lmac import Training, train_lmac
from earwitness.train.settings import Settings, published, split
from earwitness.types import Audio
from tests.toys import RATE, REGIONS, Magnitude, RegionNet, spectral, waveform
from tests.training import BOTH, SETTINGS, STRIDE, coarse, place_of_model, trained


@pytest.mark.parametrize(
    ("build", "inner"),
    [(spectral, {}), (waveform, {"swap": True, "flip": True})],
    ids=["spectral", "waveform"],
)
def test_gains_are_where_the_model_listens(
    build: Any, inner: dict[str, bool], sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    model = build(**inner, stride=STRIDE)
    trained(model, sounds, tmp_path / "d", epochs=30)
    for target, (start, end, low, high) in zip((0, 1), REGIONS, strict=True):
        found = explain(model, white, "lmac", target=target, decoder=str(tmp_path / "d"))
        gains, at = found.mask.gains, found.attribution
        rows = (at.freqs >= low) & (at.freqs <= high)
        columns = (at.times >= start) & (at.times <= end)
        inside = gains[np.ix_(rows, columns)].mean()
        assert inside > 0.6
        assert inside > 15 * gains.mean()  # and nowhere else, the other region included
        assert found.mask.rule == "gains"
        assert found.mask.soft


def test_a_softmax_is_not_trained_through_twice(sounds: list[Path], tmp_path: Path) -> None:
    class Sure(RegionNet):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return super().forward(features).softmax(dim=1)

    model = wrap(Sure(stride=STRIDE), sample_rate=RATE, labels=["a", "b"], features=Magnitude())
    with pytest.raises(ModelError, match="use output='probabilities'"):
        trained(model, sounds, tmp_path)


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


def test_decoders_refuse_what_they_were_not_trained_for(
    sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    model = coarse()
    trained(model, sounds, tmp_path / "asked", epochs=1)
    asked = {"method": "lmac", "decoder": str(tmp_path / "asked")}
    explain(model, white, **asked, target=1)
    never = load_explainer(tmp_path / "asked")
    never.facts["asked"] = [5, 0]
    save_explainer(tmp_path / "never", never)
    with pytest.raises(NotApplicableError, match=r"never trained on the target low"):
        explain(model, white, "lmac", target=1, decoder=str(tmp_path / "never"))
    with pytest.raises(NotApplicableError, match="not one versus another"):
        explain(model, white, **asked, target=0, versus=1)
    other = coarse()
    with torch.no_grad():
        other.module.head.weight.mul_(2)
    with pytest.raises(NotApplicableError, match=r"trained for RegionNet .*not for RegionNet as"):
        explain(other, white, **asked)
    with scrambled(model, [("head",)], seed=0):  # to see whether the map depends on the head
        explain(model, white, **asked)
    with pytest.raises(NotApplicableError, match="no decoder comes with RegionNet"):
        explain(model, white, "lmac")


def test_a_changed_default_model_is_not_said_to_come_without_a_decoder(white: Audio) -> None:
    model = load_model("esc10")
    with torch.no_grad():
        next(model.module.parameters()).mul_(1.01)
    with pytest.raises(NotApplicableError, match=r"comes with esc10 was trained for other weights"):
        explain(model, white, "lmac")


@pytest.mark.parametrize(
    "facts", [{"task": "multi-label"}, {"output": "scores"}, {"output": "probabilities"}], ids=str
)
def test_other_tasks_are_trained_by_the_same_code(
    facts: dict[str, Any], sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    network: torch.nn.Module = RegionNet(stride=STRIDE)
    if facts.get("output") == "probabilities":
        with torch.no_grad():
            network.head.weight.mul_(0.3)  # a probability of 1 has no gradient
        network = torch.nn.Sequential(network, torch.nn.Softmax(dim=1))
    model = wrap(network, sample_rate=RATE, labels=["high", "low"], features=Magnitude(), **facts)
    found = trained(model, sounds, tmp_path / "d", epochs=12)
    assert np.isfinite(found.facts["validation"]["valid_loss"])
    start, end, low, high = REGIONS[0]
    made = explain(model, white, "lmac", target=0, decoder=str(tmp_path / "d"))
    rows = (made.attribution.freqs >= low) & (made.attribution.freqs <= high)
    columns = (made.attribution.times >= start) & (made.attribution.times <= end)
    assert made.mask.gains[np.ix_(rows, columns)].mean() > 2 * made.mask.gains.mean()
    if facts.get("output") == "scores":
        with pytest.raises(NotApplicableError, match="not what lowers it"):
            explain(model, white, "lmac", decoder=str(tmp_path / "d"), direction="down")


def test_fine_tuning_brings_evidence_nearer_to_the_source(
    sounds: list[Path], tmp_path: Path
) -> None:
    model = coarse()
    first = trained(model, sounds, tmp_path / "first", epochs=2)
    settings = replace(
        SETTINGS, epochs=25, rate=1e-2, weights=Weights(guidance=50.0),
        contamination=Contamination(kinds=("white",), low=0.0, high=0.0, share=1.0),
    )  # fmt: skip
    training = Training(model, sounds[:12], sounds[12:], settings, start=first)
    start = {name: one.clone() for name, one in first.decoder.state_dict().items()}
    before = _miss(training)
    tuned = train_lmac(model, sounds[:12], sounds[12:], settings, tmp_path / "tuned", start=first)
    training.decoder.load_state_dict(tuned.decoder.state_dict())
    assert _miss(training) < 0.93 * before
    torch.testing.assert_close(dict(first.decoder.state_dict()), start, rtol=0, atol=0)
    with pytest.raises(ParameterError, match="keeps layers and kind"):
        Training(model, sounds[:12], sounds[12:], settings, start=first, layers=["filters"])
    other = coarse()
    with torch.no_grad():
        other.module.head.weight.mul_(2)
    with pytest.raises(NotApplicableError, match="trained for"):
        Training(other, sounds[:12], sounds[12:], settings, start=first)


def _miss(training: Training) -> float:
    """Return the distance between evidence and source over the same six mixtures."""
    generator = torch.Generator().manual_seed(9)
    waves = torch.stack([training.sounds.whole(k) for k in range(6)])
    mixed, clean = training.contaminator.over(waves, range(6), generator)
    model = training.model
    with torch.no_grad(), model.undisturbed():
        first = torch.zeros(6, dtype=torch.int64)
        batch = evaluate_batch(model, training.layers, mixed, first)
        gains = training.decoder.eval()(
            batch.maps, batch.conditioning, training.frames, batch.magnitude
        )
        known = Known.of(batch.spectrum, model.plane.analyse(clean))
        return float((guidance(gains, known) + leak(gains, known)).mean())


def test_mixed_precision_runs_on_the_cpu_too(sounds: list[Path], tmp_path: Path) -> None:
    found = trained(coarse(), sounds, tmp_path, epochs=1, mixed_precision=True)
    assert all(bool(torch.isfinite(one).all()) for one in found.decoder.parameters())


def test_gradients_are_no_longer_than_the_limit(sounds: list[Path]) -> None:
    norms = []
    for clip in (0.0, 2.0):
        training = Training(coarse(), sounds[:12], sounds[12:], replace(SETTINGS, clip=clip))
        generator = torch.Generator().manual_seed(0)
        with training.model.undisturbed(), training.model.frozen():
            losses = training.step([0, 1, 2, 3, 4, 5], generator)
            training._learn(1e3 * losses.sum())
        norms.append(float(torch.cat([p.grad.flatten() for p in training.decoder.parameters()
                                      if p.grad is not None]).norm()))  # fmt: skip
    assert norms[0] > 100
    np.testing.assert_allclose(norms[1], 2.0, rtol=1e-3)


def test_the_weights_of_the_documentation_are_the_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lmac.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (?:evidence|remainder|size|guidance) \| `--(\w+)` (\d+) \|", text, re.M)
    weights = Settings().weights
    assert {name: float(value) for name, value in told} == {
        name: getattr(weights, name) for name in ("inside", "outside", "size", "guidance")
    }


def test_the_published_settings_are_the_papers() -> None:
    found = published(replace(SETTINGS, batch=16))
    # 0.4 times the mean gain of the batch, summed over its sixteen clips
    assert found.weights == Weights(inside=4.0, outside=0.2, size=6.4, guidance=0.0, alike=0.6)
    assert not found.audio
    assert (found.decoder, found.domain, found.rate, found.decay) == (
        "published", "log1p", 2e-4, 2e-6
    )  # fmt: skip
    assert found.others == 0.0


def test_distances_by_hand() -> None:
    model = spectral()
    outputs = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    target = torch.tensor([0, 0])
    found = distance(model, outputs, target, outputs)
    wanted = [np.log(1 + np.exp(-2)), np.log(1 + np.exp(2))]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    several = wrap(RegionNet(), sample_rate=RATE, features=Magnitude(), task="multi-label")
    found = distance(several, outputs, target, outputs)
    np.testing.assert_allclose(found, np.log1p(np.exp([-2.0, -1.0])), rtol=1e-6)
    value = wrap(RegionNet(), sample_rate=RATE, features=Magnitude(), output="scores",
                 labels=["a", "b"])  # fmt: skip
    before = torch.tensor([[5.0, 0.0], [0.5, 0.0]])
    found = distance(value, outputs, target, before, 2.0)
    np.testing.assert_allclose(found, [np.log1p(1.5**2), 0.0], rtol=1e-6)
    found = distance(value, outputs, target, before, 2.0, sign=-1)
    np.testing.assert_allclose(found, [0.0, np.log1p(0.25**2)], rtol=1e-6)


def test_likeness_by_hand() -> None:
    one, other = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 1.0]]])
    np.testing.assert_allclose(likeness(one, other, 1.0), [0.5**0.5], rtol=1e-6)


def test_guidance_is_the_distortion_of_the_evidence() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((2, 2, 5, 7))
    source, rest = drawn[0] + 1j * drawn[1]
    gains = rng.random((5, 7))
    known = Known.of(*(torch.from_numpy(one)[None] for one in (source + rest, source)))
    own = torch.from_numpy(gains)[None]
    evidence = gains * (source + rest)
    parts = [np.concatenate([one.real.ravel(), one.imag.ravel()]) for one in (evidence, source)]
    wanted = 10 ** (float(si_sdr(parts[0][None], parts[1])[0]) / 10)  # of the real vectors
    away = float(guidance(own, known)[0])
    np.testing.assert_allclose((1 - away) / away, wanted, rtol=1e-3)
    powers = [np.abs(one) ** 2 for one in (source, rest)]
    share = (gains * powers[1] / (powers[0] + powers[1])).sum() / gains.sum()
    np.testing.assert_allclose(leak(own, known), [share], rtol=1e-6)
    opposite = Known.of(torch.from_numpy(-source)[None], torch.from_numpy(source)[None])
    np.testing.assert_allclose(guidance(own, opposite), [1.0])


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch": 1}, {"rate": 0.0}, {"others": 2.0}, {"patience": -1},
     {"crop": float("nan")}],
    ids=str,
)  # fmt: skip
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        replace(SETTINGS, **wrong)
    with pytest.raises(ParameterError, match="contamination"):
        Contamination(kinds=("rain",))
    with pytest.raises(ParameterError, match="contamination"):
        Contamination(low=3, high=1)


class Cut(torch.nn.Module):
    """A model that cuts the graph, or whose gradient is undefined at silence."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.net, self.how = RegionNet(stride=STRIDE), how

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.how == "root":
            features = (features - features.amax(dim=(1, 2, 3), keepdim=True)).abs().sqrt()
        with torch.inference_mode(self.how == "inference"):
            found = self.net(features)
        return found.detach() if self.how == "graph" else found.clone()


@pytest.mark.parametrize("how", ["graph", "inference", "root"])
def test_models_without_usable_gradients_are_refused(
    how: str, sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    model = wrap(Cut(how), sample_rate=RATE, labels=["high", "low"], features=Magnitude())
    with pytest.raises((NotApplicableError, ModelError), match=r"differentiabl|undefined gradient"):
        trained(model, sounds, tmp_path / "d")
    if how != "root":
        with pytest.raises(NotApplicableError, match="differentiabl"):
            explain(model, white, "optimised-mask")


def test_every_output_of_a_regression_is_asked_about(sounds: list[Path], tmp_path: Path) -> None:
    model = wrap(RegionNet(stride=STRIDE), sample_rate=RATE, labels=["a", "b"],
                 features=Magnitude(), output="scores")  # fmt: skip
    found = trained(model, sounds, tmp_path / "asked", epochs=2)
    assert min(found.facts["asked"]) > 0


def test_options_come_over_the_published_settings() -> None:
    none = dict.fromkeys(("inside", "outside", "epochs", "crop", "patience", "snr", "compat"))
    plain = {**none, "kinds": (), "amp": False, "seed": 0, "guidance": 0.0, "alike": 0.6}
    found = lmac_settings({**plain, "compat": "lmac", "batch": 8, "size": 1.0, "rate": 1e-3,
                           "snr": (3.0, 6.0)})  # fmt: skip
    assert (found.weights.size, found.weights.inside, found.rate) == (1.0, 4.0, 1e-3)
    assert (found.contamination.low, found.contamination.high) == (3.0, 6.0)
    assert found.decoder == "published"
    found = lmac_settings({**plain, "compat": "lmac", "batch": 8, "size": None, "rate": None})
    assert found.weights.size == 3.2


def test_sounds_that_cannot_be_read_are_left_out(
    sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sounds[:6]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "torn.wav").write_bytes(b"RIFF no sound")
    place = place_of_model(tmp_path)
    words = ["train", "lmac", "--model", place, "--data", str(tmp_path)]
    words += ["--epochs", "1", "--batch", "2", "--crop", "0.5", "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    told = capsys.readouterr().err
    assert "left out" in told
    assert "torn.wav" in told
    assert "5 sounds to train on, 1 to validate on" in told


def test_few_sounds_and_black_boxes_are_refused(sounds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="too few to train on"):
        trained(coarse(), sounds[:3], tmp_path)
    box = wrap(lambda waves: waves[:, :2], sample_rate=RATE)
    with pytest.raises(NotApplicableError, match="needs its gradients"):
        trained(box, sounds, tmp_path)
    learn, held = split(sounds, 0.1, 0)
    assert len(held) == 2
    assert not set(learn) & set(held)
    with pytest.raises(ParameterError, match="two sounds at least"):
        split(sounds[:1], 0.1, 0)


def test_the_published_recipe_trains_and_explains(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = CNN14(3, (2, 4, 8, 16, 32, 64))
    model = cnn14_model(network, labels=["a", "b", "c"], task="single-label")
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{k}.wav" for k in range(4)]
    for path in paths:
        soundfile.write(path, 0.1 * rng.standard_normal(64000), model.rate)
    settings = published(replace(SETTINGS, epochs=1, batch=2, crop=2.0))
    settings = replace(settings, contamination=BOTH)
    found = train_lmac(model, paths[:3], paths[3:], settings, tmp_path / "d")
    assert found.domain == "log1p"
    sound = (0.1 * rng.standard_normal(40000), model.rate)
    made = explain(model, sound, "lmac", decoder=str(tmp_path / "d"))
    assert made.mask.soft
    with pytest.raises(NotApplicableError, match=r"the decided output only.*optimised-mask"):
        explain(model, sound, "lmac", target="b", decoder=str(tmp_path / "d"))
    total = made.evidence.samples + made.remainder.samples
    np.testing.assert_allclose(total, made.input.samples, atol=1e-5)
