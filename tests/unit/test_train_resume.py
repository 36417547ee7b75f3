"""Trainings of a decoder that are stopped, killed, shared or ended early."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from earwitness.cli.main import main
from earwitness.errors import OutputError
from earwitness.train.lmac import Training, train_lmac
from earwitness.train.progress import Workers
from earwitness.train.validation import Validation
from tests.training import SETTINGS, coarse, place_of_model, trained

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


def test_a_broken_training_ends_like_an_unbroken_one(sounds: list[Path], tmp_path: Path) -> None:
    whole = trained(coarse(), sounds, tmp_path / "whole", epochs=4)
    stopped = 0

    def stop(epoch: int, _figures: dict[str, float]) -> None:
        nonlocal stopped
        stopped = epoch
        if epoch in (1, 3):
            raise KeyboardInterrupt

    settings = replace(SETTINGS, epochs=4)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_lmac(coarse(), sounds[:12], sounds[12:], settings, tmp_path / "broken",
                       on_epoch=stop)  # fmt: skip
    assert stopped == 3
    broken = train_lmac(coarse(), sounds[:12], sounds[12:], settings, tmp_path / "broken")
    torch.testing.assert_close(
        dict(broken.decoder.state_dict()), dict(whole.decoder.state_dict()), rtol=0, atol=0
    )
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "broken")]
    assert logs[0] == logs[1]
    rows = list(csv.DictReader(logs[0].splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert not (tmp_path / "broken" / "training.safetensors").exists()


def test_a_kill_at_any_moment_loses_one_epoch_at_most(sounds: list[Path], tmp_path: Path) -> None:
    place = place_of_model(tmp_path)
    words = ["train", "lmac", "--model", place, "--data", str(sounds[0].parent), "--epochs", "5"]
    words += ["--batch", "4", "--crop", "0.5", "--contaminate", "white", "-o"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with pytest.raises(SystemExit):
        main([*words, str(whole)])
    command = [sys.executable, "-m", "earwitness", *words, str(broken)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(2):
        process = subprocess.Popen(command, env=ENVIRONMENT, **quiet)
        epochs = _epochs(broken)
        deadline = time.monotonic() + 60
        while process.poll() is None and _epochs(broken) <= epochs:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _epochs(broken) > epochs or (broken / "decoder.json").exists()
    if not (broken / "decoder.json").exists():
        with pytest.raises(SystemExit):
            main([*words, str(broken)])
    for name in ("decoder.safetensors", "log.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


def _epochs(folder: Path) -> int:
    log = folder / "log.csv"
    return len(log.read_text().splitlines()) - 1 if log.exists() else 0


def test_two_processes_share_the_work(sounds: list[Path], tmp_path: Path) -> None:
    place = place_of_model(tmp_path)
    words = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-port", str(29500 + os.getpid() % 400)),
        *("-m", "earwitness", "train", "lmac", "--model", place),
        *("--data", str(sounds[0].parent), "--epochs", "2", "--batch", "6", "--crop", "0.5"),
        *("-o", str(tmp_path / "both")),
    ]
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("decoder:") == 1
    assert (tmp_path / "both" / "decoder.json").exists()


# of all twelve sounds; the mean of limited gradients is not the limited mean
ONE_STEP = replace(SETTINGS, epochs=1, batch=12, crop=0.5, clip=0.0)
SHARED = """
import sys
from pathlib import Path
import torch
from earwitness.train.lmac import Training
from earwitness.train.progress import Workers
from tests.training import coarse
from tests.unit.test_train_resume import ONE_STEP, gradients
workers, _ = Workers.here("cpu")
sounds = sorted(Path(sys.argv[1]).glob("*.wav"))
training = Training(coarse(), sounds[:12], sounds[12:], ONE_STEP, workers=workers)
training.epoch()
found = {"weights": training.decoder.state_dict(), "gradients": gradients(training)}
torch.save(found, Path(sys.argv[2]) / f"{workers.rank}.pt")
torch.distributed.barrier()  # neither leaves before the other is done
torch.distributed.destroy_process_group()
"""


def gradients(training: Training) -> dict[str, torch.Tensor]:
    """Return those of the last step."""
    return {name: one.grad.clone() for name, one in training.decoder.named_parameters()}


class Alone(Workers):
    """One of several processes that hears nothing of the others."""

    def joined(self, network: torch.nn.Module) -> torch.nn.Module:
        return network

    def broadcast(self, figures: dict[str, float]) -> dict[str, float]:
        return {**figures, "valid_loss": 0.0}


def test_two_processes_go_by_the_mean_of_their_gradients(
    sounds: list[Path], tmp_path: Path
) -> None:
    place = tmp_path / "shared.py"
    place.write_text(SHARED)
    words = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-port", str(29900 + os.getpid() % 400)),
        *(str(place), str(sounds[0].parent), str(tmp_path)),
    ]
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    alone = []
    for rank in (0, 1):
        training = Training(coarse(), sounds[:12], sounds[12:], ONE_STEP, workers=Alone(rank, 2))
        training.epoch()
        alone.append(gradients(training))
    for name, found in one["gradients"].items():
        wanted = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6 * float(wanted.abs().max()))
        assert not torch.allclose(found, alone[0][name], rtol=0.1, atol=0)
    # one process is not wrapped
    single = Training(coarse(), sounds[:12], sounds[12:], ONE_STEP)
    assert single.joined is single.decoder


def test_other_settings_do_not_go_on(sounds: list[Path], tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_lmac(coarse(), sounds[:12], sounds[12:], SETTINGS, tmp_path, on_epoch=stop)
    with pytest.raises(OutputError, match="unfinished training with other settings"):
        train_lmac(coarse(), sounds[:12], sounds[12:], replace(SETTINGS, rate=1e-3), tmp_path)
    with pytest.raises(OutputError, match="unfinished training with other sounds"):
        train_lmac(coarse(), sounds[:11], sounds[12:], SETTINGS, tmp_path)
    (tmp_path / "training.safetensors").write_bytes(b"torn")
    with pytest.raises(OutputError, match="damaged; remove it"):
        train_lmac(coarse(), sounds[:12], sounds[12:], SETTINGS, tmp_path)
    (tmp_path / "training.safetensors").unlink()
    train_lmac(coarse(), sounds[:12], sounds[12:], replace(SETTINGS, epochs=1), tmp_path)
    with pytest.raises(OutputError, match="holds a trained decoder already"):
        train_lmac(coarse(), sounds[:12], sounds[12:], SETTINGS, tmp_path)


def test_patience_ends_training_early(
    sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 4.0, 2.0, 2.5, 2.0, 1.0])
    monkeypatch.setattr(Validation, "figures", lambda *_: {"valid_loss": next(losses)})
    found = trained(coarse(), sounds, tmp_path, epochs=40, patience=2)
    assert found.facts["trained"]["epochs"] == 5  # two after the best, the third
    assert found.facts["validation"]["valid_loss"] == 2.0


def test_the_best_epoch_is_kept_and_not_the_last(
    sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def figures(self: Validation, decoder: torch.nn.Module, *_: Any) -> dict[str, float]:
        seen.append({name: one.clone() for name, one in decoder.state_dict().items()})
        return {"valid_loss": [2.0, 1.0, 3.0][len(seen) - 1]}

    monkeypatch.setattr(Validation, "figures", figures)
    kept = trained(coarse(), sounds, tmp_path).decoder.state_dict()
    assert len(seen) == 3
    for name, one in kept.items():
        torch.testing.assert_close(one, seen[1][name], rtol=0, atol=0)
    assert any(not torch.equal(one, seen[2][name]) for name, one in kept.items())
