"""Data sets: downloads that resume, archives with one flipped byte, and the layouts of folders.

Archives are made here, and served from this machine.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earwitness.data.collection import read_collection
from earwitness.data.sets.download import fetch
from earwitness.data.sets.install import compare, examine, install, unpack
from earwitness.data.sets.registry import DATA_SETS, DataSet, Remote
from earwitness.errors import AudioError, DownloadError, OutputError
from tests.command import run
from tests.served import Served, serving

BODY = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, str]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as both:
        both[0].files["file.bin"] = BODY
        yield both


def remote_at(address: str) -> Remote:
    return Remote("file.bin", f"{address}file.bin", digest=SHA256, size=len(BODY))


def test_an_interrupted_download_resumes_where_it_ended(
    server: tuple[Served, str], tmp_path: Path
) -> None:
    served, address = server
    served.most = 100_000
    with pytest.raises(DownloadError, match="ended after 100000 of 300000 bytes; repeat"):
        fetch(remote_at(address), tmp_path)
    with pytest.raises(DownloadError, match="ended after 200000 of 300000 bytes"):
        fetch(remote_at(address), tmp_path)
    assert fetch(remote_at(address), tmp_path).read_bytes() == BODY
    starts = [None, "bytes=100000-", "bytes=200000-"]
    assert served.asked == [("file.bin", start) for start in starts]
    assert served.sent == len(BODY)  # nothing twice
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]
    fetch(remote_at(address), tmp_path)
    assert len(served.asked) == 3  # is there


def test_a_rest_of_another_version_is_not_appended(
    server: tuple[Served, str], tmp_path: Path
) -> None:
    served, address = server
    unknown = replace(remote_at(address), digest=None, size=None)
    served.most = 1000
    with pytest.raises(DownloadError, match="ended after 1000"):
        fetch(unknown, tmp_path)
    served.most, served.version, served.files["file.bin"] = None, "2", BODY[::-1]
    assert fetch(unknown, tmp_path).read_bytes() == BODY[::-1]


def test_a_server_without_ranges_starts_again(server: tuple[Served, str], tmp_path: Path) -> None:
    served, address = server
    (tmp_path / "file.bin.part").write_bytes(BODY[:5000])
    served.ranges = False
    assert fetch(remote_at(address), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("size", [5000, len(BODY), len(BODY) + 10])
def test_a_damaged_part_is_found_and_downloaded_again(
    server: tuple[Served, str], tmp_path: Path, size: int
) -> None:
    part = bytearray((BODY + bytes(10))[:size])
    part[1234] ^= 1
    (tmp_path / "file.bin.part").write_bytes(part)
    lines: list[str] = []
    assert fetch(remote_at(server[1]), tmp_path, lines.append).read_bytes() == BODY
    assert "what was resumed is damaged" in " ".join(lines)


def test_a_damaged_file_is_downloaded_again(server: tuple[Served, str], tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"x" + BODY[1:])
    assert fetch(remote_at(server[1]), tmp_path).read_bytes() == BODY


def test_another_file_than_the_registered_one_is_refused(
    server: tuple[Served, str], tmp_path: Path
) -> None:
    served, address = server
    served.files["file.bin"] = b"x" + BODY[1:]
    found = hashlib.sha256(b"x" + BODY[1:]).hexdigest()
    with pytest.raises(DownloadError, match=f"sha256 {found}, {SHA256[7:]} expected; it was rem"):
        fetch(remote_at(address), tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DownloadError, match="404"):
        fetch(replace(remote_at(address), url=f"{address}none"), tmp_path)
    with pytest.raises(DownloadError, match="repeat the command to resume"):
        fetch(replace(remote_at(address), url="http://127.0.0.1:9/none"), tmp_path)


RATE = 8000


def sound(seed: int) -> bytes:
    stream = io.BytesIO()
    wave = 0.1 * np.random.default_rng(seed).standard_normal(RATE)
    soundfile.write(stream, wave, RATE, format="WAV")
    return stream.getvalue()


def pack(path: Path, files: dict[str, bytes]) -> Path:
    """Write an archive of the kind that its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, data in files.items():
                opened.writestr(name, data)
        return path
    kind = "w:bz2" if path.suffix == ".bz2" else "w:gz"
    with tarfile.open(path, kind) as packed:  # type: ignore[call-overload]
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            packed.addfile(about, io.BytesIO(data))
    return path


ESC = "filename,fold,target,category,esc10,src_file,take\n" + (
    "1-1-A-0.wav,1,0,dog,True,1,A\n2-2-A-5.wav,2,5,cat,False,2,A\n3-3-B-10.wav,3,10,rain,True,3,B\n"
)
ESC50 = {
    "ESC-50-master/meta/esc50.csv": ESC.encode(),
    **{f"ESC-50-master/audio/{name}": sound(k)
       for k, name in enumerate(("1-1-A-0.wav", "2-2-A-5.wav", "3-3-B-10.wav"))},
}  # fmt: skip
URBAN = "slice_file_name,fsID,start,end,salience,fold,classID,class\n" + (
    "7-3-0-0.wav,7,0,1,1,5,3,dog_bark\n8-8-0-0.wav,8,0,1,1,10,8,siren\n"
)
SONYC = (
    "split,audio_filename,annotator_id,1-1_small-engine_presence,1_engine_presence,8_dog_presence\n"
    "train,a.wav,5,1,1,1\ntrain,a.wav,6,1,1,0\ntrain,a.wav,7,0,0,0\n"  # 2 of 3; 1 of 3
    "test,b.wav,5,1,1,0\ntest,b.wav,0,0,0,1\n"  # the agreed labels
    "validate,c.wav,-1,0,0,-1\nvalidate,c.wav,5,0,0,1\n"  # -1 has not judged
    "train,none.wav,5,0,0,0\n"
)  # fmt: skip
MADE: dict[str, tuple[dict[str, bytes], list[tuple[str, str, int]]]] = {
    "esc50": (
        ESC50,
        [("1-1-A-0", "dog", 1), ("2-2-A-5", "cat", 2), ("3-3-B-10", "rain", 3)],
    ),
    "esc10": (ESC50, [("1-1-A-0", "dog", 1), ("3-3-B-10", "rain", 3)]),
    "urbansound8k": (
        {
            "UrbanSound8K/metadata/UrbanSound8K.csv": URBAN.encode(),
            "UrbanSound8K/audio/fold5/7-3-0-0.wav": sound(1),
            "UrbanSound8K/audio/fold10/8-8-0-0.wav": sound(2),
        },
        [("7-3-0-0", "dog_bark", 5), ("8-8-0-0", "siren", 10)],
    ),
    "fsdd": (
        {f"free-spoken-digit-dataset-1.0.9/recordings/{name}.wav": sound(3)
         for name in ("3_theo_4", "3_theo_5", "0_lucas_0")},
        [("0_lucas_0", "0", 1), ("3_theo_4", "3", 1), ("3_theo_5", "3", 2)],
    ),
    "wham": ({f"wham_noise/{part}/a.wav": sound(4) for part in ("tr", "cv", "tt")}, []),
    "ljspeech": (
        {"LJSpeech-1.1/metadata.csv": b"LJ001|a|a\n", "LJSpeech-1.1/wavs/LJ001.wav": sound(5)},
        [],
    ),
    "vcc2018": ({"mnt/sysope/test_files/testVCC2/D05_VCC2SF1_VCC2TM1.wav": sound(6)}, []),
}  # fmt: skip


def with_files(name: str, folder: Path, address: str = "") -> DataSet:
    """A registered data set with archives made here, their digests and addresses."""
    data_set = DATA_SETS.get(name)
    folder.mkdir(exist_ok=True)
    if name == "sonyc-ust":
        (folder / "annotations.csv").write_text(SONYC)
        sounds = {f"{one}.wav": sound(k) for k, one in enumerate("abc")}
        pack(folder / "audio-0.tar.gz", sounds)
        chosen = data_set.remotes[:2]
    else:
        (only,) = chosen = data_set.remotes
        pack(folder / only.name, MADE[name][0])
    remotes = []
    for one in chosen:
        data = (folder / one.name).read_bytes()
        known = f"md5:{hashlib.md5(data).hexdigest()}" if one.digest else None
        remotes.append(replace(one, url=address + one.name, digest=known, size=None))
    return replace(data_set, remotes=tuple(remotes))


@pytest.mark.parametrize("name", [*MADE, "sonyc-ust"])
def test_every_data_set_is_unpacked_and_read(name: str, tmp_path: Path) -> None:
    data_set = with_files(name, tmp_path / "archives")
    found = install(data_set, tmp_path / "there", source=tmp_path / "archives")
    assert (found.name, found.problems, found.recorded) == (name, (), True)
    assert found.verified == (name not in ("wham", "vcc2018"))
    if not data_set.labelled:
        assert found.sounds == sum(part.endswith(".wav") for part in MADE[name][0])
        with pytest.raises(AudioError, match=f"{name} has no labels, only sounds"):
            read_collection(tmp_path / "there")
        return
    items = [(i.path.stem, i.label, i.fold) for i in read_collection(tmp_path / "there")]
    sonyc = [("a", "engine", 1), ("b", "dog", 3), ("c", "dog", 2)]
    assert items == (sonyc if name == "sonyc-ust" else MADE[name][1])
    assert not (tmp_path / "there" / ".download").exists()


def test_a_data_set_is_downloaded_resumed_and_recorded(
    server: tuple[Served, str], tmp_path: Path
) -> None:
    served, address = server
    data_set = with_files("wham", tmp_path / "archives", address)
    body = (tmp_path / "archives" / "wham_noise.zip").read_bytes()
    served.files["wham_noise.zip"] = body
    served.most = len(body) // 2
    with pytest.raises(DownloadError, match="repeat the command to resume"):
        install(data_set, tmp_path / "there")
    served.most = None
    lines: list[str] = []
    assert not install(data_set, tmp_path / "there", note=lines.append).verified
    sha256 = hashlib.sha256(body).hexdigest()
    assert f"sha256 {sha256}, unverified: no public source states" in " ".join(lines)
    (archive,) = json.loads((tmp_path / "there" / "dataset.json").read_text())["archives"]
    assert (archive["sha256"], archive["verified"]) == (sha256, False)
    assert served.sent == len(body)
    with pytest.raises(OutputError, match="is complete"):
        install(data_set, tmp_path / "there")


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["esc50", "urbansound8k", "wham", "vcc2018"])
def test_one_flipped_byte_of_an_archive_is_found(name: str, tmp_path: Path) -> None:
    data_set = with_files(name, tmp_path / "archives")
    (remote,) = data_set.remotes
    path = tmp_path / "archives" / remote.name
    flip(path, path.stat().st_size // 2)
    with pytest.raises(DownloadError, match=f"{remote.name}: damaged"):
        install(data_set, tmp_path / "there", source=path)


def test_the_damaged_file_in_a_zip_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"one.wav": BODY[:1000], "two.wav": BODY[1000:2000]})
    flip(path, path.read_bytes().index(BODY[1500:1510]))
    with pytest.raises(DownloadError, match=r"a\.zip: damaged at two\.wav"):
        examine(path)


def test_one_flipped_byte_on_disk_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_set = with_files("urbansound8k", tmp_path / "archives")
    there = tmp_path / "there"
    install(data_set, there, source=tmp_path / "archives")
    assert run(capsys, "data", "check", str(there)) == (
        0, "urbansound8k: 2 sounds, 3 files as unpacked; checksums as published\n", "",
    )  # fmt: skip
    flip(there / "audio" / "fold5" / "7-3-0-0.wav", 5000)
    (there / "audio" / "fold10" / "8-8-0-0.wav").unlink()
    code, out, _ = run(capsys, "data", "check", str(there), "--json")
    found = json.loads(out)
    assert code == 1
    assert found["problems"][:2] == [
        "audio/fold10/8-8-0-0.wav: missing",
        "audio/fold5/7-3-0-0.wav: damaged (other bytes than when it was unpacked)",
    ]
    assert "line 3: audio/fold10/8-8-0-0.wav is not in the folder" in found["problems"][2]


def test_an_unpacked_folder_is_copied_and_recorded_as_unverified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine" / "audio").mkdir(parents=True)
    (tmp_path / "mine" / "audio" / "a.wav").write_bytes(sound(0))
    (tmp_path / "mine" / "labels.csv").write_text("filename,category\na.wav,dog\n")
    there = tmp_path / "there"
    words = ("data", "get", "folder", "--from", str(tmp_path / "mine"), "-o", str(there))
    code, out, err = run(capsys, *words)
    assert (code, out) == (0, f"{there}\n")
    assert "folder: 1 sound, 2 files as unpacked; unverified: no published checksum" in err
    flip(there / "audio" / "a.wav", 100)
    assert compare(there).problems == (
        "audio/a.wav: damaged (other bytes than when it was unpacked)",
    )
    assert compare(tmp_path / "mine").recorded is False


def test_nothing_is_downloaded_without_consent(
    server: tuple[Served, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, address = server
    data_set = with_files("fsdd", tmp_path / "archives", address)
    (remote,) = data_set.remotes
    served.files[remote.name] = (tmp_path / "archives" / remote.name).read_bytes()
    monkeypatch.setitem(DATA_SETS._specs, "fsdd", data_set)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, err = run(capsys, "data", "get", "fsdd")
    assert (code, out, served.asked) == (2, "", [])
    assert "nothing was downloaded" in err
    assert "licence: CC BY-SA 4.0" in err
    assert not (tmp_path / "data").exists()
    code, out, err = run(capsys, "data", "get", "fsdd", "--yes")
    assert (code, out) == (0, f"{Path('data/fsdd')}\n")
    assert "checksum as stated (md5:" in err
    assert len(read_collection(Path("data/fsdd"))) == 3


@pytest.mark.parametrize("name", ["out.zip", "out.tar.gz"])
def test_nothing_is_unpacked_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    path = pack(tmp_path / name, {"in/a.txt": b"a", "../../evil.txt": b"b"})
    with pytest.raises(DownloadError, match=r"evil\.txt.* outside"):
        unpack(path, tmp_path / "deep" / "er")
    assert list(tmp_path.rglob("evil.txt")) == []


@pytest.mark.parametrize("data_set", DATA_SETS.all(), ids=lambda one: one.name)
def test_facts_are_stated_with_their_source_or_unknown(data_set: DataSet) -> None:
    facts = data_set.facts()
    assert facts["licence"]
    if data_set.name == "folder":
        assert facts["files"] == []
        return
    assert facts["citation"]
    assert facts["page"].startswith("http")
    assert facts["sources"]
    for one in facts["files"]:
        assert one["url"].startswith("https://")
        kind, _, digits = one["checksum"].partition(":")
        assert (kind, len(digits)) in (("unknown", 0), ("md5", 32), ("sha256", 64))
        assert one["size"] == "unknown" or one["size"] > 1_000_000


def test_what_is_refused_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "dataset.json").write_text("{")
    cases = [
        (("get", "esc5", "--yes"), "did you mean 'esc50'"),
        (("get", "esc50", "--from", "nowhere"), "nowhere: no such file or folder"),
        (("get", "esc50", "--from", "empty"), "holds neither ESC-50-master.zip nor esc50 unpacked"),
        (("get", "folder", "--yes"), "name your folder with --from"),
        (("get", "esc50", "--from", "empty", "-o", "full"), "full: holds other files (a.txt)"),
        (("check", "empty"), "has the layout of no data set"),
        (("check", "gone"), "gone: no such folder"),
        (("check", "broken"), "damaged; get the data set again"),
    ]
    for words, message in cases:
        code, out, err = run(capsys, "data", *words)
        assert (code, out) == (2, ""), words
        assert message in err.splitlines()[-1], words
