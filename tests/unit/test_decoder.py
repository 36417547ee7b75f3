"""Hidden layers, the decoders that read them, and what is written of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earwitness.decoders.folder import (
    Explainer,
    linear_gains,
    load_explainer,
    load_published,
    save_explainer,
)
from earwitness.decoders.published import PublishedDecoder
from earwitness.decoders.slim import Decoder, default_widths
from earwitness.decoders.trained import first_frames
from earwitness.errors import ModelError, NotApplicableError, UnknownNameError
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import HiddenLayer, find_layers
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.cnn14 import CNN14, cnn14_model
from earwitness.plane.knots import interpolate
from earwitness.plane.stft import Plane
from earwitness.plane.windows import joined
from tests.toys import RATE, TOY_PLANE, two_layers

LAYERS = (
    HiddenLayer("deep", 3, 2, 6, (500.0, 2000.0, 5000.0)),
    HiddenLayer("fine", 3, 2, 4, tuple(np.linspace(100, 7900, 9).tolist())),
)


class Tokens(nn.Module):
    """Frames of a waveform as tokens (batch, frame, channel): no axis of frequency anywhere."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embed = nn.Linear(160, 12)
        self.mix = nn.Linear(12, 12)
        self.head = nn.Linear(12, 2)
        with torch.no_grad():
            for one in self.parameters():
                one.copy_(torch.randn(one.shape, generator=generator) / one.shape[-1] ** 0.5)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(waves.unfold(1, 160, 160)).relu()
        return self.head(self.mix(tokens).relu().mean(dim=1))


def tokens() -> Model:
    return wrap(Tokens(), sample_rate=RATE, labels=["a", "b"])


def test_layers_of_the_default_model() -> None:
    layers = find_layers(load_model("esc10"))
    assert [(one.channels, len(one.freqs)) for one in layers] == [
        (128, 8), (64, 16), (32, 32)
    ]  # fmt: skip
    for layer in layers:
        assert np.all(np.diff(layer.freqs) > 0)
        assert 0 < layer.freqs[0] < 500
        assert 12000 < layer.freqs[-1] < 16000


def test_what_is_read_is_what_the_layer_gave() -> None:
    model = two_layers()
    layers = find_layers(model, ["first", "second"], samples=RATE)
    assert [layer.name for layer in layers] == ["second", "first"]
    wave = torch.randn(3, RATE)
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        getattr(model.module, name).register_forward_hook(
            lambda _m, _i, out, name=name: seen.__setitem__(name, out.detach().clone())
        )
        for name in ("first", "second")
    ]
    with torch.no_grad(), activations_of(model, layers) as recorded:
        outputs = model(wave)
    for hook in hooks:
        hook.remove()
    for layer, found in zip(layers, recorded.maps(), strict=True):
        torch.testing.assert_close(found, seen[layer.name])
        assert not found.requires_grad
    assert all(not one._forward_hooks for one in model.module.modules())
    assert outputs.requires_grad
    assert not any(seen[name].requires_grad for name in seen)  # only from the deepest layer on
    assert all(one.grad is None and one.requires_grad for one in model.module.parameters())


def test_axes_are_put_in_order() -> None:
    output = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5).float()
    swapped = HiddenLayer("x", 1, 3, 4, (1.0,) * 5).read(output)
    assert swapped.shape == (2, 4, 5, 3)
    torch.testing.assert_close(swapped[1, 2, 4, 1], output[1, 1, 2, 4])
    flipped = HiddenLayer("x", 1, 3, 4, (1.0,) * 5, (1,)).read(output)
    torch.testing.assert_close(flipped, swapped.flip(3))
    token = HiddenLayer("x", 1, None, 20, ()).read(output)
    assert token.shape == (2, 20, 1, 3)
    torch.testing.assert_close(token[0, 7, 0, 2], output[0, 2].flatten()[7])
    bare = HiddenLayer("x", 2, 1, 1, (1.0,) * 3).read(output[..., 0])
    assert bare.shape == (2, 1, 3, 4)


def test_layers_without_frequencies_are_read_too() -> None:
    model = tokens()
    layers = find_layers(model, samples=RATE)
    assert layers
    assert all(layer.freq_axis is None for layer in layers)
    decoder = Decoder(layers, model.plane, default_widths(layers)).eval()
    explainer = Explainer(decoder, layers, default_widths(layers), model.plane, {}, "tokens")
    wave = torch.randn(7321)
    magnitude = model.plane.analyse(wave[None])[0].abs()
    gains = explainer.gains(model, magnitude, wave, 1)
    assert gains.shape == magnitude.shape
    assert float(gains.std(dim=0).mean()) > 0  # one token speaks of many bands, each by itself


def test_layers_that_cannot_be_read_are_refused() -> None:
    box = wrap(lambda waves: waves[:, :2], sample_rate=RATE)
    with pytest.raises(NotApplicableError, match="black box"):
        find_layers(box)
    with pytest.raises(UnknownNameError, match="did you mean 'first'"):
        find_layers(two_layers(), ["frist"])
    with pytest.raises(NotApplicableError, match="'head' of TwoLayers has no time axis"):
        find_layers(two_layers(), ["head"], samples=RATE)


def test_interpolation_is_linear_between_knots_and_constant_beyond() -> None:
    knots, at = torch.tensor([300.0, 100.0]), torch.tensor([0.0, 100, 150, 300, 900])
    wanted = torch.tensor([[0.0, 1], [0, 1], [0.25, 0.75], [1, 0], [1, 0]])
    torch.testing.assert_close(interpolate(torch.eye(2), knots, at).T, wanted)
    one = interpolate(torch.eye(1), torch.tensor([500.0]), torch.tensor([0.0, 900.0]))
    torch.testing.assert_close(one, torch.ones(1, 2))


@pytest.mark.parametrize("frames", [1, 2, 7, 33, 64])
def test_gains_have_the_shape_of_the_plane(frames: int) -> None:
    decoder = Decoder(LAYERS, TOY_PLANE, (8, 4)).eval()
    maps = [torch.randn(2, 6, 3, -(-frames // 4)), torch.randn(2, 4, 9, -(-frames // 2))]
    with torch.no_grad():
        gains = decoder(maps, torch.randn(2, 6), frames)
    assert gains.shape == (2, TOY_PLANE.bins, frames)
    assert float(gains.min()) > 0
    assert float(gains.max()) < 1


def test_another_question_gets_another_answer() -> None:
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(1, 6, 3, 4, generator=generator), torch.randn(1, 4, 9, 8)]
    decoder = Decoder(LAYERS, TOY_PLANE, (8, 4)).eval()
    with torch.no_grad():
        first, second = (decoder(maps, torch.randn(1, 6, generator=generator), 8) for _ in "ab")
    assert float((first - second).abs().max()) > 1e-3


def test_quiet_maps_get_the_same_answer() -> None:
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(1, 6, 3, 4, generator=generator), torch.randn(1, 4, 9, 8)]
    conditioning = torch.randn(1, 6, generator=generator)
    decoder = Decoder(LAYERS, TOY_PLANE, (8, 4)).eval()
    with torch.no_grad():
        loud, quiet = (
            decoder([scale * one for one in maps], conditioning, 8) for scale in (1, 1e-4)
        )
    torch.testing.assert_close(quiet, loud, rtol=1e-4, atol=1e-4)


def test_windows_fade_into_each_other() -> None:
    rows = torch.stack([torch.full((2, 8), 0.25), torch.full((2, 8), 0.75)])
    found = joined(list(rows), [0, 4], 11, fade=True)
    assert found.shape == (2, 11)
    assert float(found[0, 0]) == 0.25
    assert float(found[0, -1]) == 0.75
    torch.testing.assert_close(found[0, 4:8], torch.tensor([0.35, 0.45, 0.55, 0.65]))
    same = joined([torch.full((2, 8), 0.4)] * 3, [0, 4, 8], 16, fade=True)
    torch.testing.assert_close(same, torch.full((2, 16), 0.4))


def test_a_last_window_reaches_the_end() -> None:
    # starts in samples, put as frames, may fall one frame short
    starts = first_frames([0, 83], 16, 8, 14)
    assert starts == [0, 6]
    found = joined([torch.full((3, 8), 0.4)] * 2, starts, 14, fade=True)
    torch.testing.assert_close(found, torch.full((3, 14), 0.4))
    assert first_frames([0], 16, 8, 8) == [0]


@pytest.mark.parametrize("count", [1, 2, 4, 5, 8])
def test_there_are_widths_for_any_number_of_layers(count: int) -> None:
    assert len(default_widths([LAYERS[0]] * count)) == count


def test_gains_on_a_logarithm_are_put_as_gains_on_the_magnitude() -> None:
    magnitude = torch.tensor([[0.0, 1e-4, 0.3, 0.5]])
    gains = torch.full((1, 4), 0.5)
    scale = Plane(8000, 64, 16).n_fft / 2
    found = linear_gains(gains, magnitude, "log1p", scale=scale)
    wanted = [(np.exp(0.5 * np.log1p(scale * x)) - 1) / (scale * x) for x in (1e-4, 0.3, 0.5)]
    np.testing.assert_allclose(found[0, 1:].numpy(), wanted, rtol=1e-4)
    assert float(found[0, 0]) == 0.5
    torch.testing.assert_close(linear_gains(gains, magnitude, "linear", scale=1), gains)


def test_decoders_survive_the_disk(tmp_path: Path) -> None:
    decoder = Decoder(LAYERS, TOY_PLANE, (8, 4)).eval()
    saved = Explainer(
        decoder, LAYERS, (8, 4), TOY_PLANE, {"weights": "abc"}, "toy", {"trained": {"epochs": 1}}
    )
    save_explainer(tmp_path / "one", saved)
    found = load_explainer(tmp_path / "one")
    maps = [torch.randn(1, 6, 3, 4), torch.randn(1, 4, 9, 8)]
    conditioning = torch.randn(1, 6)
    torch.testing.assert_close(found.decoder(maps, conditioning, 9), decoder(maps, conditioning, 9))
    assert (found.layers, found.model, found.name, found.facts) == (
        LAYERS, {"weights": "abc"}, "toy", {"trained": {"epochs": 1}}
    )  # fmt: skip
    assert sorted(one.name for one in (tmp_path / "one").iterdir()) == [
        "decoder.json", "decoder.safetensors"
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["nothing", "json", "weights", "schema", "layers"])
def test_damaged_decoders_are_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    decoder = Decoder(LAYERS, TOY_PLANE, (8, 4))
    save_explainer(
        tmp_path, Explainer(decoder, LAYERS, (8, 4), TOY_PLANE, {"weights": "abc"}, "toy")
    )
    path = tmp_path / "decoder.json"
    stored = json.loads(path.read_text())
    if damage == "nothing":
        path.unlink()
    elif damage == "json":
        path.write_text("{")
    elif damage == "weights":
        (tmp_path / "decoder.safetensors").write_bytes(b"12345678")
    else:
        stored["schema" if damage == "schema" else "widths"] = 99 if damage == "schema" else [9, 4]
        path.write_text(json.dumps(stored))
    with pytest.raises(ModelError) as raised:
        load_explainer(tmp_path)
    assert "\n" not in str(raised.value)


def test_fingerprints_follow_the_weights() -> None:
    one, two = load_model("esc10"), load_model("esc10")
    first = fingerprint(one)
    assert first == fingerprint(two) == fingerprint(one)
    with torch.no_grad():
        next(two.module.parameters()).add_(1e-3)
    assert fingerprint(two) != first
    next(one.module.parameters()).data.mul_(3)  # which torch does not count
    assert fingerprint(one) != first
    again = load_model("esc10")
    with torch.no_grad():
        next(again.module.buffers()).add_(1e-3)
    assert fingerprint(again) != first


def _published(widths: tuple[int, ...] = (2, 4, 8, 16, 32, 64)) -> Model:
    torch.manual_seed(3)
    return cnn14_model(CNN14(3, widths), labels=["a", "b", "c"], task="single-label")


@pytest.mark.parametrize("frames", [16, 40, 63, 100, 143])
def test_the_published_decoder_takes_any_length(frames: int) -> None:
    decoder = PublishedDecoder(Plane(32000, 1024, 320), 64).eval()
    rows = [(frames + 2**k - 1) // 2**k for k in (5, 5, 4, 3)]
    maps = [torch.randn(1, 64 // 2**k, 64 // 2 ** min(5, 6 - max(k, 1)), n)
            for k, n in enumerate(rows)]  # fmt: skip
    with torch.no_grad():
        gains = decoder(maps, torch.zeros(1, 64), frames)
    assert gains.shape == (1, 513, frames)
    assert bool(torch.isfinite(gains).all())


def test_the_published_layout_is_read(tmp_path: Path) -> None:
    model = _published()
    decoder = PublishedDecoder(model.plane, 64)
    assert sorted(decoder.state_dict()) == sorted(
        f"convt{k}.{part}" for k in range(1, 10) for part in ("weight", "bias")
    )
    torch.save(decoder.state_dict(), tmp_path / "psi.ckpt")
    found = load_published(tmp_path / "psi.ckpt", model)
    wave = 0.1 * torch.randn(40000)
    magnitude = model.plane.analyse(wave[None])[0].abs()
    gains = found.gains(model, magnitude, wave, 0)
    assert gains.shape == magnitude.shape
    assert found.domain == "log1p"
    torch.save({"convt1.weight": torch.zeros(2)}, tmp_path / "wrong.ckpt")
    with pytest.raises(ModelError, match="do not fit"):
        load_published(tmp_path / "wrong.ckpt", model)
    (tmp_path / "text.ckpt").write_text("no")
    with pytest.raises(ModelError, match="reads safely"):
        load_published(tmp_path / "text.ckpt", model)
    with pytest.raises(NotApplicableError, match="esc10 has no conv_block6"):
        load_published(tmp_path / "psi.ckpt", load_model("esc10"))


def test_the_finest_layer_is_used_where_the_sound_is_reconstructed() -> None:
    layers = find_layers(load_model("esc10"), finest=True)
    assert [(one.channels, len(one.freqs)) for one in layers] == [
        (128, 8), (64, 16), (32, 32), (16, 64)
    ]  # fmt: skip
