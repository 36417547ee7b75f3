"""Hostile files and models through the command: one line each, and the others go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earwitness.audio import as_audio, read_audio
from earwitness.cli.main import main
from earwitness.data.collection import read_collection
from earwitness.decoders.folder import load_explainer
from earwitness.errors import AudioError, EarwitnessError, ModelError, OutputError, ParameterError
from earwitness.files import write_text
from earwitness.methods.registry import METHODS
from earwitness.models.fingerprint import changed
from earwitness.models.registry import load_model
from earwitness.models.zoo.checkpoint import Recipe
from earwitness.samples import Samples
from earwitness.train.classifier import Settings as Training
from earwitness.train.classifier import _begin
from tests.command import MODEL, explain, run

ROOT = Path(__file__).parents[2]
RATE = 16000
NOISE = 0.1 * np.random.default_rng(1).standard_normal(8000)


def hour(path: Path, rate: int = 192000) -> Path:
    """Write an hour of sound as a hole in the file, which takes no space."""
    soundfile.write(path, np.zeros(4), rate, subtype="PCM_16")
    head = bytearray(path.read_bytes()[:44])
    size = 7200 * rate
    head[4:8], head[40:44] = (size + 36).to_bytes(4, "little"), size.to_bytes(4, "little")
    path.write_bytes(head)
    os.truncate(path, 44 + size)
    return path


def test_an_hour_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hour(tmp_path / "hour.wav")

    def nothing(*_: object, **__: object) -> None:
        raise AssertionError("decoded before it was refused")

    monkeypatch.setattr(soundfile.SoundFile, "read", nothing)
    with pytest.raises(ParameterError, match=r"60 min are too long .* \(at most 31 min here\)"):
        read_audio(path, rate=RATE)  # 30 million samples at 16 kHz are 31.25 min


def test_a_sound_whose_header_says_no_length_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "x.flac", np.zeros(4 * RATE), RATE)
    data = bytearray((tmp_path / "x.flac").read_bytes())
    data[21], data[22:26] = data[21] & 0xF0, bytes(4)  # no number of samples
    (tmp_path / "x.flac").write_bytes(data)
    assert any("does not say" in note for note in read_audio(tmp_path / "x.flac").notes)
    decoded: list[int] = []
    add = Samples.add
    monkeypatch.setattr(Samples, "add", lambda own, b: (decoded.append(len(b)), add(own, b))[1])
    with pytest.raises(ParameterError, match="too long"):
        read_audio(tmp_path / "x.flac", longest=1.0)
    assert sum(decoded) == RATE + 1  # of the 64,000 that are there


@pytest.mark.parametrize("rate", [1, 100, 159])
def test_a_sampling_rate_of_a_hertz_is_not_resampled(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "x.wav", NOISE, rate)
    with pytest.raises(AudioError, match=f"{rate} Hz is below 1 % of the model's 16000 Hz"):
        read_audio(tmp_path / "x.wav", rate=RATE)
    with pytest.raises(AudioError, match="below 1 %"):
        as_audio((NOISE, rate), rate=RATE)


def test_a_rate_of_a_hundredth_is_resampled(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", NOISE[:1600], 160)
    assert len(read_audio(tmp_path / "x.wav", rate=RATE).samples) == 100 * 1600


def test_a_rate_of_gigahertz_leaves_no_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", NOISE, 2_000_000_000)
    with pytest.raises(AudioError, match="0 samples are left at 16000 Hz"):
        read_audio(tmp_path / "x.wav", rate=RATE)


def test_blocks_are_resampled_as_the_whole(tmp_path: Path) -> None:
    soxr = pytest.importorskip("soxr")
    stereo = np.random.default_rng(0).normal(0, 0.1, (44100, 2)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", stereo, 44100, subtype="FLOAT")
    mono = stereo.mean(axis=1, dtype=np.float64).astype(np.float32)
    found = read_audio(tmp_path / "x.wav", rate=RATE)
    np.testing.assert_array_equal(found.samples, soxr.resample(mono, 44100, RATE))
    assert found.notes == ("2 channels mixed down to one", "resampled from 44100 to 16000 Hz")


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_bad_sounds_first_do_not_end_a_run(
    place: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    soundfile.write(place / "one_hertz.wav", NOISE, 1)
    hour(place / "hour.wav")
    os.mkfifo(place / "pipe.wav")
    words = ["one_hertz.wav", "hour.wav", "pipe.wav", "x" * 300, "y/" * 3000 + "z.wav", "b.wav"]
    more = ["-o", "r", "--method", "energy"] if verb == "explain" else []
    model = ["--model", "python:model.py:make"]
    code, out, err = run(capsys, verb, *words, "--json", *model, *more)
    assert code == 1
    assert [json.loads(line)["clip"] for line in out.splitlines()] == ["b.wav"]
    wanted = ("1 Hz", "60 min", "a pipe", "xxx: cannot be reached", "z.wav: cannot be reached")
    assert [word for word in wanted if word not in err] == []
    assert "unexpected" not in err


def test_an_unforeseen_error_of_one_sound_does_not_end_predict(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from earwitness.jobs import predicting

    whole = predicting.predict

    def fails(model: object, clip: Path, **facts: object) -> dict[str, object]:
        if clip.name == "a.wav":
            raise MemoryError("no room")
        return whole(model, clip, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(predicting, "predict", fails)
    words = ["predict", "clips/a.wav", "b.wav", "--model", "python:model.py:make"]
    code, out, err = run(capsys, *words)
    assert (code, out.count("b.wav")) == (1, 1)
    assert "clips/a.wav: unexpected MemoryError: no room" in err


LOUD = (
    MODEL
    + """
import os
os.write(1, b"loading\\n")
print("made")
os.chdir("/")

class Loud(Bands):
    def forward(self, waves):
        os.write(1, b"raw\\n")
        print("plain")
        os.chdir("/")
        return super().forward(waves)

def loud():
    return earwitness.wrap(Loud(), sample_rate=16000, labels=["low", "high"])
"""
)


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_what_a_model_prints_gets_into_no_result_and_its_folder_is_not_ours(
    place: Path, verb: str
) -> None:
    (place / "loud.py").write_text(LOUD)
    more = ["-o", "r", "--method", "energy"] if verb == "explain" else []
    command = [sys.executable, "-m", "earwitness", verb, "clips/a.wav", "b.wav", "--json", *more]
    done = subprocess.run([*command, "--model", "python:loud.py:loud"], cwd=place,
                          capture_output=True, text=True, check=True)  # fmt: skip
    lines = [json.loads(line)["clip"] for line in done.stdout.splitlines()]
    assert lines == ["clips/a.wav", "b.wav"]
    assert {"loading", "made", "raw", "plain"} <= set(done.stderr.splitlines())
    assert verb == "predict" or (place / "r" / "index.html").is_file()


@pytest.mark.parametrize("words", [["predict", "b.wav"], ["methods"], ["--help"]])
def test_a_full_standard_output_is_one_line(place: Path, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "earwitness", *words], cwd=place,
                              stdout=full, stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "standard output" in line] == [
        done.stderr.strip()
    ]


def test_odd_names_cost_a_grid_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "odd" / "[").mkdir(parents=True)
    for name in (b"odd/bad\xff.wav", b"odd/bad\xfe.wav", b"odd/[/x].wav"):
        soundfile.write("plain.wav", NOISE, RATE)
        Path("plain.wav").rename(os.fsdecode(name))
    code, _, err = run(capsys, "evaluate", "python:model.py:make", "odd", "--method", "saliency",
                       "--metric", "level", "-o", "g")  # fmt: skip
    assert (code, "unexpected" in err) == (0, False)
    assert (place / "g" / "index.html").read_text(encoding="utf-8").endswith("</html>")
    assert (place / "g" / "table.md").read_text(encoding="utf-8").count("saliency") == 2


def test_text_that_utf8_has_no_code_for_is_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "table.md", os.fsdecode(b"bad\xff.wav"))
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == "bad\\udcff.wav"


def test_markup_in_a_name_is_no_markup_at_a_terminal(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    (place / "[").mkdir()
    soundfile.write("[/x].wav", NOISE, RATE)
    assert explain(capsys, "[/x].wav", "-o", "r")[0] == 0
    words = ["evaluate", "python:model.py:make", "[", "--method", "saliency", "--metric", "level"]
    assert run(capsys, *words, "-o", "g")[0] == 0


BUILT_IN = ROOT / "src" / "earwitness" / "models" / "zoo" / "weights" / "esc10"


def damaged(source: Path, place: Path, **changes: object) -> Path:
    """Copy a folder of a model or decoder, with other values in its description."""
    place.mkdir()
    for file in source.iterdir():
        if file.is_file():
            (place / file.name).write_bytes(file.read_bytes())
    (description,) = place.glob("*.json")
    facts = json.loads(description.read_text())
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            facts[outer][inner] = value
        else:
            facts[outer] = value
    description.write_text(json.dumps(facts))
    return place


@pytest.mark.parametrize(
    "changes",
    [{"recipe__rate": 0}, {"recipe__n_fft": 2**40}, {"recipe__mels": 10**9}, {"recipe": 3},
     {"recipe__widths": [16, 32, 64, 10**6]}, {"recipe__labels": [1] * 10}, {"schema": {}},
     {"recipe__seconds": "x"}, {"recipe__hop": -1}],
)  # fmt: skip
def test_a_damaged_model_is_named_by_its_folder(tmp_path: Path, changes: dict[str, object]) -> None:
    place = damaged(BUILT_IN, tmp_path / "m", **changes)
    said = "(: the trained model's files are damaged|/model.json: written by)"
    with pytest.raises(ModelError, match=f"{place}{said}"):
        load_model(str(place))


@pytest.mark.parametrize(
    "changes",
    [{"model": {"name": "x"}}, {"domain": "dB"}, {"facts": 3}, {"layers": [{}]}, {"plane": None},
     {"plane__n_fft": "x"}, {"kind": []}, {"facts__asked": 3.5}, {"facts__asked": ["x"]}],
)  # fmt: skip
def test_a_damaged_decoder_is_named_by_its_folder(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    place = damaged(BUILT_IN / "lmac", tmp_path / "d", **changes)
    with pytest.raises(ModelError, match=f"{place}: the decoder's files are damaged"):
        load_explainer(place)


@pytest.mark.parametrize("outputs", [3.5, "x", [[1.0], 2.0], [None] * 9, {}])
def test_damaged_outputs_of_a_model_are_other_outputs(outputs: object) -> None:
    here = {"weights": "a", "source": "", "outputs": [1.0] * 9}
    assert changed({**here, "outputs": outputs}, here) == "outputs"
    assert changed(here, here) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"caf\xe9.wav,1,a", "labels.csv: not in UTF-8"),
        (b"a.wav,one,a", "line 2: a fold is a whole number, got 'one'"),
        (b"a.wav", "line 2 has no filename or no category"),
        (b'"' + b"a" * 200_000 + b'",1,a', "not a CSV table"),
        (b"a.wav," + b"9" * 5000 + b",a", "a fold is a whole number"),
    ],
)
def test_an_odd_table_of_labels_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "labels.csv").write_bytes(b"filename,fold,category\n" + content + b"\n")
    soundfile.write(tmp_path / "a.wav", NOISE, RATE)
    with pytest.raises(AudioError, match=words):
        read_collection(tmp_path)


def test_other_tables_and_marks_of_excel_are_no_obstacle(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", NOISE, RATE)
    (tmp_path / "about.csv").write_bytes(b"caf\xe9,\xff\n")
    (tmp_path / "meta.csv").write_bytes(b"\xef\xbb\xbffilename,category\r\na.wav,dog\r\n")
    assert [(one.label, one.fold) for one in read_collection(tmp_path)] == [("dog", 0)]


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\x02}q\x00."])
def test_a_damaged_training_is_named(tmp_path: Path, content: bytes) -> None:
    recipe = Recipe(("a", "b"), RATE, 512, 256, 8, (4, 4), 1.0)
    state = _begin(recipe, Training(epochs=1), 4, torch.device("cpu"))
    (tmp_path / "training.pt").write_bytes(content)
    with pytest.raises(OutputError, match=r"training.pt: damaged.*remove it"):
        state.restore(tmp_path / "training.pt", {})
    torch.save({"key": {}, "epoch": 1, "network": 3, "average": 3, "optimiser": 3, "schedule": 3},
               tmp_path / "training.pt")  # fmt: skip
    with pytest.raises(OutputError, match=r"training.pt: damaged; remove it to begin again"):
        state.restore(tmp_path / "training.pt", {})


def test_no_option_of_a_method_takes_1e20() -> None:
    for method in METHODS.all():
        for option in method.declared.values():
            if option.type in (int, float) and not option.choices:
                with pytest.raises(EarwitnessError, match=f"{option.name} must be"):
                    method.settle({option.name: 1e20})


@pytest.mark.parametrize(
    "words",
    [["--seed", "1e20"], ["--seed", str(10**20)], ["--jobs", str(10**20)], ["--start", "1e20"],
     ["--end", "-1e20"], ["--span", "0", "nan"], ["--set", "steps=" + "9" * 5000]],
)  # fmt: skip
def test_numbers_out_of_any_range_are_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["explain", "b.wav", "--model", "python:model.py:make", "-o", "r", *words])
    err = capsys.readouterr().err
    assert (end.value.code, len(err.splitlines()), "unexpected" in err) == (2, 1, False)


def test_hostile_inputs_cost_nothing_but_themselves() -> None:
    """A part of the 250 inputs of ``scripts/hostile.py``."""
    command = [sys.executable, ROOT / "scripts" / "hostile.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.stdout.splitlines()[-1].endswith("hostile inputs, 0 faults"), done.stdout
