"""ONNX files: black boxes whose rate, labels, lengths and batch are those of the file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import earwitness
from earwitness.errors import ModelError, NotApplicableError, ParameterError, UnknownNameError
from earwitness.models.fingerprint import changed, identity
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.signals import scene
from tests.converted import whole_network

RATE = 8000
WAVES = torch.tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 0.5, 2.0], [0.0, 0.0, 8.0, 0.0]])


def write(
    path: Path, shape: list[Any], metadata: dict[str, str] | None = None, kind: int = 1
) -> str:
    """A graph that returns sum and maximum over time, of float32 or another type of input."""
    wave = helper.make_tensor_value_info("wave", kind, shape)
    axis = len(shape) - (2 if len(shape) == 3 and shape[-1] == 1 else 1)
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [axis])
    rows = 1 if len(shape) == 1 else "n"
    nodes = [
        helper.make_node("Cast", ["wave"], ["float"], to=1),
        helper.make_node("ReduceSum", ["float", "axes"], ["sum"]),
        helper.make_node("ReduceMax", ["float", "axes"], ["max"]),
        helper.make_node("Reshape", ["sum", "two"], ["a"]),
        helper.make_node("Reshape", ["max", "two"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["out"], axis=1),
    ]
    two = helper.make_tensor("two", TensorProto.INT64, [2], [-1, 1])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [rows, 2])
    graph = helper.make_graph(nodes, "g", [wave], [out], [axes, two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return f"onnx:{path}"


WANTED = torch.tensor([[10.0, 4.0], [1.5, 2.0], [8.0, 8.0]])


@pytest.mark.parametrize(
    "shape",
    [["n", "t"], [1, "t"], [2, "t"], ["t"], ["n", 1, "t"], ["n", "t", 1], [1, 1, "t"], [4]],
    ids=str,
)
def test_any_number_of_sounds_goes_through_a_graph_of_any_layout(
    shape: list[Any], tmp_path: Path
) -> None:
    model = load_model(write(tmp_path / "m.onnx", shape), rate=4, output="logits")
    torch.testing.assert_close(model(WAVES), WANTED)


def test_a_fixed_length_is_padded_and_read_in_windows(tmp_path: Path) -> None:
    model = load_model(write(tmp_path / "m.onnx", [1, 15601]), rate=16000, output="logits")
    assert (model.shortest, model.longest) == (15601, 15601)
    short = model(torch.ones(1, 100))
    torch.testing.assert_close(short, torch.tensor([[100.0, 1.0]]))
    long = load_model(f"onnx:{tmp_path}/m.onnx", rate=16000, output="logits", pool="max")
    waves = torch.zeros(1, 31202)
    waves[0, :100] = 1.0
    torch.testing.assert_close(long(waves), torch.tensor([[100.0, 1.0]]))


@pytest.mark.parametrize(
    "names", ['["low", "high"]', "low, high", "{0: 'low', 1: 'high'}", '{"0": "low", "1": "high"}']
)
def test_facts_are_read_from_the_file_and_options_go_before_them(
    names: str, tmp_path: Path
) -> None:
    facts = {"sample_rate": "22050", "names": names, "output": "scores"}
    name = write(tmp_path / "m.onnx", ["n", "t"], facts)
    model = load_model(name)
    assert (model.rate, model.labels, model.output) == (22050, ("low", "high"), "scores")
    other = load_model(name, rate=RATE, labels="a,b", output="logits")
    assert (other.rate, other.labels, other.output) == (RATE, ("a", "b"), "logits")


def test_whole_numbers_as_input_are_at_the_scale_of_sixteen_bits(tmp_path: Path) -> None:
    name = write(tmp_path / "m.onnx", ["n", "t"], kind=TensorProto.INT16)
    model = load_model(name, rate=RATE, output="scores", labels="sum,max")
    found = model(torch.tensor([[0.5, -1.0, 1.0, 2.0]]))
    torch.testing.assert_close(found, torch.tensor([[16384.0 - 32767 + 32767 + 32767, 32767.0]]))


def stateful(path: Path, *, outputs: int = 1) -> str:
    """A graph ``wave * gain + state`` with a second output."""
    inputs = [
        helper.make_tensor_value_info("wave", TensorProto.FLOAT, ["n", "t"]),
        helper.make_tensor_value_info("gain", TensorProto.INT64, []),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, ["n", 2]),
    ]
    nodes = [
        helper.make_node("Cast", ["gain"], ["g"], to=1),
        helper.make_node("Slice", ["wave", "start", "end", "axis"], ["first"]),
        helper.make_node("Mul", ["first", "g"], ["scaled"]),
        helper.make_node("Add", ["scaled", "state"], ["out"]),
        helper.make_node("Add", ["out", "out"], ["double"]),
    ]
    numbers = {"start": [0], "end": [2], "axis": [1]}
    constants = [helper.make_tensor(k, TensorProto.INT64, [1], v) for k, v in numbers.items()]
    found = [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["n", 2])
             for one in ("out", "double")[:outputs]]  # fmt: skip
    graph = helper.make_graph(nodes, "g", inputs, found, constants)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return f"onnx:{path}"


def test_other_inputs_are_constants_by_name(tmp_path: Path) -> None:
    name = stateful(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"'extra=\{\"gain\": 0, \"state\": 0\}'"):
        load_model(name, rate=RATE)
    for state in (5, [5, 5]):
        model = load_model(name, rate=RATE, output="logits", extra={"gain": 3, "state": state})
        wanted = torch.tensor([[8.0, 11.0], [2.0, 5.0], [5.0, 5.0]])
        torch.testing.assert_close(model(WAVES), wanted)
    with pytest.raises(UnknownNameError, match=r"no input of onnx:.* called 'stat'"):
        load_model(name, rate=RATE, extra={"gain": 3, "stat": 1})


def test_one_of_several_outputs_is_chosen_by_name(tmp_path: Path) -> None:
    name, extra = stateful(tmp_path / "m.onnx", outputs=2), json.dumps({"gain": 1, "state": 0})
    with pytest.raises(ModelError, match=r"outputs out \(\?, 2\), double \(\?, 2\); choose one"):
        load_model(name, rate=RATE, extra=extra)
    model = load_model(name, rate=RATE, extra=extra, select="double", output="logits")
    torch.testing.assert_close(model(WAVES[:1]), torch.tensor([[2.0, 4.0]]))
    with pytest.raises(UnknownNameError, match="did you mean 'double'"):
        load_model(name, rate=RATE, extra=extra, select="doubel")


def test_what_cannot_be_loaded_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no protobuf")
    write(tmp_path / "mel.onnx", ["n", 64, "t"])
    cases = [
        ("none.onnx", {"rate": 8}, "no such file"),
        ("bad.onnx", {"rate": 8}, "cannot be loaded"),
        ("mel.onnx", {"rate": 8}, r"its input wave \(\?, 64, \?\) is no waveform"),
        ("mel.onnx", {"rate": 8, "waveform": "wav"}, "did you mean 'wave'"),
    ]
    for file, options, words in cases:
        with pytest.raises((ModelError, UnknownNameError), match=words) as error:
            load_model(f"onnx:{tmp_path / file}", **options)
        assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="sampling rate is not in the file"):
        load_model(write(tmp_path / "m.onnx", ["n", "t"]))
    with pytest.raises(ParameterError, match="output must be one of logits, probabilities"):
        load_model(f"onnx:{tmp_path}/m.onnx", rate=8, output="logit")


def test_the_identity_of_a_file_is_its_content(tmp_path: Path) -> None:
    one = load_model(write(tmp_path / "a.onnx", ["n", "t"]), rate=RATE, output="logits")
    two = load_model(write(tmp_path / "b.onnx", [1, "t"]), rate=RATE, output="logits")
    assert changed(identity(one), identity(two)) == "source code"


def test_gradients_are_refused_and_lime_is_recommended(tmp_path: Path) -> None:
    model = load_model(write(tmp_path / "m.onnx", ["n", "t"]), rate=RATE, output="logits")
    with pytest.raises(NotApplicableError, match="lime or occlusion"):
        earwitness.explain(model, (0.1 * np.ones(RATE, np.float32), RATE), "saliency")


def test_an_export_of_the_default_model_is_explained_alike(tmp_path: Path) -> None:
    samples, ours = 32000, load_model("esc10")
    network = whole_network("esc10", samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no other package is the old one
        torch.onnx.export(network, (torch.zeros(1, samples),), tmp_path / "esc10.onnx",
                          dynamo=False, input_names=["wave"],
                          dynamic_axes={"wave": {0: "n"}})  # fmt: skip
    facts: dict[str, Any] = {"labels": list(ours.labels), "output": "logits"}
    theirs = load_model(f"onnx:{tmp_path}/esc10.onnx", rate=ours.rate, **facts)
    waves = torch.from_numpy(scene(ours.rate).mixture.samples)[None, :samples]
    with torch.no_grad():
        torch.testing.assert_close(theirs(waves), ours(waves), rtol=0, atol=1e-4)
    clip, whole = (waves[0].numpy(), ours.rate), wrap(network, sample_rate=ours.rate, **facts)
    found = [
        earwitness.explain(one, clip, "lime", samples=50, trust="none") for one in (whole, theirs)
    ]
    assert found[0].target.label == found[1].target.label
    weights = [np.array([piece.weight for piece in one.pieces]) for one in found]
    np.testing.assert_allclose(weights[1], weights[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "full", "zero"),
    [(TensorProto.INT8, 127, 0), (TensorProto.UINT8, 127, 128), (TensorProto.INT16, 32767, 0),
     (TensorProto.INT32, 32767, 0)],
)  # fmt: skip
def test_whole_numbers_of_eight_bits_wrapped_round(
    kind: int, full: int, zero: int, tmp_path: Path
) -> None:
    floats = load_model(write(tmp_path / "f.onnx", ["n", "t"]), rate=RATE, output="logits")
    name = write(tmp_path / "m.onnx", ["n", "t"], kind=kind)
    waves = torch.tensor([[0.5, 0.25, -0.75, 0.9], [-1.0, 1.0, 0.1, 0.0]])
    found = load_model(name, rate=RATE, output="logits")(waves)
    # sum of four values and maximum, without the zero point of each
    rescaled = (found - zero * torch.tensor([4.0, 1.0])) / full
    torch.testing.assert_close(rescaled, floats(waves), rtol=0, atol=4 * 0.5 / full + 1e-5)
    beyond = load_model(name, rate=RATE, output="logits")(torch.tensor([[3.0, -3.0, 0.0, 0.0]]))
    torch.testing.assert_close(beyond, torch.tensor([[4.0 * zero - 1, float(full + zero)]]))


@pytest.mark.parametrize(
    ("shape", "kind"), [([64, "t"], 1), ([1, 40], 1), ([1, 64, 1], 1), (["n", "t"], 9)], ids=str
)
def test_features_passed_for_a_waveform(shape: list[Any], kind: int, tmp_path: Path) -> None:
    name = write(tmp_path / "m.onnx", shape, kind=kind)
    with pytest.raises(ModelError, match=r"is no waveform; compute .* python:FILE.py:FUNCTION"):
        load_model(name, rate=16000, output="logits")
    longer = load_model(write(tmp_path / "w.onnx", [16, "t"]), rate=16000, output="logits")
    torch.testing.assert_close(longer(WAVES), WANTED)


def test_facts_of_the_file_that_are_written_otherwise(tmp_path: Path) -> None:
    facts = {"sample_rate": "16000.0", "classes": "2", "class_names": "low,high"}
    model = load_model(write(tmp_path / "m.onnx", ["n", "t"], facts), output="scores")
    assert (model.rate, model.labels) == (16000, ("low", "high"))
    alone = write(tmp_path / "a.onnx", ["n", "t"], {"sample_rate": "8000", "classes": "2"})
    torch.testing.assert_close(load_model(alone, output="logits")(WAVES), WANTED)


def with_text(path: Path) -> str:
    """A graph with the name of the best class as text, before its scores."""
    write(path, ["n", "t"])
    model = onnx.load(path)
    words: Any = [b"low", b"high"]
    names = helper.make_tensor("names", TensorProto.STRING, [2], words)
    model.graph.initializer.append(names)
    nodes = [helper.make_node("ArgMax", ["out"], ["best"], axis=1, keepdims=0),
             helper.make_node("Gather", ["names", "best"], ["label"])]  # fmt: skip
    model.graph.node.extend(nodes)
    scores = model.graph.output.pop()
    model.graph.output.extend([helper.make_tensor_value_info("label", TensorProto.STRING, ["n"])])
    model.graph.output.extend([scores])
    onnx.save(model, path)
    return f"onnx:{path}"


def test_text_beside_the_scores_is_left_out(tmp_path: Path) -> None:
    name = with_text(tmp_path / "m.onnx")
    torch.testing.assert_close(load_model(name, rate=RATE, output="logits")(WAVES), WANTED)
    with pytest.raises(ModelError, match=r"label is tensor\(string\) and no tensor of numbers"):
        load_model(name, rate=RATE, select="label")


def test_a_constant_of_one_shape_did_away_with_the_batch_of_the_graph(tmp_path: Path) -> None:
    stateful(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    for port, sizes in ((model.graph.input[0], [2, None]), (model.graph.input[2], [2, 2])):
        for axis, size in zip(port.type.tensor_type.shape.dim, sizes, strict=True):
            if size is not None:
                axis.dim_value = size
    onnx.save(model, tmp_path / "m.onnx")
    wanted = torch.tensor([[8.0, 11.0], [2.0, 5.0], [5.0, 5.0]])
    for state in (5, [5, 5], [[5, 5], [5, 5]]):
        found = load_model(
            f"onnx:{tmp_path}/m.onnx", rate=RATE, output="logits", extra={"gain": 3, "state": state}
        )
        torch.testing.assert_close(found(WAVES), wanted)
