"""Registries with plug-ins and modules that cannot be imported."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from earwitness import registry
from earwitness.errors import UnknownNameError
from earwitness.registry import Registry

ADD = "from own_package import THINGS, Thing\nTHINGS.add(Thing({name!r}))\n"


@dataclass(frozen=True)
class Thing:
    name: str


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Thing]]:
    """A registry with a package of three modules and no plug-ins yet."""
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("first", "middle", "third"):
        (package / f"{name}.py").write_text(ADD.format(name=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    found: Registry[Thing] = Registry("thing", "own_package", "own.things")
    module = importlib.import_module("own_package")
    module.THINGS, module.Thing = found, Thing  # type: ignore[attr-defined]
    yield found
    for name in [one for one in sys.modules if one.startswith(("own_package", "plug_"))]:
        del sys.modules[name]


def plug_in(monkeypatch: pytest.MonkeyPatch, folder: Path, **codes: str) -> None:
    for name, code in codes.items():
        (folder / f"{name}.py").write_text(code)
    points = [EntryPoint(name, name, "own.things") for name in codes]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)


BROKEN = {
    "import": "import a_module_that_is_not_installed\n",
    "exit": "raise SystemExit('no licence')\n",
    "name of ours": ADD.format(name="first"),
    "syntax": "def (:\n",
}


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_a_broken_plug_in_took_other_entries_with_it(
    code: str,
    things: Registry[Thing],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plug_in(monkeypatch, tmp_path, plug_bad=code, plug_good=ADD.format(name="good"))
    with caplog.at_level(logging.WARNING, "earwitness"):
        for _ in range(2):
            assert [one.name for one in things.all()] == ["first", "good", "middle", "third"]
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "the plug-in plug_bad"
    ]
    with pytest.raises(UnknownNameError, match=r"no thing called 'bad'.*not loaded: plug_bad"):
        things.get("bad")


def test_a_module_of_ours_that_fails_fails_every_time_and_recovers(
    things: Registry[Thing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, tmp_path)
    module = tmp_path / "own_package" / "middle.py"
    module.write_text(ADD.format(name="middle") + "import a_module_that_is_not_installed\n")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_installed"):
            things.all()
    module.write_text(ADD.format(name="middle") + "\n\n# mended\n")
    importlib.invalidate_caches()
    assert [one.name for one in things.all()] == ["first", "middle", "third"]


def test_two_entries_of_one_name_are_an_error(things: Registry[Thing]) -> None:
    things.add(Thing("mine"))
    with pytest.raises(ValueError, match="two entries for thing 'mine'"):
        things.add(Thing("mine"))
