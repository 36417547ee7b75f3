"""CNN14 in the layout of SpeechBrain's recipe for ESC-50: ``cnn14:FOLDER``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.errors import ModelError
from earwitness.models.registry import load_model
from earwitness.models.zoo.cnn14 import CNN14
from earwitness.models.zoo.speechbrain import Features, MelMagnitude
from earwitness.pipeline import explain
from earwitness.types import Audio

WIDTHS = (4, 4, 6, 6, 8, 8)
MELS = 80


def sweep() -> Tensor:
    """Return half a second from 440 to 2440 Hz."""
    times = torch.arange(8000, dtype=torch.float64) / 16000
    return (0.3 * torch.sin(2 * torch.pi * (440 * times + 2000 * times.square()))).float()[None]


def test_features_are_those_of_speechbrain() -> None:
    found = MelMagnitude(Features())(sweep())[0, 0]
    assert found.shape == (80, 44)
    # by compute_stft, spectral_magnitude and compute_fbank of SpeechBrain 1.1.2, as in its recipe
    cells = {
        (0, 12): 10.740441, (10, 0): 0.126763, (20, 25): 0.2397254, (20, 30): 0.4553359,
        (43, 50): 9.160461,
    }  # fmt: skip
    for (frame, band), value in cells.items():
        np.testing.assert_allclose(float(found[band, frame]), value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(float(found.sum()), 8352.5156, rtol=1e-5)
    logs = MelMagnitude(Features(use_log1p_mel=True))(sweep())[0, 0]
    torch.testing.assert_close(logs, found.log1p())


def published(tmp_path: Path, *, bias: bool = True, classes: int = 3) -> tuple[CNN14, Path]:
    """Return a small network of PANNs that computes the same, and a folder of SpeechBrain's files.

    The embedding is not negative, so a first linear layer that is the identity does nothing.
    """
    torch.manual_seed(0)
    network = CNN14(classes, WIDTHS)
    network.bn0 = nn.BatchNorm2d(MELS)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.5, 2.0)
    nn.init.eye_(network.fc1.weight)
    nn.init.zeros_(network.fc1.bias)
    folder = tmp_path / "cnn14-esc50"
    folder.mkdir()
    encoder = {
        name.replace("bn", "norm"): value
        for name, value in network.state_dict().items()
        if not name.startswith("fc")
    }
    last = network.fc_audioset.state_dict()
    torch.save(encoder, folder / "embedding_model.ckpt")
    torch.save(last if bias else {"weight": last["weight"]}, folder / "classifier.ckpt")
    return network.eval(), folder


LABELS = "'dog' => 2\n\"children's voices\" => 0\n'rain' => 1\n{}\n'starting_index' => 0\n"


def test_it_is_the_network_of_panns_under_other_names(tmp_path: Path) -> None:
    network, folder = published(tmp_path)
    (folder / "label_encoder.txt").write_text(LABELS.format("=" * 16))
    model = load_model(f"cnn14:{folder}")
    assert model.labels == ("children's voices", "rain", "dog")
    assert (model.rate, model.task, model.output) == (16000, "single-label", "logits")
    assert model.name == "cnn14-esc50"
    waves = 0.1 * torch.randn(2, 40000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = network(MelMagnitude(Features())(waves))
        torch.testing.assert_close(model(waves), wanted, rtol=1e-5, atol=1e-6)
        assert float(wanted.std()) > 1e-3


def test_a_layer_without_a_bias_gives_cosines(tmp_path: Path) -> None:
    network, folder = published(tmp_path, bias=False)
    model = load_model(f"cnn14:{folder}")
    waves = 0.1 * torch.randn(1, 40000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        embedding = network.encode(MelMagnitude(Features())(waves))[0].double().numpy()
        found = model(waves)[0].numpy()
    weights = network.fc_audioset.weight.detach().double().numpy()
    norms = np.linalg.norm(weights, axis=1) * np.linalg.norm(embedding)
    np.testing.assert_allclose(found, 30 * weights @ embedding / norms, rtol=1e-4, atol=1e-5)
    assert model.labels == ("0", "1", "2")


def test_the_first_level_of_the_hyperparameters_counts(tmp_path: Path) -> None:
    network, folder = published(tmp_path)
    (folder / "hyperparams.yaml").write_text(
        "sample_rate: 22050  # Hz\nuse_log1p_mel: True\nspec_mag_power: 1\n"
        "compute_features: !new:speechbrain.lobes.features.Fbank\n    n_mels: 23\n    n_fft: 400\n"
    )
    model = load_model(f"cnn14:{folder}")
    assert model.rate == 22050
    has = Features(sample_rate=22050, use_log1p_mel=True, spec_mag_power=1.0)
    assert (has.hop, has.window) == (256, 512)
    waves = torch.randn(1, 40000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            model(waves), network(MelMagnitude(has)(waves)), rtol=1e-5, atol=1e-6
        )


def test_of_several_files_the_named_one_is_used(tmp_path: Path) -> None:
    network, folder = published(tmp_path)
    state = torch.load(folder / "classifier.ckpt", weights_only=True)
    torch.save({k: 2 * v for k, v in state.items()}, folder / "classifier_esc50.ckpt")
    with pytest.raises(ModelError, match=r"classifier\.ckpt, classifier_esc50\.ckpt; leave"):
        load_model(f"cnn14:{folder}")
    (folder / "hyperparams.yaml").write_text(
        "pretrainer: !new:x\n    paths:\n        classifier: !ref <path>/classifier_esc50.ckpt\n"
    )
    waves = 0.1 * torch.randn(1, 40000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = 2 * network(MelMagnitude(Features())(waves))
        torch.testing.assert_close(load_model(f"cnn14:{folder}")(waves), wanted)


def test_labels_may_lie_in_the_folder_above(tmp_path: Path) -> None:
    _, folder = published(tmp_path)
    (tmp_path / "label_encoder.txt").write_text(LABELS.format("=" * 16))
    assert load_model(f"cnn14:{folder}").labels[2] == "dog"


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("classifier.ckpt", None, r"no CNN14 of SpeechBrain .*classifier\.ckpt is missing"),
        ("embedding_model.ckpt", None, r"embedding_model\.ckpt is missing"),
        ("classifier.ckpt", {"w": torch.zeros(2)}, "expected one layer, weight and bias, got w"),
        ("classifier.ckpt", {"weight": torch.zeros(3, 5)}, "do not fit CNN14"),
        ("embedding_model.ckpt", {"norm0.weight": torch.zeros(80)}, "conv_block1.* is missing"),
        ("hyperparams.yaml", "sample_rate: fast\n", "sample_rate is fast, and not a number"),
        ("hyperparams.yaml", "sample_rate: 16\n", "cannot be computed"),
        ("hyperparams.yaml", "win_length: 100\n", "cannot be computed"),
        ("hyperparams.yaml", "n_mels: 64\n", "do not fit CNN14"),
        ("label_encoder.txt", "dog => 0\n", "expected lines such as 'dog' => 0, got dog => 0"),
        ("label_encoder.txt", "'dog' => 0\n'cat' => 1\n", "expected 3 labels, from 0 on, got 2"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(
    tmp_path: Path, name: str, content: Any, wanted: str
) -> None:
    _, folder = published(tmp_path)
    path = folder / name
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        path.write_text(content)
    else:
        torch.save(content, path)
    with pytest.raises(ModelError, match=wanted) as error:
        load_model(f"cnn14:{folder}")
    assert "\n" not in str(error.value)


def test_it_is_explained_on_both_axes(tmp_path: Path) -> None:
    _, folder = published(tmp_path)
    model = load_model(f"cnn14:{folder}")
    clip = Audio(sweep()[0].numpy(), 16000)
    found = explain(model, clip, "integrated-gradients", target=1, trust="light").attribution
    share = np.abs(found.values).sum(axis=1) / np.abs(found.values).sum()
    inside = (found.freqs > 340) & (found.freqs < 2540)  # the sweep, and a bin on both sides
    assert share[inside].sum() > 0.95
    maps = explain(model, clip, "gradcam", target=1, trust="light").attribution
    assert maps.details["axes"] == "time, frequency"
