"""Data sets on disk: obtained, unpacked, recorded, and compared with the record.

The record (``dataset.json``) has the digest of every file, so that a damaged one is named later,
and the digests of the archives, with whether a public source states them.
"""

from __future__ import annotations

import bz2
import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earwitness.data.sets.download import Note, digest, fetch, mismatch
from earwitness.data.sets.registry import DATA_SETS, DataSet, Remote
from earwitness.errors import DownloadError, EarwitnessError, OutputError
from earwitness.files import held, read_record, unwritable, write_json

RECORD = "dataset.json"
_SCHEMA = 1
_WORK = ".download"
_BLOCK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)


@dataclass(frozen=True)
class Checked:
    """A data set on disk compared with its record.

    Attributes
    ----------
    name : str
    sounds, files : int
    problems : tuple of str
        One line for each file that is missing or damaged, or for what cannot be read.
    recorded : bool
        Whether there was a record to compare with.
    verified : bool
        Whether a public source states the digests of all archives that it came from.
    """

    name: str
    sounds: int
    files: int
    problems: tuple[str, ...]
    recorded: bool
    verified: bool


def is_installed(folder: Path) -> bool:
    """Return whether a folder holds a data set that was obtained completely."""
    return (folder / RECORD).is_file()


def install(
    data_set: DataSet, folder: Path, *, source: Path | None = None, note: Note = lambda _: None
) -> Checked:
    """Put a data set into a folder: from its archives, downloaded or local, or from a copy of it.

    Archives that were downloaded are kept until all is unpacked, so that a repeated call resumes.

    Parameters
    ----------
    source : Path, optional
        A folder with the archives, an archive, or a folder in the layout of the data set.
    note : callable
        Called with what is done, one line each.

    Raises
    ------
    DownloadError
        If a file cannot be downloaded, or is damaged; it is named.
    OutputError
        If the folder holds something else, or cannot be written.
    """
    if is_installed(folder):
        raise OutputError(f"{folder}: is complete; earwitness data check {folder} compares it")
    with held(folder):
        others = [path for path in folder.iterdir() if path.name != _WORK]
        if others and not (folder / _WORK).exists():
            raise OutputError(f"{folder}: holds other files ({others[0].name}); choose another")
        work = folder / _WORK
        fresh = work / "unpacked"
        try:
            work.mkdir(exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            archives = _fill(data_set, fresh, work, source, note)
            if data_set.prepare is not None and not data_set.recognises(fresh):
                data_set.prepare(fresh)
            if not data_set.recognises(fresh):
                raise DownloadError(f"{data_set.name}: what was unpacked has another layout")
            data_set.read(fresh)
            record = {
                "schema": _SCHEMA,
                "name": data_set.name,
                "archives": archives,
                "files": {one: digest(fresh / one) for one in _files(fresh)},
            }
            for path in fresh.iterdir():
                _replace(path, folder / path.name)
        except OSError as error:
            raise unwritable(folder, error) from error
        write_json(folder / RECORD, record)
        shutil.rmtree(work, ignore_errors=True)
    return compare(folder)


def _fill(
    data_set: DataSet, fresh: Path, work: Path, source: Path | None, note: Note
) -> list[dict[str, Any]]:
    """Unpack a data set into a folder, and return the record of its archives."""
    if source is not None and not source.exists():
        raise DownloadError(f"{source}: no such file or folder")
    local = {remote.name: _local(source, remote) for remote in data_set.remotes}
    if source is not None and not any(local.values()):
        if not (source.is_dir() and data_set.recognises(source)):
            wanted = ", ".join(local) or "a CSV table with filename and category"
            raise DownloadError(f"{source}: holds neither {wanted} nor {data_set.name} unpacked")
        note(f"{source}: copied; there is no checksum to compare it with")
        shutil.copytree(source, fresh, dirs_exist_ok=True)
        (fresh / RECORD).unlink(missing_ok=True)
        return []
    if not data_set.remotes:
        raise DownloadError(f"{data_set.name}: is not downloaded; name your folder with --from")
    archives = []
    for remote in data_set.remotes:
        path = local[remote.name]
        if path is None and source is not None:
            raise DownloadError(f"{source}: has no {remote.name}")
        if path is None:
            path = fetch(remote, work, note)
        elif wrong := mismatch(path, remote):
            raise DownloadError(f"{path}: damaged, or another version ({wrong})")
        sha256 = digest(path)
        if remote.digest is None:
            examine(path)
            note(f"{remote.name}: sha256 {sha256}, unverified: no public source states a checksum")
        else:
            note(f"{remote.name}: checksum as stated ({remote.digest})")
        unpack(path, fresh / remote.into, remote.top)
        facts = {"name": remote.name, "url": remote.url, "size": path.stat().st_size}
        archives.append({**facts, "sha256": sha256, "verified": remote.digest is not None})
    return archives


def _local(source: Path | None, remote: Remote) -> Path | None:
    """Return the local copy of a file, if there is one."""
    if source is None:
        return None
    path = source if source.is_file() else source / remote.name
    return path if path.is_file() and path.name == remote.name else None


def examine(archive: Path) -> None:
    """Read an archive to its end and compare it with the checksums in it, if its format has any.

    Raises
    ------
    DownloadError
        If it is damaged; of a ZIP file, the first damaged file in it is named.
    """
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as opened:
                damaged = opened.testzip()
                if damaged:
                    raise DownloadError(f"{archive}: damaged at {damaged}")
        elif archive.suffix in (".gz", ".bz2"):
            with gzip.open(archive) if archive.suffix == ".gz" else bz2.open(archive) as stream:
                while stream.read(_BLOCK):
                    pass
    except (*_DAMAGED, OSError) as error:  # the latter of gzip and bz2
        raise DownloadError(f"{archive}: damaged ({error})") from error


def unpack(archive: Path, folder: Path, top: str = "") -> None:
    """Unpack an archive, or copy a file that is none; nothing is written outside of the folder.

    Parameters
    ----------
    top : str
        Folder in the archive whose content is wanted; all if empty.

    Raises
    ------
    DownloadError
        If it is no archive, a file in it would lie outside, or it has no such folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inside = folder / ".inside"
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as opened:
                for name in opened.namelist():
                    if name.startswith("/") or ".." in name.split("/"):
                        raise DownloadError(f"{archive}: {name} lies outside of the folder")
                opened.extractall(inside)
        elif archive.name.endswith((".tar.gz", ".tar.bz2", ".tar")):
            with tarfile.open(archive) as packed:
                packed.extractall(inside, filter="data")
        else:
            shutil.copyfile(archive, folder / archive.name)
            return
    except _DAMAGED as error:
        raise DownloadError(f"{archive}: damaged ({error})") from error
    place = inside / top
    if not place.is_dir():
        raise DownloadError(f"{archive}: has no folder {top}")
    for path in place.iterdir():
        _replace(path, folder / path.name)
    shutil.rmtree(inside)


def _replace(path: Path, place: Path) -> None:
    """Move a file or folder, in the place of what an interrupted run left there."""
    if place.is_dir() and path.is_dir():
        for one in path.iterdir():
            _replace(one, place / one.name)
        path.rmdir()
    else:
        path.replace(place)


def compare(folder: Path, on_file: Callable[[str], None] = lambda _: None) -> Checked:
    """Compare a data set on disk with its record, and read its labels.

    Without a record, only the layout and the labels are read.

    Raises
    ------
    DownloadError
        If the folder holds no data set that is known.
    """
    stored: dict[str, Any] = {}
    if is_installed(folder):
        try:
            stored = read_record(folder / RECORD, [_SCHEMA], DownloadError)
            files, archives = dict(stored["files"]), list(stored["archives"])
            data_set = DATA_SETS.get(stored["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DownloadError(f"{folder / RECORD}: damaged; get the data set again") from error
    else:
        files, archives = {}, []
        data_set = recognise(folder)
    problems = []
    for name, wanted in files.items():
        on_file(name)
        path = folder / name
        if not path.is_file():
            problems.append(f"{name}: missing")
        elif digest(path) != wanted:
            problems.append(f"{name}: damaged (other bytes than when it was unpacked)")
    sounds = 0
    try:
        sounds = len(data_set.read(folder))
    except EarwitnessError as error:
        problems.append(str(error))
    verified = bool(archives) and all(one["verified"] for one in archives)
    return Checked(data_set.name, sounds, len(files), tuple(problems), bool(stored), verified)


def recognise(folder: Path) -> DataSet:
    """Return the data set that a folder has the layout of.

    Raises
    ------
    DownloadError
        If there is none.
    """
    if not folder.is_dir():
        raise DownloadError(f"{folder}: no such folder")
    found = [one for one in DATA_SETS.all() if one.recognises(folder)]
    if not found:
        raise DownloadError(f"{folder}: has the layout of no data set (earwitness data list)")
    return max(found, key=lambda one: one.name != "folder")


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
