"""L-MAC's decoders and loss against slow copies written from the definitions, in float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from earwitness.decoders.folder import Explainer
from earwitness.decoders.objective import Weights
from earwitness.decoders.published import PublishedDecoder
from earwitness.decoders.slim import Decoder
from earwitness.evaluation.cases import make_cases
from earwitness.layers.finding import HiddenLayer, find_layers
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.pipeline import explain
from earwitness.plane.stft import Plane
from earwitness.probe import Probe
from earwitness.train.explaining import Batch, evaluate_batch, evaluate_sides, loss_of
from earwitness.types import Audio
from tests.toys import TOY_PLANE, spectral, waveform

Array = NDArray[np.float64]
LAYERS = (
    HiddenLayer("deep", 3, 2, 6, (500.0, 2000.0, 5000.0)),
    HiddenLayer("fine", 3, 2, 4, tuple(np.linspace(100, 7900, 9).tolist())),
)
TOKENS = (HiddenLayer("token", 1, None, 5, ()),)


def slow_convolution(maps: Array, weight: Array, bias: Array | None = None) -> Array:
    """Correlate (channel, row, column) with (out, channel, 3 or 1, 3 or 1), zeros around."""
    reach = weight.shape[2] // 2
    padded = np.pad(maps, ((0, 0), (reach, reach), (reach, reach)))
    found = np.zeros((len(weight), *maps.shape[1:]))
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            part = padded[:, row : row + 2 * reach + 1, column : column + 2 * reach + 1]
            found[:, row, column] = (weight * part).sum(axis=(1, 2, 3))
    return found if bias is None else found + bias[:, None, None]


def slow_transposed(maps: Array, weight: Array, bias: Array, stride: Any, padding: Any) -> Array:
    """Add every input cell's kernel, weighted, to where its stride puts it; cut the padding."""
    kernel = weight.shape[2:]
    size = [(n - 1) * s + k for n, s, k in zip(maps.shape[1:], stride, kernel, strict=True)]
    found = np.zeros((weight.shape[1], *size))
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            added = np.einsum("c,cokl->okl", maps[:, row, column], weight)
            y, x = row * stride[0], column * stride[1]
            found[:, y : y + kernel[0], x : x + kernel[1]] += added
    cut = [slice(p, n - p) for p, n in zip(padding, found.shape[1:], strict=True)]
    return found[:, cut[0], cut[1]] + bias[:, None, None]


def slow_norm(maps: Array, weight: Array, bias: Array) -> Array:
    """Standardise all cells of a clip together, then scale and shift each channel."""
    even = (maps - maps.mean()) / np.sqrt(maps.var() + 1e-5)
    return even * weight[:, None, None] + bias[:, None, None]


def slow_resize(values: Array, size: int, axis: int) -> Array:
    """Interpolate linearly between cell centres, constant beyond the outer ones."""
    count = values.shape[axis]
    at = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
    return np.apply_along_axis(lambda row: np.interp(at, np.arange(count), row), axis, values)


def slow_decoder(
    decoder: Decoder, maps: list[Array], tokens: list[bool], conditioning: Array,
    knots: Array, plane: Plane, frames: int, weighted: bool = True,
) -> Array:  # fmt: skip
    """Follow the description of the decoder, one clip at a time."""
    state = {name: one.double().numpy() for name, one in decoder.state_dict().items()}
    last: Array | None = None
    if weighted:
        maps = [conditioning[:, None, None] * maps[0], *maps[1:]]
    for k, one in enumerate(maps):
        level = slow_convolution(one, state[f"readers.{k}.weight"])
        if tokens[k]:
            level = level[:, 0].reshape(-1, 16, one.shape[2])
        level = level / np.sqrt((one**2).mean())
        level = slow_norm(level, state[f"levels.{k}.weight"], state[f"levels.{k}.bias"])
        if last is not None:
            down = slow_convolution(
                last, state[f"downs.{k - 1}.weight"], state[f"downs.{k - 1}.bias"]
            )
            down = slow_resize(slow_resize(down, level.shape[1], 1), level.shape[2], 2)
            level = level + down
        level = slow_convolution(np.maximum(level, 0), state[f"joins.{k}.weight"])
        level = slow_norm(level, state[f"norms.{k}.weight"], state[f"norms.{k}.bias"])
        scale, shift = np.split(state[f"asks.{k}.weight"] @ conditioning, 2)
        level = level * (1 + scale[:, None, None]) + shift[:, None, None]
        last = np.maximum(level, 0)
    assert last is not None
    rows = slow_convolution(last, state["last.weight"])[0] + state["level"]
    rows = slow_resize(rows, frames, 1)
    freqs = np.arange(plane.bins) * plane.rate / plane.n_fft
    whole = np.stack([np.interp(freqs, knots, column) for column in rows.T], axis=1)
    return 1 / (1 + np.exp(-4 * whole))


@pytest.mark.parametrize("behind", [(), (HiddenLayer("last", 1, None, 7, (), (), False),)])
def test_the_decoder_is_as_described(behind: tuple[HiddenLayer, ...]) -> None:
    torch.manual_seed(2)
    decoder = Decoder([*behind, *LAYERS], TOY_PLANE, (8, 4)).eval()
    with torch.no_grad():
        for one in decoder.parameters():
            one.add_(0.2 * torch.randn(one.shape))
    maps = [torch.randn(2, 6, 3, 5), torch.randn(2, 4, 9, 9)]
    conditioning = torch.randn(2, 7 if behind else 6)
    with torch.no_grad():
        found = decoder(maps, conditioning, 17).numpy()
    for clip in range(2):
        wanted = slow_decoder(
            decoder, [one[clip].double().numpy() for one in maps], [False, False],
            conditioning[clip].double().numpy(), np.array(LAYERS[-1].freqs), TOY_PLANE, 17,
            not behind,
        )  # fmt: skip
        np.testing.assert_allclose(found[clip], wanted, atol=2e-5)


def slow_contrast(level: Array) -> Array:
    """Return the level minus its mean over 16 by 16 cells, with edges repeated."""
    found = np.empty_like(level)
    for k, j in np.ndindex(*level.shape):
        rows = np.arange(k - 8, k + 8).clip(0, level.shape[0] - 1)
        columns = np.arange(j - 8, j + 8).clip(0, level.shape[1] - 1)
        found[k, j] = level[k, j] - level[np.ix_(rows, columns)].mean()
    return found


def test_the_guided_decoder_is_as_described() -> None:
    torch.manual_seed(5)
    decoder = Decoder(LAYERS, TOY_PLANE, (8, 4), sized=True, guided=True).eval()
    with torch.no_grad():
        for one in decoder.parameters():
            one.add_(0.2 * torch.randn(one.shape))
    maps, conditioning = [torch.randn(1, 6, 3, 5), torch.randn(1, 4, 9, 9)], torch.randn(1, 6)
    magnitude = torch.rand(1, TOY_PLANE.bins, 17).square() + 1e-3
    power = magnitude[0].double().numpy() ** 2
    level = np.log(np.sqrt(power / power.mean()))
    parts = decoder.state_dict()
    found = 0.0
    for k, factor in enumerate((1.0, slow_contrast(level))):
        plain = Decoder(LAYERS, TOY_PLANE, (8, 4), sized=True).eval()
        plain.load_state_dict(
            {
                **parts,
                "last.weight": parts["last.weight"][k : k + 1],
                "level": parts["level"] if k == 0 else torch.tensor(0.0),
            }
        )
        with torch.no_grad():
            rows = plain.logits(maps, conditioning, 17)[0].double().numpy()
        found = found + rows * factor * (1.0 if k == 0 else 0.25)
    with torch.no_grad():
        own = decoder(maps, conditioning, 17, magnitude)[0].numpy()
        louder = decoder(maps, conditioning, 17, 8 * magnitude)[0].numpy()
        cut = decoder.logits(maps, conditioning, 17, magnitude, torch.tensor([0.1]))
        flat = decoder.logits(maps, conditioning, 17, 0 * magnitude + 1, torch.tensor([0.1]))
        sloped = decoder.logits(maps, conditioning, 17, magnitude)
        unsloped = decoder.logits(maps, conditioning, 17, 0 * magnitude + 1)
    np.testing.assert_allclose(own, 1 / (1 + np.exp(-found)), atol=2e-5)
    np.testing.assert_allclose(louder, own, atol=2e-5)  # gains depend on no level
    assert float((sloped - unsloped).abs().max()) > 0.1
    # a share changes the slopes, and adds the level
    assert float((cut - flat - 1.5 * torch.from_numpy(level).float()).abs().max()) > 0.1


def test_tokens_are_unfolded_as_described() -> None:
    torch.manual_seed(3)
    decoder = Decoder(TOKENS, TOY_PLANE, (8,)).eval()
    maps, conditioning = torch.randn(1, 5, 1, 6), torch.randn(1, 5)
    with torch.no_grad():
        found = decoder([maps], conditioning, 6)[0].numpy()
    # Slaney's scale: 15 mel up to 1 kHz, 27 for every factor of 6.4 above
    mels = (np.arange(16) + 0.5) / 16 * (15 + 27 * math.log(8) / math.log(6.4))
    knots = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    wanted = slow_decoder(decoder, [maps[0].double().numpy()], [True],
                          conditioning[0].double().numpy(), knots, TOY_PLANE, 6)  # fmt: skip
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_the_published_decoder_is_as_described() -> None:
    torch.manual_seed(4)
    plane = Plane(16000, 1024, 186)
    decoder = PublishedDecoder(plane, 16).eval()
    state = {name: one.double().numpy() for name, one in decoder.state_dict().items()}
    # the shapes for 5 s at 16 kHz, (channel, frame, mel): 431 frames of 80 bands, but for the last
    deep, second, third, fourth = (
        torch.randn(1, c, n, f) for c, n, f in ((16, 13, 2), (8, 13, 2), (4, 26, 5), (2, 53, 10))
    )

    def layer(number: int, maps: Array, stride: Any, padding: Any) -> Array:
        parts = state[f"convt{number}.weight"], state[f"convt{number}.bias"]
        return slow_transposed(maps, *parts, stride, padding)

    def relu(maps: Array) -> Array:
        return np.maximum(maps, 0)

    one, two, three, four = (x[0].double().numpy() for x in (deep, second, third, fourth))
    total = relu(layer(1, one, (2, 4), (1, 1))) + relu(layer(2, two, (2, 4), (1, 1)))
    total = relu(layer(3, total, (2, 4), (1, 1))) + relu(layer(4, three, (2, 4), (1, 1)))
    total = relu(layer(5, total, (2, 2), (1, 1))) + relu(layer(6, four, (2, 4), (1, 1)))
    total = relu(layer(7, total, (2, 2), (0, 5)))
    wanted = layer(9, layer(8, total, (2, 2), (0, 2)), (1, 4), (0, 0))[0]
    assert wanted.shape == (425, 513)  # of 431 frames: the last six were never explained
    with torch.no_grad():
        maps = [x.transpose(2, 3) for x in (deep, second, third, fourth)]
        found = decoder.logits(maps, torch.zeros(1, 16), 431)[0].numpy()
    np.testing.assert_allclose(found[:, :425], wanted.T, atol=1e-4)
    np.testing.assert_allclose(found[:, 425:], np.repeat(wanted.T[:, -1:], 6, axis=1), atol=1e-4)


@pytest.mark.parametrize("build", [spectral, waveform])
def test_the_loss_is_the_papers_but_for_an_absent_class(build: Any, white: Audio) -> None:
    model: Model = build()
    waves = torch.from_numpy(np.stack([white.samples, 0.5 * white.samples[::-1]]))
    with model.undisturbed():
        batch = evaluate_batch(model, find_layers(model, samples=24000), waves,
                          torch.tensor([0, 1]))  # fmt: skip
        gains = torch.rand(batch.spectrum.shape, generator=torch.Generator().manual_seed(1))
        sides = evaluate_sides(model, batch.spectrum, gains, 24000)
        weights = Weights(inside=4.0, outside=0.3, size=2.0, smooth=0.7)
        found = loss_of(model, batch, gains, sides, weights)
        # by hand, from sounds through the whole model
        decided = model(waves).argmax(dim=1)
        assert batch.target.tolist() == [int(decided[0]), 1 - int(decided[1])]
        spectrum = model.plane.analyse(waves)
        kept, left = (
            model(model.plane.synthesise(g * spectrum, 24000)) if build is waveform
            else model.from_magnitude(g * spectrum.abs())
            for g in (gains, 1 - gains)
        )  # fmt: skip
    for k, target in enumerate(batch.target.tolist()):
        entropy = [-math.log(max(_softmax(o[k])[target], 1e-300))
                   for o in (kept, left, batch.before)]  # fmt: skip
        g = gains[k].double().numpy()
        rough = np.abs(np.diff(g, axis=0)).mean() + np.abs(np.diff(g, axis=1)).mean()
        wanted = 4 * entropy[0] - 0.3 * max(0.0, entropy[1] - entropy[2])
        wanted += 2 * g.mean() + 0.7 * rough
        np.testing.assert_allclose(float(found[k].detach()), wanted, rtol=1e-3)


def _softmax(logits: torch.Tensor) -> list[float]:
    wide = logits.detach().double().numpy()
    powers = np.exp(wide - wide.max())
    return (powers / powers.sum()).tolist()


def test_size_is_each_clips_own() -> None:
    model = spectral()
    spectrum = torch.ones(2, TOY_PLANE.bins, 9, dtype=torch.complex64)
    before = torch.tensor([[3.0, 0.0], [3.0, 0.0]])
    batch = Batch(spectrum, before, [], torch.tensor([0, 0]), torch.zeros(2, 1))
    gains = torch.stack([torch.full((TOY_PLANE.bins, 9), g) for g in (0.25, 0.75)])
    weights = Weights(inside=0.0, outside=0.0, size=6.4)
    found = loss_of(model, batch, gains, (before, before), weights)
    torch.testing.assert_close(found, torch.tensor([1.6, 4.8]))


def test_guidance_is_added_where_the_source_is_known_and_like_the_evidence() -> None:
    model = spectral()
    spectrum = torch.ones(3, TOY_PLANE.bins, 9, dtype=torch.complex64)
    before = torch.tensor([[3.0, 0.0]] * 3)
    batch = Batch(spectrum, before, [], torch.tensor([0, 0, 0]), torch.zeros(3, 1))
    gains = torch.full((3, TOY_PLANE.bins, 9), 0.5)
    source = torch.zeros(3, TOY_PLANE.bins, 9, dtype=torch.complex64)
    source[0] = 1.0
    source[1, 0, 0] = 1.0  # unlike; in the third there is none
    weights = Weights(inside=0.0, outside=0.0, size=6.0, guidance=10.0, alike=0.6)
    found = loss_of(model, batch, gains, (before, before), weights, 1.0, source)
    torch.testing.assert_close(found, torch.tensor([3.0, 3.0, 3.0]))
    anyhow = replace(weights, alike=0.0)
    found = loss_of(model, batch, gains, (before, before), anyhow, 1.0, source)
    cells = TOY_PLANE.bins * 9  # one true cell among them
    torch.testing.assert_close(found[1], torch.tensor(3.0 + 20 * (1 - 1 / cells)))
    source[0, 0, 0] = 0.0  # and a false one
    found = loss_of(model, batch, gains, (before, before), weights, 1.0, source)
    torch.testing.assert_close(found[0], torch.tensor(3.0 + 20 / cells))


@pytest.mark.parametrize("build", [spectral, waveform])
def test_optimised_gains_reach_what_metrics_can_show(build: Any, white: Audio) -> None:
    model = build()
    for target in (0, 1):
        found = explain(model, white, "optimised-mask", target=target, trust="none")
        with model.undisturbed(), torch.no_grad():
            whole = model(torch.from_numpy(white.samples)[None])[0]
            probe = Probe(model, torch.from_numpy(white.samples), make_target(model, whole, target))
            case = make_cases(probe, [found.mask.gains], whole=whole)["spectrogram"]
        assert case["p_evidence"][0] > max(float(case["p_input"]), 0.9)
        assert case["p_remainder"][0] < 0.6
        assert found.mask.area < 0.1


@pytest.mark.parametrize("seconds", [0.05, 0.3, 4.9, 5.0, 11.7, 21.3])
def test_the_shipped_decoder_takes_any_length(seconds: float) -> None:
    model = load_model("esc10")
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(seconds * model.rate))).astype(np.float32)
    found = explain(model, (samples, model.rate), "lmac", target="rain", trust="none")
    assert found.attribution.values.shape == (1025, model.plane.frames(len(samples)))
    assert float(found.mask.gains.std()) > 0
    total = found.evidence.samples + found.remainder.samples
    np.testing.assert_allclose(total, found.input.samples, atol=1e-5)


@pytest.mark.parametrize("level", [1.0, 9.0, 0.0])  # of the second half
def test_gains_of_a_window_do_not_depend_on_the_other_windows(level: float) -> None:
    model = load_model("esc10")
    rng = np.random.default_rng(1)
    samples = (0.1 * rng.standard_normal(10 * model.rate)).astype(np.float32)
    part = (samples[: 5 * model.rate].copy(), model.rate)
    samples[5 * model.rate :] *= level
    samples = samples.clip(-1, 1)
    whole = explain(model, (samples, model.rate), "lmac", target="rain", trust="none").mask.gains
    first = explain(model, part, "lmac", target="rain", trust="none").mask.gains
    # the first frames lie in the first window alone; its last ones hear what follows, and belong
    # to its normalisation
    change = np.abs(whole[:, :70].astype(np.float64) - first[:, :70])
    assert change.mean() < 0.01
    assert change.max() < 0.1


def test_explanations_by_a_decoder_cost_one_pass() -> None:
    model = load_model("esc10")
    asked: list[int] = []
    model.module.register_forward_hook(lambda _m, inputs, _o: asked.append(len(inputs[0])))
    wave = torch.randn(32000) * 0.1
    with model.undisturbed(), torch.no_grad():
        outputs = model(wave[None])[0]
        probe = Probe(model, wave, make_target(model, outputs))
        asked.clear()
        from earwitness.methods.lmac import lmac

        lmac(probe)  # compares the model's outputs with those in the decoder's folder, once
        asked.clear()
        lmac(probe)
    assert asked == [1]


def test_windows_are_put_where_they_belong() -> None:
    """A decoder that opens where its layer is loud must do so in every window."""
    model = load_model("esc10")
    layers = find_layers(model)
    decoder = Decoder(layers, model.plane, (8,) * len(layers)).eval()
    samples = np.zeros(12 * model.rate, np.float32)
    burst = slice(round(8.0 * model.rate), round(8.4 * model.rate))
    samples[burst] = 0.3 * np.random.default_rng(2).standard_normal(burst.stop - burst.start)
    explainer = Explainer(decoder, layers, (8,) * len(layers), model.plane, "", "esc10")
    wave = torch.from_numpy(samples)
    magnitude = model.plane.analyse(wave[None])[0].abs()
    with model.undisturbed():
        gains = explainer.gains(model, magnitude, wave, 0).numpy()
    change = np.abs(np.diff(gains[:, 10:-10], axis=1)).mean(axis=0)  # no edges of the sound
    strongest = model.plane.times(len(change) + 10)[np.argsort(change)[-8:] + 10].numpy()
    assert np.all((strongest > 7.7) & (strongest < 8.7))
