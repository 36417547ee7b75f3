"""Adapters: models of other worlds by name, with options."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earwitness import registry
from earwitness.errors import ModelError, ParameterError, UnknownNameError
from earwitness.models.adapters.registry import ADAPTERS, declare, read_labels
from earwitness.models.registry import join_name, load_model, split_name
from tests.command import run

PLAIN = """
def make():
    return lambda waves: waves[:, :2] * 2.0
"""


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """A file with a function that returns another, which is not wrapped."""
    (tmp_path / "plain.py").write_text(PLAIN)
    return f"python:{tmp_path / 'plain.py'}:make"


def test_options_of_an_adapter_were_lost_when_a_worker_loaded_the_model_again(plain: str) -> None:
    first = load_model(plain, rate=8000, labels=["a, b", "c"], output="logits")
    again = load_model(first.loaded)
    for model in (first, again):
        assert (model.rate, model.labels, model.output) == (8000, ("a, b", "c"), "logits")
    torch.testing.assert_close(again(torch.tensor([[1.0, 3.0, 5.0]])), torch.tensor([[2.0, 6.0]]))


@pytest.mark.parametrize(
    ("name", "place", "options"),
    [
        ("onnx:a.onnx?rate=16000&per-frame=true", "onnx:a.onnx",
         {"rate": "16000", "per_frame": "true"}),
        ("hf:a/b?labels=dog,rain", "hf:a/b", {"labels": "dog,rain"}),
        ("onnx:what?.onnx", "onnx:what?.onnx", {}),
        ("esc10", "esc10", {}),
    ],
)  # fmt: skip
def test_options_in_a_name(name: str, place: str, options: dict[str, str]) -> None:
    assert split_name(name) == (place, options)


def test_a_name_with_options_takes_more_of_them() -> None:
    name = join_name("x:f?rate=1", {"labels": ["a&b", "c?=d"], "rate": 2})
    assert split_name(name) == ("x:f", {"rate": "2", "labels": '["a&b", "c?=d"]'})


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("{plain}", {}, ModelError, "must return what earwitness.wrap returns, got function"),
        ("{plain}", {"labels": "a,b"}, ModelError, "sampling rate is not in the file; give it"),
        ("{plain}", {"rat": 8000}, UnknownNameError, "no option of python: called 'rat'; did you "
         "mean 'rate'"),
        ("{plain}", {"rate": "fast"}, ParameterError, "rate must be a number, got 'fast'"),
        ("{plain}?rate=0", {}, ParameterError, "rate must be at least 1, got 0"),
        ("{plain}", {"rate": 8000, "extra": "{"}, ParameterError, "extra is JSON"),
        ("esc10", {"rate": 8000}, ParameterError, "esc10 has no options; got rate"),
        ("pyton:x.py:f", {}, UnknownNameError, "no adapter called 'pyton'; did you mean 'python'"),
        ("facebook/wav2vec2-base", {}, ModelError, "no such model folder; a model of Hugging Face "
         "is named hf:facebook/wav2vec2-base"),
        ("./nothing/here", {}, ModelError, "nothing/here: no such model folder$"),
        ("python:", {}, ModelError, "write python:FILE.py:FUNCTION"),
    ],
)  # fmt: skip
def test_what_a_wrong_name_or_option_says(
    plain: str, name: str, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        load_model(name.format(plain=plain), **options)  # type: ignore[arg-type]


def test_a_file_without_its_kind_says_what_would_load_it(plain: str) -> None:
    file = plain.split(":")[1]
    with pytest.raises(ModelError, match=f"is a file; say how to load it: python:{file}:FUNCTION"):
        load_model(file)


def test_a_sound_in_place_of_the_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "dog.wav").write_bytes(b"RIFF")
    with pytest.raises(ModelError, match=r"dog\.wav is a file, .*explain\(model, sound\)"):
        load_model(str(tmp_path / "dog.wav"))


def test_a_device_of_torch_is_a_device() -> None:
    assert load_model("esc10", device=torch.device("cpu")).device.type == "cpu"


def test_an_unknown_name_lists_what_would_work() -> None:
    with pytest.raises(UnknownNameError, match=r"known: cnn14, esc10, .*python:FILE.py:FUNCTION"):
        load_model("zzzzzz")


def test_labels_are_read_from_commas_lines_json_and_files(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one, two\nthree\n")
    assert read_labels("a, b,c") == ["a", "b", "c"]
    assert read_labels("a, b\nc\n") == ["a, b", "c"]
    assert read_labels('["x", "y"]') == ["x", "y"]
    assert read_labels(str(tmp_path / "names.txt")) == ["one, two", "three"]


def test_facts_that_were_not_given_are_left_out() -> None:
    assert declare(rate=8000, longest=2.0) == {"sample_rate": 8000, "lengths": (None, 2.0)}


PLUG_IN = """
from earwitness.models.adapters.registry import register
from earwitness.models.wrapping import wrap


@register("own", place="NUMBER", summary="a factor", needs=("a_module_of_nobody",), extra="own")
def own(place, facts, *, factor: int = 1):
    return wrap(lambda waves: waves[:, :2] * factor, sample_rate=int(place), **facts)
"""


def test_other_packages_add_adapters_and_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plug_adapter.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("own", "plug_adapter", "earwitness.adapters")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    monkeypatch.setattr(ADAPTERS, "_discovered", False)
    monkeypatch.setattr(ADAPTERS, "_specs", dict(ADAPTERS._specs))
    with pytest.raises(ModelError, match=r"own:8000 needs a_module_of_nobody, .*earwitness\[own\]"):
        load_model("own:8000")
    (tmp_path / "a_module_of_nobody.py").write_text("")
    model = load_model("own:8000", factor=3)
    torch.testing.assert_close(model(torch.tensor([[1.0, 2.0]])), torch.tensor([[3.0, 6.0]]))


def test_the_command_lists_kinds_with_options_and_what_they_need(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = run(capsys, "models", "--json")[1].splitlines()
    facts = {one.get("kind"): one for one in map(json.loads, lines)}
    assert facts["python"]["name"] == "python:FILE.py:FUNCTION"
    assert facts["python"]["declared"]["rate"]["low"] == 1
    assert facts["python"]["installed"]
    described = run(capsys, "models", "python")[1]
    assert "rate= (at least 1)\n      Sampling rate in Hz." in described


def test_the_command_takes_options_of_a_model(
    plain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = str(tmp_path / "a.wav")
    soundfile.write(sound, np.full(8000, 0.25), 8000)
    done = run(capsys, "predict", sound, "--model", plain, "--model-set", "rate=8000",
               "--model-set", "output=scores", "--model-set", "labels=a,b", "--json")  # fmt: skip
    assert json.loads(done[1])["outputs"] == {"a": 0.5, "b": 0.5}


def test_labels_given_as_a_list_were_read_as_text(plain: str) -> None:
    for labels in (["[Music]", "a, b"], ("[x]", "{y}"), np.array(["a\nb", "c"])):
        first = load_model(plain, rate=np.int64(8000), labels=labels, output="logits")
        again = load_model(first.loaded)
        assert first.labels == again.labels == tuple(labels)
        assert again.rate == 8000


def test_files_of_labels_that_are_missing_or_of_another_encoding(tmp_path: Path) -> None:
    marked, latin = tmp_path / "marked.txt", tmp_path / "latin.txt"
    marked.write_bytes("one\ntwo\n".encode("utf-8-sig"))
    latin.write_bytes("Käuz\nSäge\n".encode("latin-1"))
    assert read_labels(str(marked)) == ["one", "two"]
    with pytest.raises(ParameterError, match=r"latin.txt is not in UTF-8"):
        read_labels(str(latin))
    with pytest.raises(ParameterError, match=r"labels: no such file labls.txt"):
        read_labels("labls.txt")


def test_what_a_model_does_not_need(
    plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_model("esc10?trust_code=true").name == load_model("esc10", trust_code=True).name
    monkeypatch.setenv("HOME", str(tmp_path))
    model = load_model("python:~/plain.py:make", rate=8000, output="scores", labels="a,b",
                       trust_code=True)  # fmt: skip
    torch.testing.assert_close(model(torch.tensor([[1.0, 3.0]])), torch.tensor([[2.0, 6.0]]))


@pytest.mark.parametrize("extra", ["5", "[1]", "null", "nan"])
def test_constants_that_have_no_names_end_in_one_line(plain: str, extra: str) -> None:
    with pytest.raises(ParameterError, match="extra is JSON, as in"):
        load_model(f"{plain}?rate=8000", extra=extra)


def test_a_network_without_options_is_told_to_give_the_rate(plain: str) -> None:
    with pytest.raises(ModelError, match=r"got function; give its sampling rate .*rate=16000"):
        load_model(plain)
