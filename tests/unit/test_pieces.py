"""How sounds are cut: every cell in some piece, edges where they should be, no clicks."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from earwitness.audio import write_audio
from earwitness.errors import NotApplicableError, ParameterError, UnknownNameError
from earwitness.models.target import make_target
from earwitness.perturbation.pieces.bands import erb_edges
from earwitness.perturbation.pieces.decomposition import Pieces
from earwitness.perturbation.pieces.edges import faded
from earwitness.perturbation.pieces.registry import CUTS, Sizes, cut
from earwitness.perturbation.pieces.superpixels import slic
from earwitness.plane.mel import hz_to_mel
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.toys import RATE, spectral, waveform

ALONE = [one.name for one in CUTS.all() if one.name not in ("stems", "demucs")]
MADE = [*ALONE, "grid", "sources x time", "nmf x loudness", "harmonic-percussive x mel x time"]


def probe(samples: int = 24000, wave: torch.Tensor | None = None) -> Probe:
    model = spectral()
    if wave is None:
        wave = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(3))
    return Probe(model, wave, make_target(model, torch.zeros(2), 0))


def each(pieces: Pieces) -> torch.Tensor:
    """Return the gains of every piece, shape (piece, freq, frame)."""
    return torch.cat([pieces.mix(row[None]) for row in torch.eye(len(pieces))])


def bursts() -> torch.Tensor:
    """Two seconds: faint noise, tones at 0.5-0.8 s and 1.2-1.7 s."""
    time = torch.arange(2 * RATE) / RATE
    wave = 1e-3 * torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    inside = ((time > 0.5) & (time < 0.8)) | ((time > 1.2) & (time < 1.7))
    return wave + 0.3 * inside * torch.sin(2 * torch.pi * 1000 * time)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("samples", [801, 24000])
def test_all_pieces_on_is_the_input_and_no_piece_is_empty(name: str, samples: int) -> None:
    where = probe(samples)
    pieces = cut(where, name, Sizes())
    gains = each(pieces).double()
    torch.testing.assert_close(
        gains.sum(dim=0), torch.ones(where.shape, dtype=torch.float64), rtol=0, atol=1e-6
    )
    assert float(gains.min()) >= 0
    assert float(gains.max()) <= 1 + 1e-6
    assert (gains.amax(dim=(1, 2)) > 0).all()
    assert len(set(pieces.names)) == len(pieces)
    sounds = where.model.plane.synthesise(gains.float() * where.spectrum, samples)
    error = (sounds.double().sum(dim=0) - where.wave).square().sum() / where.wave.square().sum()
    assert -10 * float(error.log10()) > 100


@pytest.mark.parametrize("name", MADE)
def test_mixing_is_the_sum_of_the_pieces_that_are_on(name: str) -> None:
    pieces = cut(probe(8000), name, Sizes(segments=3 if "time" in name else 0))
    switches = (torch.rand(3, len(pieces), generator=torch.Generator().manual_seed(1)) < 0.5) + 0.0
    wanted = torch.einsum("bk,kft->bft", switches.double(), each(pieces).double())
    torch.testing.assert_close(pieces.mix(switches).double(), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["grid", "superpixels"])
def test_a_fine_cut_needs_no_map_for_each_piece(name: str) -> None:
    where = probe(80000)
    pieces = cut(where, name, Sizes(segments=20) if name == "grid" else Sizes(components=160))
    held = [v for v in vars(pieces).values() if isinstance(v, torch.Tensor)]
    assert len(pieces) > 100
    assert sum(one.numel() for one in held) < 3 * where.magnitude.numel()


@pytest.mark.parametrize(("segments", "bands"), [(1, 1), (5, 3), (12, 8)])
def test_every_cell_is_in_the_piece_of_its_time_and_its_mel(segments: int, bands: int) -> None:
    where = probe()
    gains = each(cut(where, "grid", Sizes(segments, bands))).numpy()
    column = np.minimum(where.times.numpy() / 1.5 * segments, segments - 1).astype(int)
    mel = hz_to_mel(where.freqs.double()).numpy()
    row = np.minimum(mel / mel[-1] * bands, bands - 1).astype(int)
    wanted = row[:, None] * segments + column[None, :]
    # cells on an edge may fall to either side
    assert (gains.argmax(axis=0) == wanted).mean() > 0.98
    inside = np.take_along_axis(gains, wanted[None], axis=0)
    assert (inside > 0.999).mean() > 0.6
    assert len(gains) == segments * bands


def test_names_say_where_a_piece_is() -> None:
    pieces = cut(probe(), "hz x time", Sizes(segments=3, bands=4))
    assert pieces.names[0] == "0.00-0.50 s, 0-2000 Hz"
    assert pieces.names[-1] == "1.00-1.50 s, 6000-8000 Hz"
    gains = each(pieces)[pieces.names.index("0.50-1.00 s, 2000-4000 Hz")]
    rows, columns = np.nonzero(gains.numpy() > 0.5)
    where = probe()
    freqs, times = (
        where.freqs[[rows.min(), rows.max()]],
        where.times[[columns.min(), columns.max()]],
    )
    np.testing.assert_allclose(freqs.numpy(), (2000, 4000), atol=63)
    np.testing.assert_allclose(times.numpy(), (0.5, 1.0), atol=0.009)


@pytest.mark.parametrize("name", ["hz", "mel", "erb"])
def test_bands_are_as_wide_as_their_scale_says(name: str) -> None:
    def erb_rate(hz: float) -> float:
        return 21.4 * np.log10(1 + 0.00437 * hz)

    scales: dict[str, Any] = {
        "hz": lambda hz: hz,
        "mel": lambda hz: float(hz_to_mel(torch.tensor([hz], dtype=torch.float64))),
        "erb": erb_rate,
    }
    names = cut(probe(), name, Sizes(bands=6)).names
    edges = [float(one.removesuffix(" Hz").split("-")[0]) for one in names] + [8000.0]
    widths = np.diff([scales[name](edge) for edge in edges])
    np.testing.assert_allclose(widths, widths.mean(), rtol=0.02)  # names are rounded to 1 Hz


def test_an_edge_is_no_wider_than_the_narrower_side() -> None:
    places = torch.linspace(0, 20, 201)
    gains, bounds = faded(places, torch.tensor([0.0, 2.0, 10.0, 20.0]), 6.0)
    assert bounds.tolist() == [0, 2, 10, 20]
    # 2 s beside 8 s: the fade is 2 s wide, so it is over at 3 s; between 10 s and 20 s it is 6 s
    np.testing.assert_allclose(gains[:, places == 2.0][:, 0].numpy(), (0.5, 0.5, 0), atol=1e-6)
    np.testing.assert_allclose(gains[0, (places >= 3.0)].numpy(), 0, atol=1e-6)
    np.testing.assert_allclose(gains[0, (places <= 1.0)].numpy(), 1, atol=1e-6)
    np.testing.assert_allclose(gains[1, (places >= 3.0) & (places <= 7.0)].numpy(), 1, atol=1e-6)
    assert float(gains.min()) >= 0


def test_erb_edges_in_numbers() -> None:
    # (10^(x / 21.4) - 1) / 0.00437 at 0, 1/2 and 1 of 21.4 log10(1 + 0.00437 * 8000)
    middle = (np.sqrt(1 + 0.00437 * 8000) - 1) / 0.00437
    np.testing.assert_allclose(erb_edges(2, 8000.0).numpy(), [0, middle, 8000], rtol=1e-9)
    np.testing.assert_allclose(middle, 1143.40, atol=0.01)


def test_there_are_four_segments_a_second_up_to_twenty() -> None:
    assert len(cut(probe(16000), "time", Sizes())) == 4
    assert len(cut(probe(160000), "time", Sizes())) == 20


def test_small_planes_have_fewer_pieces() -> None:
    assert len(cut(probe(801), "grid", Sizes(40, 200))) <= 129 * 8


def test_edges_fade_without_clicks() -> None:
    # a tone cut in its middle: what leaks away from the tone is far under a hard cut's click
    time = torch.arange(RATE) / RATE
    tone = 0.5 * torch.cos(2 * torch.pi * 1000 * time) * torch.hann_window(RATE)
    where = probe(wave=tone)
    pieces = cut(where, "time", Sizes(segments=2))
    assert 0.05 < float(each(pieces)[0, 0].diff().abs().max()) < 0.8  # no jump from one to nothing
    first = where.model.plane.synthesise(each(pieces)[:1] * where.spectrum, RATE)[0]
    hard = where.wave * (time < 0.5)
    spread = []
    for wave in (first, hard):
        power = torch.fft.rfft(wave.double()).abs().square()
        far = (torch.arange(len(power)) > 1500) | (torch.arange(len(power)) < 500)
        spread.append(float(10 * (power[far].sum() / power.sum()).log10()))
    assert spread[0] < -60 < -40 < spread[1]


def test_loudness_cuts_where_it_is_quiet() -> None:
    where = probe(wave=bursts())
    for one in cut(where, "loudness", Sizes(segments=3)).names[:-1]:
        end = float(one.removesuffix(" s").split("-")[1])
        assert not any(low + 0.02 < end < high - 0.02 for low, high in ((0.5, 0.8), (1.2, 1.7)))


def test_pauses_are_told_from_sound() -> None:
    names = cut(probe(wave=bursts()), "pauses", Sizes()).names
    assert [name.split()[0] for name in names] == ["pause", "sound", "pause", "sound", "pause"]
    edges = [float(name.split()[1].split("-")[0]) for name in names[1:]]
    np.testing.assert_allclose(edges, (0.5, 0.8, 1.2, 1.7), atol=0.03)
    assert len(cut(probe(), "pauses", Sizes())) == 1  # steady noise has none


def test_what_a_factorisation_leaves_over_is_a_piece() -> None:
    where = probe()
    pieces = cut(where, "nmf", Sizes(components=2))
    assert [name.split(" (")[0] for name in pieces.names] == ["component 1", "component 2", "rest"]
    gains = each(pieces).double()
    # of noise, two spectra account for the level on average; the louder half of the cells is over
    loud = where.magnitude > 2 * where.magnitude.mean()
    assert 0.4 < float(gains[-1][loud].mean()) < 0.7
    assert float(gains[-1][where.magnitude < 0.3 * where.magnitude.mean()].mean()) < 0.01


def test_superpixels_follow_edges() -> None:
    level = np.zeros((60, 120))  # of which two columns are averaged
    level[20:45, 40:90] = 1.0
    labels = slic(level, 30, 0.2)
    for number in range(labels.max() + 1):
        inside = level[labels == number]
        assert inside.min() == inside.max()  # no region crosses the edge
    assert 20 <= labels.max() + 1 <= 45


@pytest.mark.parametrize("shape", [(64, 96), (129, 21), (40, 300), (20, 20), (9, 1)], ids=str)
def test_superpixels_are_connected_and_numbered_without_gaps(shape: tuple[int, int]) -> None:
    rough = np.random.default_rng(0).standard_normal(shape)
    for level in (ndimage.gaussian_filter(rough, 1), ndimage.gaussian_filter(rough, 6)):
        labels = slic(level, 40, 0.2)
        count = int(labels.max()) + 1
        assert np.bincount(labels.ravel()).min() > 0
        assert [ndimage.label(labels == k)[1] for k in range(count)] == [1] * count
        assert count == 9 if level.size == 9 else 25 <= count <= 80


def test_superpixels_of_a_flat_picture_are_a_grid_on_equal_axes() -> None:
    labels = slic(np.zeros((40, 400)), 16, 0.2)
    wanted = np.repeat(np.repeat(np.arange(16).reshape(4, 4), 10, axis=0), 100, axis=1)
    # a cell between two centres may go to either; it is one row, or ten columns
    inner = (np.arange(40)[:, None] % 10 // 2 % 4 > 0) & (np.arange(400) % 100 // 20 % 4 > 0)
    np.testing.assert_array_equal(labels[inner], wanted[inner])


def test_superpixels_keep_more_level_inside_than_blocks_of_their_number() -> None:
    rng = np.random.default_rng(0)
    level = ndimage.gaussian_filter(rng.standard_normal((64, 96)), 6)
    row, column = np.indices(level.shape)

    def unexplained(labels: Any) -> float:
        means = ndimage.mean(level, labels, np.arange(labels.max() + 1))
        return float(((level - means[labels]) ** 2).mean() / level.var())

    blocks = unexplained(row // 8 * 8 + column // 12)  # 64 of them
    found = slic(level, 60, 0.2)
    assert 55 <= found.max() + 1 <= 64
    assert unexplained(found) < 0.6 * blocks


def stems_folder(place: Path, waves: dict[str, torch.Tensor], rate: int = RATE) -> str:
    place.mkdir()
    for name, wave in waves.items():
        write_audio(place / f"{name}.wav", Audio(wave.numpy(), rate))
    return str(place)


def test_stems_are_parts_and_what_they_leave_over_is_one(tmp_path: Path) -> None:
    time = torch.arange(RATE) / RATE
    parts = [0.2 * torch.sin(2 * torch.pi * hz * time) for hz in (500.0, 2000.0, 6000.0)]
    where = probe(wave=sum(parts, torch.zeros(RATE)))
    folder = stems_folder(tmp_path / "s", {"low": parts[0], "middle": parts[1][: RATE - 100]})
    pieces = cut(where, "stems", Sizes(stems=folder))
    assert pieces.names == ("low", "middle", "rest")
    sounds = where.model.plane.synthesise(each(pieces) * where.spectrum, RATE)
    for sound, part in zip(sounds, parts, strict=True):
        inside = slice(1000, -1000)
        error = (sound - part)[inside].square().sum() / part[inside].square().sum()
        assert -10 * float(error.log10()) > 40
    whole = stems_folder(tmp_path / "w", {"low": parts[0], "others": parts[1] + parts[2]})
    assert cut(where, "stems", Sizes(stems=whole)).names == ("low", "others")  # nothing left over


def test_stems_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    short = stems_folder(tmp_path / "s", {"low": torch.zeros(8000) + 0.1})
    for folder, words in (
        ("", "with stems=FOLDER"),
        (str(tmp_path / "nowhere"), "is not a folder"),
        (short, r"low\.wav has 0\.50 s, the sound 1\.50 s"),
    ):
        with pytest.raises(ParameterError, match=words):
            cut(probe(), "stems", Sizes(stems=folder))


def test_demucs_is_asked_at_its_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    time = torch.arange(RATE) / RATE
    parts = [0.2 * torch.sin(2 * torch.pi * hz * time) for hz in (500.0, 3000.0)]
    where = probe(wave=parts[0] + parts[1])
    asked = {}

    class Separator(torch.nn.Module):
        samplerate, audio_channels, sources = 44100, 2, ["drums", "vocals"]

    def apply_model(model: Any, mix: torch.Tensor, shifts: int) -> torch.Tensor:
        asked["shape"], asked["name"] = tuple(mix.shape), model.name
        spectrum = torch.fft.rfft(mix)
        low = spectrum.clone()
        low[..., 1500:] = 0
        halves = [torch.fft.irfft(one, mix.shape[-1]) for one in (low, spectrum - low)]
        return torch.stack(halves, dim=1)

    def get_model(name: str) -> Any:
        made = Separator()
        made.name = name  # type: ignore[assignment]
        return made

    fakes = {"demucs": {}, "demucs.pretrained": {"get_model": get_model},
             "demucs.apply": {"apply_model": apply_model}}  # fmt: skip
    for name, content in fakes.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    pieces = cut(where, "demucs", Sizes())
    assert asked == {"shape": (1, 2, 44100), "name": "htdemucs"}
    assert pieces.names[:2] == ("drums", "vocals")
    sounds = where.model.plane.synthesise(each(pieces) * where.spectrum, RATE)
    for sound, part in zip(sounds[:2], parts, strict=True):
        inside = slice(1000, -1000)
        error = (sound - part)[inside].square().sum() / part[inside].square().sum()
        assert -10 * float(error.log10()) > 30


def test_without_demucs_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "demucs", None)
    with pytest.raises(NotApplicableError, match="pip install demucs"):
        cut(probe(), "demucs", Sizes())


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("gird", UnknownNameError, "did you mean 'grid'"),
        ("nmf x lodness", UnknownNameError, "did you mean 'loudness'"),
        ("mel x erb", ParameterError, "two cuts of the same kind"),
        ("superpixels x time", ParameterError, "superpixels cuts both axes"),
    ],
)
def test_wrong_pieces_are_refused(text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        cut(probe(), text, Sizes())


def test_the_tail_of_a_sound_is_in_a_piece() -> None:
    # the last samples, after the last whole hop, belong to the last segment
    wave = torch.zeros(24077)
    wave[-50:] = 0.5
    model = waveform()
    where = Probe(model, wave, make_target(model, torch.zeros(2), 0))
    gains = each(cut(where, "time", Sizes(segments=4)))
    sounds = model.plane.synthesise(gains * where.spectrum, len(wave))
    torch.testing.assert_close(sounds[-1, -50:], wave[-50:], rtol=0, atol=1e-5)
    assert float(sounds[:-1, -50:].abs().max()) < 1e-5
