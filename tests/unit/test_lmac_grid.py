"""``bench lmac-mixture`` and its like: levels, masks, cells by hand, and the table."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from earwitness.benchmark.grid import Choice, choose
from earwitness.benchmark.grids import lmac, lmac_tables, sounds
from earwitness.errors import AudioError
from earwitness.models.registry import load_model
from earwitness.plane.domains import mask_magnitude
from tests.command import run
from tests.reference.slow_published import SLOW

RATE = 16000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noises of two classes in four folds, and speech that changes at five seconds."""
    root = tmp_path_factory.mktemp("data")
    (root / "esc10" / "audio").mkdir(parents=True)
    (root / "daps").mkdir()
    rng = np.random.default_rng(0)
    rows = ["filename,fold,category"]
    for number in range(8):
        wave = 0.05 * (1 + number) / 8 * rng.standard_normal(2 * RATE)
        soundfile.write(root / "esc10" / "audio" / f"{number}.wav", wave, RATE)
        rows.append(f"{number}.wav,{number // 2 + 1},{('rain', 'dog')[number % 2]}")
    (root / "esc10" / "esc10.csv").write_text("\n".join(rows))
    time = np.arange(12 * RATE) / RATE
    soundfile.write(root / "daps" / "speech.wav", 0.1 * np.sin(500 * time * (1 + time)), RATE)
    return root


LEVELS = [
    ("in-domain", "coded", 0.0), ("in-domain", "printed", 0.0),
    ("mixture", "coded", 12.04), ("mixture", "printed", 12.04),
    ("white", "coded", 6.02), ("white", "printed", 3.0),
    ("speech", "coded", 12.04), ("speech", "printed", 3.0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "level", "decibels"), LEVELS)
def test_levels_are_those_of_the_code_or_of_the_paper(
    data: Path, kind: str, level: str, decibels: float
) -> None:
    items = sounds.items_of(data, "esc10").explained
    others = {"mixture": [item.path for item in items], "white": []}
    paths = others.get(kind, [data / "daps" / "speech.wav"])
    clips = sounds.contaminated_clips(items, kind, level, paths)
    for clip in clips:
        made = clip.make(RATE)
        assert made.source is not None
        assert made.input.shape == (5 * RATE,)
        np.testing.assert_allclose(np.abs(made.input).max(), 1, rtol=1e-6)
        rest = made.input.astype(float) - made.source
        ratio = np.linalg.norm(made.source) / np.linalg.norm(rest)
        np.testing.assert_allclose(20 * math.log10(ratio), decibels, atol=0.01)
    inputs = [clip.make(RATE).input for clip in clips]
    np.testing.assert_array_equal(inputs[0], clips[0].make(RATE).input)  # the same again
    assert not np.array_equal(inputs[0], inputs[1])
    other = sounds.contaminated_clips(items, kind, level, paths, seed=1)[0].make(RATE).input
    if kind in ("white", "speech"):  # drawn, or a random part
        assert not np.array_equal(inputs[0], other)


def test_a_sound_is_not_contaminated_with_itself(data: Path) -> None:
    items = sounds.items_of(data, "esc10").explained
    for clip, item in zip(
        sounds.contaminated_clips(items, "mixture", "coded", [one.path for one in items]),
        items, strict=True,
    ):  # fmt: skip
        own, other = clip.name.split(":")[1].split("+")
        assert own == item.path.name != other
    with pytest.raises(AudioError, match="no sounds to contaminate"):
        sounds.contaminated_clips(items[:1], "mixture", "coded", [items[0].path])


def test_masks_are_soft_as_published_and_of_one_size_when_right() -> None:
    values = np.array([[-4.0, 1.0], [2.0, 0.0]], np.float32)
    soft = lmac.soft_mask(choose("saliency"), values)
    np.testing.assert_allclose(soft, [[1.0, 0.25], [0.5, 0.0]])
    gains = np.array([[0.2, 0.4]], np.float32)
    np.testing.assert_array_equal(lmac.soft_mask(choose("lmac"), gains), gains)
    np.testing.assert_array_equal(lmac.soft_mask(Choice("ideal-ratio-mask", {}), gains), gains)
    np.testing.assert_array_equal(lmac.soft_mask(choose("saliency"), 0 * values), 0 * values)
    rng = np.random.default_rng(0)
    many = rng.random((10, 20)).astype(np.float32)
    mask = lmac.strongest(many)
    assert mask.sum() == 20
    assert many[mask > 0].min() > many[mask == 0].max()
    assert lmac.strongest(np.zeros((10, 20), np.float32)).sum() == 20


def test_a_cell_is_that_of_a_slow_version(data: Path) -> None:
    items = sounds.items_of(data, "esc10")
    plan = lmac.lmac_plan("white", items, "esc10", clips=2)
    model = load_model("esc10")
    clip = plan.parts[0].clips[0]
    row = next(one for one in plan.rows if one[0] == "saliency")
    only = lmac.LmacPlan("white", "coded", plan.parts, (row,))
    (line,) = lmac.measure_contaminated(model, "esc10", clip, only)
    wave = torch.from_numpy(clip.make(model.rate).input)
    magnitude = model.plane.analyse(wave[None])[0].abs()
    with torch.no_grad():
        whole = model(wave[None])[0]
    index = int(whole.argmax())
    leaf = magnitude[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.from_magnitude(leaf)[0, index], leaf)
    size = slope[0].abs().double()
    gains = size / size.max()
    scale = model.plane.n_fft / 2
    with torch.no_grad():
        # ln(1 + |X|) of a transform that is not divided by the sum of its window
        both = [
            (torch.expm1(one * torch.log1p(scale * magnitude.double())) / scale).float()
            for one in (gains, 1 - gains)
        ]
        outputs = [model.from_magnitude(one[None])[0].double().softmax(0).tolist() for one in both]
        wanted = SLOW["lmac"](
            whole.double().softmax(0).tolist(), *outputs, gains.flatten().tolist()
        )
        matched = torch.from_numpy(lmac.strongest(size.numpy()))
        kept = mask_magnitude(matched[None], magnitude)
        inside = model.from_magnitude(kept)[0].double().softmax(0)
    for name, value in wanted.items():
        np.testing.assert_allclose(
            float(line["figures"][name]), value, rtol=1e-2, atol=1e-3, err_msg=name
        )
    np.testing.assert_allclose(line["figures"]["MM"], float(gains.mean()), rtol=1e-3)
    before = float(whole.double().softmax(0)[index])
    drop = 100 * max(0.0, before - float(inside[index])) / before
    np.testing.assert_allclose(line["matched"]["spectrogram"]["AD"], drop, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(line["matched"]["area"], 0.1, rtol=1e-3)


def line(clip: str, method: str = "saliency", **changes: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("AI", "AG", "FF", "FidIn", "SPS", "MM"), 0.5)
    outputs = dict.fromkeys(("AI", "AD", "AG", "FF", "FidIn"), 1.0)
    return {
        "model": "m", "clip": clip, "group": "in-domain", "method": method, "degenerate": None,
        "figures": {**figures, "AD": 30.0, "COMP": 10.0}, "AD1": 60.0, "left": 0,
        "matched": {"degenerate": None, "area": 0.1, "spectrogram": outputs, "audio": outputs},
    } | changes  # fmt: skip


def test_the_table_halves_in_domain_and_counts_failures() -> None:
    lines = [line("a"), line("b"), line("a", "l2i"), {**line("b", "l2i"), "failed": "no"}]
    text = lmac_tables.markdown(lmac_tables.rows_of(lines), lines)
    rows = [one.split(" | ") for one in text.splitlines() if one.startswith("| ")]
    head, saliency, l2i = rows[0], rows[2], rows[3]
    assert saliency[head.index("AD")] == "30"
    assert saliency[head.index("AD halved")] == "15"
    assert saliency[head.index("COMP halved")] == "5"
    assert saliency[head.index("AD, one softmax")] == "60"
    assert l2i[-1].startswith("1 |")
    assert "nan" not in text
    other = [{**one, "group": "mixture"} for one in lines]
    assert "halved" not in lmac_tables.markdown(lmac_tables.rows_of(other), other)
    empty = {**line("c"), "figures": {**line("c")["figures"], "SPS": "nan"}}
    (row,) = lmac_tables.rows_of([line("a"), empty])
    assert row.figures["SPS"] == 0.5  # an empty mask has none, and is left out as published


def test_the_command_runs_and_names_decoders(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--data", str(data), "--clips", "1", "--level", "printed", "-o", str(tmp_path / "r"))
    decoder = ("--decoder", "l-mac-ft=" + str(tmp_path / "none"))
    code, _, err = run(capsys, "bench", "lmac-speech", *place)
    assert code == 0, err
    with (tmp_path / "r" / "table.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert list(rows)[:2] == ["saliency", "smoothgrad"]
    assert {"l-mac", "l2i-rt0.8", "ideal-ratio-mask", "all-ones"} <= set(rows)
    assert rows["all-ones"]["FidIn"] == "1"
    key = json.loads((tmp_path / "r" / "run.json").read_text())
    assert key["level"] == "printed"
    code, _, err = run(
        capsys, "bench", "lmac-speech", *place[:4], *decoder, "-o", str(tmp_path / "s")
    )
    assert code == 2
    assert str(tmp_path / "none") in err
    code, _, err = run(capsys, "bench", "lmac-speech", *place, "--decoder", "wrong")
    assert code == 2
    assert "NAME=DIR" in err


def test_a_run_that_is_stopped_has_a_table_of_what_is_done(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    done: list[str] = []

    def measured(_model: Any, name: str, clip: Any, _plan: Any, _tick: Any) -> list[dict[str, Any]]:
        if done:
            raise KeyboardInterrupt
        done.append(clip.name)
        return [{**line(clip.name), "model": name, "sound": clip.make(32000).digest}]

    monkeypatch.setattr(lmac, "measure_contaminated", measured)
    place = ("--data", str(data), "--clips", "2", "-o", str(tmp_path / "r"))
    code, _, err = run(capsys, "bench", "lmac-white-noise", *place)
    assert code == 1
    assert "repeat the command to resume" in err
    assert (tmp_path / "r" / "table.md").read_text().startswith("1 sounds of model esc10")
    place = ("--data", str(data), "--clips", "2", "-o", str(tmp_path / "s"))
    code, _, err = run(capsys, "bench", "lmac-white-noise", *place)  # stopped before any is done
    assert code == 1
    assert not (tmp_path / "s" / "table.md").exists()
