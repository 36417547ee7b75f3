"""The model randomisation test as a benchmark: what is compared, tables, resuming."""

from __future__ import annotations

import csv
import json
import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from earwitness.audio import write_audio
from earwitness.benchmark.engine import run
from earwitness.benchmark.grid import Part, choose
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.sanity.measure import MEASURES, compared, measure_randomised, sounding
from earwitness.benchmark.sanity.plan import Plan, clips_of
from earwitness.benchmark.sanity.summary import csv_text, make_rows, markdown
from earwitness.cli.main import main
from earwitness.data.clips import Clip, Material
from earwitness.errors import OutputError, ParameterError
from earwitness.metrics.similarity import spearman, ssim
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.types import Audio
from tests.conftest import ROOT
from tests.toys import RATE
from tests.unit.test_sanity import Deep

SECONDS = 0.5
OWN = ("esc10", "cascading")


def make(seed: int, rate: int) -> Material:
    """Noise, then digital silence."""
    samples = round(SECONDS * rate)
    wave = 0.1 * np.random.default_rng(seed).standard_normal(2 * samples)
    wave[samples:] = 0
    return Material(wave.astype(np.float32))


def plan_of(model: Model, clips: int = 2, **settings: Any) -> Plan:
    sounds = tuple(Clip(f"noise {k}", "noise", None, partial(make, k)) for k in range(clips))
    part = Part("toy", lambda _folder: model, sounds)
    named = (choose("saliency"), choose("input-x-gradient"), choose("energy"))
    given = {"methods": named, "seeds": (0,), "pictures": 1}
    return Plan((part,), **(given | settings))


def deep() -> Model:
    return wrap(Deep(), sample_rate=RATE)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    plan = plan_of(deep(), seeds=(0, 1))
    return run(plan, tmp_path_factory.mktemp("run") / "out", measure_randomised)


def test_frames_of_silence_are_those_where_nothing_sounds() -> None:
    magnitude = np.array([[1.0, 0.0, 1e-6, 1e-8], [0.5, 0.0, 0.0, 0.0]])
    assert sounding(magnitude).tolist() == [True, False, True, False]
    assert not sounding(np.zeros((2, 3))).any()


def test_silence_does_not_count_and_signs_do_where_they_are_named() -> None:
    rng = np.random.default_rng(0)
    first, other = rng.standard_normal((2, 9, 40))
    first[:, 20:] = other[:, 20:] = 0
    frames = np.arange(40) < 20
    found = compared(first, np.stack([other, -first]), frames)
    sizes = abs(first), np.stack([abs(other), abs(first)])
    assert_allclose(found["ssim"], ssim(*sizes, frames), atol=1e-5)
    assert_allclose(found["ssim-whole"], ssim(*sizes), atol=1e-5)
    assert found["ssim-whole"][0] > found["ssim"][0] + 0.2
    part = spearman(sizes[0][:, :20], sizes[1][..., :20])
    assert_allclose(found["spearman"], part, atol=1e-5)
    assert_allclose(found["spearman"][1], 1.0)
    assert_allclose(found["spearman-signed"][1], -1.0)
    assert_allclose(found["ssim"][1], 1.0)
    signed = ssim(first, np.stack([other, -first]), frames)
    assert_allclose(found["ssim-signed"], signed, atol=1e-5)
    assert found["ssim-signed"][1] < 0.9
    assert found["unchanged"] is False


def test_a_map_is_unchanged_if_it_is_so_everywhere_and_constant_maps_are_counted() -> None:
    first = np.random.default_rng(0).random((9, 12)).astype(np.float32)
    frames = np.ones(12, bool)
    assert compared(first, np.stack([first, first + 1e-8]), frames)["unchanged"] is True
    last = first.copy()
    last[3, 4] += 0.01
    assert compared(first, np.stack([first, last]), frames)["unchanged"] is False
    flat = compared(first, np.stack([np.zeros_like(first), first]), frames)
    assert flat["constant"] == [True, False]
    assert flat["spearman"][0] == 0.0


def test_every_method_order_and_seed_has_a_line_and_gradcam_is_beside(lines: list[Line]) -> None:
    # the network works on waveforms, so its layers have times
    places = {(line["clip"], line["method"], line["order"], line["seed"]) for line in lines}
    names = {"saliency", "input-x-gradient", "energy", "gradcam"}
    assert {place[1] for place in places} == names
    assert len(places) == len(lines) == 2 * 4 * 2 * 2
    assert all(line["blocks"] == ["head", "late + norm", "early"] for line in lines)
    assert all(0.4 < line["silent"] < 0.5 for line in lines)
    for line in lines:
        assert len(line["ssim"]) == 3
        assert ("pictures" in line) == (
            (line["clip"], line["order"], line["seed"]) == ("noise 0", "cascading", 0)
        )
    by = {
        (line["method"], line["order"], line["seed"]): line["ssim-signed"]
        for line in lines
        if line["clip"] == "noise 0"
    }
    # the logits' step is the same in both orders, the next one is not
    cascading, alone = (by["input-x-gradient", o, 0] for o in ("cascading", "independent"))
    assert cascading[0] == alone[0]
    assert cascading[1] != alone[1]
    assert by["input-x-gradient", "cascading", 1] != cascading


def test_what_never_looks_at_the_model_is_named(lines: list[Line]) -> None:
    rows = {(row.method, row.order): row for row in make_rows(lines)}
    for order in ("cascading", "independent"):
        assert rows["energy", order].verdict == "never looks at the model"
        assert rows["energy", order].unchanged
        assert not rows["saliency", order].unchanged
        assert rows["energy", order].figures["ssim"][0].mean == 1.0
    assert "never looks at the model" in markdown(list(rows.values()))


def hand_made(method: str, clip: int, seed: int = 0, **more: Any) -> Line:
    line: Line = {"model": "esc10", "clip": str(clip), "target": "dog", "method": method}
    line |= {"options": {}, "order": "cascading", "seed": seed, "blocks": ["head", "early"]}
    values = {name: [0.5, 0.25] for name in MEASURES}
    line |= {**values, "constant": [False, False], "unchanged": False, "commit": "abc"}
    return line | more


def test_means_are_over_sounds_of_means_over_seeds_and_gradcam_is_paired() -> None:
    some = []
    for clip in range(10):
        some += [
            hand_made(
                "lime",
                clip,
                seed,
                ssim=[0.4 + 0.02 * clip + 0.2 * seed, 0.1],
                constant=[seed == 0, False],
            )
            for seed in (0, 1)
        ]
        some.append(hand_made("gradcam", clip, ssim=[0.1 + 0.02 * clip, 0.1]))
        some.append(hand_made("lrp", clip, failed="lrp: not a network of known layers"))
    lime, cam, lrp = make_rows(some)
    assert_allclose(lime.figures["ssim"][0].mean, 0.59)
    assert_allclose(lime.figures["ssim"][1].mean, 0.1)
    assert lime.figures["ssim"][0].low < 0.59 < lime.figures["ssim"][0].high
    assert lime.sounds == 10
    assert_allclose(lime.difference.mean, 0.4)
    assert lime.p < 0.05
    assert lime.verdict == "SSIM above gradcam's (+0.40)"
    assert cam.verdict == ""
    assert (lrp.verdict, lrp.failed, lrp.sounds) == ("failed", 10, 0)
    assert lrp.facts()["difference"] == [None, None, None]
    text = markdown([lime, cam, lrp])
    assert "### esc10: cascading: at the logits (head)" in text
    assert "| lime | 0.59 [" in text
    assert "| 50 % | 10 |  | SSIM above gradcam's (+0.40) |" in text
    assert "| lime | 0.59 | 0.10 |" in text
    assert "esc10,cascading,lime,10,0,False,0,2,early,ssim,0.1,0.1,0.1" in csv_text([lime])


def test_less_is_not_more() -> None:
    some = []
    for clip in range(10):
        some.append(hand_made("lime", clip, ssim=[0.05, 0.1]))
        some.append(hand_made("gradcam", clip, ssim=[0.1 + 0.02 * clip, 0.1]))
        some.append(hand_made("slime", clip, ssim=[0.1 + 0.02 * (9 - clip), 0.1]))
    lime, _, slime = make_rows(some)
    assert lime.verdict == "SSIM below gradcam's (-0.14)"
    assert slime.verdict == "SSIM not told apart from gradcam's (+0.00)"
    few = make_rows([hand_made(m, k, ssim=[v, 0.1]) for m, v in (("lime", 0.7), ("gradcam", 0.3))
                     for k in range(3)])[0]  # fmt: skip
    assert few.verdict == "SSIM not told apart from gradcam's (+0.40, too few sounds)"
    one = make_rows([hand_made("lime", 0), hand_made("gradcam", 0)])[0]
    assert math.isnan(one.p)
    assert one.verdict == ""


def test_a_failing_sound_and_a_failing_method_do_not_stop_the_run(tmp_path: Path) -> None:
    silent = Clip("silence", "noise", None, lambda rate: Material(np.zeros(rate, np.float32)))
    plan = plan_of(deep(), 1, methods=(choose("attention-rollout"),), orders=("cascading",))
    part = Part("toy", plan.parts[0].load, (*plan.parts[0].clips, silent))
    plan = Plan((part,), plan.methods, plan.orders, plan.seeds)
    first, second, third = run(plan, tmp_path / "run", measure_randomised)
    assert first["method"] == "attention-rollout"
    assert "failed" in first
    assert second["method"] == "gradcam"
    assert "failed" not in second
    assert third["method"] is None
    assert third["failed"] == "silence: digital silence"


def test_a_resumed_run_is_that_of_the_same_weights(tmp_path: Path) -> None:
    plan = plan_of(deep(), 1, orders=("cascading",))
    first = run(plan, tmp_path / "run", measure_randomised)

    def never(*_: Any) -> list[Line]:
        raise AssertionError("measured again")

    assert run(plan, tmp_path / "run", never) == first
    other = Deep()
    with torch.no_grad():
        other.head.weight += 1
    with pytest.raises(OutputError, match="other weights"):
        run(
            plan_of(wrap(other, sample_rate=RATE), 1, orders=("cascading",)),
            tmp_path / "run",
            never,
        )
    with pytest.raises(OutputError, match="other seeds"):
        run(plan_of(deep(), 1, orders=("cascading",), seeds=(1,)), tmp_path / "run", never)


def sounds(folder: Path, count: int = 6) -> Path:
    rows = ["filename,category,fold"]
    folder.mkdir()
    for k in range(count):
        write_audio(folder / f"{k}.wav", Audio(make(k, RATE).input, RATE, str(k)))
        rows.append(f"{k}.wav,{'ab'[k % 2]},{1 + k // 4}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_sounds_are_of_one_fold_and_of_all_classes(tmp_path: Path) -> None:
    place = sounds(tmp_path / "sounds")
    names = [[Path(clip.name).stem for clip in clips_of(place, **options)] for options in (
        {}, {"fold": 1}, {"fold": 2}, {"fold": 1, "most": 2},
    )]  # fmt: skip
    assert names[:3] == [list("012345"), list("0123"), list("45")]
    assert {int(one) % 2 for one in names[3]} == {0, 1}
    assert len(names[3]) == 2
    with pytest.raises(ParameterError, match="has no fold 7"):
        clips_of(place, fold=7)
    with pytest.raises(ParameterError, match="saliency is named twice"):
        plan_of(deep(), methods=(choose("saliency"), choose("saliency")))


def test_the_command_writes_tables_and_maps_and_resumes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = tmp_path / "model.py"
    code.write_text(
        "from earwitness import wrap\nfrom tests.unit.test_sanity import Deep\n"
        f"def make(): return wrap(Deep(), sample_rate={RATE})\n"
    )
    words = ["bench", "randomisation", str(sounds(tmp_path / "sounds")), "--fold", "1"]
    words += ["--clips", "2", "--model", f"python:{code}:make", "--method", "lime"]
    words += ["--set", "lime.samples=20", "--seed", "3", "--method", "energy", "--pictures", "1"]
    words += ["-o", str(tmp_path / "out"), "--json"]
    for _ in range(2):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
        found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(row["order"], row["method"]) for row in found] == [
        (order, name)
        for order in ("cascading", "independent")
        for name in ("lime", "energy", "gradcam")
    ]
    assert found[0]["options"]["samples"] == 20
    assert found == json.loads((tmp_path / "out" / "rows.json").read_text())
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<img ") == 3 * 4  # three methods; trained, and three blocks
    assert 'alt="map of lime, trained"' in page
    assert 'alt="map of lime, head"' in page
    assert "never looks at the model" in page
    assert "Players" not in page
    for given, text in (("lime.samples", "METHOD.OPTION=VALUE"), ("rise.samples=2", "rise is not")):
        with pytest.raises(SystemExit):
            main([*words, "--set", given])
        assert text in capfd.readouterr().err


def test_the_page_quotes_its_tables() -> None:
    text = (ROOT / "docs" / "sanity.md").read_text(encoding="utf-8")
    with (ROOT / "benchmarks" / "randomisation.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["block"] == "1"]
    means = {(row["run"], row["method"], row["measure"]): float(row["mean"]) for row in rows}
    first = rows[0]["run"]
    names = {method for run, method, _ in means if run == first}
    assert len(names) == 12
    for method in names:
        (line,) = re.findall(rf"^\| {method}(?: \(control\))? \| (.*) \|$", text, re.M)[:1]
        found = [float(re.findall(r"-?\d\.\d\d", cell)[0]) for cell in line.split("|")]
        wanted = [means[first, method, name] for name in MEASURES[:4]]
        assert_allclose(found, wanted, atol=0.0051)
    assert means[first, "gradcam", "ssim"] < 0.3
    assert f"it has {means['Five draws', 'gradcam', 'ssim']:.2f} [" in text
    with (ROOT / "benchmarks" / "roar.csv").open(encoding="utf-8") as file:
        trained = list(csv.DictReader(file))
    for method in ("gradcam", "random", "energy"):
        for share in ("0.1", "0.5"):
            some = [row for row in trained if (row["method"], row["share"]) == (method, share)]
            mean = np.mean([float(row["accuracy"]) for row in some])
            (line,) = re.findall(rf"^\| {method}.*$", text.split("### At a reduced")[1], re.M)
            assert f"{mean:.2f} [" in line
