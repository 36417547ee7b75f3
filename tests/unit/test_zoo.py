"""Models by name: checkpoints on disk, Python files and what is built in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.errors import ModelError, UnknownNameError
from earwitness.models.registry import list_models, load_model
from earwitness.models.target import probabilities
from earwitness.models.zoo.checkpoint import default_recipe, load_checkpoint, save_checkpoint
from tests.unit.test_models import LABELS, noise


def test_checkpoints_come_back(tmp_path: Path) -> None:
    recipe = default_recipe(LABELS)
    network = recipe.network().eval()
    save_checkpoint(tmp_path / "m", recipe, network, {})
    stored = load_checkpoint(tmp_path / "m")
    wave = noise(64000)
    with torch.no_grad():
        torch.testing.assert_close(stored(wave), recipe.model(network, "x")(wave))


@pytest.mark.parametrize("damage", ["no-json", "no-weights", "bad-json", "bad-weights", "other"])
def test_damaged_checkpoints_end_in_one_line(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "m"
    recipe = default_recipe(LABELS)
    save_checkpoint(folder, recipe, recipe.network(), {})
    facts = json.loads((folder / "model.json").read_text())
    if damage.startswith("no"):
        (folder / ("model.json" if damage == "no-json" else "weights.safetensors")).unlink()
    elif damage == "bad-json":
        (folder / "model.json").write_text("{")
    elif damage == "bad-weights":
        (folder / "weights.safetensors").write_bytes(b"12345678")
    else:
        facts["recipe"]["widths"] = [4, 4]
        (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=r"missing|damaged") as error:
        load_model(str(folder))
    assert "\n" not in str(error.value)


def test_models_from_a_python_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import earwitness\n"
        "def make():\n"
        "    return earwitness.wrap(lambda w: w.mean(axis=1, keepdims=True), sample_rate=8000,\n"
        "                           output='scores', name='mine')\n"
        "def wrong():\n    return 3\n"
        "def broken():\n    raise OSError('no weights here')\n"
    )
    assert load_model(f"python:{file}:make").name == "mine"
    for name, words in (
        (f"python:{file}:other", "no function other"),
        (f"python:{file}:wrong", "must return what earwitness.wrap returns"),
        (f"python:{file}:broken", "OSError while making the model: no weights here"),
        (f"python:{tmp_path}/none.py:make", "no such file"),
        ("python:make", "expected python:FILE.py:FUNCTION"),
    ):
        with pytest.raises(ModelError, match=words):
            load_model(name)


def test_unknown_models_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'esc10'"):
        load_model("esc-10")
    with pytest.raises(ModelError, match="device 'gpu7' is none"):
        load_model("esc10", device="gpu7")


def test_the_built_in_model_is_small_and_sane() -> None:
    assert [one.name for one in list_models()] == ["cnn14", "esc10", "mosnet", "nisqa"]
    one = load_model("esc10")
    assert len(one.labels) == 10
    import earwitness.models.zoo

    folder = Path(earwitness.models.zoo.__file__).parent / "weights" / "esc10"
    assert 100_000 < sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= 3_000_000
    with torch.no_grad():
        silence = probabilities(one, one(torch.zeros(1, one.rate)))
    np.testing.assert_allclose(float(silence.sum()), 1.0, rtol=1e-5)
