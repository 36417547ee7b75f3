"""The files of ``earwitness components``: what an earlier run and a user wrote is not lost."""

from __future__ import annotations

import csv
import errno
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from earwitness.cli.main import main
from earwitness.decoders.interpreter import load_interpreter
from earwitness.jobs.components import Overview
from earwitness.methods.l2i import l2i
from tests.interpreters import saved
from tests.training import coarse, place_of_model


@pytest.fixture
def again(
    sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[Path, Path, Any]:
    """A run whose table got a name from the user, its sounds, and the run that reads the name."""
    folder, data, out = saved(coarse(), tmp_path / "i"), tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / "one.wav").write_bytes(sounds[0].read_bytes())
    args = ["components", place_of_model(tmp_path), str(data), "--interpreter", str(folder),
            "-o", str(out)]  # fmt: skip

    def ran(*more: str) -> tuple[Any, str]:
        with pytest.raises(SystemExit) as ended:
            main([*args, *more])
        return ended.value.code, capsys.readouterr().err

    assert ran()[0] == 0
    table = out / "components.csv"
    first = name_of_first(out)
    table.write_text(table.read_text().replace(f'1,"{first}"', "1,siren"))
    assert name_of_first(out) == "siren"
    return out, data, partial(ran, "--overwrite", "--names", str(table))


def test_components_are_selected_by_the_threshold_of_l2i_or_the_users(
    again: tuple[Path, Path, Any],
) -> None:
    out, data, run = again
    declared = signature(l2i).parameters["threshold"].default
    assert declared == 0.2
    for threshold, more in ((declared, ()), (1.0, ("--threshold", "1"))):
        assert run(*more)[0] == 0
        overview = Overview(coarse(), load_interpreter(out.parent / "i"), threshold=threshold)
        overview.add(data / "one.wav")
        rows = list(csv.DictReader((out / "components.csv").read_text().splitlines()))
        assert any(any(one.selected) for one in overview.classes) == (threshold < 1)
        for one in overview.classes:
            assert [float(row[f"selected: {one.label}"]) for row in rows] == list(one.selected)


def name_of_first(out: Path) -> str:
    return next(csv.DictReader((out / "components.csv").read_text().splitlines()))["name"]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_names_and_files_stay_if_no_sound_can_be_read(again: tuple[Path, Path, Any]) -> None:
    out, data, run = again
    before = contents(out)
    (data / "one.wav").write_bytes(b"RIFF")
    assert run()[0] == 2
    assert contents(out) == before


def test_names_and_files_stay_if_the_run_is_interrupted(
    again: tuple[Path, Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _, run = again
    before = contents(out)

    def interrupted(_self: Overview, _path: Path) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Overview, "add", interrupted)
    code, said = run()
    assert (code, said.splitlines()[-1]) == (2, "earwitness: stopped")
    assert contents(out) == before


def test_names_stay_if_the_disk_is_full(
    again: tuple[Path, Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _, run = again

    def full(*_args: Any, **_given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("earwitness.audio.write_audio", full)
        code, said = run()
    assert (code, said.splitlines()[-1]) == (
        2, f"earwitness: {out}: cannot be written (No space left on device)"
    )  # fmt: skip
    assert name_of_first(out) == "siren"
    (out / "component-77.wav").write_bytes(b"of an earlier run")
    assert run()[0] == 0
    before = contents(out)
    assert "component-77.wav" not in before
    assert name_of_first(out) == "siren"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert run()[0] == 2
    assert contents(out) == before
