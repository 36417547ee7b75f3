"""What is given in Python, and was taken for something else or ended in a traceback."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile
import torch
from torch import nn

import earwitness
from earwitness.audio import as_audio
from earwitness.errors import EarwitnessError, ModelError, OutputError, ParameterError
from earwitness.models.model import Model
from tests.toys import RATE, spectral

PLAIN: dict[str, Any] = {"trust": "none"}
RNG = np.random.default_rng(0)
SOUND = (0.1 * RNG.standard_normal(RATE)).astype(np.float32)


def levels(waves: Any) -> Any:
    """The energy of the first and of the second half of each wave."""
    first, second = np.split(np.asarray(waves), 2, axis=-1)
    return np.stack([(half**2).sum(-1) for half in (first, second)], 1)


class Levels(nn.Module):
    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        return waves.square().unflatten(-1, (2, -1)).sum(-1)


def wrapped(model: Any = levels, **given: Any) -> Model:
    given = {"labels": ["early", "late"], "output": "logits"} | given
    return earwitness.wrap(model, sample_rate=RATE, **given)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with the explanations of two sounds."""
    sounds: list[Any] = [(SOUND, RATE), (0.5 * SOUND, RATE)]
    earwitness.explain(spectral(), sounds, "saliency", folder=tmp_path / "saved", **PLAIN)
    return tmp_path / "saved"


def test_explanations_are_not_saved_over_themselves(saved: Path) -> None:
    before = sorted(saved.rglob("*"))
    found = earwitness.Explanations.load(saved)
    for some in (found, found[:1]):
        with pytest.raises(OutputError, match="are read from there; choose another folder"):
            some.save(saved, overwrite=True)
    assert sorted(saved.rglob("*")) == before
    assert len(earwitness.Explanations.load(found[1:].save(saved.parent / "other"))) == 1


def test_several_are_chosen_by_indices_and_by_masks(saved: Path) -> None:
    found = earwitness.Explanations.load(saved)
    names = [one.clip for one in found]
    assert [one.clip for one in found[[1, 0]]] == names[::-1]
    assert [one.clip for one in found[np.array([False, True])]] == names[1:]
    assert [one.clip for one in found[pandas.Series([True, False])]] == names[:1]
    assert [one.clip for one in found[torch.tensor([False, True])]] == names[1:]
    with pytest.raises(ParameterError, match="mask of 3 is not one of 2 explanations"):
        found[[True, False, True]]
    assert len(found[[]]) == 0


def test_explanations_are_compared_by_identity(saved: Path) -> None:
    one = earwitness.Explanations.load(saved)[0]
    assert one == one
    assert copy.deepcopy(one) != one
    assert len({one, one}) == 1


def test_a_number_that_is_a_label_and_another_index_is_refused() -> None:
    counted = wrapped(labels=[1, 2])
    for target in (1, np.int64(1), torch.tensor(2)):
        with pytest.raises(ParameterError, match=r"give the label as text, '[12]'"):
            earwitness.explain(counted, (SOUND, RATE), "occlusion", target=target, **PLAIN)
    with pytest.raises(ParameterError, match="1 is the label of output 0"):
        earwitness.explain(counted, [(SOUND, RATE)], "occlusion", target=1, **PLAIN)
    with pytest.raises(ParameterError, match="2 is the label of output 1"):
        earwitness.compare(counted, (SOUND, RATE), (SOUND[::-1], RATE), "occlusion", target=2)
    found = earwitness.explain(counted, (SOUND, RATE), "occlusion", target="1", **PLAIN)
    assert (found.target.index, found.target.label) == (0, "1")
    same = wrapped(labels=[0, 1])
    assert earwitness.explain(same, (SOUND, RATE), "occlusion", target=1, **PLAIN).target.index == 1


@pytest.mark.parametrize(
    "labels",
    [torch.tensor([3, 4]), np.array([3, 4]), (str(k) for k in (3, 4)), pandas.Index([3, 4])],
    ids=["tensor", "array", "generator", "index"],
)
def test_labels_of_any_kind_are_names(labels: Any) -> None:
    assert wrapped(labels=labels).labels == ("3", "4")


def test_whole_numbers_without_a_full_scale_are_refused() -> None:
    whole = (32767 * SOUND).astype(np.int16)
    for samples in (whole.tolist(), whole.astype(np.int64), torch.from_numpy(whole).long()):
        with pytest.raises(ParameterError, match=r"int64 have no full scale; .*int16 or int32"):
            as_audio((samples, RATE))
    np.testing.assert_allclose(as_audio((whole, RATE)).samples, SOUND, atol=1e-4)


def test_select_is_of_functions_too() -> None:
    expected = earwitness.explain(wrapped(), (SOUND, RATE), "occlusion", **PLAIN)
    cases: list[tuple[Any, Any]] = [
        (lambda waves: {"logits": levels(waves)}, lambda found: found["logits"]),
        (lambda waves: (levels(waves), waves), lambda found: found[0]),
        (lambda waves: list(levels(waves).T), lambda found: np.stack(found, 1)),
    ]
    for function, select in cases:
        found = earwitness.explain(
            wrapped(function, select=select), (SOUND, RATE), "occlusion", **PLAIN
        )
        np.testing.assert_array_equal(found.attribution.values, expected.attribution.values)


@pytest.mark.parametrize("model", [levels, Levels()], ids=["function", "module"])
@pytest.mark.parametrize("wrong", [lambda o: o.reshape(7, 3), lambda _: 1 / 0], ids=["shape", "0"])
def test_an_error_in_select_names_it(model: Any, wrong: Any) -> None:
    with pytest.raises(ModelError, match="select does not fit what the network returns"):
        earwitness.explain(wrapped(model, select=wrong), (SOUND, RATE), "occlusion", **PLAIN)


@pytest.mark.parametrize("method", ["occlusion", "lime", "kernel-shap", "rise", "region-search"])
def test_the_default_precision_of_torch_changes_nothing(method: str) -> None:
    sound: Any = (SOUND, RATE)
    before = earwitness.explain(wrapped(), sound, method, **PLAIN).attribution.values
    torch.set_default_dtype(torch.float64)
    try:
        after = earwitness.explain(wrapped(), sound, method, **PLAIN).attribution.values
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-3 * np.abs(before).max())


def test_the_arguments_of_a_scan_are_checked(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", np.tile(SOUND, 4), RATE)
    model = spectral()
    wrong: list[dict[str, Any]] = [{"window": "1"}, {"on": "0.5"}, {"top": "2"}, {"hop": [1]}]
    for given in wrong:
        with pytest.raises(ParameterError, match=f"{next(iter(given))} is a number, got"):
            earwitness.scan(model, tmp_path / "s.wav", output=tmp_path / "o", **given)
    table: Any = pandas.DataFrame({"path": [str(tmp_path / "s.wav")]})
    with pytest.raises(ParameterError, match=r"scan\(model, table\['path'\]\)"):
        earwitness.scan(model, table, output=tmp_path / "o")
    found = earwitness.scan(
        model, table["path"], output=tmp_path / "o", target=1, window=1.0, top=0
    )
    for number in (np.int64(1), torch.tensor(1), [np.int64(1)]):
        again: Any = earwitness.scan(
            model, table["path"], output=tmp_path / "o2", target=number, window=np.float32(1.0),
            top=0, overwrite=True,
        )  # fmt: skip
        assert len(again.events) == len(found.events)
        with pytest.raises(ParameterError, match="give the label as text, '1'"):
            earwitness.scan(
                wrapped(labels=[1, 2]), table["path"], output=tmp_path / "o3", target=number
            )
    assert not found.failed
    assert {event["label"] for event in found.events} <= {model.labels[1]}


def test_a_column_may_be_named_by_a_number(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", SOUND, RATE)
    table = pandas.DataFrame({0: [str(tmp_path / "s.wav")], 1: ["x"]})
    found = earwitness.explain(spectral(), table, "saliency", column=0, **PLAIN)  # type: ignore[call-overload]
    assert len(found) == 1


def test_a_rate_without_an_end_is_refused() -> None:
    with pytest.raises(EarwitnessError, match="sample_rate must be a positive whole number"):
        earwitness.wrap(levels, sample_rate=float("inf"), labels=["a", "b"], output="logits")  # type: ignore[arg-type]


def test_a_pair_whose_rate_is_no_number_is_one_sound() -> None:
    with pytest.raises(ParameterError, match="an array and a number"):
        earwitness.explain(spectral(), (SOUND, "fast"), "saliency", **PLAIN)  # type: ignore[arg-type]


def test_a_note_is_told_once(tmp_path: Path) -> None:
    silence: Any = (np.zeros(RATE, np.float32), RATE)
    one = earwitness.explain(spectral(), silence, "energy", **PLAIN)
    (other,) = earwitness.explain(spectral(), [silence], "energy", folder=tmp_path / "o", **PLAIN)
    for found in (one, other):
        assert [note for note in found.notes if "silence" in note] == [
            "silence: every sample is zero"
        ]


def test_a_window_of_any_number_is_a_plane() -> None:
    planes = [wrapped(plane=kind(0.05)).plane for kind in (float, np.float32, np.float64)]
    assert planes[0].n_fft == planes[1].n_fft == planes[2].n_fft
