"""``earwitness data``: list data sets, get them, and check them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earwitness.cli.options import counted, place, say
from earwitness.cli.results import Verbs, emit

if TYPE_CHECKING:
    from earwitness.data.sets.install import Checked
    from earwitness.data.sets.registry import DataSet

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


@click.group(cls=Verbs)
def data() -> None:
    """List data sets, get them, and check them.

    The folder of a data set is what --data of trainings and benchmarks takes.
    """


@data.command(name="list")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_JSON
def list_(names: tuple[str, ...], as_json: bool) -> int:
    """List the data sets: licence, size, and of those named all facts and their sources."""
    from earwitness.data.sets.registry import DATA_SETS

    for one in [DATA_SETS.get(name) for name in names] or DATA_SETS.all():
        if as_json:
            emit(json.dumps(one.facts()))
        elif names:
            emit("\n".join(_described(one)))
        else:
            emit(f"{one.name:14}{one.summary}  [{one.licence}; {_bytes(one.size)}]")
    return 0


@data.command(name="get")
@click.argument("name", metavar="NAME")
@click.option(
    "--from", "source", type=place, metavar="PATH",
    help="A local copy: the archive, a folder with the archives, or an unpacked folder. Nothing is "
    "downloaded.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Download without asking.")
@click.option("-o", "--output", type=place, metavar="DIR", help="Folder; data/NAME by default.")
def get(name: str, source: str | None, yes: bool, output: str | None) -> int:
    """Get a data set: download, or take a local copy; unpack, check and record it.

    Asks before it downloads. An interrupted download resumes when the command is repeated.
    """
    from earwitness.data.sets.install import install
    from earwitness.data.sets.registry import DATA_SETS

    one = DATA_SETS.get(name)
    for line in _described(one):
        say(line)
    if one.remotes and source is None and not yes:
        files = counted(len(one.remotes), "file")
        if not click.confirm(f"Download {files} ({_bytes(one.size)})?", err=True):
            say("nothing was downloaded")
            return 2
    folder = Path(output or f"data/{name}")
    found = install(one, folder, source=None if source is None else Path(source), note=say)
    say(_summary(found))
    emit(str(folder))
    return 1 if found.problems else 0


@data.command(name="check")
@click.argument("folder", type=place, metavar="DIR")
@_JSON
def check(folder: str, as_json: bool) -> int:
    """Compare a data set on disk with what was unpacked, and name what is damaged or missing.

    Exit code 1 if anything is.
    """
    from earwitness.data.sets.install import compare

    found = compare(Path(folder))
    if as_json:
        emit(json.dumps(asdict(found)))
    else:
        for problem in found.problems:
            emit(problem)
        emit(_summary(found))
    return 1 if found.problems else 0


def _described(one: DataSet) -> list[str]:
    """Return all facts, a line each; what no source states is ``unknown``."""
    lines = [f"{one.name}: {one.summary}", f"  licence: {one.licence}"]
    lines += [f"  cite: {one.citation}"] if one.citation else []
    lines += [f"  page: {one.page}"] if one.page else []
    lines += [
        f"  {remote.name}: {_bytes(remote.size)}, checksum {remote.digest or 'unknown'}, "
        f"{remote.url}"
        for remote in one.remotes
    ]
    return lines + [f"  source of {source}" for source in one.sources]


def _summary(found: Checked) -> str:
    text = f"{found.name}: {counted(found.sounds, 'sound')}, "
    if not found.recorded:
        return text + "layout and labels read; there is no record of its bytes"
    origin = "checksums as published" if found.verified else "unverified: no published checksum"
    if found.problems:
        return text + f"{counted(len(found.problems), 'problem')} in {found.files} files"
    return text + f"{counted(found.files, 'file')} as unpacked; {origin}"


def _bytes(size: int | None) -> str:
    if size is None:
        return "size unknown"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
