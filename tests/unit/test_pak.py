"""``explain --compat pak``: maps of levels in dB, as published and put right, on known networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor, nn

from earwitness.audio import read_audio, write_audio
from earwitness.cli.explain import _PAK
from earwitness.errors import NotApplicableError
from earwitness.explanation import Explanation
from earwitness.methods import pak
from earwitness.methods.levels import Levels, front_of
from earwitness.methods.registry import METHODS
from earwitness.models.adapters.torch import FeatureModel
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.models.zoo.checkpoint import default_recipe, save_checkpoint
from earwitness.models.zoo.decibels import PUBLISHED, Decibels
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.command import run

LOW, HIGH = slice(8, 16), slice(40, 48)  # bands of the block that decides
EARLY, LATE = slice(10, 30), slice(60, 80)  # its frames


class Block(nn.Module):
    """The first output is the mean level above silence in a block, times a weight."""

    def __init__(self, rows: slice = LOW, frames: slice = LATE, power: float = 1.0) -> None:
        super().__init__()
        self.rows, self.frames, self.power = rows, frames, power
        self.conv = nn.Conv2d(1, 2, 1)  # the level above silence in units of 100 dB, and nothing
        with torch.no_grad():
            self.conv.weight[:] = torch.tensor([0.01, 0.0])[:, None, None, None]
            self.conv.bias[:] = torch.tensor([1.0, 0.0])  # type: ignore[index]

    def forward(self, levels: Tensor) -> Tensor:
        above = self.conv(levels)[:, 0, self.rows, self.frames]
        score = 4 * above.pow(self.power).mean(dim=(1, 2))
        return torch.stack([score, torch.ones_like(score)], dim=1)


def model_of(network: nn.Module, name: str = "mel-db") -> Model:
    front = Decibels(name)
    return FeatureModel(
        front, module=network.eval(), name="block", rate=front.settings.rate, labels=("a", "b"),
        output="logits", task="single-label", lengths=(0.2, 5.0), plane=front.plane,
    )  # fmt: skip


def sound_of(network: nn.Module, seconds: float = 1.0, name: str = "mel-db") -> Levels:
    rate = PUBLISHED[name].rate
    generator = torch.Generator().manual_seed(1)
    wave = 0.1 * torch.randn(round(seconds * rate), generator=generator)
    return Levels(model_of(network, name), wave)


def share(values: Tensor, rows: slice, frames: slice) -> float:
    """Share of the absolute map in a block."""
    return float(values[rows, frames].abs().sum() / values.abs().sum())


def test_saliency_is_the_gradient_by_levels_and_repaired_by_gains() -> None:
    sound = sound_of(Block(power=2.0))
    found, right = (pak.saliency(sound, 0, repaired=flag) for flag in (False, True))
    cells = 8 * 20
    above = (sound.levels[LOW, LATE] + 100) / 100
    np.testing.assert_allclose(found[LOW, LATE], 4 * 2 * above * 0.01 / cells, rtol=1e-4)
    # of masks: d/dg of ((L + 100) g / 100)^2 at 1 is 2 ((L + 100) / 100)^2
    np.testing.assert_allclose(right[LOW, LATE], 4 * 2 * above**2 / cells, rtol=1e-4)
    assert share(found, LOW, LATE) == share(right, LOW, LATE) == 1.0


class Peaks(nn.Module):
    """Halves both axes by a maximum, then one more convolution; the mean is the first output."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(4)
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        with torch.no_grad():
            self.conv.weight[:] = torch.tensor([0.01, 0.0])[:, None, None, None]

    def forward(self, levels: Tensor) -> Tensor:
        maps = self.conv(self.pool(levels + 100))
        return maps.mean(dim=(2, 3))


def test_gradcam_has_its_axes_exchanged_as_published_and_not_when_repaired() -> None:
    rate = PUBLISHED["mel-db"].rate
    time = torch.arange(rate) / rate
    late = torch.where(time > 0.75, torch.sin(2 * torch.pi * 500 * time), 0.0)  # low and late
    sound = Levels(model_of(Peaks()), 0.5 * late)
    rows, frames = sound.levels.shape
    loudest = divmod(int(sound.levels.argmax()), frames)
    places = {}
    for repaired in (False, True):
        found = pak.gradcam(sound, 0, repaired=repaired)
        assert found.shape == sound.levels.shape
        places[repaired] = divmod(int(found.argmax()), frames)
    right, wrong = places[True], places[False]
    assert abs(right[0] - loudest[0]) <= 4
    assert right[1] > 0.7 * frames
    # rows are frames and columns are bands: late is high, and low is early
    assert wrong[0] > 0.7 * rows
    assert abs(wrong[1] / frames - loudest[0] / rows) < 0.1


@pytest.mark.parametrize("repaired", [False, True])
def test_lime_finds_the_block(repaired: bool) -> None:
    sound = sound_of(Block(HIGH, EARLY))
    found, facts = pak.lime(sound, 0, 0, repaired=repaired)
    again, _ = pak.lime(sound, 0, 0, repaired=repaired)
    other, _ = pak.lime(sound, 0, 2**32 - 1, repaired=repaired)  # as large as seeds of sounds are
    torch.testing.assert_close(found, again)
    assert not torch.equal(found, other)
    if repaired:  # a region in the block is silenced, and the score falls
        inside = found[HIGH, EARLY].mean()
        assert inside > 5 * found.abs().mean()
        assert facts["r2"] > 0.9
    else:  # only its mean level is set: on noise nothing changes, whatever decides
        assert float(found.max()) < 0.02


def test_a_region_that_is_off_has_its_mean_level_or_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound, seen = sound_of(Block()), []

    def logits(levels: Tensor) -> Tensor:
        seen.append(levels)
        return torch.rand(len(levels), 2)

    monkeypatch.setattr(sound, "logits", logits)
    regions = torch.zeros_like(sound.levels, dtype=torch.int64)
    regions[32:] = 1
    monkeypatch.setattr(pak, "_quickshift", lambda *_: regions)
    monkeypatch.setattr(pak, "_superpixels", lambda *_: regions)
    pak.lime(sound, 0, 0)
    levels = torch.cat(seen)
    assert len(levels) == pak.SAMPLES == 1000
    torch.testing.assert_close(levels[0], sound.levels)  # the first draw has all on
    upper = sound.levels[32:].mean()
    off = (levels[:, 40, 50] - upper).abs() < 1e-3
    assert 0.4 < off.float().mean() < 0.6
    seen.clear()
    pak.lime(sound, 0, 0, repaired=True)
    levels = torch.cat(seen)
    assert len(levels) == pak.DRAWS
    assert bool(((levels[:, 40, 50] == -100) | (levels[:, 40, 50] == sound.levels[40, 50])).all())
    assert 0.4 < (levels[:, 40, 50] == -100).float().mean() < 0.6


def test_published_shap_takes_the_gradient_at_the_background_and_the_repaired_one_sums() -> None:
    sound = sound_of(Block(power=2.0))
    generator = torch.Generator().manual_seed(2)
    others = -60 + 20 * torch.rand(3, *sound.levels.shape, generator=generator)
    found, gap = pak.shap(sound, 0, pak.Background(others))
    # by hand in float64: the mean over b of f'(b) (x - b), with f' = 8 (b + 100) / 100^2 / cells
    x, b = sound.levels.double()[LOW, LATE], others.double()[:, LOW, LATE]
    wanted = (8 * (b + 100) / 1e4 / (8 * 20) * (x - b)).mean(dim=0)
    np.testing.assert_allclose(found[LOW, LATE], wanted, rtol=1e-3, atol=1e-7)
    change = (4 * ((x + 100) / 100) ** 2).mean() - (4 * ((b + 100) / 100) ** 2).mean()
    np.testing.assert_allclose(gap, float(wanted.sum() - change), rtol=1e-3)
    assert abs(gap) > 0.1 * abs(float(change))
    background = pak.Background(others)
    background.slopes(sound, 1)  # of another output, which is kept apart
    again, _ = pak.shap(sound, 0, background)
    torch.testing.assert_close(again, found)
    right, gap = pak.shap(sound, 0, pak.Background(others), repaired=True)
    assert abs(gap) < 1e-4 * abs(float(change))
    np.testing.assert_allclose(float(right.double().sum()), float(change), rtol=1e-3)


def test_masks_multiply_the_level_above_silence() -> None:
    sound = sound_of(Block())
    half = sound.masked(torch.full((1, *sound.levels.shape), 0.5))[0]
    np.testing.assert_allclose(half, (sound.levels - 100) / 2, rtol=1e-6)
    silent = sound.masked(torch.zeros(1, *sound.levels.shape))[0]
    assert float(silent.min()) == float(silent.max()) == -100
    same = sound.masked(torch.ones(1, *sound.levels.shape))[0]
    np.testing.assert_allclose(same, sound.levels, atol=1e-5)
    assert not torch.equal(same, sound.levels)  # rounding, as in the published code


def test_outputs_are_the_networks_and_do_not_depend_on_the_batch() -> None:
    recipe = default_recipe(["a", "b"], front_end="mel-db")
    torch.manual_seed(3)
    network = recipe.network().eval()
    wave = 0.1 * torch.randn(32000, generator=torch.Generator().manual_seed(0))
    sound = Levels(recipe.model(network, "m"), wave)
    assert sound.faster is not network
    gains = torch.rand(7, *sound.levels.shape, generator=torch.Generator().manual_seed(1))
    levels = sound.masked(gains)
    found = sound.logits(levels)
    with torch.no_grad():
        torch.testing.assert_close(found, network(levels[:, None]), rtol=1e-4, atol=1e-4)
    for k in range(7):
        torch.testing.assert_close(sound.logits(levels[k : k + 1])[0], found[k], rtol=0, atol=0)
    leaf = levels.clone().requires_grad_()
    network(leaf[:, None])[:, 1].sum().backward()
    slope = sound.gradient(levels, 1)
    torch.testing.assert_close(slope, leaf.grad, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_maps_are_lifted_to_the_plane(name: str) -> None:
    sound = sound_of(Block(), name=name)
    model, size = sound.model, sound.samples
    probe = Probe(model, torch.zeros(size), make_target(model, torch.tensor([1.0, 0.0])))
    ones = pak.lifted(probe, sound, torch.ones_like(sound.levels))
    assert ones.shape == probe.shape
    covered = ones[:, 0] > 0
    np.testing.assert_allclose(ones[covered].numpy(), 1, rtol=1e-6)
    assert int((~covered).sum()) == {"stft-db": 0, "mel-db": 67}[name]
    one = torch.zeros_like(sound.levels)
    one[30, 40] = 1.0
    row, frame = divmod(int(pak.lifted(probe, sound, one).argmax()), probe.shape[1])
    assert frame == 40
    if name == "stft-db":
        assert row == 30
    else:
        assert sound.front.filters is not None
        assert abs(row - int(sound.front.filters[30].argmax())) <= 1


def test_other_models_and_long_sounds_are_refused() -> None:
    model = model_of(Block())
    with pytest.raises(NotApplicableError, match=r"at once, 5 s; this one has 6 s: .* --end 5$"):
        Levels(model, torch.zeros(6 * model.rate))
    recipe = default_recipe(["a", "b"])
    with pytest.raises(NotApplicableError, match="no classifier on the published levels"):
        front_of(recipe.model(recipe.network(), "m"))
    target = make_target(model, torch.tensor([1.0, 0.0]), versus="b")
    with pytest.raises(NotApplicableError, match="without versus"):
        METHODS.get("pak-saliency").function(Probe(model, torch.zeros(32000), target))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_evidence_as_published_is_masked_in_decibels_and_resynthesised(name: str) -> None:
    """Against the definition, written again with numpy and scipy in float64."""
    settings, network = PUBLISHED[name], Block()
    model = model_of(network, name)
    generator = torch.Generator().manual_seed(1)
    wave = 0.1 * torch.randn(settings.rate, generator=generator)
    probe = Probe(model, wave, make_target(model, torch.tensor([1.0, 0.0])))
    found = METHODS.get("pak-saliency").function(probe, repaired=True)
    assert found.published is not None
    heard = found.published("area:2%").double().numpy()
    hop, size = settings.hop, settings.n_fft
    window = signal.get_window("hann", size)
    padded = np.pad(wave.double().numpy(), size // 2, mode="reflect")
    parts = np.stack([padded[k : k + size] for k in range(0, len(padded) - size + 1, hop)], axis=1)
    spectrum = np.fft.rfft(window[:, None] * parts, axis=0)
    sound = Levels(model, wave)
    filters = None if sound.front.filters is None else sound.front.filters.double().numpy()
    power = np.abs(spectrum) ** 2 if filters is None else filters @ np.abs(spectrum) ** 2
    levels = 10 * np.log10(np.maximum(power, 1e-10))
    # the map is the level above silence in the block that decides, and nothing elsewhere
    values = np.zeros(levels.shape)
    values[LOW, LATE] = levels[LOW, LATE] + 100
    kept = values >= np.sort(values, axis=None)[-int(np.ceil(0.02 * values.size))]
    kept &= values > 0
    masked = 10 ** (np.where(kept, levels, -100.0) / 10)
    if filters is not None:
        masked = np.maximum(np.linalg.lstsq(filters, masked, rcond=None)[0], 0)
    frames = np.fft.irfft(np.sqrt(masked) * np.exp(1j * np.angle(spectrum)), axis=0)
    total, weight = np.zeros(len(padded)), np.zeros(len(padded))
    for k in range(frames.shape[1]):
        total[k * hop : k * hop + size] += window * frames[:, k]
        weight[k * hop : k * hop + size] += window**2
    inside = slice(size, len(wave) - size)  # where frames overlap fully
    wanted = (total / np.maximum(weight, 1e-9))[size // 2 :][: len(wave)][inside]
    assert len(heard) == len(wave)
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(heard[inside], wanted, atol=1e-3 * np.abs(wanted).max())


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, Path]:
    """A classifier with random weights, and a sound."""
    recipe = default_recipe(["a", "b"], front_end="mel-db")
    torch.manual_seed(0)
    network = recipe.network()
    with torch.no_grad():  # so that its scores differ from sound to sound
        [part for part in network.modules() if isinstance(part, nn.Linear)][-1].weight.mul_(0.02)
    save_checkpoint(tmp_path / "model", recipe, network, {})
    clip = tmp_path / "noise.wav"
    rng = np.random.default_rng(0)
    write_audio(clip, Audio((0.1 * rng.standard_normal(16000)).astype(np.float32), 32000))
    return tmp_path / "model", clip


def test_the_command_runs_all_four(
    stored: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(pak, "SAMPLES", 20)
    model, clip = stored
    code, out, err = run(
        capsys, "explain", str(clip), "--model", str(model), "--compat", "pak", "--trust", "none",
        "--json", "--keep", "area:20%", "-o", str(tmp_path / "report"),
    )  # fmt: skip
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["method"] for line in lines] == list(_PAK)
    assert any("axes of the map are exchanged" in note for note in lines[1]["notes"])
    loaded = load_model(str(model))
    wave = torch.from_numpy(read_audio(clip).samples)
    probe = Probe(loaded, wave, make_target(loaded, loaded(wave[None])[0].detach()))
    first = Explanation.load(Path(lines[0]["files"]["published"]).parent).published
    again = METHODS.get("pak-saliency").function(probe).published
    assert first is not None
    assert again is not None
    np.testing.assert_allclose(first.samples, again("area:20%").numpy(), atol=1e-6)
    assert float(np.abs(first.samples).max()) > 1e-3
    for line in lines:
        folder = Path(line["files"]["published"]).parent
        found = Explanation.load(folder)
        assert found.published is not None
        assert found.published.samples.shape == found.evidence.samples.shape
        with torch.no_grad():
            outputs = loaded(torch.from_numpy(found.published.samples)[None])
        index = loaded.labels.index(found.target.label)
        score = float(outputs.softmax(dim=1)[0, index])
        assert any(note.endswith(f"the model's score of it is {score:.3f}") for note in found.notes)


def test_a_mask_that_was_drawn_has_no_evidence_as_published(
    stored: tuple[Path, Path], tmp_path: Path
) -> None:
    model = load_model(str(stored[0]))
    size, bins, frames = 16000, model.plane.bins, model.plane.frames(16000)
    facts = {
        "schema": 1, "kind": "earwitness mask", "rate": model.rate, "samples": size,
        "n_fft": model.plane.n_fft, "hop": model.plane.hop, "shape": [bins, frames],
        "runs": [0, bins * frames // 2, bins * frames - bins * frames // 2],
    }  # fmt: skip
    drawn = tmp_path / "drawn.json"
    drawn.write_text(json.dumps(facts))
    found = explain(model, stored[1], "pak-saliency", keep=f"file:{drawn}", trust="none")
    assert found.published is None  # it is one of the plane, and not of the bands


def test_the_background_of_shap_is_read_from_a_folder(
    stored: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for k in range(3):
        wave = (0.05 * (k + 1) * rng.standard_normal(8000)).astype(np.float32)
        write_audio(folder / f"{k}.wav", Audio(wave, 32000))
    sound = sound_of(Block(), seconds=0.5)
    levels = pak.levels_of(sorted(folder.iterdir()), sound)
    assert levels.shape == (3, *sound.levels.shape)
    assert bool((levels[:, :, -5:] == -100).all())  # padded with silence
    means = levels[:, :, :20].mean(dim=(1, 2)).tolist()
    assert means == sorted(means)
    probe = Probe(
        sound.model, torch.zeros(16000), make_target(sound.model, torch.tensor([1.0, 0.0]))
    )
    function: Callable[..., object] = METHODS.get("pak-shap").function
    found = function(probe, sounds=str(folder), most=2)
    assert getattr(found, "details")["backgrounds"] == 2  # noqa: B009
