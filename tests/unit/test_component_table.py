"""The table of components of an explanation: what it holds, its files, a user's own names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.cli.main import main
from earwitness.errors import OutputError, ParameterError
from earwitness.explanation import Explanation
from earwitness.masks.rounding import storable
from earwitness.naming import read_names
from earwitness.pipeline import explain
from earwitness.store import files_in
from earwitness.types import Audio, ComponentTable, Segment
from tests.interpreters import ACTIVE, BANDS, WEIGHTS, known, saved
from tests.pages import clips
from tests.toys import TOY_PLANE, spectral
from tests.training import coarse, place_of_model

SEGMENTS = ((Segment("a.wav", 0.5, 1.5), Segment("b.wav", 0.0, 1.0)), (), ())
AUTOMATIC = (
    "peak 500 Hz, learnt on all sounds",
    "peak 2500 Hz, learnt on all sounds",
    "peak 6250 Hz, learnt on noise",
)


@pytest.fixture
def explained(white: Audio, monkeypatch: pytest.MonkeyPatch) -> Any:
    model = spectral()
    interpreter = replace(known(model, WEIGHTS), strongest=SEGMENTS)
    monkeypatch.setattr("earwitness.methods.l2i.FOLDERS.load", lambda _folder: interpreter)

    def made(method: str = "l2i", **given: Any) -> Explanation:
        own = {"interpreter": "x"} if method == "l2i" else {}
        return explain(model, white, method, trust="none", **own, **given)

    return made


def same(found: Any, wanted: Any) -> None:
    assert isinstance(found, ComponentTable)
    for name in ("names", "relevance", "strongest", "titles"):
        assert getattr(found, name) == getattr(wanted, name)
    np.testing.assert_array_equal(found.activations, wanted.activations)
    np.testing.assert_array_equal(found.patterns, wanted.patterns)


def test_the_table_has_patterns_activations_and_signed_relevance(explained: Any) -> None:
    table = explained(target=0).components
    frames = TOY_PLANE.frames(24000)
    patterns, activations = np.zeros((3, TOY_PLANE.bins)), np.zeros((3, frames))
    for k, ((low, high), (active, height)) in enumerate(zip(BANDS, ACTIVE, strict=True)):
        patterns[k, low:high] = (high - low) ** -0.5
        activations[k, active] = height
    np.testing.assert_allclose(table.patterns, patterns, rtol=2**-12)  # half of the last bit
    np.testing.assert_array_equal(table.activations, activations)
    np.testing.assert_allclose(table.relevance, [1.0, 0.0, -2 / (3 * 2 * 20 / frames)], rtol=1e-5)
    assert table.names == AUTOMATIC
    assert table.titles[1] == "component 2 (peak 2500 Hz, learnt on all sounds)"
    assert table.strongest == SEGMENTS


def test_the_table_survives_saving(explained: Any, tmp_path: Path) -> None:
    made = explained(target=0)
    files = made.save(tmp_path / "e")
    assert files["components"] == tmp_path / "e" / "components.npz"
    same(Explanation.load(tmp_path / "e").components, made.components)
    with np.load(files["components"]) as stored:
        assert sorted(stored.files) == ["activations", "freqs", "patterns", "times"]
        assert stored["patterns"].dtype == stored["activations"].dtype == np.float32
        np.testing.assert_array_equal(stored["patterns"], storable(stored["patterns"]))
        np.testing.assert_array_equal(stored["freqs"], made.attribution.freqs)
        np.testing.assert_array_equal(stored["times"], made.attribution.times)
    bare = replace(made, components=replace(made.components, patterns=None, strongest=()))
    bare.save(tmp_path / "bare")
    found: Any = Explanation.load(tmp_path / "bare").components
    assert (found.patterns, found.strongest) == (None, ())
    np.testing.assert_array_equal(found.activations, made.components.activations)
    files["components"].unlink()
    with pytest.raises(OutputError, match=r"no explanation here \(components.npz is missing\)"):
        Explanation.load(tmp_path / "e")


def test_folders_without_components_and_of_earlier_versions_load(
    explained: Any, tmp_path: Path
) -> None:
    explained("energy").save(tmp_path / "e")
    assert not (tmp_path / "e" / "components.npz").exists()
    facts = json.loads((tmp_path / "e" / "explanation.json").read_text())
    assert facts.pop("components") is None
    assert Explanation.load(tmp_path / "e").components is None
    (tmp_path / "e" / "explanation.json").write_text(json.dumps(facts))
    assert Explanation.load(tmp_path / "e").components is None
    explained().save(tmp_path / "e", overwrite=True)
    explained("energy").save(tmp_path / "e", overwrite=True)
    assert "components" not in files_in(tmp_path / "e")  # what was there is gone


def test_own_names_take_the_place_of_the_automatic_ones(explained: Any, tmp_path: Path) -> None:
    place = tmp_path / "names.csv"
    place.write_text("component,name,more\n2,siren <b>\n3,,x\n")
    made = explained(target=1, names=place)
    names = (AUTOMATIC[0], "siren <b>", AUTOMATIC[2])
    assert made.components.names == names
    titles = [f"component {k} ({name})" for k, name in enumerate(names, start=1)]
    assert [piece.name for piece in made.pieces] == [*titles, "rest"]
    assert made.piece_sounds[0].name == "component 2 (siren <b>)"
    assert made.provenance["names"] == str(place)
    made.save(tmp_path / "e")
    same(Explanation.load(tmp_path / "e").components, made.components)
    other = explained("energy", names=str(place))
    assert other.notes[-1] == "names were given, and this method has no components"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "columns component and name"),
        ("number,name\n1,a\n", "columns component and name"),
        ("component,name\n1,a\n1,b\n", "line 3: component 1 has two names"),
        ("component,name\n0,a\n", "line 2: a component is a whole number from 1 on, got '0'"),
        ("component,name\none,a\n", "got 'one'"),
        ("component,name\n1.5,a\n", "got '1.5'"),
        ("component,name\n²,a\n", "got '²'"),
        ('component,name\n1,"a\nb"\n', "a name is one line of at most 80 characters"),
        (f"component,name\n1,{'x' * 81}\n", "a name is one line of at most 80 characters"),
        ("component,name\n1,\N{RIGHT-TO-LEFT OVERRIDE}a\n", "a name is one line"),
        ("component,name\n4,a\n", "there is no component 4, only 1 to 3"),
    ],
)
def test_bad_names_get_one_line(explained: Any, tmp_path: Path, text: str, reason: str) -> None:
    place = tmp_path / "names.csv"
    place.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        explained(names=str(place))
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(place))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables_of_names_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no such file; names are a CSV table"):
        read_names(str(tmp_path / "missing.csv"))
    with pytest.raises(ParameterError, match="no such file; names are a CSV table"):
        read_names(str(tmp_path))
    (tmp_path / "latin.csv").write_bytes(b"component,name\n1,\xe9\n")
    with pytest.raises(ParameterError, match="not in UTF-8"):
        read_names(str(tmp_path / "latin.csv"))


def test_the_command_takes_names_and_knows_when_they_change(
    tmp_path: Path, sounds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = coarse()
    folder, names = saved(model, tmp_path / "i"), tmp_path / "names.csv"
    names.write_text("component,name\n1,siren\n")
    args = ["explain", str(sounds[0]), "--model", place_of_model(tmp_path), "--method", "l2i",
            "--set", f"interpreter={folder}", "--trust", "none", "--names", str(names),
            "-o", str(tmp_path / "r")]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 0
    made = Explanation.load(tmp_path / "r" / sounds[0].stem / "l2i")
    assert made.components is not None
    assert made.components.titles[0] == "component 1 (siren)"
    (clip,) = clips(tmp_path / "r" / "index.html")
    (one,) = clip["explanations"]
    assert "component 1 (siren)" in [piece["name"] for piece in one["pieces"]["table"]]
    assert f"--names {names}" in one["command"]
    names.write_text("component,name\n1,horn\n")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2
    assert "holds explanations with other names of components" in capsys.readouterr().err


def test_the_command_links_to_training_sounds(
    tmp_path: Path, sounds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved(coarse(), tmp_path / "i")
    args = ["explain", str(sounds[0]), "--model", place_of_model(tmp_path), "--method", "l2i",
            "--set", f"interpreter={folder}", "--trust", "none",
            "-o", str(tmp_path / "r")]  # fmt: skip

    def ran(*more: str) -> tuple[Any, str]:
        with pytest.raises(SystemExit) as ended:
            main([*args, *more])
        return ended.value.code, capsys.readouterr().err

    data = tmp_path / "training sounds"
    data.mkdir()
    code, said = ran("--data", str(data / "none"))
    assert code == 2
    assert said.startswith(f"earwitness: --data takes a folder of sounds, and {data}/none is none")
    assert "no sound files in this folder" in ran("--data", str(data))[1]
    assert "--data is for sounds in the page" in ran("--data", str(data), "--no-audio")[1]
    (data / "a.wav").write_bytes(sounds[0].read_bytes())
    assert ran("--data", str(data))[0] == 0
    ((one,),) = (clip["explanations"] for clip in clips(tmp_path / "r" / "index.html"))
    assert one["components"]["count"] == 4
    for row in one["components"]["rows"]:
        start = row["component"] / 10
        assert row["strongest"][0] == {
            "file": "a.wav", "start": start, "end": start + 1, "link": "../training%20sounds/a.wav",
        }  # fmt: skip
        assert row["strongest"][1]["link"] is None
    assert f"holds explanations with --data {data}, not none" in ran()[1]
