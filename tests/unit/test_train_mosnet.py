"""``earwitness train mosnet``: a table of scores, masked padding, figures and resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.audio import write_audio
from earwitness.data.ratings import read_ratings
from earwitness.errors import AudioError, OutputError, ParameterError
from earwitness.metrics.prediction import prediction_figures
from earwitness.models.registry import load_model
from earwitness.models.zoo.mosnet import RATE, LinearMagnitude, MOSNet
from earwitness.train.mosnet import MOSNetSettings, MOSNetTraining, train_mosnet
from earwitness.types import Audio
from tests.command import run

COUNT = 12


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of twelve noises of 0.2 to 0.4 s; the louder, the better."""
    folder = tmp_path_factory.mktemp("rated")
    rng = np.random.default_rng(0)
    lines = ["filename,MOS,system,split"]
    for number in range(COUNT):
        level = 0.02 + 0.01 * number
        samples = level * rng.standard_normal(3200 + 300 * (number % 5))
        write_audio(folder / f"{number}.wav", Audio(samples.astype(np.float32), RATE))
        split = "valid" if number % 4 == 1 else "test" if number % 4 == 3 else "train"
        lines.append(f"{number}.wav,{1 + number / 4},{'ab'[number % 2]}{number // 6},{split}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    return folder / "scores.csv"


@pytest.mark.parametrize("variant", ["cnn", "blstm", "cnn-blstm"])
def test_padded_sounds_have_the_scores_that_they_have_alone(variant: str) -> None:
    torch.manual_seed(0)
    network = MOSNet(variant).eval()
    rows = [torch.rand(frames, 257) for frames in (9, 4)]
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    with torch.no_grad():
        scores, frames = network(batch, torch.tensor([9, 4]))
        for number, one in enumerate(rows):
            score, own = network(one[None])
            torch.testing.assert_close(scores[number], score[0], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(frames[number, : len(one)], own[0], rtol=1e-5, atol=1e-6)
    assert float(frames[1, 4:].abs().max()) == 0


def test_the_loss_is_that_of_the_score_and_of_the_frames(rated: Path) -> None:
    items = read_ratings(rated)
    training = MOSNetTraining(items[:4], items[4:6], MOSNetSettings("blstm", batch=2))
    training.decoder.eval()
    losses, scores = training.losses([0, 3])
    for number, item in ((0, items[0]), (1, items[3])):
        wave = training._sounds.whole(3 * number)
        with torch.no_grad():
            score, frames = training.decoder(LinearMagnitude()(wave[None]))
        wanted = (score - item.score).square() + (frames - item.score).square().mean()
        torch.testing.assert_close(losses[number], wanted[0, 0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scores[number], score[0, 0], rtol=1e-4, atol=1e-5)


def test_a_resumed_training_ends_with_the_same_weights(rated: Path, tmp_path: Path) -> None:
    items = read_ratings(rated)
    learn, valid = items[:8], items[8:]
    settings = MOSNetSettings("blstm", epochs=3, batch=4, rate=1e-3, patience=0)
    whole = train_mosnet(learn, valid, settings, tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop(epoch: int, _figures: dict[str, float]) -> None:
        if epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        train_mosnet(learn, valid, settings, tmp_path / "parts", on_epoch=stop)
    with pytest.raises(OutputError, match="other settings"):
        train_mosnet(learn, valid, MOSNetSettings("blstm", seed=1, batch=4), tmp_path / "parts")
    calls: list[int] = []
    parts = train_mosnet(
        learn, valid, settings, tmp_path / "parts", on_epoch=lambda epoch, _: calls.append(epoch)
    )
    assert calls == [3]
    assert parts == whole
    states = [
        load_model(str(tmp_path / name)).module.state_dict()  # type: ignore[union-attr]
        for name in ("whole", "parts")
    ]
    for name, one in states[0].items():
        torch.testing.assert_close(states[1][name], one, rtol=0, atol=0)
    # finished: nothing is done again, and another training is refused
    assert train_mosnet(learn, valid, settings, tmp_path / "whole", on_epoch=stop) == whole
    with pytest.raises(OutputError, match="holds a trained model already"):
        train_mosnet(learn[:7], valid, settings, tmp_path / "whole")


def test_the_command_trains_and_the_model_predicts_the_level(
    rated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "mosnet", "--data", str(rated), "--variant", "cnn", "--epochs", "25"]
    words += ["--batch", "3", "--rate", "1e-3", "--patience", "0", "-o", str(tmp_path / "m")]
    code, out, err = run(capsys, *words)
    assert code == 0
    assert "6 sounds to train on, 3 to validate on, 3 to test on" in err
    facts = json.loads((tmp_path / "m" / "model.json").read_text())["facts"]
    assert facts["test_figures"]["srcc"] == 1.0
    assert facts["test_figures"]["mse"] < 0.3
    assert "test: lcc" in out
    model = load_model(str(tmp_path / "m"))
    assert (model.labels, model.task, model.per_frame) == (("MOS",), "regression", True)


def figures(*numbers: float) -> Any:
    return np.array(numbers)


def test_correlations_are_those_of_the_textbook() -> None:
    ours, theirs = figures(1.0, 2.0, 4.0, 3.0), figures(2.0, 1.0, 5.0, 4.0)
    found = prediction_figures(ours, theirs, ["a", "a", "b", "b"])
    centred = ours - ours.mean(), theirs - theirs.mean()
    wanted = centred[0] @ centred[1] / np.sqrt(np.square(centred).sum(axis=1).prod())
    np.testing.assert_allclose(found["lcc"], wanted, rtol=1e-12)
    np.testing.assert_allclose(found["srcc"], 1 - 6 * 2 / (4 * 15), rtol=1e-12)  # two ranks apart
    np.testing.assert_allclose(found["mse"], 1.0)
    np.testing.assert_allclose(found["system_mse"], 0.5)  # 1.5 and 1.5, 3.5 and 4.5
    assert np.isnan(found["system_lcc"])  # of two systems
    assert np.isnan(prediction_figures([1, 1, 1], [1, 2, 3])["lcc"])


def test_the_list_of_vcc_has_no_headings(tmp_path: Path) -> None:
    for name in ("N08_VCC2TF2_30033_SPO.wav", "S00_VCC2SF1_30001.wav"):
        write_audio(tmp_path / name, Audio(np.full(100, 0.1, np.float32), RATE))
    (tmp_path / "mos_list.txt").write_text(
        "N08_VCC2TF2_30033_SPO.wav,3.5\nS00_VCC2SF1_30001.wav,5\n"
    )
    found = read_ratings(tmp_path / "mos_list.txt")
    assert [(one.system, one.score) for one in found] == [("N08", 3.5), ("S00", 5.0)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("filename,score\n0.wav,good\n", "line 2: a score is a number, got 'good'"),
        ("filename,score\n0.wav,nan\n", "line 2: a score is a number, got 'nan'"),
        ("filename,score\nx.wav,1\n", "line 2: .*x.wav is no file"),
        ("filename,score,split\n0.wav,1,all\n", "split is train, valid or test, got 'all'"),
        ("name;score\n", "line 1 has 1 cells"),
        ("a,b,c\n0.wav,1,2\n", "needs the columns filename and score"),
        ("0.wav,\n", "line 1: a score is a number, got ''"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_line(
    rated: Path, text: str, wanted: str
) -> None:
    table = rated.parent / "wrong.csv"
    table.write_text(text)
    with pytest.raises(AudioError, match=wanted):
        read_ratings(table)


def test_too_few_sounds_are_refused(rated: Path, tmp_path: Path) -> None:
    items = read_ratings(rated)
    with pytest.raises(ParameterError, match="4 sounds to train on and 0 to validate on"):
        train_mosnet(items[:4], [], MOSNetSettings(batch=2), tmp_path / "x")
