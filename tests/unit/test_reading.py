"""What ``wrap`` is told about lengths, batches and what a network returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

import earwitness
from earwitness.errors import ModelError, ParameterError
from earwitness.evaluation.notes import batch_notes, length_notes
from earwitness.models.calling.lengths import Lengths
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.plane.windows import joined
from tests.command import run

RATE = 1000
RISING = torch.arange(1.0, 13.0).repeat_interleave(10)  # 12 steps of 10 ms, 120 samples


def first_and_sum(waves: Any) -> Any:
    return np.stack([waves[:, 0], waves.sum(axis=1)], axis=1)


def model(**facts: Any) -> Model:
    return wrap(first_and_sum, sample_rate=RATE, output="logits", **facts)


@pytest.mark.parametrize(
    ("pad", "wanted"),
    [("end", [2.0, 10.0]), ("start", [0.0, 10.0]), ("repeat", [2.0, 40.0])],
)
def test_a_short_sound_is_padded_where_it_was_declared(pad: Any, wanted: list[float]) -> None:
    found = model(lengths=(0.02, None), pad=pad)(torch.full((1, 5), 2.0))
    torch.testing.assert_close(found, torch.tensor([wanted]))


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({}, [5.0, 260.0]),  # windows of 40 samples begin at steps 1, 3, 5, 7, 9
        ({"pool": "max"}, [9.0, 420.0]),
        ({"pool": "topk"}, [7.0, 340.0]),
        ({"longer": "first"}, [1.0, 100.0]),
        ({"longer": "last"}, [9.0, 420.0]),
    ],
    ids=str,
)
def test_a_long_sound_is_read_as_declared(how: dict[str, Any], wanted: list[float]) -> None:
    found = model(lengths=(None, 0.04), **how)(RISING[None])
    torch.testing.assert_close(found, torch.tensor([wanted]))


def test_the_outputs_of_every_window_are_kept() -> None:
    found = model(lengths=(None, 0.04), pool="max").each_window(RISING[None])
    torch.testing.assert_close(found[:, 0, 0], torch.tensor([1.0, 3.0, 5.0, 7.0, 9.0]))


def test_the_command_lists_the_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.py").write_text(
        "import earwitness\n"
        "def make():\n"
        "    return earwitness.wrap(lambda w: w[:, :1], sample_rate=1000, output='scores',\n"
        "                           lengths=(None, 0.04), pool='max')\n"
    )
    soundfile.write(tmp_path / "a.wav", RISING.numpy() / 16, RATE, subtype="FLOAT")
    words = ("predict", str(tmp_path / "a.wav"), "--model", f"python:{tmp_path}/m.py:make")
    found = json.loads(run(capsys, *words, "--json")[1])
    assert found["outputs"]["value"] == 9 / 16
    assert [one["outputs"]["value"] * 16 for one in found["windows"]] == [1, 3, 5, 7, 9]
    assert [found["windows"][1][name] for name in ("start", "end")] == [0.02, 0.06]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"pad": "middle"}, "pad must be one of end, start, repeat; got 'middle'"),
        ({"longer": "all"}, "longer must be one of windows, first, last"),
        ({"pool": "sum"}, "pool must be one of mean, max, topk"),
        ({"longer": "first", "per_frame": True}, "leave frames of the sound without outputs"),
        ({"pool": "max", "per_frame": True}, "outputs per frame are averaged"),
        ({"batch": 2}, "batch is 1 for a network of one sound at a time, got 2"),
        ({"frames": (0.1, 0.2)}, r"frames are \(window, hop\) in seconds"),
        ({"frames": 3}, r"frames are \(window, hop\) in seconds"),
        ({"reference": (np.ones(9), RATE)}, "leave out output"),
    ],
    ids=str,
)
def test_declarations_that_contradict_each_other(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        model(**facts)


def test_silence_before_a_sound_shifts_what_layers_say_of_it() -> None:
    lengths = model(lengths=(0.1, None), pad="start")
    assert lengths.windows(60) == [(-40, 100)]
    found = joined([torch.arange(10.0)], [-4], 6)
    torch.testing.assert_close(found, torch.arange(4.0, 10.0))


def test_frames_of_a_sound_padded_at_its_start_are_the_last() -> None:
    lengths = Lengths(100, None, pad="start", per_frame=True)
    found = lengths.read(torch.ones(1, 60), 100, None, lambda data: data[:, None, ::10])
    torch.testing.assert_close(found, torch.ones(1, 1, 6))


def test_notes_say_how_a_sound_was_read() -> None:
    assert length_notes(model(lengths=(0.1, None), pad="repeat"), 60) == [
        "shorter than the model takes: repeated to 0.1 s"
    ]
    assert length_notes(model(lengths=(None, 0.05), longer="last"), 120) == [
        "longer than the model takes: only the last 0.05 s are read"
    ]
    assert "the largest outputs taken" in length_notes(
        model(lengths=(None, 0.05), pool="max"), 120
    )[0]  # fmt: skip


def test_a_network_of_one_sound_at_a_time_was_called_with_several() -> None:
    sizes = []

    def alone(waves: Any) -> Any:
        sizes.append(len(waves))
        return first_and_sum(waves)

    one = wrap(alone, sample_rate=RATE, output="logits", batch=1)
    torch.testing.assert_close(one(RISING.view(3, 40))[:, 0], torch.tensor([1.0, 5.0, 9.0]))
    assert sizes == [1, 1, 1]
    assert batch_notes(one) == []  # it was declared


class Returns(nn.Module):
    """A network that returns more than its outputs."""

    def forward(self, waves: Tensor) -> Any:
        scores = torch.stack([waves[:, 0], waves.sum(1)], 1)
        return {"scores": scores, "state": waves}, waves.mean()


def test_outputs_are_selected_of_what_a_network_returns() -> None:
    one = wrap(Returns(), sample_rate=RATE, select=lambda found: found[0]["scores"])
    torch.testing.assert_close(one(torch.tensor([[1.0, 2.0]])), torch.tensor([[1.0, 3.0]]))
    with pytest.raises(ModelError, match=r"select does not fit .* 2 values \(dict, Tensor\)"):
        wrap(Returns(), sample_rate=RATE, select=lambda found: found["scores"])(torch.ones(1, 2))


class Cut(nn.Module):
    """Cuts frames of 40 samples every 20 into the batch, as pitch trackers do."""

    def forward(self, waves: Tensor) -> Tensor:
        frames = waves.unfold(1, 40, 20).flatten(0, 1)
        return torch.stack([frames[:, 0], frames.mean(1)], 1)


def test_frames_that_a_network_cuts_into_the_batch_are_given_back_to_their_sounds() -> None:
    one = wrap(Cut(), sample_rate=RATE, frames=(0.04, 0.02), labels=["first", "mean"])
    assert one.per_frame
    found = one(torch.stack([RISING, 2 * RISING]))
    assert not one.one_by_one
    wanted = torch.tensor([1.0, 3.0, 5.0, 7.0, 9.0])
    torch.testing.assert_close(found[:, 0], torch.stack([wanted, 2 * wanted]))
    torch.testing.assert_close(found[0, 1], wanted + 1.5)
    other = wrap(Cut(), sample_rate=RATE, frames=(0.04, 0.005), labels=["first", "mean"])
    with pytest.raises(ModelError, match="17 to 25 for 120 samples, and the network returned 5 "):
        other(RISING[None])


class Embeds(nn.Module):
    """The two halves of the spectrum as an embedding."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.fft.rfft(waves, 128).abs()
        return torch.stack([power[:, :32].mean(1), power[:, 32:].mean(1)], 1)


def tone(frequency: float) -> Any:
    return np.sin(2 * np.pi * frequency * np.arange(128) / RATE).astype(np.float32)


def test_similarity_to_a_reference_is_the_cosine_of_the_embeddings() -> None:
    low, both = tone(125.0), tone(125.0) + tone(375.0)
    one = wrap(Embeds(), sample_rate=RATE, reference=(low, RATE), name="speaker")
    assert (one.labels, one.task, one.range) == (("similarity",), "regression", (-1.0, 1.0))
    found = one(torch.from_numpy(np.stack([low, both])))
    # tones on bins of means over 32 and 33
    np.testing.assert_allclose(found[:, 0], [1.0, 33 / np.hypot(32, 33)], atol=1e-5)
    why = earwitness.explain(one, (both, RATE), "occlusion", background="silence", trust="none")
    high = why.attribution.freqs > 250
    sums = [float(why.attribution.values[part].sum()) for part in (~high, high)]
    assert sums[0] > 0 > sums[1]


def test_embeddings_have_one_axis() -> None:
    one = wrap(Cut(), sample_rate=RATE, reference=(tone(125.0), RATE))
    with pytest.raises(ModelError, match=r"embeddings must be \(1, dimension\), got \(5, 2\)"):
        one(torch.ones(1, 128))
