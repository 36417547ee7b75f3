"""The recipes run as written: their files are made, their commands and their code are executed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

import earwitness
from earwitness.data.collection import read_collection
from earwitness.explanation import Explanation
from earwitness.methods.registry import METHODS
from earwitness.types import Audio
from tests.command import run
from tests.conftest import ROOT
from tests.transformers_folders import LABELS, save

RECIPES = ROOT / "docs" / "recipes"
RATE = 16000


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sounds that the recipes name, as the working directory."""
    rng = np.random.default_rng(0)

    def write(name: str, rate: int = RATE, seconds: float = 2.0, tone: float = 0.0) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(round(seconds * rate)) / rate
        sound = 0.05 * rng.standard_normal(len(time)) + 0.3 * np.sin(2 * np.pi * tone * time)
        soundfile.write(tmp_path / name, sound, rate, subtype="FLOAT")

    write("dog.wav", tone=700)
    write("call.wav", tone=500)
    for number in range(8):  # a batch
        write(f"labelled/frog/{number}.wav", tone=900)
        write(f"labelled/wind/{number}.wav")
    write("recordings/site-1/dawn.wav", tone=900)
    write("recordings/site-2/dawn.wav")
    for number in range(20):  # a batch, and some to test on
        write(f"sonyc/audio/{number}.wav", seconds=1.0, tone=600 * (number % 2))
    names = ["1_engine_presence", "8_dog_presence"]
    rows = [["split", "audio_filename", "annotator_id", *names]]
    for number in range(20):
        split = "train" if number < 17 else "validate"
        dog = str(number % 2)
        # one of three annotators says "dog" of every sound, and one nothing
        votes = [["1", dog], ["1", "1"], ["0", dog]] if number else [["0", "0"]]
        rows += [[split, f"{number}.wav", str(k), *vote] for k, vote in enumerate(votes)]
    table = "\n".join(",".join(row) for row in rows)
    (tmp_path / "sonyc" / "annotations.csv").write_text(table)
    time = np.arange(48000) / 192000
    call = 0.5 * np.sin(2 * np.pi * 50_000 * time) * ((time > 0.1) & (time < 0.105))
    sound = call + 0.001 * rng.standard_normal(len(time))
    soundfile.write(tmp_path / "bats.wav", sound, 192000, subtype="FLOAT")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(page: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], list[str]]:
    """Do what a page says from top to bottom; return what its code defined and what was printed."""
    text = (RECIPES / page).read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    printed = []
    for language, block in re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL):
        if language == "python" and (named := re.match(r"# (\w+\.py)\n", block)):
            Path(named[1]).write_text(block)
        elif language == "python":
            exec(compile(block, page, "exec"), scope)
            printed.append(capsys.readouterr().out)
        else:
            for line in block.splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "earwitness"
                words += ["--epochs", "1"] if words[0] == "train" else []  # for speed
                words += ["--passes", "1", "--components", "8"] * (words[:2] == ["train", "l2i"])
                code, out, err = run(capsys, *words)
                assert code == 0, err
                printed.append(out)
    return scope, printed


def test_the_classifier_of_one_s_own(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope, printed = follow("own-classifier.md", capsys)
    found = Explanation.load(desk / "report" / "dog" / "integrated-gradients")
    assert found.target.decided
    assert found.target.label in printed[0]
    both = found.evidence.samples + found.remainder.samples
    assert_allclose(both, found.input.samples, atol=1e-6)
    assert Explanation.load(desk / "cat" / "dog" / "integrated-gradients").target.label == "cat"
    grade, value = printed[-1].split()
    assert (grade, float(value)) == (
        scope["why"].verdict.grade,
        scope["why"].trust.outcome.evidence.audio,
    )
    # a tone of 700 Hz decides for "low" of two bands that part at 4 kHz
    freqs = scope["why"].attribution.freqs
    strongest = scope["why"].attribution.values.clip(min=0).sum(axis=1)
    assert strongest[freqs < 4000].sum() > 0.9 * strongest.sum()


def test_the_field_recordings(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = follow("field-recordings.md", capsys)
    lines = [json.loads(line) for line in printed[1].splitlines()]
    assert sorted(line["clip"] for line in lines) == [
        "recordings/site-1/dawn.wav", "recordings/site-2/dawn.wav"
    ]  # fmt: skip
    (place,) = (desk / "dawn").glob("*/integrated-gradients")
    found = Explanation.load(place)
    assert found.input.seconds == 1.0
    starts = [float(line.split("\t")[0]) for line in (place / "labels.txt").read_text().splitlines()
              if not line.startswith("\\")]  # fmt: skip
    assert all(0.5 <= start < 1.5 for start in starts)
    assert (desk / "evaluation" / "table.md").is_file()


def test_the_score_of_one_s_own(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope, _ = follow("own-score.md", capsys)
    sound, _ = soundfile.read(desk / "call.wav")
    power = np.abs(np.fft.rfft(sound)) ** 2
    wanted = 5 - 4 * power[len(power) // 2 :].sum() / power.sum()
    assert_allclose(scope["good"].trust.input, wanted, rtol=1e-4)
    assert Explanation.load(desk / "what-lowers-it").target.sign == -1
    assert scope["bad"].trust.effect.of == 4.0
    outcome = scope["bad"].trust.outcome
    assert outcome.evidence.audio < outcome.remainder.audio
    assert scope["bad"].options["background"] == "mean"


def test_the_bats(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follow("ultrasound.md", capsys)
    found = Explanation.load(desk / "report" / "bats" / "input-x-gradient")
    peak = np.unravel_index(found.attribution.values.argmax(), found.attribution.values.shape)
    assert_allclose(found.attribution.freqs[peak[0]], 50_000, atol=1500)
    assert_allclose(found.attribution.times[peak[1]], 0.1025, atol=0.004)
    assert found.provenance["plane"]["n_fft"] == 512
    assert any("10" in note and "ultrasound" in note for note in found.notes)


def test_the_audit(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plane = earwitness.load_model("esc10").plane
    samples = round(plane.rate * 2.0)
    bins, frames = plane.bins, plane.frames(samples)
    low = bins // 8
    facts = {"schema": 1, "kind": "earwitness mask", "rate": plane.rate, "samples": samples}
    facts |= {"n_fft": plane.n_fft, "hop": plane.hop, "shape": [bins, frames]}
    facts["runs"] = [0, low * frames, (bins - low) * frames]
    (desk / "mask.json").write_text(json.dumps(facts))
    scope, printed = follow("one-decision.md", capsys)
    curve = scope["why"].curve
    assert printed[-2].startswith(f"keep   1 %: {curve.area[0]:6.2%} of the area")
    assert Explanation.load(desk / "quoted").curve == curve
    own = Explanation.load(desk / "hypothesis" / "dog" / "integrated-gradients")
    assert own.mask.rule == "file:mask.json"
    assert_allclose(own.mask.area, low / bins, rtol=1e-12)
    assert Explanation.load(desk / "contrast" / "dog" / "integrated-gradients").target.versus_label


def test_the_tagger_of_a_city(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = follow("several-labels.md", capsys)
    items = {item.path.name: item for item in read_collection(desk / "sonyc")}
    assert len(items) == 19  # the first has no label
    assert items["3.wav"].labels == ("engine", "dog")
    assert items["4.wav"].labels == ("engine",)
    assert (items["16.wav"].fold, items["17.wav"].fold) == (1, 2)
    assert any("macro AUPRC" in text for text in printed)
    found = Explanation.load(desk / "report" / "dog" / "l2i")
    assert found.target.label == "dog"
    assert found.task == "multi-label"
    both = found.evidence.samples + found.remainder.samples
    assert_allclose(both, found.input.samples, atol=1e-6)


class Answer:
    """What a Hugging Face model returns."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Pretrained(nn.Module):
    """A network with the interface of a Hugging Face audio classifier on waveforms."""

    def __init__(self) -> None:
        super().__init__()
        self.config = type("Config", (), {"id2label": {0: "calm", 1: "angry"}})

    def forward(
        self, input_values: Tensor, attention_mask: Tensor | None = None, labels: Any = None
    ) -> Answer:
        power = torch.fft.rfft(input_values).abs().square()
        return Answer(torch.stack([half.mean(dim=1) for half in power.chunk(2, dim=1)], 1).log())


def test_the_commands_of_the_readme_for_a_hugging_face_model(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"`(earwitness [^`]*hf:OWNER/NAME[^`]*)`", readme)
    assert [line.split()[1] for line in commands] == ["check", "explain"]
    name = save("wav2vec2", desk / "network")
    more = {"check": ["--no-methods"], "explain": ["--set", "steps=4", "--trust", "none"]}
    for line in commands:
        _, verb, *words = shlex.split(line.replace("hf:OWNER/NAME", name))
        code, _, error = run(capsys, verb, *words, *more[verb])
        assert code == 0, error
    found = Explanation.load(desk / "earwitness-report" / "dog" / "integrated-gradients")
    assert found.target.label in LABELS.values()


def test_the_line_for_a_hugging_face_model_in_memory(white: Audio) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`(model = earwitness\.wrap\(network[^`]*)`", page)
    scope: dict[str, Any] = {"network": Pretrained().eval(), "earwitness": earwitness}
    exec(line, scope)
    found = earwitness.explain(scope["model"], white, "saliency", target="angry", trust="none")
    with torch.no_grad():
        wanted = Pretrained()(torch.from_numpy(white.samples)[None]).logits.softmax(1)[0]
    named = {one.label: one.input for one in found.outputs}
    assert_allclose([named["calm"], named["angry"]], wanted, rtol=1e-4)


def test_every_recipe_is_run_and_linked() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in RECIPES.glob("*.md"):
        assert f'follow("{page.name}"' in tests, page.name
        assert f"docs/recipes/{page.name}" in readme, page.name


def test_the_methods_page_begins_with_what_to_try_first_and_ends_with_controls() -> None:
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    order = re.findall(r"^### `([a-z0-9-]+)`", page, flags=re.MULTILINE)
    controls = {method.name for method in METHODS.all() if method.control}
    assert sorted(order) == sorted(method.name for method in METHODS.all())
    assert order[:3] == ["integrated-gradients", "lrp", "lime"]
    assert set(order[-len(controls) :]) == controls
