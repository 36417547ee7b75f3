from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.errors import ModelError
from earwitness.models.prepare import prepared
from earwitness.models.registry import load_model
from earwitness.models.zoo.cnn14 import CNN14, LogPowerMel, cnn14_model
from earwitness.pipeline import explain
from earwitness.types import Audio

NARROW = (4, 4, 6, 6, 8, 8)


def narrow(classes: int = 5) -> CNN14:
    """A network of the same shape, a thousandth of the size, with statistics as if trained."""
    torch.manual_seed(0)
    network = CNN14(classes, NARROW)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.5, 2.0)
    network.bn0.running_mean.fill_(-30.0)
    network.bn0.running_var.fill_(400.0)
    return network.eval()


def published(network: CNN14, **others: Tensor) -> dict[str, Any]:
    """Return what a file in the published layout holds."""
    constants = {
        "spectrogram_extractor.stft.conv_real.weight": torch.zeros(513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": torch.zeros(513, 1, 1024),
        **others,
    }
    return {"iteration": 600000, "model": {**constants, **network.state_dict()}}


@pytest.mark.parametrize(("classes", "millions"), [(50, 79.78), (527, 80.75)])
def test_its_size_is_that_of_the_paper(classes: int, millions: float) -> None:
    with torch.device("meta"):
        network = CNN14(classes)
    count = sum(one.numel() for one in network.parameters())
    np.testing.assert_allclose(count / 1e6, millions, atol=0.005)
    if classes == 527:
        assert count == 80_753_615  # as Kong et al. 2020 print it


def test_its_work_is_what_was_counted_elsewhere() -> None:
    macs = 0

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal macs
        if isinstance(module, nn.Conv2d):
            macs += module.weight.numel() * output.shape[2] * output.shape[3]
        elif isinstance(module, nn.Linear):
            macs += module.weight.numel()

    with torch.device("meta"):
        network = CNN14(50).eval()
        for module in network.modules():
            module.register_forward_hook(count)
        answer = network(torch.zeros(1, 1, 64, 501))
    assert answer.shape == (1, 50)
    np.testing.assert_allclose(macs / 1e9, 9.95, atol=0.01)


def slow(state: dict[str, Any], features: Any) -> Any:
    """CNN14 written out in numpy, in float64."""
    weights = {name: value.double().numpy() for name, value in state.items()}

    def norm(maps: Any, name: str) -> Any:
        mean, variance, scale, shift = (
            weights[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (maps - mean) / np.sqrt(variance + 1e-5) * scale + shift

    def convolve(maps: Any, name: str) -> Any:
        filters = weights[f"{name}.weight"]
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
        rows, columns = maps.shape[1:]
        result = np.zeros((len(filters), rows, columns))
        for i in range(3):
            for j in range(3):
                part = padded[:, i : i + rows, j : j + columns]
                result += np.tensordot(filters[:, :, i, j], part, axes=1)
        return result

    # (mel, frame) -> one map (frame, mel), normalised band by band
    maps = norm(features[:, :, None], "bn0")[:, :, 0].T[None]
    for block in range(1, 7):
        for layer in (1, 2):
            maps = convolve(maps, f"conv_block{block}.conv{layer}")
            maps = np.maximum(norm(maps, f"conv_block{block}.bn{layer}"), 0)
        if block < 6:
            rows, columns = (size // 2 for size in maps.shape[1:])
            cut = maps[:, : 2 * rows, : 2 * columns]
            maps = cut.reshape(len(maps), rows, 2, columns, 2).mean(axis=(2, 4))
    over_time = maps.mean(axis=2)
    pooled = over_time.mean(axis=1) + over_time.max(axis=1)
    hidden = np.maximum(weights["fc1.weight"] @ pooled + weights["fc1.bias"], 0)
    return weights["fc_audioset.weight"] @ hidden + weights["fc_audioset.bias"]


def test_it_computes_what_the_paper_says() -> None:
    network = narrow()
    features = 20 * torch.randn(2, 1, 64, 131, generator=torch.Generator().manual_seed(1)) - 30
    with torch.no_grad():
        found = network(features).numpy()
    wanted = [slow(network.state_dict(), one[0].double().numpy()) for one in features]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert np.std(found) > 1e-3


def test_its_features_are_decibels_of_the_power_in_mel_bands() -> None:
    frontend = LogPowerMel()
    edges = np.linspace(*(_mel(hz) for hz in (50.0, 14000.0)), 66)
    wave = np.sin(2 * np.pi * 1000 * np.arange(32000) / 32000).astype(np.float32)
    found = frontend(frontend.plane.analyse(torch.from_numpy(wave)[None]).abs())[0, 0]
    assert found.shape == (64, frontend.plane.frames(32000))
    # the band whose centre is next to 1 kHz is the loudest
    assert int(found[:, 50].argmax()) == int(np.abs(edges[1:-1] - _mel(1000.0)).argmin())
    # a sine on bin 32: |X| is 256, and 128 on its neighbours, in a Hann window of 1024
    power = {31: 128.0**2, 32: 256.0**2, 33: 128.0**2}
    band = int(found[:, 50].argmax())
    low, centre, high = (_hz(edges[band + k]) for k in range(3))
    total = 0.0
    for k, value in power.items():
        hz = k * 31.25
        rise, fall = (hz - low) / (centre - low), (high - hz) / (high - centre)
        total += max(0.0, min(rise, fall)) * 2 / (high - low) * value
    np.testing.assert_allclose(float(found[band, 50]), 10 * np.log10(total), atol=1e-3)
    silent = frontend(torch.zeros(1, 513, 3))
    torch.testing.assert_close(silent, torch.full((1, 1, 64, 3), -100.0))


def _mel(hz: float) -> float:
    return 3 * hz / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _hz(mel: float) -> float:
    return 200 * mel / 3 if mel < 15 else 1000 * np.exp((mel - 15) * np.log(6.4) / 27)


def test_published_weights_are_read_from_a_file(tmp_path: Path) -> None:
    network, path = narrow(), tmp_path / "Cnn14_mAP=0.431.pth"
    filters = torch.rand(513, 64, generator=torch.Generator().manual_seed(3))
    torch.save(published(network, **{"logmel_extractor.melW": filters}), path)
    model: Any = load_model(f"cnn14:{path}")
    assert (model.name, model.task, model.output) == ("Cnn14_mAP=0.431", "multi-label", "logits")
    torch.testing.assert_close(model.frontend.filters, filters.T)
    wave = 0.1 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        magnitude = model.plane.analyse(wave).abs()
        bands = (filters.T @ (512 * magnitude) ** 2).clamp(min=1e-10)
        wanted = network(10 * bands.log10()[:, None])
        torch.testing.assert_close(model(wave), wanted, rtol=1e-4, atol=1e-4)
    assert model.labels == ("0", "1", "2", "3", "4")


def test_labels_are_read_beside_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(published(narrow(2))["model"], path)  # a bare dictionary of weights will do
    table = tmp_path / "class_labels_indices.csv"
    table.write_text(
        'index,mid,display_name\n0,/m/1,"Speech, male"\n1,/m/2,Dog\n', encoding="utf-8"
    )
    assert load_model(f"cnn14:{path}").labels == ("Speech, male", "Dog")
    table.write_text("index,mid,display_name\n0,/m/1,Speech\n", encoding="utf-8")
    with pytest.raises(ModelError, match="display_name for 2 classes, got 1"):
        load_model(f"cnn14:{path}")


class Harmful:
    """What a pickled file could do."""

    def __reduce__(self) -> Any:
        return (print, ("harm",))


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.pth"
    network = narrow()
    wrong = published(network)
    wrong["model"]["fc1.weight"] = torch.zeros(3, 3)
    missing = published(network)
    del missing["model"]["conv_block3.conv1.weight"]
    for content, words in (
        ({"model": {"weight": torch.zeros(2)}}, r"conv_block1\.conv1\.weight is missing"),
        (missing, r"conv_block3\.conv1\.weight is missing"),
        (wrong, "do not fit CNN14: .*fc1.weight"),
        ([1, 2], "expected a dictionary of weights"),
        ({"model": Harmful()}, "reads safely"),
    ):
        torch.save(content, path)
        with pytest.raises(ModelError, match=words):
            load_model(f"cnn14:{path}")
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="reads safely"):
        load_model(f"cnn14:{path}")
    with pytest.raises(ModelError, match="no such file of weights"):
        load_model(f"cnn14:{tmp_path / 'none.pth'}")
    with pytest.raises(ModelError, match=r"name a file of them: cnn14:FILE\.pth"):
        load_model("cnn14")
    assert "harm" not in capsys.readouterr().out


def test_its_norms_are_folded_but_for_the_first() -> None:
    model = cnn14_model(narrow())
    features = 20 * torch.randn(3, 1, 64, 100, generator=torch.Generator().manual_seed(1)) - 30
    faster = prepared(model)
    assert faster is not None
    with torch.no_grad():
        torch.testing.assert_close(
            faster.module(features), model.module(features), rtol=1e-5, atol=1e-5
        )
    assert sum(isinstance(one, nn.BatchNorm2d) for one in faster.module.modules()) == 1


def test_it_is_explained_like_any_other() -> None:
    model = cnn14_model(narrow())
    samples = 0.1 * np.random.default_rng(0).standard_normal(32000)
    clip = Audio(samples.astype(np.float32), 32000, "noise")
    found = explain(model, clip, "integrated-gradients", target=1, steps=16)
    assert found.attribution.values.shape == (513, model.plane.frames(32000))
    # what lies outside the bands, 50 Hz to 14 kHz, cannot matter
    outside = (found.attribution.freqs < 30) | (found.attribution.freqs > 14000)
    np.testing.assert_allclose(found.attribution.values[outside], 0, atol=1e-12)
    assert np.abs(found.attribution.values).max() > 0
    assert found.provenance["route"] == "magnitude"
