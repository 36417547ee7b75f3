"""What is laid over the sounds that a decoder is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from earwitness.errors import AudioError
from earwitness.train.contamination import Contamination, Contaminator, Sounds, lay_over, pink
from earwitness.train.lmac import Training
from tests.toys import RATE
from tests.training import SETTINGS, coarse


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


def test_every_epoch_draws_anew(sounds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []
    over = Contaminator.over

    def noted(self: Contaminator, waves: torch.Tensor, *rest: Any) -> Any:
        found = over(self, waves, *rest)
        drawn.append(found[0])
        return found

    monkeypatch.setattr(Contaminator, "over", noted)
    training = Training(coarse(), sounds[:12], sounds[12:], SETTINGS)
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
