"""What a package holds: the files that are named, and none that happen to lie in the folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRIVATE = (".env", "private.wav", "tests/patient.wav", "docs/.env", "src/earwitness/secret.pth")
PRIVATE += ("src/earwitness/.env", "src/earwitness/models/zoo/weights/esc10/other.safetensors")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Names in the sdist and in the wheel of a folder in which private files lie."""
    pytest.importorskip("hatchling")
    copy = tmp_path_factory.mktemp("package") / "copy"
    skip = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", "earwitness-*")
    shutil.copytree(ROOT, copy, ignore=skip)
    for name in PRIVATE:
        (copy / name).write_bytes(b"private")
    command = [sys.executable, "-m", "hatchling", "build", "-d", "out"]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (sdist,), (wheel,) = (list((copy / "out").glob(f"*.{end}")) for end in ("tar.gz", "whl"))
    with tarfile.open(sdist) as one, zipfile.ZipFile(wheel) as other:
        inside = [name.partition("/")[2] for name in one.getnames()]
        return [inside, [f"src/{name}" for name in other.namelist()]]


@pytest.mark.parametrize("kind", [0, 1], ids=["sdist", "wheel"])
def test_private_files_in_the_folder_get_into_no_package(built: list[list[str]], kind: int) -> None:
    assert sorted(set(PRIVATE) & set(built[kind])) == []


def test_packages_hold_every_file_of_the_library(built: list[list[str]]) -> None:
    tracked = [path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*")
               if path.is_file() and "__pycache__" not in path.parts]  # fmt: skip
    for inside in built:
        assert sorted(set(tracked) - set(inside)) == []


def test_the_wheel_holds_the_notice_of_its_weights(built: list[list[str]]) -> None:
    assert [name for name in built[1] if name.endswith("licenses/NOTICE")] == [
        "src/earwitness-0.1.0.dist-info/licenses/NOTICE"
    ]


def test_the_notice_names_the_recordings_that_the_weights_were_trained_on() -> None:
    text = (ROOT / "NOTICE").read_text(encoding="utf-8")
    numbers = {int(one) for one in text.partition("by class:")[2].replace(",", " ").split()
               if one.isdigit()}  # fmt: skip
    assert "https://creativecommons.org/licenses/by/3.0/" in text
    # 240 clips of folds 1 to 3 were cut from fewer recordings
    assert len(numbers) == 188
    assert {100032, 110389, 19898} <= numbers


def test_the_notice_names_an_author_and_a_licence_of_each_recording() -> None:
    text = (ROOT / "NOTICE").read_text(encoding="utf-8").partition("by class:")[2]
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    form = r"(\d+) ([^\s(),][^(),]*) \((?:CC0|CC BY|CC Sampling\+)\)"
    found = [re.fullmatch(form, one) for line in lines for one in line.rstrip(",").split(", ")]
    authors = {int(one[1]): one[2] for one in found if one}
    assert len(found) == len(authors) == 188
    assert (authors[100032], authors[110389]) == ("nfrae", "soundscalpel.com")


def test_versions_with_known_holes_are_excluded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # CVE-2026-40192 and CVE-2026-42308 to -42311 (12.2), CVE-2026-55798 (12.3); CVE-2025-27516
    assert {"pillow>=12.3", "jinja2>=3.1.6,<4"} <= set(project["dependencies"])
