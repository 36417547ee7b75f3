"""The information bottleneck against the paper (Schulz et al. 2020), in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from earwitness.errors import AudioError, NotApplicableError
from earwitness.evaluation.scrambling import scrambled
from earwitness.layers.axes import LayerAxes
from earwitness.layers.bottleneck import Bottleneck, Moments, Statistics, information, smoothed
from earwitness.layers.placing import as_maps, as_output
from earwitness.methods import iba
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.probe import Probe
from earwitness.types import Map
from tests.toys import RATE, Magnitude, RegionNet, two_layers

SAMPLES = 4000
NONE = torch.zeros(0)
BETA = 0.005  # both terms of the loss have slopes of the same size


class Powers(nn.Module):
    """A layer that hands the spectrogram on, and a dense layer on the means of two halves."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.head = nn.Conv2d(1, 2, 1, bias=False), nn.Linear(2, 2)
        with torch.no_grad():
            self.maps.weight.copy_(torch.tensor([1.0, -0.5]).view(2, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[2.0, 1.0], [-1.0, 0.5]]))
            self.head.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.maps(features).mean(dim=(2, 3)))


class Doubled(Magnitude):
    """A front end that returns twice the magnitude."""

    def forward(self, magnitude: Tensor) -> Tensor:
        return 2 * super().forward(magnitude)


def powers(features: nn.Module | None = None, **facts: Any) -> Model:
    features = features or Magnitude()
    return wrap(Powers().eval(), sample_rate=RATE, labels=["a", "b"], features=features, **facts)


def probe_of(model: Model, samples: int = SAMPLES, seed: int = 0, **facts: Any) -> Probe:
    wave = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(1))
    with model.undisturbed():
        target = make_target(model, model(wave[None])[0].detach(), **{"target": 0, **facts})
    return Probe(model, wave, target, seed=seed)


def explained(probe: Probe, **options: Any) -> Map:
    method = METHODS.get("iba")
    with probe.model.undisturbed():
        return method.function(probe, **method.settle(options))


def test_the_information_is_the_divergence_of_the_two_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    activation, mean = torch.randn(2, 500, generator=generator, dtype=torch.float64)
    deviation = 0.1 + torch.rand(500, generator=generator, dtype=torch.float64)
    keep = 0.999 * torch.rand(500, generator=generator, dtype=torch.float64)
    passed = Normal(keep * activation + (1 - keep) * mean, (1 - keep) * deviation)
    wanted = kl_divergence(passed, Normal(mean, deviation))
    found = information((activation - mean) / deviation, keep)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_one_step_and_two_of_adam_are_those_of_an_own_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = Statistics(torch.full((2, 129), 0.3), torch.full((2, 129), 0.7))
    monkeypatch.setattr(iba, "_of_clip", lambda *_: statistics)
    monkeypatch.setattr(iba, "place", lambda maps, *_: maps[0])
    model = powers()
    net = Powers().double()
    for steps in (1, 2):
        probe = probe_of(model, seed=5)
        found = explained(
            probe, layer="maps", steps=steps, samples=3, smooth=0.0, beta=BETA, rate=0.5
        )
        draws = torch.Generator().manual_seed(5)
        maps = net.maps(probe.magnitude.double()[None, None]).detach()
        normalised = (maps - 0.3) / 0.7
        logits = torch.full_like(maps, 5.0).requires_grad_()
        first, second = torch.zeros_like(maps), torch.zeros_like(maps)
        for step in range(1, steps + 1):
            keep = logits.sigmoid()
            passed = Normal(keep * normalised, 1 - keep)
            bits = kl_divergence(passed, Normal(torch.zeros_like(maps), torch.ones_like(maps)))
            noise = 0.3 + 0.7 * torch.randn(3, *maps.shape[1:], generator=draws).double()
            outputs = net.head((keep * maps + (1 - keep) * noise).mean(dim=(2, 3)))
            loss = -outputs.log_softmax(1)[:, 0].mean() + BETA * bits.mean()
            (slope,) = torch.autograd.grad(loss, logits)
            first = 0.9 * first + 0.1 * slope
            second = 0.999 * second + 0.001 * slope**2
            mean, square = first / (1 - 0.9**step), second / (1 - 0.999**step)
            logits = (logits - 0.5 * mean / (square.sqrt() + 1e-8)).detach().requires_grad_()
        keep = logits.sigmoid()
        passed = Normal(keep * normalised, 1 - keep)
        bits = kl_divergence(passed, Normal(torch.zeros_like(maps), torch.ones_like(maps)))
        wanted = bits.sum(dim=1)[0].detach() / np.log(2)
        # where both slopes cancel, Adam scales up rounding errors of float32: 0.7 % of the cells
        other = ~np.isclose(found.values, wanted, rtol=2e-3, atol=1e-3)
        assert other.mean() < 0.02
        assert_allclose(found.details["bits"], float(wanted.sum()), rtol=1e-3)


def test_a_layer_that_cannot_take_noise_is_named() -> None:
    class Roots(Powers):
        def forward(self, features: Tensor) -> Tensor:
            maps = self.maps(features)
            return self.head(maps[:, :1].sqrt().mean(dim=(2, 3)).expand(-1, 2))

    model = wrap(Roots(), sample_rate=RATE, features=Magnitude(), labels=["a", "b"])
    with pytest.raises(NotApplicableError, match=r"noise in place .* layer 'maps' .*layer="):
        explained(probe_of(model), layer="maps", steps=10)


def test_a_search_that_has_not_settled_is_noted() -> None:
    found = {n: explained(probe_of(powers()), layer="maps", steps=n) for n in (9, 10, 60)}
    before, after = found[9].details["bits"], found[10].details["bits"]
    change = (before - after) / before
    assert change > 0.25
    (note,) = found[10].details["notes"]
    assert f"the last of 10 steps changed it by {change:.0%}, to {after:.3g} bits" in note
    assert found[60].details["notes"] == []


def test_statistics_are_those_of_all_values_of_a_channel_and_frequency() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [3 + torch.randn(2, 4, 5, n, generator=generator) for n in (7, 1, 30)]
    moments = Moments()
    for part in parts:
        moments.add(part)
    found = moments.statistics()
    whole = np.concatenate([part.double().numpy() for part in parts], axis=3)
    assert_allclose(found.mean, whole.mean(axis=(0, 3)), rtol=1e-6)
    assert_allclose(found.deviation, whole.std(axis=(0, 3)), rtol=1e-5)


def test_statistics_of_a_folder_are_those_of_its_sounds(tmp_path: Path) -> None:
    model, rng = powers(), np.random.default_rng(0)
    frames = []
    for number, samples in enumerate((3000, 9000)):
        sound = (0.1 * (number + 1) * rng.standard_normal(samples)).astype(np.float32)
        soundfile.write(tmp_path / f"{number}.wav", sound, RATE, subtype="FLOAT")
        frames.append(model.plane.analyse(torch.from_numpy(sound)[None])[0].abs())
    whole = torch.cat(frames, dim=1).double()
    probe = probe_of(model)
    chosen = iba.named_layer(model, "maps", probe.target, SAMPLES, probe.tick)
    found = iba._of_folder(probe, chosen, str(tmp_path))
    assert_allclose(found.mean[0], whole.mean(dim=1), rtol=1e-4)
    assert_allclose(found.mean[1], -0.5 * whole.mean(dim=1), rtol=1e-4)
    assert_allclose(found.deviation[0], whole.std(dim=1, unbiased=False), rtol=1e-4)
    assert iba._of_folder(probe, chosen, str(tmp_path)) is found  # known
    soundfile.write(tmp_path / "1.wav", np.zeros(9000), RATE)
    other = iba._of_folder(probe, chosen, str(tmp_path))
    quiet = torch.cat([frames[0], torch.zeros_like(frames[1])], dim=1).double()
    assert_allclose(other.mean[0], quiet.mean(dim=1), rtol=1e-4)
    with torch.no_grad():
        model.module.maps.weight.mul_(2)
    again = iba._of_folder(probe, chosen, str(tmp_path))
    assert_allclose(again.mean, 2 * other.mean, rtol=1e-4)


def folder_statistics(model: Model, folder: Path) -> Statistics:
    probe = probe_of(model)
    chosen = iba.named_layer(model, "maps", probe.target, SAMPLES, probe.tick)
    return iba._of_folder(probe, chosen, str(folder))


def write_noise(folder: Path, samples: int) -> Tensor:
    sound = (0.1 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)
    soundfile.write(folder / "noise.wav", sound, RATE, subtype="FLOAT")
    return torch.from_numpy(sound)


def test_one_network_has_other_statistics_behind_another_front_end(tmp_path: Path) -> None:
    write_noise(tmp_path, 9000)
    one, two = (folder_statistics(powers(front), tmp_path) for front in (Magnitude(), Doubled()))
    assert_allclose(two.mean, 2 * one.mean, rtol=1e-5)
    assert_allclose(two.deviation, 2 * one.deviation, rtol=1e-5)


def test_scrambled_weights_have_statistics_of_their_own(tmp_path: Path) -> None:
    write_noise(tmp_path, 9000)
    model = powers()
    before = folder_statistics(model, tmp_path)
    with scrambled(model, [("maps",)], seed=0):  # exchanges the two weights
        after = folder_statistics(model, tmp_path)
    assert_allclose(after.mean, before.mean.flip(0), rtol=1e-5)


def test_trials_of_a_batch_do_not_count_in_the_statistics_of_long_sounds(tmp_path: Path) -> None:
    # the trial of a batch evaluates sounds that are not in the folder, such as 60 dB lower ones
    wave = write_noise(tmp_path, 8000)
    model = powers(lengths=(None, 5000 / RATE))
    plane, windows = model.plane, model.windows(8000)
    assert len(windows) == 3
    whole = plane.analyse(wave[None])[0].abs().double()
    starts = [at // plane.hop for at, _ in windows]
    frames = torch.stack([whole[:, at : at + plane.frames(5000)] for at in starts])
    found = folder_statistics(model, tmp_path)
    assert_allclose(found.mean[0], frames.mean(dim=(0, 2)), rtol=1e-4)
    assert_allclose(found.mean[1], -0.5 * frames.mean(dim=(0, 2)), rtol=1e-4)


def test_statistics_of_a_sound_are_those_under_gains_half_of_which_are_off() -> None:
    probe = probe_of(powers(), samples=3 * RATE)
    chosen = iba.named_layer(probe.model, "maps", probe.target, 3 * RATE, probe.tick)
    iba._settle(probe)
    found = iba._of_clip(probe, chosen)
    # a cell is on in half of the maps, and white noise is as loud everywhere
    loudness = probe.magnitude.double()
    assert_allclose(found.mean[0].mean(), loudness.mean() / 2, rtol=0.05)
    assert_allclose(found.mean[1].mean(), -loudness.mean() / 4, rtol=0.05)
    assert bool((found.deviation[0] > 0.5 * loudness.std(dim=1)).all())


def test_keep_of_one_lets_everything_pass_and_of_zero_noise_alone() -> None:
    axes = LayerAxes(3, 2, NONE, NONE)
    output = torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    statistics = Statistics(torch.full((3, 4), 2.0), torch.full((3, 4), 0.5))
    noise = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    keep = torch.stack([torch.ones(3, 4, 5), torch.zeros(3, 4, 5)])  # of two windows
    found = Bottleneck(axes, statistics, keep, lambda _: noise)("", output)
    torch.testing.assert_close(found[:3], output[:3], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[3:], 2 + 0.5 * noise[3:])


def test_a_constant_feature_passes_and_has_no_information() -> None:
    axes = LayerAxes(3, 2, NONE, NONE)
    output = torch.full((1, 2, 1, 4), 7.0)
    statistics = Statistics(torch.tensor([[7.0], [7.0]]), torch.tensor([[0.0], [1.0]]))
    found = Bottleneck(axes, statistics, torch.zeros(1, 2, 1, 4), torch.zeros)("", output)
    assert statistics.varies.flatten().tolist() == [False, True]
    torch.testing.assert_close(found, output)


@pytest.mark.parametrize("axes", [(3, 2), (2, 3), (1, 3), (2, None), (1, None)])
def test_a_layout_of_a_layer_is_left_and_found_again(axes: tuple[int, int | None]) -> None:
    shape = (2, 3, 4, 5) if axes[1] is not None else (2, 3, 4)
    values = torch.arange(float(np.prod(shape))).reshape(shape)
    where = LayerAxes(axes[0], axes[1], NONE, NONE)
    maps = as_maps(values, where)
    sizes = [shape[axis] if axis else 1 for axis in (axes[1], axes[0])]
    assert list(maps.shape[2:]) == sizes
    torch.testing.assert_close(as_output(maps, values, where), values, rtol=0, atol=0)


def test_blur_is_a_gaussian_and_keeps_a_constant() -> None:
    impulse = torch.zeros(1, 1, 1, 21, dtype=torch.float64)
    impulse[..., 10] = 1
    found = smoothed(impulse, 1.5)[0, 0, 0]
    wanted = np.exp(-0.5 * (np.arange(-10, 11) / 1.5) ** 2)
    wanted[np.abs(np.arange(-10, 11)) > 5] = 0  # three deviations
    assert_allclose(found, wanted / wanted.sum(), atol=1e-12)
    torch.testing.assert_close(smoothed(torch.full((2, 3, 4, 5), 0.7), 2.0).mean(),
                               torch.tensor(0.7))  # fmt: skip


def test_a_named_layer_without_effect_is_refused() -> None:
    class Aside(RegionNet):
        def __init__(self) -> None:
            super().__init__()
            self.side = nn.Conv2d(1, 1, 1)

        def forward(self, features: Tensor) -> Tensor:
            return super().forward(features) + 0 * self.side(features).mean()

    model = wrap(Aside().eval(), sample_rate=RATE, labels=["a", "b"], features=Magnitude())
    with pytest.raises(NotApplicableError, match="does not depend on its layer 'side'"):
        explained(probe_of(model, 24000), layer="side")


def test_a_folder_without_sounds_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no sound files in this folder"):
        explained(probe_of(two_layers(), 24000), data=str(tmp_path))


def test_windows_of_a_long_sound_are_explained_each_in_its_place() -> None:
    net = RegionNet().eval()
    model = wrap(
        net, sample_rate=RATE, labels=["a", "b"], features=Magnitude(), lengths=(None, 1.5)
    )
    wave = torch.zeros(48000)
    wave[24000:] = 0.1 * torch.randn(24000, generator=torch.Generator().manual_seed(0))
    with model.undisturbed():
        target = make_target(model, model(wave[None])[0].detach(), 0)
        probe = Probe(model, wave, target)
        found = explained(probe, steps=10, samples=2, rate=1.0).values
    assert found.shape == probe.shape
    # the region is at 0.3 to 0.5 s of every window, and the last one begins at 1.5 s
    strongest = probe.times[found.sum(dim=0).argmax()]
    assert 1.8 <= float(strongest) <= 2.0


def test_hooks_and_weights_are_as_before_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_layers()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(iba, "distance", fail)
    with pytest.raises(ZeroDivisionError):
        explained(probe_of(model, 24000))
    assert not any(one._forward_hooks for one in model.module.modules())
    assert all(one.requires_grad for one in model.module.parameters())
    for name, value in model.module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("facts", [{}, {"output": "scores"}])
def test_a_score_that_noise_raises_is_explained(facts: dict[str, Any]) -> None:
    # a loss without a slope there would say that the score does not depend on the layer
    model = wrap(
        Powers().eval(), sample_rate=RATE, labels=["a", "b"], features=Magnitude(), **facts
    )
    versus = {} if facts else {"versus": 0}
    probe = probe_of(model, target=1, **versus)
    found = explained(probe, layer="maps", samples=2)
    assert float(found.values.max()) > 0
