"""The page of a report and the folder around it, read as a browser reads them."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch

from earwitness.audio import read_audio, write_audio
from earwitness.explanation import Explanation
from earwitness.pipeline import explain
from earwitness.plane.stft import Plane
from earwitness.report.folder import ReportFolder
from earwitness.report.page import Form
from earwitness.report.sections import json_text
from earwitness.types import Audio
from tests.pages import Elements, clips, heard, names, rows, unpack
from tests.toys import RATE, additive, spectral

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 <b>&'\""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("page"), Form())


def written(root: Path, form: Form) -> Path:
    """Write a report of two sounds, explained by two methods each."""
    model = spectral()
    folder = ReportFolder(root / "r", overwrite=False, form=form)
    folder.prepare()
    for name in ("one <b>&'", "two"):
        samples = 0.1 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
        write_audio(root / f"{name}.wav", Audio(samples, RATE))
        for method in ("input-x-gradient", "all-ones"):
            folder.add(explain(model, root / f"{name}.wav", method, target="high"))
    return folder.finish(model)


def addresses(page: Path) -> list[str]:
    """Return what a page loads or links to."""
    found = Elements(page.read_text(encoding="utf-8")).found
    return [own[name] for _, own in found for name in ("src", "href", "data-src") if name in own]


def test_the_page_is_one_file_without_a_network(page: Path) -> None:
    assert [one for one in addresses(page) if not one.startswith(("data:", "#"))] == []
    text = page.read_text()
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}  # a name
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "index.html", "one _b___", "report.json", "two"
    ]  # fmt: skip


@pytest.mark.parametrize("assets", ["", "data"])
def test_the_policy_of_the_page_allows_its_own_scripts_only(tmp_path: Path, assets: str) -> None:
    page = written(tmp_path, Form(assets))
    found = Elements(page.read_text(encoding="utf-8"))
    (script,) = (text for own, text in found.scripts if own.get("type") is None)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    kinds = [own.get("content", "") for tag, own in found.found
             if own.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    rules = dict(rule.split(" ", 1) for rule in kinds[0].split("; "))
    assert len(kinds) == 1
    beside = " 'self' file:" if assets else ""
    assert rules["script-src"] == f"'sha256-{digest}'{beside}"
    assert rules["default-src"] == "'none'"
    tags = [tag for tag, _ in found.found]
    assert tags.index("meta") < tags.index("script")
    assert not [own for _, own in found.found for name in own if name.startswith("on")]


def test_the_page_holds_the_input_map_and_mask_of_the_files(page: Path) -> None:
    assert names(page) == ["one <b>&'.wav", "two.wav"]
    for clip in clips(page):
        folder = page.parent / ("two" if clip["name"] == "two.wav" else "one _b___")
        sound = read_audio(folder / "input.wav")
        np.testing.assert_allclose(
            heard(clip["input"]), sound.samples, atol=0.51 * np.abs(sound.samples).max() / 32767
        )
        assert (clip["rate"], clip["samples"], clip["start"]) == (RATE, 24000, 0.0)
        assert clip["plane"] == {"n_fft": 256, "hop": 128, "bins": 129, "frames": 189}
        for part in clip["explanations"]:
            found = Explanation.load(folder / part["method"])
            codes = unpack(part["map"]["codes"], "uint8")
            gains = (codes >= part["map"]["cuts"][80]) & (codes < 200)
            if part["method"] == "input-x-gradient":
                assert part["mask"]["percent"] == 80
                np.testing.assert_array_equal(gains, found.mask.gains)
            assert part["score"] == {"kind": "probability", "value": found.trust.input}
            assert (
                part["trust"]["rows"][0]["evidence"]["audio"] == found.trust.outcome.evidence.audio
            )
            assert [row["name"] for row in part["trust"]["rows"]][1:] == list(found.trust.controls)
            assert part["verdict"]["grade"] == found.verdict.grade
            assert all((page.parent / unquote(f)).is_file() for f in part["files"].values())
        assert [part["mask"]["area"] for part in clip["explanations"]][1] == 1.0


def test_evidence_can_be_made_of_what_the_page_holds(page: Path) -> None:
    """As the page does it: gains times the STFT of the input; -55 dB beside the file."""
    clip = clips(page)[1]
    part = clip["explanations"][0]
    plane = Plane(clip["rate"], clip["plane"]["n_fft"], clip["plane"]["hop"])
    codes = unpack(part["map"]["codes"], "uint8")
    gains = (codes >= part["map"]["cuts"][part["mask"]["percent"]]) & (codes < 200)
    spectrum = plane.analyse(torch.from_numpy(heard(clip["input"]))[None])
    made = plane.synthesise(torch.from_numpy(gains) * spectrum, clip["samples"])[0].numpy()
    file = read_audio(page.parent / part["files"]["evidence"]).samples
    error = np.sum((made - file) ** 2) / np.sum(file.astype(np.float64) ** 2)
    assert 10 * np.log10(error) < -55


def test_the_decision_stands_before_what_was_asked(page: Path) -> None:
    clip = clips(page)[1]
    outputs = {one["label"]: one["value"] for one in clip["outputs"]}
    assert clip["decision"]["label"] == max(outputs, key=lambda label: outputs[label])
    assert clip["decision"]["value"] == max(outputs.values())
    assert clip["explanations"][0]["target"] == "high"
    text = page.read_text()
    row = text[text.index('id="clip-two"') : text.index("</tr>", text.index('id="clip-two"'))]
    assert f"{clip['decision']['value']:.3f}" in row  # also without the script
    assert rows(page)[1]["data-grades"].split() == [
        part["verdict"]["grade"] for part in clip["explanations"]
    ]


def named(place: Path, name: str, form: Form) -> Path:
    """Write a report in which everything is called by a name."""
    model = spectral()
    model.name = name
    model._labels = ("low", name)
    found = explain(model, (np.ones(24000, np.float32), RATE), "energy", target=name)
    folder = ReportFolder(place, overwrite=False, form=form)
    folder.prepare()
    folder.add(replace(found, clip=f"x/{name} \udcff.wav", notes=(name,)))
    return folder.finish(model)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    for form in (Form(), Form("data"), Form(audio=False)):
        place = tmp_path / str(form.assets) / str(form.audio)
        page = named(place / "r", HOSTILE, form)
        tame = Elements(named(place / "tame", "high", form).read_text(encoding="utf-8"))
        clip = clips(page)[0]
        assert clip["explanations"][0]["label"] == HOSTILE
        assert clip["notes"] == [HOSTILE]
        assert clip["name"].encode("utf-8", "surrogateescape").endswith(b" \xff.wav")
        elements = Elements(page.read_text(encoding="utf-8"))
        kinds = [own.get("type") for own, _ in elements.scripts]
        assert kinds == ["application/json"] * (1 + (not form.assets)) + [None]
        assert [tag for tag, _ in elements.found] == [tag for tag, _ in tame.found]
        report = json.loads(elements.scripts[0][1])
        assert report["model"]["name"] == HOSTILE
        raw = page.read_bytes() + b"".join(p.read_bytes() for p in place.glob("r/data/*"))
        assert b"<!-- " not in raw
        assert "\u2028" not in json_text([HOSTILE])


def test_sub_folders_and_equal_names_have_folders_of_their_own(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    rec = Path("rec")
    found = [
        folder.place_of(str(clip), below).relative_to(folder.root).as_posix()
        for clip, below in (
            (rec / "north" / "dawn.wav", rec),
            (rec / "south" / "dawn.wav", rec),
            (rec / "north.wav", rec),  # would lie around the first
            (rec / "south" / "dawn" / "wind.wav", rec),  # would lie in the second
            (Path("other") / "north" / "DAWN.wav", Path("other")),
            (rec / "dusk.wav", None),
            (rec / "dusk.flac", None),
            (rec / "dusk.ogg", None),
            (rec / "index.html.wav", rec),
        )
    ]
    assert found == [
        *("north/dawn", "south/dawn", "rec/north", "rec/south/dawn/wind", "other/north/DAWN"),
        *("dusk", "rec/dusk", "dusk-2", "rec/index.html"),
    ]
    assert folder.place_of("rec/south/dawn.wav") == folder.root / "south" / "dawn"


def report(root: Path, sounds: tuple[str, ...], form: Form | None = None) -> Path:
    """Write a report of short sounds, without trust cards."""
    model = spectral()
    folder = ReportFolder(root / "r", overwrite=False, form=form)
    folder.prepare()
    wave = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    for name in sounds:
        path = root / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, Audio(wave, RATE))
        folder.place_of(str(path), root / "rec")
        folder.add(explain(model, path, "energy", trust="none", start=0.1))
    return folder.finish(model)


def test_names_tell_the_sub_folder_and_the_start(tmp_path: Path) -> None:
    page = report(tmp_path, ("north/dawn.wav", "south/dawn.wav"))
    assert names(page) == ["north/dawn.wav", "south/dawn.wav"]
    assert [(one["start"], one["samples"]) for one in clips(page)] == [(0.1, 6400)] * 2


@pytest.mark.parametrize("assets", ["", "data"])
def test_names_that_are_alike_when_escaped_keep_their_own_data(tmp_path: Path, assets: str) -> None:
    page = report(tmp_path, ("a b.wav", "a_x20b.wav", "a_20b.wav", "a%20b.wav"), Form(assets))
    assert len({row["id"] for row in rows(page)}) == 4
    assert [Path(one["path"]).name for one in clips(page)] == [
        "a b.wav", "a_x20b.wav", "a_20b.wav", "a%20b.wav"
    ]  # fmt: skip


def test_notes_stand_with_the_explanation_that_they_are_of(tmp_path: Path) -> None:
    model = spectral()
    write_audio(tmp_path / "one.wav", Audio(np.full(24000, 0.1, np.float32), RATE))
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    for method, own in (("energy", "of the first"), ("random", "of the second")):
        found = explain(model, tmp_path / "one.wav", method, target="high")
        folder.add(replace(found, notes=("of both", own)))
    (clip,) = clips(folder.finish(model))
    assert clip["notes"] == ["of both"]
    assert [part["notes"] for part in clip["explanations"]] == [["of the first"], ["of the second"]]


def test_pieces_that_do_not_overlap_are_an_index_and_others_have_sounds(tmp_path: Path) -> None:
    model = additive(torch.rand(129, 189, generator=torch.Generator().manual_seed(0)))
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    wave = 0.1 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    for cut in ("grid", "nmf"):
        made = explain(model, (wave, RATE), "pieces", pieces=cut, samples=30, trust="none")
        folder.add(made, cut)
    grid, nmf = (one["pieces"] for one in clips(folder.finish(model))[0]["explanations"])
    assert unpack(grid["map"], "uint16").max() == len(grid["table"]) - 1
    assert not [row for row in grid["table"] if row["sound"]]
    assert nmf["map"] is None
    assert [row["sound"][:15] for row in nmf["table"]] == ["data:audio/ogg;"] * len(nmf["table"])


def test_models_that_were_wrapped_have_no_line(page: Path) -> None:
    assert {part["command"] for one in clips(page) for part in one["explanations"]} == {None}
