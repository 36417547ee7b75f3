"""Make and execute the notebooks of docs/notebooks.

    python scripts/notebooks.py [NAME...]

Needs the extra ``notebooks``. The cells are in ``scripts/notebook_cells/NAME.py``: text in comments
after ``# %% [markdown]``, code after ``# %%``. Sounds of players are taken out of what is stored,
so that a notebook holds pictures and tables, and no recording.
"""

from __future__ import annotations

import os
import re
import sys
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CELLS, NOTEBOOKS = ROOT / "scripts" / "notebook_cells", ROOT / "docs" / "notebooks"
NAMES = ("own_classifier", "speech_quality", "long_recording")
LARGEST = 400_000  # bytes of a notebook
_SOUND = re.compile(r'src="data:audio/[^"]*"')
_SECONDS = 900  # of a cell, at most


def cells_of(name: str) -> list[tuple[str, str]]:
    """Return the cells of a notebook, each with its kind: markdown or code."""
    text = (CELLS / f"{name}.py").read_text(encoding="utf-8")
    found = []
    for part in re.split(r"^# %%", text, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        body = body.strip()
        if "[markdown]" in head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.splitlines()]
            found.append(("markdown", "\n".join(lines)))
        else:
            found.append(("code", body))
    return found


def digest_of_cells(name: str) -> str:
    """Return what depends on all cells; stored when they were executed."""
    return blake2b(repr(cells_of(name)).encode(), digest_size=8).hexdigest()


def stripped(value: Any) -> Any:
    """Return outputs without the sounds of players."""
    if isinstance(value, str):
        return _SOUND.sub('title="execute the cell to listen"', value)
    if isinstance(value, dict):
        return {key: stripped(one) for key, one in value.items()}
    return [stripped(one) for one in value] if isinstance(value, list) else value


def make(name: str) -> Path:
    """Execute a notebook in an empty folder, and write it."""
    import nbformat
    from nbclient import NotebookClient

    cells = [
        nbformat.v4.new_markdown_cell(text, id=f"{name}-{number}".replace("_", "-"))
        if kind == "markdown"
        else nbformat.v4.new_code_cell(text, id=f"{name}-{number}".replace("_", "-"))
        for number, (kind, text) in enumerate(cells_of(name))
    ]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata["earwitness"] = {"cells": digest_of_cells(name)}
    with TemporaryDirectory() as place:
        resources = {"metadata": {"path": place}}
        NotebookClient(book, timeout=_SECONDS, kernel_name="python3", resources=resources).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # times
        if "outputs" in cell:
            cell.outputs = [
                nbformat.from_dict(stripped(dict(one)))
                for one in cell.outputs
                if one.output_type != "stream" or one.name == "stdout"
            ]
    path = NOTEBOOKS / f"{name}.ipynb"
    nbformat.write(book, path)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path}: {size} bytes, of {LARGEST} at most")
    return path


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for one in sys.argv[1:] or NAMES:
        print(make(one))
