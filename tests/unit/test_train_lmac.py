"""Training of L-MAC's decoder, on models whose region is known."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import butter, sosfilt

from earwitness.cli.main import main
from earwitness.cli.train import lmac_settings
from earwitness.decoders.folder import Explainer, load_explainer, save_explainer
from earwitness.decoders.objective import Weights, distance, guidance, likeness
from earwitness.errors import (
    AudioError,
    ModelError,
    NotApplicableError,
    OutputError,
    ParameterError,
)
from earwitness.evaluation.scrambling import scrambled
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.cnn14 import CNN14, cnn14_model
from earwitness.pipeline import explain
from earwitness.train.contamination import Contamination, Contaminator, Sounds, lay_over, pink
from earwitness.train.explaining import evaluate_batch
from earwitness.train.lmac import Settings, Training, published, split, train_lmac
from earwitness.train.progress import Workers
from earwitness.train.validation import Validation
from earwitness.types import Audio
from tests.toys import RATE, REGIONS, Magnitude, RegionNet, spectral, waveform

BOTH = Contamination(kinds=("mixture",), high=3.0, share=1.0)
SETTINGS = Settings(epochs=3, batch=6, crop=1.5, rate=5e-3, contamination=BOTH)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Noise with more in the band of one of the toys' regions, so that every sound is decided."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:02}.wav" for number in range(18)]
    for number, path in enumerate(paths):
        band = butter(4, REGIONS[number % 2][2:], "band", fs=RATE, output="sos")
        strong, weak = 0.8 * rng.standard_normal(24000), 0.05 * rng.standard_normal(24000)
        soundfile.write(path, sosfilt(band, strong) + weak, RATE, subtype="FLOAT")
    return paths


def trained(model: Model, sounds: list[Path], folder: Path, **changes: Any) -> Explainer:
    return train_lmac(model, sounds[:12], sounds[12:], replace(SETTINGS, **changes), folder)


@pytest.mark.parametrize(
    ("build", "inner"),
    [(spectral, {}), (waveform, {"swap": True, "flip": True})],
    ids=["spectral", "waveform"],
)
def test_gains_are_where_the_model_listens(
    build: Any, inner: dict[str, bool], sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    model = build(**inner)
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


def test_the_model_is_left_as_it_was(sounds: list[Path], tmp_path: Path) -> None:
    model = waveform()
    model.module.train()
    before = {name: one.clone() for name, one in model.module.state_dict().items()}
    state = torch.get_rng_state()
    trained(model, sounds, tmp_path, epochs=1)
    torch.testing.assert_close(dict(model.module.state_dict()), before, rtol=0, atol=0)
    torch.testing.assert_close(torch.get_rng_state(), state, rtol=0, atol=0)
    assert model.module.training
    assert all(one.requires_grad and one.grad is None for one in model.module.parameters())


def test_a_broken_training_ends_like_an_unbroken_one(sounds: list[Path], tmp_path: Path) -> None:
    whole = trained(spectral(), sounds, tmp_path / "whole", epochs=4)
    stopped = 0

    def stop(epoch: int, _figures: dict[str, float]) -> None:
        nonlocal stopped
        stopped = epoch
        if epoch in (1, 3):
            raise KeyboardInterrupt

    settings = replace(SETTINGS, epochs=4)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_lmac(spectral(), sounds[:12], sounds[12:], settings, tmp_path / "broken",
                       on_epoch=stop)  # fmt: skip
    assert stopped == 3
    broken = train_lmac(spectral(), sounds[:12], sounds[12:], settings, tmp_path / "broken")
    torch.testing.assert_close(
        dict(broken.decoder.state_dict()), dict(whole.decoder.state_dict()), rtol=0, atol=0
    )
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "broken")]
    assert logs[0] == logs[1]
    rows = list(csv.DictReader(logs[0].splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert not (tmp_path / "broken" / "training.safetensors").exists()


def test_a_kill_at_any_moment_loses_one_epoch_at_most(sounds: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "model.py"
    place.write_text("from tests.toys import spectral\n")
    words = [
        *(sys.executable, "-m", "earwitness", "train", "lmac"),
        *("--model", f"python:{place}:spectral", "--data", str(sounds[0].parent)),
        *("--epochs", "6", "--batch", "4", "--crop", "0.5", "--contaminate", "white"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*words, "-o", str(whole)], check=True, env=environment, capture_output=True)
    for _ in range(3):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([*words, "-o", str(broken)], env=environment, **quiet)
        epochs = _epochs(broken)
        deadline = time.monotonic() + 60
        while process.poll() is None and _epochs(broken) <= epochs:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _epochs(broken) > epochs or (broken / "decoder.json").exists()
    subprocess.run([*words, "-o", str(broken)], check=False, env=environment, capture_output=True)
    for name in ("decoder.safetensors", "log.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


def _epochs(folder: Path) -> int:
    log = folder / "log.csv"
    return len(log.read_text().splitlines()) - 1 if log.exists() else 0


def test_two_processes_share_the_work(sounds: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "model.py"
    place.write_text("from tests.toys import spectral\n")
    words = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-port", str(29500 + os.getpid() % 400)),
        *("-m", "earwitness", "train", "lmac", "--model", f"python:{place}:spectral"),
        *("--data", str(sounds[0].parent), "--epochs", "2", "--batch", "6", "--crop", "0.5"),
        *("-o", str(tmp_path / "both")),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("decoder:") == 1
    assert (tmp_path / "both" / "decoder.json").exists()


ONE_STEP = replace(SETTINGS, epochs=1, batch=12, crop=0.5)  # of all twelve sounds
SHARED = """
import sys
from pathlib import Path
import torch
from earwitness.train.lmac import Training
from earwitness.train.progress import Workers
from tests.toys import spectral
from tests.unit.test_train_lmac import ONE_STEP, gradients
workers, _ = Workers.here("cpu")
sounds = sorted(Path(sys.argv[1]).glob("*.wav"))
training = Training(spectral(), sounds[:12], sounds[12:], ONE_STEP, workers=workers)
training.epoch()
found = {"weights": training.decoder.state_dict(), "gradients": gradients(training)}
torch.save(found, Path(sys.argv[2]) / f"{workers.rank}.pt")
torch.distributed.destroy_process_group()
"""


def gradients(training: Training) -> dict[str, torch.Tensor]:
    """Return those of the last step."""
    return {name: one.grad.clone() for name, one in training.decoder.named_parameters()}


class Alone(Workers):
    """One of several processes that hears nothing of the others."""

    def joined(self, network: torch.nn.Module) -> torch.nn.Module:
        return network

    def told(self, figures: dict[str, float]) -> dict[str, float]:
        return {**figures, "valid_loss": 0.0}


def test_two_processes_go_by_the_mean_of_their_gradients(
    sounds: list[Path], tmp_path: Path
) -> None:
    place = tmp_path / "shared.py"
    place.write_text(SHARED)
    words = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-port", str(29900 + os.getpid() % 400)),
        *(str(place), str(sounds[0].parent), str(tmp_path)),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    alone = []
    for rank in (0, 1):
        training = Training(spectral(), sounds[:12], sounds[12:], ONE_STEP, workers=Alone(rank, 2))
        training.epoch()
        alone.append(gradients(training))
    for name, found in one["gradients"].items():
        wanted = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6 * float(wanted.abs().max()))
        assert not torch.allclose(found, alone[0][name], rtol=0.1, atol=0)
    # one process is not wrapped
    single = Training(spectral(), sounds[:12], sounds[12:], ONE_STEP)
    assert single.joined is single.decoder


def test_other_settings_do_not_go_on(sounds: list[Path], tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_lmac(spectral(), sounds[:12], sounds[12:], SETTINGS, tmp_path, on_epoch=stop)
    with pytest.raises(OutputError, match="unfinished training with other settings"):
        train_lmac(spectral(), sounds[:12], sounds[12:], replace(SETTINGS, rate=1e-3), tmp_path)
    with pytest.raises(OutputError, match="unfinished training with other sounds"):
        train_lmac(spectral(), sounds[:11], sounds[12:], SETTINGS, tmp_path)
    (tmp_path / "training.safetensors").write_bytes(b"torn")
    with pytest.raises(OutputError, match="damaged; remove it"):
        train_lmac(spectral(), sounds[:12], sounds[12:], SETTINGS, tmp_path)
    (tmp_path / "training.safetensors").unlink()
    train_lmac(spectral(), sounds[:12], sounds[12:], replace(SETTINGS, epochs=1), tmp_path)
    with pytest.raises(OutputError, match="holds a trained decoder already"):
        train_lmac(spectral(), sounds[:12], sounds[12:], SETTINGS, tmp_path)


def test_decoders_refuse_what_they_were_not_trained_for(
    sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    model = spectral()
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
    other = spectral()
    with torch.no_grad():
        other.module.head.weight.mul_(2)
    with pytest.raises(NotApplicableError, match=r"trained for RegionNet .*not for RegionNet as"):
        explain(other, white, **asked)
    with scrambled(model, [("head",)], seed=0):  # to see whether the map depends on the head
        explain(model, white, **asked)
    with pytest.raises(NotApplicableError, match="no decoder comes with RegionNet"):
        explain(model, white, "lmac")


@pytest.mark.parametrize(
    "facts", [{"task": "multi-label"}, {"output": "scores"}, {"output": "probabilities"}], ids=str
)
def test_other_tasks_are_trained_by_the_same_code(
    facts: dict[str, Any], sounds: list[Path], tmp_path: Path, white: Audio
) -> None:
    network: torch.nn.Module = RegionNet()
    if facts.get("output") == "probabilities":
        with torch.no_grad():
            network.head.weight.mul_(0.3)  # a probability of 1 has no gradient
        network = torch.nn.Sequential(network, torch.nn.Softmax(dim=1))
    model = wrap(network, sample_rate=RATE, labels=["high", "low"], features=Magnitude(), **facts)
    found = trained(model, sounds, tmp_path / "d", epochs=20)
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
    model = spectral()
    first = trained(model, sounds, tmp_path / "first", epochs=2)
    settings = replace(
        SETTINGS, epochs=8, weights=Weights(guidance=50.0, alike=0.0),
        contamination=Contamination(kinds=("white",), low=0.0, high=0.0, share=1.0),
    )  # fmt: skip
    training = Training(model, sounds[:12], sounds[12:], settings, start=first)
    start = {name: one.clone() for name, one in first.decoder.state_dict().items()}
    before = _miss(training)
    tuned = train_lmac(model, sounds[:12], sounds[12:], settings, tmp_path / "tuned", start=first)
    training.decoder.load_state_dict(tuned.decoder.state_dict())
    assert _miss(training) < 0.9 * before
    torch.testing.assert_close(dict(first.decoder.state_dict()), start, rtol=0, atol=0)
    with pytest.raises(ParameterError, match="keeps layers and kind"):
        Training(model, sounds[:12], sounds[12:], settings, start=first, layers=["filters"])
    other = spectral()
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
        gains = training.decoder.eval()(batch.maps, batch.conditioning, training.frames)
        source = model.plane.analyse(clean).abs()
        return float(guidance(gains * batch.spectrum.abs(), source).mean())


def test_patience_ends_training_early(sounds: list[Path], tmp_path: Path) -> None:
    found = trained(spectral(), sounds, tmp_path, epochs=40, rate=1e-9, patience=2)
    assert found.facts["trained"]["epochs"] < 40


def test_mixed_precision_runs_on_the_cpu_too(sounds: list[Path], tmp_path: Path) -> None:
    found = trained(spectral(), sounds, tmp_path, epochs=1, mixed_precision=True)
    assert all(bool(torch.isfinite(one).all()) for one in found.decoder.parameters())


def test_the_published_settings_are_the_papers() -> None:
    found = published(replace(SETTINGS, batch=16))
    # 0.4 times the mean gain of the batch, summed over its sixteen clips
    assert found.weights == Weights(inside=4.0, outside=0.2, size=6.4)
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


def test_likeness_and_guidance_by_hand() -> None:
    one, other = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 1.0]]])
    np.testing.assert_allclose(likeness(one, other, 1.0), [0.5**0.5], rtol=1e-6)
    np.testing.assert_allclose(guidance(one, other), [0.5])
    np.testing.assert_allclose(guidance(other, one), [1.0])


@pytest.mark.parametrize("level", [-6.0, 0.0, 12.0])
def test_levels_are_as_stated(level: float) -> None:
    one, other = 0.1 * torch.randn(8000), 3 * torch.randn(8000)
    mixed, source = lay_over(one, other, level)
    rest = mixed - source
    found = 10 * np.log10(float(source.square().mean() / rest.square().mean()))
    assert abs(found - level) < 1e-3
    assert float(mixed.abs().max()) <= 1 + 1e-6
    silent = torch.zeros(8000)
    torch.testing.assert_close(lay_over(silent, other, level)[0], silent)


def test_pink_noise_has_equal_power_in_octaves() -> None:
    power = torch.fft.rfft(pink(torch.randn(1 << 16))).abs().square()
    octaves = [float(power[2**k : 2 ** (k + 1)].sum()) for k in range(8, 15)]
    assert max(octaves) / min(octaves) < 1.5


def test_the_best_epoch_is_kept_and_not_the_last(
    sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def figures(self: Validation, decoder: torch.nn.Module, *_: Any) -> dict[str, float]:
        seen.append({name: one.clone() for name, one in decoder.state_dict().items()})
        return {"valid_loss": [2.0, 1.0, 3.0][len(seen) - 1]}

    monkeypatch.setattr(Validation, "figures", figures)
    kept = trained(spectral(), sounds, tmp_path).decoder.state_dict()
    assert len(seen) == 3
    for name, one in kept.items():
        torch.testing.assert_close(one, seen[1][name], rtol=0, atol=0)
    assert any(not torch.equal(one, seen[2][name]) for name, one in kept.items())


def test_every_epoch_draws_anew(sounds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []
    over = Contaminator.over

    def noted(self: Contaminator, waves: torch.Tensor, *rest: Any) -> Any:
        found = over(self, waves, *rest)
        drawn.append(found[0])
        return found

    monkeypatch.setattr(Contaminator, "over", noted)
    training = Training(spectral(), sounds[:12], sounds[12:], SETTINGS)
    epochs = []
    for _ in range(2):
        drawn.clear()
        training.epoch()
        epochs.append(torch.cat(drawn).flatten(1))
    assert float((epochs[0][:, None] - epochs[1][None]).abs().amax(dim=2).min()) > 1e-3


def test_a_sound_is_never_mixed_with_itself(tmp_path: Path) -> None:
    tones = [500 * (k + 1) for k in range(4)]
    paths = [tmp_path / f"{tone}.wav" for tone in tones]
    for tone, path in zip(tones, paths, strict=True):
        soundfile.write(path, 0.1 * np.sin(2 * np.pi * tone * np.arange(2 * RATE) / RATE), RATE)
    whole = Sounds(paths, RATE)
    numbers = [k % 4 for k in range(40)]
    waves = torch.stack([whole.whole(k)[:RATE] for k in numbers])
    generator = torch.Generator().manual_seed(0)
    mixed, clean = Contaminator(Contamination(kinds=("mixture",), share=1.0), whole).over(
        waves, numbers, generator
    )
    peaks = torch.fft.rfft(mixed - clean).abs().argmax(dim=1)
    others = [tones.index(peak) for peak in peaks.tolist()]
    assert all(one != other for one, other in zip(numbers, others, strict=True))
    assert set(others) == set(range(4))


def test_contaminations_are_drawn_as_asked(sounds: list[Path], tmp_path: Path) -> None:
    whole = Sounds(sounds[:4], RATE)
    waves = torch.stack([whole.whole(k)[:8000] for k in range(4)])
    generator = torch.Generator().manual_seed(0)
    kept, _ = Contaminator(Contamination(share=0.0), whole).over(waves, range(4), generator)
    torch.testing.assert_close(kept, waves)
    mixed, clean = Contaminator(Contamination(kinds=("mixture",), share=1.0), whole).over(
        waves, range(4), generator
    )
    assert bool(((mixed - clean).square().mean(dim=1) > 0).all())
    own = tmp_path / "own"
    own.mkdir()
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    soundfile.write(own / "tone.wav", tone, RATE)
    mixed, clean = Contaminator(Contamination(kinds=(str(own),), share=1.0), whole).over(
        waves, range(4), generator
    )
    peak = torch.fft.rfft(mixed - clean).abs().argmax(dim=1)
    assert peak.tolist() == [500] * 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no sound files in this folder"):
        Contaminator(Contamination(kinds=(str(tmp_path / "empty"),)), whole)


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
        self.net, self.how = RegionNet(), how

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
    model = wrap(RegionNet(), sample_rate=RATE, labels=["a", "b"], features=Magnitude(),
                 output="scores")  # fmt: skip
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
    place = tmp_path / "model.py"
    place.write_text("from tests.toys import spectral\n")
    words = ["train", "lmac", "--model", f"python:{place}:spectral", "--data", str(tmp_path)]
    words += ["--epochs", "1", "--batch", "2", "--crop", "0.5", "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    told = capsys.readouterr().err
    assert "left out" in told
    assert "torn.wav" in told
    assert "5 sounds to learn from, 1 to validate on" in told


def test_few_sounds_and_black_boxes_are_refused(sounds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="too few to train on"):
        trained(spectral(), sounds[:3], tmp_path)
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
