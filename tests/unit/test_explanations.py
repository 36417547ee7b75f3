"""Many sounds from Python: what may be given, what comes back, and what is on disk."""

from __future__ import annotations

import builtins
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile
import torch

import earwitness
from earwitness import Explanation, Explanations
from earwitness.collecting.sounds import is_single, on_disk, read_sounds
from earwitness.collecting.table import COLUMNS
from earwitness.errors import EarwitnessError, OutputError, ParameterError, UnknownNameError
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.store import load
from earwitness.types import Audio
from tests.pages import clips
from tests.toys import RATE, spectral

LIGHT: dict[str, Any] = {"trust": "light"}


@pytest.fixture
def model() -> Model:
    return spectral()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sounds in a folder, one of them deeper."""
    root = tmp_path / "clips"
    (root / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "b.wav", "deep/a.wav")):
        soundfile.write(root / name, noise(number), RATE, subtype="FLOAT")
    return root


def noise(seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(24000)).astype(np.float32)


def test_one_sound_of_any_kind_gives_one_explanation(model: Model, folder: Path) -> None:
    wave = noise(0)
    sounds = (
        folder / "a.wav", str(folder / "a.wav"), Audio(wave, RATE), (wave, RATE),
        {"array": wave, "sampling_rate": RATE},
    )  # fmt: skip
    for sound in sounds:
        found = earwitness.explain(model, sound, "saliency", trust="none")
        assert isinstance(found, Explanation)
        np.testing.assert_array_equal(found.input.samples, wave)


def test_several_sounds_or_methods_give_explanations_in_their_order(
    model: Model, folder: Path
) -> None:
    wave = noise(5)
    given = [folder / "b.wav", (wave, RATE), Audio(noise(6), RATE, "mine"), str(folder / "a.wav")]
    found = earwitness.explain(model, given, ["saliency", "energy"], **LIGHT)
    assert isinstance(found, Explanations)
    names = [str(folder / "b.wav"), "clip-2", "mine", str(folder / "a.wav")]
    expected = [(name, method) for name in names for method in ("saliency", "energy")]
    assert [(one.clip, one.method) for one in found] == expected
    np.testing.assert_array_equal(found[2].input.samples, wave)
    assert isinstance(found[1:3], Explanations)
    assert [one.clip for one in found[1:3]] == [names[0], names[1]]
    assert found[-1].clip == names[-1]
    one = earwitness.explain(model, (wave, RATE), "saliency", **LIGHT)
    np.testing.assert_array_equal(found[2].attribution.values, one.attribution.values)
    (single,) = earwitness.explain(model, (wave, RATE), ["saliency"], **LIGHT)
    assert single.trust == one.trust
    whole = earwitness.explain(model, folder, "saliency", trust="none")
    assert [Path(one.clip).relative_to(folder).as_posix() for one in whole] == [
        "a.wav", "b.wav", "deep/a.wav"
    ]  # fmt: skip


def test_options_go_to_the_methods_that_have_them(model: Model) -> None:
    found = earwitness.explain(
        model, [(noise(1), RATE)], ["integrated-gradients", "energy"], steps=4, trust="none"
    )
    assert found[0].options["steps"] == 4
    assert "steps" not in found[1].options
    with pytest.raises(UnknownNameError, match="did you mean 'steps'"):
        earwitness.explain(model, [(noise(1), RATE)], ["integrated-gradients"], stepz=4)
    with pytest.raises(ParameterError, match="no method given"):
        earwitness.explain(model, [(noise(1), RATE)], [])


def test_a_bad_sound_is_one_line_and_the_rest_goes_on(
    model: Model, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "broken.wav").write_bytes(b"no sound")
    bad = [
        (np.full(9000, np.nan), RATE), "none.wav", (noise(0)[:9], RATE), 5, {"array": noise(0)},
        folder / "broken.wav", object(),
    ]  # fmt: skip
    found = earwitness.explain(model, [*bad, (noise(1), RATE)], "saliency", trust="none")
    assert [one.clip for one in found] == ["clip-8"]
    assert len(found.failures) == 7
    assert all("\n" not in line for line in found.failures)
    for name in ("clip-1", "none.wav", "clip-3", "clip-4", "clip-5", "broken.wav", "clip-7"):
        assert sum(name in line for line in found.failures) == 1, name
    assert caplog.messages == found.failures
    assert "7 failures" in repr(found)


def test_a_table_of_paths(model: Model, folder: Path) -> None:
    paths = [str(folder / "a.wav"), str(folder / "b.wav")]
    table = pandas.DataFrame({"label": ["x", "y"], "where": paths, "n": [1, 2]})
    for column in (None, "where"):
        found = earwitness.explain(model, table, "saliency", column=column, trust="none")
        assert [one.clip for one in found] == paths
    with pytest.raises(ParameterError, match="no column 'file'; it has label, where, n"):
        earwitness.explain(model, table, "saliency", column="file")
    with pytest.raises(ParameterError, match="no column of the table could be the paths"):
        earwitness.explain(model, table[["label", "n"]], "saliency")
    with pytest.raises(ParameterError, match="several columns of the table could be"):
        earwitness.explain(model, table.assign(other=paths), "saliency")
    with pytest.raises(ParameterError, match="column names a column of a pandas DataFrame"):
        earwitness.explain(model, paths, "saliency", column="where")


def test_the_frame_has_a_row_for_each_explanation(model: Model, folder: Path) -> None:
    found = earwitness.explain(model, folder, ["saliency", "energy"], target="low", **LIGHT)
    frame = found.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 6
    one, line = found[3], frame.iloc[3]
    assert one.trust is not None
    assert one.trust.effect is not None
    assert one.verdict is not None
    assert line.to_dict() == {
        "path": one.clip, "method": "energy", "model": one.model, "target": "low",
        "output": one.trust.input, "verdict": one.verdict.grade, "effect": one.trust.effect.value,
        "evidence": one.trust.outcome.evidence.audio,
        "remainder": one.trust.outcome.remainder.audio,
        "evidence_spectrogram": None, "remainder_spectrogram": None,
        "random_effect": one.trust.controls["random"].effect,
        "energy_effect": one.trust.controls["energy"].effect,
        "area": one.mask.area, "energy": one.mask.energy, "seconds": one.seconds,
    }  # fmt: skip
    versus = earwitness.explain(model, [(noise(0), RATE)], target=0, versus=1, trust="none")
    (row,) = versus.rows()
    assert (row["target"], row["output"], row["verdict"]) == ("high versus low", None, None)
    (row,) = earwitness.explain(model, [(noise(0), RATE)], target="low", trust="none").rows()
    outputs = earwitness.predict(model, (noise(0), RATE))["outputs"]
    np.testing.assert_allclose(row["output"], outputs["low"], rtol=1e-6)


def test_a_frame_needs_pandas_and_nothing_else_does(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = earwitness.explain(model, [(noise(0), RATE)], "saliency", trust="none")
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EarwitnessError, match=r"pip install 'earwitness\[pandas\]'"):
        found.to_frame()
    assert len(found.rows()) == 1


def test_a_folder_of_results_is_gone_on_with(model: Model, folder: Path, tmp_path: Path) -> None:
    given = [folder, (noise(9), RATE)]
    passes: list[int] = []

    def again(**more: Any) -> Explanations:
        passes.clear()
        return earwitness.explain(
            model, given, "saliency", folder=tmp_path / "out", on_passes=passes.append,
            **{**LIGHT, **more},
        )  # fmt: skip

    first = again()
    assert len(first) == 4
    assert sum(passes) > 0
    assert len(clips(tmp_path / "out" / "index.html")) == 4
    second = again()
    assert sum(passes) == 0
    assert [one.trust for one in second] == [one.trust for one in first]
    given.append(Audio(noise(10), RATE, "later"))
    assert [one.clip for one in again()][:3] == [one.clip for one in first][:3]
    assert sum(passes) > 0
    with pytest.raises(OutputError, match=r"with seed 0, not 3; say overwrite=True, or choose an"):
        again(seed=3)
    assert len(again(seed=3, overwrite=True)) == 5
    soundfile.write(folder / "a.wav", noise(50), RATE, subtype="FLOAT")
    with pytest.raises(OutputError, match=r"which has changed since; say overwrite=True"):
        again(seed=3)


def test_results_of_a_folder_are_read_when_they_are_asked_for(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [(noise(number), RATE) for number in range(5)]
    found = earwitness.explain(model, sounds, "saliency", folder=tmp_path / "out", trust="none")
    read: list[Path] = []

    def counted(place: Path, **more: Any) -> Explanation:
        read.append(place)
        return load(place, **more)

    monkeypatch.setattr("earwitness.collecting.explanations.load", counted)
    assert len(found.rows()) == 5
    assert len(found) == 5
    assert repr(found[1:]) == "<Explanations: 4>"
    assert read == []
    np.testing.assert_array_equal(found[3].input.samples, sounds[3][0])
    assert len(read) == 1
    assert all(not isinstance(entry, Explanation) for entry in found._entries)


def test_one_sound_with_a_folder_is_one_explanation(model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = earwitness.explain(model, (noise(0), RATE), "saliency", folder=out, trust="none")
    assert isinstance(found, Explanation)
    assert (out / "index.html").is_file()
    with pytest.raises(OutputError, match="no such file"):
        earwitness.explain(model, "none.wav", "saliency", folder=tmp_path / "o", trust="none")


def test_saved_explanations_are_loaded_as_they_were(model: Model, tmp_path: Path) -> None:
    same = [Audio(noise(number), RATE, "same.wav") for number in (1, 2)]
    parts = [earwitness.explain(model, one, "saliency", trust="none") for one in (*same, same[0])]
    found = Explanations(parts)
    assert found.save(tmp_path / "out") == tmp_path / "out"
    loaded = Explanations.load(tmp_path / "out")
    assert [one.clip for one in loaded] == ["same.wav", "same.wav", "same-2.wav"]
    for before, after in zip((parts[0], parts[2], parts[1]), loaded, strict=True):
        np.testing.assert_array_equal(before.input.samples, after.input.samples)
        np.testing.assert_array_equal(before.mask.gains, after.mask.gains)
    with pytest.raises(OutputError, match="is not empty"):
        found.save(tmp_path / "out")
    found[:1].save(tmp_path / "out", overwrite=True)
    assert len(Explanations.load(tmp_path / "out")) == 1
    parts[0].save(tmp_path / "loose" / "one")
    both = Explanations.load(tmp_path / "out", tmp_path / "loose")
    assert len(both) == 2
    assert len(both + loaded[:0]) == 2
    with pytest.raises(OutputError, match=f"{re.escape(str(tmp_path / 'no'))}: no such folder"):
        Explanations.load(tmp_path / "no")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputError, match="no explanations in this folder; results are what"):
        Explanations.load(tmp_path / "empty")
    with pytest.raises(ParameterError, match="no explanations to save"):
        Explanations().save(tmp_path / "none")


def test_a_page_joins_the_methods_of_a_sound(model: Model, tmp_path: Path) -> None:
    wave, out = noise(3), tmp_path / "out"
    made = earwitness.explain(model, [(wave, RATE)], "saliency", folder=out, trust="none")
    more = earwitness.explain(
        model, [Audio(wave, RATE, Path(made[0].clip).name), (noise(4), RATE)], "energy", **LIGHT
    )
    page = (made + more).report(tmp_path / "pages" / "all.html")
    first, second = clips(page)
    assert [one["method"] for one in first["explanations"]] == ["saliency", "energy"]
    assert [one["method"] for one in second["explanations"]] == ["energy"]
    link = first["explanations"][0]["files"]["evidence"]
    assert (page.parent / link).resolve().is_file()
    assert first["explanations"][1]["files"] == {}
    assert (made + more).report(page) == page  # a page is replaced ...
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(OutputError, match="not a page of earwitness"):  # ... anything else is not
        made.report(tmp_path / "mine.html")
    with pytest.raises(ParameterError, match=r"ending \.html"):
        made.report(tmp_path / "page")
    with pytest.raises(OutputError, match="no explanations"):
        Explanations().report(tmp_path / "none.html")


def test_processes_need_a_model_that_has_a_name(model: Model, folder: Path) -> None:
    with pytest.raises(ParameterError, match=r"jobs=2: every process loads the model by its name"):
        earwitness.explain(model, folder, "saliency", jobs=2)
    with pytest.raises(ParameterError, match="jobs is a number of processes"):
        earwitness.explain(model, folder, "saliency", jobs=0)


def test_processes_need_the_weights_of_the_name(folder: Path) -> None:
    model = load_model("esc10")
    with torch.no_grad():
        next(model.module.parameters()).mul_(2)
    with pytest.raises(ParameterError, match="the weights of esc10 are not those of esc10"):
        earwitness.explain(model, folder, "saliency", jobs=2)


def test_processes_give_the_same(place: Path) -> None:
    name = "python:model.py:make"
    one = earwitness.explain(name, "clips", ["saliency", "energy"], **LIGHT)
    two = earwitness.explain(name, "clips", ["saliency", "energy"], jobs=2, **LIGHT)
    assert [(a.clip, a.method, a.trust) for a in two] == [(a.clip, a.method, a.trust) for a in one]
    kept = earwitness.explain(name, "clips", ["saliency"], jobs=2, folder="out", **LIGHT)
    assert [a.trust for a in kept] == [a.trust for a in one[::2]]


def test_samples_are_the_same_file_whenever_they_are_written(tmp_path: Path) -> None:
    given = [(noise(0), RATE), (noise(1), RATE), Audio(noise(0), RATE, "a/b.wav")]
    first = [on_disk(one, tmp_path) for one in read_sounds(given, None, str)]
    again = [on_disk(one, tmp_path) for one in read_sounds(given, None, str)]
    assert first == again
    assert len({one.clip for one in first}) == 3
    (other,) = (on_disk(one, tmp_path) for one in read_sounds([(noise(2), RATE)], None, str))
    assert other.clip not in [one.clip for one in first]
    assert [is_single(one) for one in (given, given[0], given[2], 5, ("a", "b"))] == [
        False, True, True, True, False
    ]  # fmt: skip


@pytest.mark.parametrize(
    "samples",
    [
        noise(0),
        torch.from_numpy(noise(0)),
        [0.0, 0.5],
        np.zeros((9, 2), np.int16),
        b"RIFF",
        io.BytesIO(b"a\nb"),
    ],
    ids=["array", "tensor", "list", "stereo", "bytes", "file"],
)
def test_samples_without_their_rate_are_one_sound(model: Model, samples: Any) -> None:
    with pytest.raises(EarwitnessError, match=r"\(samples, rate\); got \w+ without a rate"):
        earwitness.explain(model, samples, "saliency")
    found = earwitness.explain(model, samples, ["saliency", "energy"])
    assert len(found.failures) == 1
    assert not is_single(np.array(["a.wav", "b.wav"]))
    assert not is_single([])


def test_numbers_of_numpy_are_numbers(model: Model, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "target": np.int64(1), "start": np.float32(0.25), "seed": np.int64(3), "trust": "none"
    }  # fmt: skip
    plain = earwitness.explain(
        model, (noise(0), RATE), "random", target=1, start=0.25, seed=3, trust="none"
    )
    one = earwitness.explain(model, (noise(0), RATE), "random", **given)
    one.save(tmp_path / "one")
    (other,) = earwitness.explain(
        model, [(noise(0), RATE)], "random", folder=tmp_path / "many", **given
    )
    for found in (one, other):
        assert found.target == plain.target
        assert np.array_equal(found.mask.gains, plain.mask.gains)


def test_a_path_that_is_none_says_so(model: Model) -> None:
    sound: Any = (noise(0), RATE)
    found = earwitness.explain(model, sound, "saliency", trust="none")
    for work in (
        lambda: found.save(5), lambda: Explanation.load(5), lambda: Explanations([found]).save(5),
        lambda: Explanations.load(5), lambda: Explanations([found]).report(5),
        lambda: earwitness.explain(model, sound, "saliency", folder=5),
        lambda: earwitness.scan(model, 5), lambda: earwitness.read_audio(5),
    ):  # fmt: skip
        with pytest.raises(EarwitnessError, match=r"a path is text or a pathlib\.Path, got int"):
            work()
    with pytest.raises(ParameterError, match=r"list_methods\(\), or several; got None"):
        earwitness.explain(model, sound, None)  # type: ignore[call-overload]
    with pytest.raises(EarwitnessError, match=r"^(a path [^;]*; ){3}and 7,997 more$"):
        earwitness.scan(model, noise(0)[:8000])


def test_the_table_of_a_notebook_is_escaped(model: Model) -> None:
    sounds = [Audio(noise(0), RATE, "<b>.wav"), (np.zeros(3), RATE)]
    text = earwitness.explain(model, sounds, "saliency", trust="none")._repr_html_()
    assert "<td>&lt;b&gt;.wav</td>" in text
    assert "clip-2" in text
