"""Decoders that take the share of cells to keep: their inputs, their training, their folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.decoders.folder import (
    Explainer,
    load_explainer,
    make_decoder,
    save_explainer,
)
from earwitness.decoders.objective import Known, Weights, guidance, leak
from earwitness.decoders.slim import Decoder
from earwitness.decoders.trained import joined_windows, windows_of
from earwitness.errors import ParameterError
from earwitness.layers.finding import find_layers
from earwitness.models.fingerprint import identity
from earwitness.models.target import probabilities
from earwitness.plane.cutting import loudness
from earwitness.train.explaining import evaluate_batch, evaluate_heard, true_source
from earwitness.train.lmac import Training
from earwitness.train.settings import Settings
from earwitness.types import Audio
from tests.toys import spectral, waveform
from tests.training import SETTINGS, coarse, trained


def decoder_of(model: Any, *, sized: bool = True) -> tuple[Decoder, Any, Any]:
    layers = find_layers(model, samples=24000)
    torch.manual_seed(0)
    widths = (8,) * len(layers)
    return Decoder(layers, model.plane, widths, sized=sized).eval(), layers, widths


def test_the_share_and_the_level_reach_the_logits(white: Audio) -> None:
    model = coarse()
    decoder, layers, _ = decoder_of(model)
    waves = torch.from_numpy(white.samples)[None]
    with model.undisturbed():
        batch = evaluate_batch(model, layers, waves, torch.tensor([0]))
    given = (batch.maps, batch.conditioning, batch.spectrum.shape[-1])
    with torch.no_grad():
        plain = decoder.logits(*given, batch.magnitude)
        small, large = (
            decoder.logits(*given, batch.magnitude, torch.tensor([one])) for one in (0.03, 0.3)
        )
        flat = decoder.logits(*given, torch.ones_like(batch.magnitude), torch.tensor([0.03]))
        same = decoder.logits(*given, torch.ones_like(batch.magnitude))
    torch.testing.assert_close(small - flat, 1.5 * loudness(batch.magnitude))
    torch.testing.assert_close(same, plain)  # soft gains do not follow the level
    assert float((small - large).abs().max()) > 1e-3
    assert float((small - plain).abs().max()) > 1e-3
    with torch.no_grad():
        soft = decoder(*given, batch.magnitude)
        hard = decoder(*given, batch.magnitude, torch.tensor([0.1]))
    torch.testing.assert_close(soft, plain.sigmoid())
    np.testing.assert_allclose(hard.mean(), 0.1, atol=1e-4)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("kind", ["guided", "sized", "slim"])
def test_every_kind_of_decoder_is_read_as_it_was_written(
    kind: str, white: Audio, tmp_path: Path
) -> None:
    model = coarse()
    layers = find_layers(model, samples=24000)
    torch.manual_seed(0)
    widths = (8,) * len(layers)
    decoder = make_decoder(kind, layers, model.plane, widths).eval()
    about = identity(model)
    save_explainer(tmp_path, Explainer(decoder, layers, widths, model.plane, about, model.name))
    wave = torch.from_numpy(white.samples)
    with model.undisturbed():
        magnitude = model.plane.analyse(wave[None])[0].abs()
        given = (model, magnitude, wave, 0)
        before = Explainer(decoder, layers, widths, model.plane, about, model.name).gains(*given)
        after = load_explainer(tmp_path).gains(*given)
    assert json.loads((tmp_path / "decoder.json").read_text())["kind"] == kind
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("build", [spectral, waveform])
def test_both_sides_are_evaluated_as_sound(build: Any, white: Audio) -> None:
    model = build()
    waves = torch.from_numpy(np.stack([white.samples, white.samples[::-1].copy()]))
    spectrum = model.plane.analyse(waves)
    gains = torch.rand(spectrum.shape, generator=torch.Generator().manual_seed(1))
    gains = (gains > 0.9).float().requires_grad_()
    with model.undisturbed():
        inside, outside = evaluate_heard(model, waves, spectrum, gains)
        evidence = model.plane.synthesise(gains * spectrum, waves.shape[1])
        torch.testing.assert_close(inside, model(evidence), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(outside, model(waves - evidence), rtol=1e-3, atol=1e-3)
        weights = torch.randn(inside.shape, generator=torch.Generator().manual_seed(2))
        found = torch.autograd.grad((inside * weights - outside).sum(), gains)[0]
        evidence = model.plane.synthesise(gains * spectrum, waves.shape[1])
        total = (model(evidence) * weights - model(waves - evidence)).sum()
        wanted = torch.autograd.grad(total, gains)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-4 * float(wanted.abs().max()))


def test_every_other_batch_is_cut_to_a_share_per_clip(sounds: list[Path]) -> None:
    training = Training(coarse(), sounds[:12], sounds[12:], SETTINGS)
    generator = torch.Generator().manual_seed(0)
    cut = []
    for _ in range(6):  # three epochs of two batches, of which the first three tenths are soft
        cut.append(training._share(6, generator) is not None)
        training.optimiser.step()
        training.schedule.step()
    assert cut == [False, False, False, True, False, True]
    training.schedule.last_epoch = 3
    drawn = training._share(4000, generator)
    assert drawn is not None
    assert 0.03 <= float(drawn.min()) < 0.0303
    assert 0.29 < float(drawn.max()) <= 0.3
    middle = float(drawn.median())
    np.testing.assert_allclose(middle, (0.03 * 0.3) ** 0.5, rtol=0.05)  # log-uniform
    plain = Training(coarse(), sounds[:12], sounds[12:], replace(SETTINGS, decoder="slim"))
    plain.schedule.last_epoch = 3
    assert plain._share(6, generator) is None
    tuned = Training(coarse(), sounds[:12], sounds[12:], SETTINGS, start=training.explainer())
    tuned.schedule.last_epoch = 1
    assert tuned._share(6, generator) is not None  # from the beginning
    with pytest.raises(ParameterError, match=r"shares above 0 and below 1, got 0 to 0\.3"):
        Settings(sizes=(0.0, 0.3))
    with pytest.raises(ParameterError, match="guided, sized, slim or published, got 'guide'"):
        make_decoder("guide", find_layers(coarse(), samples=24000), coarse().plane, (8,))
    with pytest.raises(ParameterError, match="as sound in the linear domain"):
        Settings(domain="log1p")


def test_the_source_is_the_sound_in_which_the_target_is_decided(sounds: list[Path]) -> None:
    guided = replace(SETTINGS, weights=Weights(guidance=1.0))
    model = coarse()
    training = Training(model, sounds[:12], sounds[12:], guided)
    high, low = (training.sounds.part(k, training.length, torch.Generator()) for k in (0, 1))
    waves = torch.stack([high + 0.5 * low, high + 0.5 * low, high])
    clean = torch.stack([high, 0.5 * low, high])  # the first sound is the weaker one, then alone
    with model.undisturbed():
        batch = evaluate_batch(model, training.layers, waves, torch.tensor([0, 0, 0]))
        own = probabilities(model, model(torch.stack([high, low])))[:, batch.target[0]].detach()
        assert float(own[0]) > 0.5 > float(own[1])
        found = true_source(model, waves, clean, batch)
        wanted = model.plane.analyse(torch.stack([high, high, torch.zeros_like(high)]))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)
    # and the validation is guided towards the same sources
    validation, only = training.validation, Weights(0.0, 0.0, 0.0, guidance=1.0)
    validation.waves, validation.clean = waves, clean
    loss = validation.figures(training.decoder, training.layers, only, 1.0)["valid_loss"]
    losses = []
    with model.undisturbed(), torch.no_grad():
        for share in (None, torch.full((3,), 0.1)):
            gains = training.decoder(
                batch.maps, batch.conditioning, training.frames, batch.magnitude, share
            )
            known = Known.of(batch.spectrum, wanted)
            away = guidance(gains, known) + leak(gains, known)
            losses += [float(away[0]), float(away[1]), 0.0]
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-3)


def test_windows_of_the_magnitude_lie_where_the_gains_are_put() -> None:
    magnitude = torch.rand(3, 40)
    for starts, length in (([0], 40), ([0], 48), ([0, 80, 160], 20), ([-32], 48)):
        parts = windows_of(magnitude, starts, 8, length)
        assert parts.shape == (len(starts), 3, length)
        torch.testing.assert_close(joined_windows(parts, starts, 8, 40), magnitude)


def test_sized_decoders_survive_the_disk_at_half_the_size(
    sounds: list[Path], tmp_path: Path
) -> None:
    model = coarse()
    found = trained(model, sounds, tmp_path / "d", epochs=1)
    wave = torch.from_numpy(np.random.default_rng(3).standard_normal(24000).astype(np.float32))
    magnitude = model.plane.analyse(wave[None])[0].abs()
    save_explainer(tmp_path / "half", found, half=True)
    sizes = [(tmp_path / name / "decoder.safetensors").stat().st_size for name in ("d", "half")]
    assert sizes[1] < 0.75 * sizes[0]
    with model.undisturbed():
        for share in (None, 0.05):
            first, again, half = (
                one.gains(model, magnitude, wave, 0, share)
                for one in (found, *(load_explainer(tmp_path / name) for name in ("d", "half")))
            )
            torch.testing.assert_close(first, again, rtol=0, atol=0)
            torch.testing.assert_close(first, half, rtol=0, atol=0.05)
    kept = (first >= 0.5).double().mean()
    np.testing.assert_allclose(kept, 0.05, atol=1e-3)
    assert float(found.decoder.loudness) == 1.5  # training leaves the multiple of the level alone


def test_decoders_of_earlier_versions_are_read(tmp_path: Path) -> None:
    model = coarse()
    decoder, layers, widths = decoder_of(model, sized=False)
    explainer = Explainer(decoder, layers, widths, model.plane, {"weights": "x"}, "toy")
    save_explainer(tmp_path / "d", explainer)
    assert json.loads((tmp_path / "d/decoder.json").read_text())["kind"] == "slim"
    assert not load_explainer(tmp_path / "d").decoder.sized
