"""The shape of the source: imports point one way, and importing costs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "earwitness"
# from the ground up: a part may import what stands above it in this list, or in its own part
ORDER = [
    ["errors", "types", "scores", "registry", "options"],
    ["files", "interrupts", "provenance", "weights", "naming"],
    ["samples", "wav", "containers", "audio", "clips", "stream", "signals"],
    ["plane"],
    ["masks"],
    ["metrics"],
    ["data"],
    ["models"],
    ["layers"],
    ["backward"],
    ["mixing", "steps", "probe"],
    ["perturbation"],
    ["decoders"],
    ["methods"],
    ["train"],
    ["render"],
    ["evaluation"],
    ["matching"],
    ["subject", "explanation", "store", "pooling", "pipeline"],
    ["comparing"],
    ["jobs"],
    ["checking"],
    ["benchmark"],
    ["report"],
    ["collecting"],
    ["recordings"],
    ["cli"],
]
LEVEL = {part: level for level, parts in enumerate(ORDER) for part in parts}
TOP = {SOURCE / "__init__.py", SOURCE / "__main__.py"}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path not in TOP)


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_upwards(path: Path) -> None:
    here = LEVEL[part_of(path)]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("earwitness."):
                part = name.split(".")[1]
                same = part == part_of(path)
                assert same or LEVEL[part] <= here, f"{name} stands below"


VALUES = ["types.py", "scores.py", "explanation.py", "errors.py"]
IO = {"audio", "files", "store", "json", "soundfile", "pathlib.Path.open", "tempfile", "shutil"}
LONGEST = 400  # lines of a file that still holds one idea
MOST_MODULES = 10  # of a folder without registered entries


@pytest.mark.parametrize("name", VALUES)
def test_value_types_import_no_input_or_output(name: str) -> None:
    tree = ast.parse((SOURCE / name).read_text(encoding="utf-8"))
    names = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    names += [a.name for node in tree.body if isinstance(node, ast.Import) for a in node.names]
    parts = {one.removeprefix("earwitness.").split(".")[0] for one in names}
    assert not parts & IO


def test_the_report_takes_results_and_starts_no_work() -> None:
    for path in (SOURCE / "report").glob("*.py"):
        assert "earwitness.jobs" not in path.read_text(encoding="utf-8"), path.name


ROOT = Path(__file__).parents[2]
CODE = sorted(
    path
    for place in ("src", "tests", "scripts", "benchmarks")
    for path in ROOT.glob(f"{place}/**/*.py")
)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long_for_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


DESK = SOURCE / "report" / "desk"


def test_the_desk_is_made_of_all_its_modules_once() -> None:
    from earwitness.report.page import SCRIPTS

    assert sorted(SCRIPTS) == sorted(path.name for path in DESK.glob("*.js"))
    texts = {name: (DESK / name).read_text(encoding="utf-8") for name in SCRIPTS}
    assert max(len(text.splitlines()) for text in texts.values()) <= LONGEST
    assert all(text.startswith("//") for text in texts.values())  # says its one idea
    names = re.findall(r"^(?:async )?(?:function|const|let) (\w+)", "\n".join(texts.values()), re.M)
    assert sorted(names) == sorted(set(names))  # they share one scope


def test_large_folders_hold_registered_entries() -> None:
    for folder in {path.parent for path in FILES} - {SOURCE}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        marks = ("@register(", "@click.command", "_preset(")
        entries = [p for p in modules if any(m in p.read_text(encoding="utf-8") for m in marks)]
        assert entries or len(modules) <= MOST_MODULES, folder


def test_no_module_is_named_like_a_public_function() -> None:
    import earwitness

    modules = {path.stem for path in FILES if path.parent == SOURCE}
    assert not modules & set(earwitness.__all__)


@pytest.mark.parametrize(
    "code",
    [
        "import earwitness",
        "import sys; sys.argv = ['earwitness', '--help']\n"
        "from earwitness.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass",
    ],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    heavy = "{'torch', 'numpy', 'scipy', 'rich', 'matplotlib', 'jinja2', 'skimage', 'sklearn'}"
    check = f"{code}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_listing_methods_loads_no_library_that_only_some_of_them_need() -> None:
    code = "from earwitness.cli.main import main\ntry:\n    main(['methods'])\nexcept SystemExit:\n"
    only_some = "{'skimage', 'sklearn', 'pydantic'}"
    code += f"    pass\nimport sys\nprint('\\n', sorted({only_some} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "kernel-shap" in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_every_public_name_exists() -> None:
    import earwitness

    assert all(callable(getattr(earwitness, name)) for name in earwitness.__all__)


def test_every_test_file_is_collected() -> None:
    for path in Path(__file__).parents[1].rglob("*.py"):
        has_tests = "\ndef test_" in path.read_text(encoding="utf-8")
        assert not has_tests or path.name.startswith("test_"), path
