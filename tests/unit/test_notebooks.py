"""The notebooks are executed, of the cells that they are made of, and hold no recording."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from tests.conftest import ROOT


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "scripts" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()


def book(name: str) -> dict[str, Any]:
    return json.loads((SCRIPT.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def test_every_notebook_is_one_that_is_made() -> None:
    assert {path.stem for path in SCRIPT.NOTEBOOKS.glob("*.ipynb")} == set(SCRIPT.NAMES)
    assert {path.stem for path in SCRIPT.CELLS.glob("*.py")} == set(SCRIPT.NAMES)


@pytest.mark.parametrize("name", SCRIPT.NAMES)
def test_it_was_executed_as_its_cells_are_now(name: str) -> None:
    found, wanted = book(name), SCRIPT.cells_of(name)
    assert [(one["cell_type"], "".join(one["source"])) for one in found["cells"]] == wanted
    assert found["metadata"]["earwitness"]["cells"] == SCRIPT.digest_of_cells(name)
    counts = [one["execution_count"] for one in found["cells"] if one["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("name", SCRIPT.NAMES)
def test_its_outputs_are_pictures_and_tables(name: str) -> None:
    path = SCRIPT.NOTEBOOKS / f"{name}.ipynb"
    assert path.stat().st_size <= SCRIPT.LARGEST
    outputs = [o for one in book(name)["cells"] for o in one.get("outputs", ())]
    assert all(one["output_type"] != "error" for one in outputs)
    assert all(one.get("name") != "stderr" for one in outputs)
    kinds = {kind for one in outputs for kind in one.get("data", ())}
    assert {"image/png", "text/html"} <= kinds
    text = path.read_text(encoding="utf-8")
    assert "<audio controls" in text
    assert "data:audio" not in text
    assert "data:image/webp" in text
    assert "/tmp/" not in text


def test_sounds_are_taken_out_of_outputs_and_pictures_are_not() -> None:
    html = '<img src="data:image/webp;base64,AA"><audio src="data:audio/ogg;base64,BB"></audio>'
    found = SCRIPT.stripped([{"data": {"text/html": html}, "n": 3}])
    assert found[0]["n"] == 3
    assert "BB" not in found[0]["data"]["text/html"]
    assert "base64,AA" in found[0]["data"]["text/html"]
