"""What the documents say is true: their code runs, their links lead somewhere, their figures are
those of the tables."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from earwitness.benchmark.grid import read_grid
from earwitness.evaluation.cases import measure
from earwitness.masks.registry import MASKS
from earwitness.methods.registry import METHODS
from earwitness.metrics.registry import METRICS
from earwitness.models.adapters.registry import ADAPTERS
from earwitness.models.registry import list_models, load_model
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests.conftest import ROOT
from tests.toys import spectral

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def code_in(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_examples_of_additions_work_as_written(white: Audio) -> None:
    try:
        for code in code_in("extend.md"):
            exec(compile(code, "extend.md", "exec"), {})
        found = explain(spectral(), white, "level", decibels=-3.0)
        assert set(np.unique(found.attribution.values)) == {0.0, 1.0}
        loudest = np.unravel_index(found.magnitude.argmax(), found.magnitude.shape)
        assert found.attribution.values[loudest] == 1.0
        mask = explain(spectral(), white, "input-x-gradient", keep="root").mask
        assert mask.soft
        assert mask.gains.max() == 1.0
        values = np.array([0.2, 0.7])
        np.testing.assert_array_equal(measure({"p_evidence": values})["kept"], values)
        firsts = load_model("firsts:2", rate=16000, gain=2.0)
        assert firsts(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[2.0, 4.0]]
    finally:
        ADAPTERS._specs.pop("firsts", None)
        METHODS._specs.pop("level", None)
        MASKS._specs.pop("root", None)
        METRICS._specs.pop("kept", None)


def test_the_grid_of_the_guide_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    head, _ = code.split("[sounds]")
    (tmp_path / "one.wav").touch()
    path = tmp_path / "grid.toml"
    path.write_text(f'{head}[sounds]\nkind = "folder"\npaths = ["{tmp_path.as_posix()}"]\n')
    grid = read_grid(path)
    assert [part.model for part in grid.parts] == ["esc10", "my-model/"]
    assert {"gradcam", "lime", "random", "energy"} <= {choice.name for choice in grid.methods}


def test_the_example_of_metrics_works_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = code_in("guide.md")
    exec(compile(code, "guide.md", "exec"), {})
    printed = capsys.readouterr().out
    assert all(rule in printed for rule in ("80%", "area:10%", "minmax+"))


def test_every_kind_of_models_is_on_their_page() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for one in ADAPTERS.all():
        assert f"`{one.usage}`" in text
    assert all(f"`{one.name}" in text for one in list_models())


def test_every_rule_is_in_the_guide() -> None:
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    for rule in MASKS.all():
        assert rule.example in text


def test_every_method_is_in_the_guide() -> None:
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    for method in METHODS.all():
        assert f"`{method.name}`" in text


def test_the_model_card_quotes_its_table() -> None:
    card = (ROOT / "docs" / "model_card.md").read_text(encoding="utf-8")
    table = (ROOT / "benchmarks" / "default_model.md").read_text(encoding="utf-8")
    for name in ("mean inside folds 1-3", "mean on fold 4", "mean on fold 4, calibrated"):
        (row,) = [line for line in table.splitlines() if line.startswith(f"| **{name}**")]
        accuracy, error, _ = re.findall(r"\d\.\d{3}", row)
        assert any(accuracy in line and error in line for line in card.splitlines()), name
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{accuracy} of cases" in readme.replace("\n", " ")
    assert f"calibration error of {error}" in readme.replace("\n", " ")


def test_the_examples_of_python_work_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for code in code_in("python.md"):
        exec(compile(code, "python.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert "crying_baby" in printed
    assert "missing.wav: no such file" in printed
    for name in ("cry/explanation.json", "cry.png", "results/index.html", "cries.html"):
        assert (tmp_path / name).is_file(), name
    assert (tmp_path / "night" / "index.html").is_file()


@pytest.mark.parametrize("name", ["methods.md", "masks.md", "metrics.md"])
def test_reference_pages_are_up_to_date(name: str) -> None:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "scripts" / "reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert module.PAGES[name]() == wanted, "run python scripts/reference_pages.py"


def test_the_picture_of_the_report_is_as_wide_as_the_page_and_small() -> None:
    path = ROOT / "docs" / "images" / "desk.png"
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1280
    assert path.stat().st_size <= 300_000
    assert "(docs/images/desk.png)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_method_names_its_paper() -> None:
    for method in METHODS.all():
        assert method.control or method.paper
