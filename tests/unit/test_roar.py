"""Remove and retrain: what is removed, what is trained, and how a run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from earwitness.audio import read_audio, write_audio
from earwitness.benchmark.grid import choose
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.sanity import roar
from earwitness.benchmark.sanity.roar import (
    NOTHING,
    Roar,
    mean_magnitude,
    ranked_cells,
    replaced,
    run_roar,
)
from earwitness.benchmark.sanity.roar_tables import make_rows, markdown, verdict
from earwitness.cli.main import main
from earwitness.data.collection import Item
from earwitness.errors import OutputError, ParameterError
from earwitness.models.model import Model
from earwitness.train.classifier import Settings
from earwitness.types import Audio
from tests.toys import RATE, TOY_PLANE, spectral

SECONDS = 0.4


def sounds(folder: Path, count: int = 12) -> list[Item]:
    """Two classes of tones in noise; every third one for the test."""
    folder.mkdir(exist_ok=True)
    rng, rows, found = np.random.default_rng(0), ["filename,category,fold"], []
    time = np.arange(round(SECONDS * RATE)) / RATE
    for k in range(count):
        label = "ab"[k % 2]
        wave = 0.3 * np.sin(2 * np.pi * (1500 if label == "a" else 6000) * time)
        wave += 0.01 * rng.standard_normal(len(time))
        path = folder / f"{k}.wav"
        write_audio(path, Audio(wave.astype(np.float32), RATE, str(k)))
        fold = 4 if k % 3 == 2 else 1
        rows.append(f"{k}.wav,{label},{fold}")
        found.append(Item(path, label, fold))
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return found


def plan_of(items: list[Item], model: Model, **settings: Any) -> Roar:
    given = {"methods": (choose("saliency"),), "shares": (0.5,), "seconds": SECONDS, "seeds": (0,)}
    given["settings"] = Settings(epochs=1, batch=4, crop=0.3, augment=False)
    train = tuple(item for item in items if item.fold == 1)
    test = tuple(item for item in items if item.fold == 4)
    return Roar(model, train, test, **(given | settings))


def test_cells_go_by_falling_value_in_frames_that_sound_and_ties_are_drawn() -> None:
    values = np.array([[0.0, 9.0, 3.0, 0.0], [-1.0, 8.0, 5.0, 0.0]], np.float32)
    frames = np.array([True, False, True, True])
    order = ranked_cells(values, frames, seed=0).tolist()
    assert order[:2] == [6, 2]
    assert sorted(order[2:5]) == [0, 3, 7]
    assert order[5:] == [4]
    draws = {tuple(ranked_cells(values, frames, seed)[2:5].tolist()) for seed in range(20)}
    assert len(draws) > 2


def test_removed_cells_have_the_mean_size_and_their_own_phase() -> None:
    model = spectral()
    wave = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    before = TOY_PLANE.analyse(torch.from_numpy(wave)[None])[0].numpy()
    mean = np.linspace(1, 2, 129).astype(np.float32)
    everything = np.arange(before.size)
    made = replaced(model, wave, everything, 1.0, mean)
    wanted = TOY_PLANE.synthesise(
        torch.from_numpy(mean[:, None] * before / np.abs(before))[None], len(wave)
    )[0]
    assert_allclose(made, wanted.numpy(), atol=1e-4)
    assert_allclose(replaced(model, wave, everything, 0.0, mean), wave, atol=1e-5)
    # half of the cells, the upper rows: the lower half of the spectrum stays
    half = replaced(model, wave, everything[::-1].copy(), 0.5, np.zeros(129, np.float32))
    after = np.abs(TOY_PLANE.analyse(torch.from_numpy(half)[None])[0].numpy())
    assert_allclose(after[:60, 2:-2], np.abs(before)[:60, 2:-2], rtol=1e-3, atol=1e-3)
    assert after[68:].max() < 1e-3


def test_the_mean_magnitude_is_over_frames_that_sound() -> None:
    model = spectral()
    wave = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    padded = np.concatenate([wave, np.zeros(32000, np.float32)])
    alone = TOY_PLANE.analyse(torch.from_numpy(wave)).abs().mean(dim=1).numpy()
    assert_allclose(mean_magnitude(model, [padded]), alone, rtol=0.03)
    with pytest.raises(ParameterError, match="digital silence"):
        mean_magnitude(model, [np.zeros(4000, np.float32)])


def test_all_are_trained_once_and_controls_are_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spectral()
    plan = plan_of(sounds(tmp_path / "sounds"), model, seeds=(0, 1))
    seen: list[tuple[tuple[str, ...], bytes]] = []
    seeds: list[int] = []
    original = roar.train_classifier

    def note(items: list[Item], *more: Any, **named: Any) -> Any:
        seeds.append(more[1].seed)
        samples = [read_audio(item.path).samples for item in (*items, *named["test"])]
        labels = tuple(item.label for item in (*items, *named["test"]))
        seen.append((labels, b"".join(one.tobytes() for one in samples)))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return original(items, *more, **named)

    monkeypatch.setattr(roar, "train_classifier", note)
    with pytest.raises(KeyboardInterrupt):
        run_roar(plan, tmp_path / "run")
    started: list[str] = []
    left: list[int] = []
    lines = run_roar(plan, tmp_path / "run", on_start=left.append, on_training=started.append)
    assert left == [5]
    assert started[0] == "saliency 50 % seed 1"
    # the sounds of the training that was interrupted are the same
    assert seen[4] == seen[3] == seen[2]
    assert [(line["model"], line["share"], line["seed"]) for line in lines] == [
        (NOTHING, 0.0, 0), (NOTHING, 0.0, 1), ("saliency", 0.5, 0), ("saliency", 0.5, 1),
        ("random", 0.5, 0), ("random", 0.5, 1), ("energy", 0.5, 0), ("energy", 0.5, 1),
    ]  # fmt: skip
    assert seeds == [0, 1, 0, 1, 1, 0, 1, 0, 1]
    # what is trained on: the sounds themselves, then with cells replaced, otherwise by method
    assert seen[0][0] == tuple(item.label for item in (*plan.train, *plan.test))
    assert len({samples for _, samples in seen}) == 4
    own = read_audio(plan.train[0].path).samples
    assert seen[0][1][: own.nbytes] == own.tobytes()
    last = read_audio(plan.test[-1].path).samples
    assert seen[0][1][-last.nbytes :] == last.tobytes() != seen[2][1][-last.nbytes :]
    assert not list((tmp_path / "run").glob("sounds/*"))
    assert not list((tmp_path / "run").glob("trainings/*"))
    assert all(line["test"]["sounds"] == len(plan.test) for line in lines)
    count = len(seen)
    assert run_roar(plan, tmp_path / "run") == lines
    assert len(seen) == count
    with pytest.raises(OutputError, match="other settings"):
        run_roar(
            plan_of([*plan.train, *plan.test], model, seeds=(0, 1), settings=Settings(epochs=2)),
            tmp_path / "run",
        )


def test_plans_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    items, model = sounds(tmp_path / "sounds"), spectral()
    with pytest.raises(ParameterError, match="between 0 and 1"):
        plan_of(items, model, shares=(1.0,))
    with pytest.raises(ParameterError, match="no sound of b to train on"):
        Roar(model, (items[0],), (items[1],), ())
    with pytest.raises(ParameterError, match="no sounds to test on"):
        Roar(model, (items[0],), (), ())


def hand_made(name: str, share: float, seed: int, accuracy: float) -> Line:
    test = {"sounds": 80, "accuracy": accuracy, "nll": 1.0, "ece": 0.1}
    return {"model": name, "clip": f"{share} {seed}", "share": share, "seed": seed, "test": test}


def test_a_method_is_under_the_controls_at_every_share_and_with_every_seed() -> None:
    table = {
        NOTHING: {0.0: [0.9, 0.8]},
        "gradcam": {0.1: [0.5, 0.4], 0.5: [0.2, 0.1]},
        "lrp": {0.1: [0.5, 0.65], 0.5: [0.2, 0.1]},
        "saliency": {0.1: [0.5, 0.75], 0.5: [0.2, 0.1]},
        "random": {0.1: [0.7, 0.8], 0.5: [0.6, 0.7]},
        "energy": {0.1: [0.6, 0.6], 0.5: [0.3, 0.4]},
    }
    lines = [
        hand_made(name, share, seed, value)
        for name, shares in table.items()
        for share, values in shares.items()
        for seed, value in enumerate(values)
    ]
    rows = make_rows(lines)
    assert [verdict(row, rows) for row in rows] == ["", "under both", "under random", "", "", ""]
    text = markdown(rows)
    head = "| method | 0 % replaced | 10 % replaced | 50 % replaced | against the controls |"
    assert text.startswith(head)
    assert "| gradcam |  | 0.45 [0.40, 0.50] | 0.15 [0.10, 0.20] | under both |" in text
    assert "| nothing removed | 0.85 [0.80, 0.90] |" in text


def test_the_command_says_how_large_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sounds(tmp_path / "sounds", 30)
    words = ["bench", "roar", str(tmp_path / "sounds"), "--folds", "1", "--method", "saliency"]
    words += ["--share", "50", "--epochs", "1", "--seconds", "0.4", "--seed", "0", "--json"]
    words += ["--model", "python:tests/toys.py:spectral", "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    printed = capfd.readouterr()
    assert stopped.value.code == 0, printed.err
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["method"] for row in found] == [NOTHING, "saliency", "random", "energy"]
    assert "trainings: 4 trainings left" in printed.err
    text = (tmp_path / "out" / "table.md").read_text()
    assert (
        "20 sounds to train on (folds 1) and 10 to test on (folds 4), 0.4 s each, 1 epochs" in text
    )
    assert "Remove and retrain" in (tmp_path / "out" / "index.html").read_text()
    assert (tmp_path / "out" / "figures.csv").read_text().count("\n") == 5
    for more, text in ((["--test-folds", "1"], "both training and test"),
                       (["--test-folds", "9"], "has no fold 9")):  # fmt: skip
        with pytest.raises(SystemExit):
            main([*words, *more])
        assert text in capfd.readouterr().err
