"""TFLite files: black boxes whose lengths, types and labels are those of the file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import earwitness
from earwitness.errors import ModelError
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.signals import scene
from tests.converted import whole_network
from tests.flatbuffer import Tape, converted

WAVES = torch.tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 0.5, 2.0], [0.0, 0.0, 8.0, 0.0]])
WANTED = torch.tensor([[10.0, 4.0], [1.5, 2.0], [8.0, 8.0]])


def write(path: Path, *shape: int) -> str:
    """A graph that returns sum and maximum over time."""
    tape = Tape(*shape)
    ends = (1, 1)
    found = [
        tape.call("reshape", ends, tape.call(one, shape[:-1], tape.inputs[0],
                  tape.constant([len(shape) - 1])), tape.constant([1, 1]))
        for one in ("sum", "maximum")
    ]  # fmt: skip
    return tape.write(path, tape.call("concat", (1, 2), *found, axis=1))


@pytest.mark.parametrize("shape", [(1, 4), (4,), (1, 1, 4)], ids=str)
def test_any_number_of_sounds_goes_through_a_graph_of_one(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    model = load_model(write(tmp_path / "m.tflite", *shape), rate=4, output="logits", labels="a,b")
    assert (model.shortest, model.longest) == (4, 4)
    torch.testing.assert_close(model(WAVES), WANTED)


def test_labels_are_read_from_the_list_in_the_file(tmp_path: Path) -> None:
    name = write(tmp_path / "m.tflite", 1, 4)
    with zipfile.ZipFile(tmp_path / "m.tflite", "a") as archive:
        archive.writestr("labels.txt", "Speech, male\nDog\n")
    model = load_model(name, rate=4, output="logits")
    assert model.labels == ("Speech, male", "Dog")
    torch.testing.assert_close(model(WAVES), WANTED)


def test_eight_bit_inputs_get_their_scale_and_zero_point(tmp_path: Path) -> None:
    tape = Tape(1, 2, quantised=(0.5, 10))
    name = tape.write(tmp_path / "m.tflite", tape.inputs[0])
    model = load_model(name, rate=2, output="logits", labels="a,b", shortest=1, longest=1)
    found = model(torch.tensor([[1.2, -100.0], [3.0, 70.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, -69.0], [3.0, 58.5]]))


def test_what_cannot_be_loaded_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"nothing of the kind")
    for file, words in (("none.tflite", "no such file"), ("bad.tflite", "cannot be loaded")):
        with pytest.raises(ModelError, match=words) as error:
            load_model(f"tflite:{tmp_path / file}", rate=8)
        assert "\n" not in str(error.value)


def test_a_conversion_of_the_default_model_is_explained_alike(tmp_path: Path) -> None:
    samples, ours = 32000, load_model("esc10")
    network = whole_network("esc10", samples)
    facts = {"labels": list(ours.labels), "output": "logits"}
    theirs = load_model(converted(network, tmp_path / "esc10.tflite"), rate=ours.rate, **facts)
    waves = torch.from_numpy(scene(ours.rate).mixture.samples)[None, :samples]
    with torch.no_grad():
        torch.testing.assert_close(theirs(waves), ours(waves), rtol=0, atol=1e-4)
    clip, whole = (waves[0].numpy(), ours.rate), wrap(network, sample_rate=ours.rate, **facts)  # type: ignore[arg-type]
    found = [
        earwitness.explain(one, clip, "lime", samples=50, trust="none") for one in (whole, theirs)
    ]
    assert found[0].target.label == found[1].target.label
    weights = [np.array([piece.weight for piece in one.pieces]) for one in found]
    np.testing.assert_allclose(weights[1], weights[0], rtol=0, atol=1e-3)
