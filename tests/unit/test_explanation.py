from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earwitness.errors import OutputError, ParameterError, UnknownNameError
from earwitness.evaluation.trust import card_passes
from earwitness.evaluation.verdict import ahead_of, sentence
from earwitness.explanation import Explanation
from earwitness.jobs.predicting import predict
from earwitness.masks.rounding import storable
from earwitness.pipeline import explain
from earwitness.scores import Outcome, Pair
from earwitness.store import save_input
from earwitness.types import Audio
from tests.toys import REGIONS, additive, spectral, waveform


@pytest.fixture
def explanation(white: Audio) -> Explanation:
    return explain(spectral(), white, "input-x-gradient", target="low", seed=5)


def heard(path: Path, index: int) -> float:
    """Score a file as an outsider would: read it, run the whole model, take one softmax."""
    samples, _ = soundfile.read(path, dtype="float32")
    with torch.no_grad():
        return float(spectral()(torch.from_numpy(samples)[None]).softmax(dim=1)[0, index])


def test_files_hold_what_was_scored(tmp_path: Path, explanation: Explanation) -> None:
    files = explanation.save(tmp_path / "e")
    outcome = explanation.trust.outcome
    for name, pair in (("evidence", outcome.evidence), ("remainder", outcome.remainder)):
        np.testing.assert_allclose(heard(files[name], 1), pair.audio, rtol=1e-5)
    np.testing.assert_allclose(heard(files["input"], 1), explanation.trust.input, rtol=1e-5)


def test_the_plane_scores_are_those_of_the_masked_magnitude(explanation: Explanation) -> None:
    magnitude, gains = map(torch.from_numpy, (explanation.magnitude, explanation.mask.gains))
    both = torch.stack([gains * magnitude, (1 - gains) * magnitude])
    with torch.no_grad():
        wanted = spectral().from_magnitude(both).softmax(dim=1)[:, 1].tolist()
    outcome = explanation.trust.outcome
    np.testing.assert_allclose(
        [outcome.evidence.spectrogram, outcome.remainder.spectrogram], wanted, rtol=1e-5
    )
    card = explanation.trust.controls["energy"]
    assert card.mean.remainder.spectrogram != card.mean.evidence.spectrogram


def test_evidence_and_remainder_add_up_in_the_files(
    tmp_path: Path, explanation: Explanation
) -> None:
    files = explanation.save(tmp_path / "e")
    parts = [soundfile.read(files[name])[0] for name in ("input", "evidence", "remainder")]
    error = np.sum((parts[1] + parts[2] - parts[0]) ** 2) / np.sum(parts[0] ** 2)
    assert error < 1e-10  # 100 dB
    assert all(soundfile.info(files[n]).subtype == "FLOAT" for n in ("evidence", "remainder"))


def test_evidence_scores_high_and_the_remainder_low(explanation: Explanation) -> None:
    outcome = explanation.trust.outcome
    assert outcome.evidence.audio > 0.9 > 0.2 > outcome.remainder.audio
    random = explanation.trust.controls["random"].mean
    assert outcome.evidence.audio > random.evidence.audio
    assert ahead_of(explanation.trust, explanation.mask) == ["random", "energy", "silence"]


def test_controls_are_of_the_same_size(explanation: Explanation) -> None:
    for name in ("random", "energy"):
        control = explanation.trust.controls[name]
        assert control.area == explanation.mask.area
        assert control.low.evidence.audio <= control.mean.evidence.audio
        assert control.mean.evidence.audio <= control.high.evidence.audio
    assert explanation.trust.controls["random"].mean.evidence.spectrogram is None
    assert explanation.trust.controls["energy"].energy > explanation.mask.energy


def test_saving_and_loading_gives_it_back(tmp_path: Path, explanation: Explanation) -> None:
    explanation.save(tmp_path / "e")
    back = Explanation.load(tmp_path / "e")
    np.testing.assert_allclose(
        back.attribution.values, explanation.attribution.values, rtol=2.0**-12
    )  # stored with 12 bits of mantissa
    np.testing.assert_array_equal(back.magnitude, explanation.magnitude)
    np.testing.assert_array_equal(back.mask.gains, explanation.mask.gains)
    for name in ("input", "evidence", "remainder"):
        ours, theirs = getattr(explanation, name), getattr(back, name)
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert ours.rate == theirs.rate
    assert back.facts() == json.loads(json.dumps(explanation.facts()))
    assert back.trust == explanation.trust
    assert back.target == explanation.target


def test_pieces_are_saved_with_their_sounds_and_come_back(tmp_path: Path, white: Audio) -> None:
    every = torch.rand(129, 189, generator=torch.Generator().manual_seed(0))
    found = explain(additive(every), white, "occlusion", segments=6, bands=4, background="silence")
    assert len(found.pieces) == 24
    assert len(found.piece_sounds) == 13
    files = found.save(tmp_path / "e", files=["pieces"])
    assert {"piece-01", "piece-12", "piece-rest"} <= set(files)
    total = sum(soundfile.read(path)[0] for key, path in files.items() if "piece" in key)
    error = np.sum((total - white.samples) ** 2) / np.sum(white.samples**2)
    assert -10 * np.log10(error) > 100
    back = Explanation.load(tmp_path / "e")
    assert back.pieces == found.pieces
    for ours, theirs in zip(found.piece_sounds, back.piece_sounds, strict=True):
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert ours.name == theirs.name
    # the first file is the strongest piece, and holds what lies there
    strongest = max(found.pieces, key=lambda piece: abs(piece.weight))
    assert strongest.file == "piece-01.wav"
    assert back.piece_sounds[0].name == strongest.name
    assert found.piece_sounds[-1].name == "everything else"
    energy = np.sum(found.piece_sounds[0].samples ** 2) / np.sum(white.samples**2)
    np.testing.assert_allclose(energy, strongest.energy, rtol=0.1)  # windows overlap
    weights = [piece.weight for piece in found.pieces if piece.file]
    others = [piece.weight for piece in found.pieces if not piece.file]
    assert min(map(abs, weights)) >= max(map(abs, others))
    # fewer pieces in its place leave none of the old sounds behind
    explain(additive(every), white, "occlusion", pieces="time", segments=3).save(
        tmp_path / "e", files=["pieces"], overwrite=True
    )
    assert {path.name for path in (tmp_path / "e").glob("piece*")} == {
        "piece-01.wav", "piece-02.wav", "piece-03.wav"
    }  # fmt: skip
    assert len(Explanation.load(tmp_path / "e").piece_sounds) == 3
    # pieces without any weight take no place among the strongest
    found = explain(spectral(), white, "occlusion", segments=6, bands=4, target="high")
    assert 0 < sum(bool(piece.file) for piece in found.pieces) < 12
    assert all(piece.weight for piece in found.pieces if piece.file)


def test_an_explanation_can_be_repeated_from_its_file(
    tmp_path: Path, white: Audio, explanation: Explanation
) -> None:
    explanation.save(tmp_path / "e")
    facts = json.loads((tmp_path / "e" / "explanation.json").read_text())
    again = explain(
        spectral(),
        white,
        facts["method"],
        target=facts["target"]["label"],
        keep=facts["mask"]["rule"],
        seed=facts["provenance"]["seed"],
        **facts["options"],
    )
    np.testing.assert_array_equal(again.attribution.values, explanation.attribution.values)
    assert again.trust == explanation.trust


def test_the_map_file_has_its_axes(tmp_path: Path, explanation: Explanation) -> None:
    files = explanation.save(tmp_path / "e")
    with np.load(files["attribution"]) as stored:
        assert stored["values"].shape == (len(stored["freqs"]), len(stored["times"]))
        assert stored["freqs"][-1] == 8000.0
        assert 1.5 <= stored["times"][-1] < 1.52


def test_label_file_names_the_region(tmp_path: Path, explanation: Explanation) -> None:
    files = explanation.save(tmp_path / "e")
    lines = files["labels"].read_text().splitlines()
    start, end, text = lines[0].split("\t")
    mark, low, high = lines[1].split("\t")
    truth = REGIONS[1]
    assert mark == "\\"
    assert text.startswith("low ")
    assert truth[0] - 0.03 <= float(start) < float(end) <= truth[1] + 0.03
    assert truth[2] - 150 <= float(low) < float(high) <= truth[3] + 150


def test_existing_places_are_not_overwritten_unasked(
    tmp_path: Path, explanation: Explanation
) -> None:
    explanation.save(tmp_path / "e")
    with pytest.raises(OutputError, match="exists already"):
        explanation.save(tmp_path / "e")
    explanation.save(tmp_path / "e", overwrite=True)
    (tmp_path / "e" / "thesis.txt").write_text("years of work")
    explanation.save(tmp_path / "e", overwrite=True)
    assert (tmp_path / "e" / "thesis.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "input.wav").write_text("recorded on the moon")
    with pytest.raises(OutputError, match=r"input\.wav is there and belongs to no explanation"):
        explanation.save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "input.wav").read_text() == "recorded on the moon"
    with pytest.raises(OutputError, match="a file, not a folder"):
        explanation.save(tmp_path / "mine" / "input.wav", overwrite=True)


def test_a_failed_save_leaves_nothing(
    tmp_path: Path, explanation: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("earwitness.store.region_labels", full)
    with pytest.raises(OutputError, match="No space left"):
        explanation.save(tmp_path / "e")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["explanation.json", "attribution.npz"])
def test_damaged_folders_end_in_one_line(
    tmp_path: Path, explanation: Explanation, file: str
) -> None:
    explanation.save(tmp_path / "e")
    for content in (b"", b"\x00\x01"):
        (tmp_path / "e" / file).write_bytes(content)
        with pytest.raises(OutputError, match="damaged"):
            Explanation.load(tmp_path / "e")
    with pytest.raises(OutputError, match="damaged"):
        Explanation.load(tmp_path / "e")
    (tmp_path / "e" / file).unlink()
    with pytest.raises(OutputError, match=f"{file} is missing"):
        Explanation.load(tmp_path / "e")


def test_its_representation_is_one_line_without_arrays(explanation: Explanation) -> None:
    assert repr([explanation]) == f"[<Explanation {explanation}>]"
    assert len(repr(explanation)) < 300


def test_degenerate_masks_are_named_and_never_good(white: Audio) -> None:
    found = explain(spectral(), white, "all-ones")
    assert found.mask.degenerate == "full"
    assert ahead_of(found.trust, found.mask) == []
    assert found.verdict.grade == "degenerate"
    assert "does not localise" in sentence(found.verdict)
    assert any("degenerate" in note for note in found.notes)


def test_nothing_is_ahead_that_keeps_nothing(explanation: Explanation) -> None:
    card = explanation.trust
    kept = Outcome(Pair(0.001, 0.001), card.controls["silence"].mean.remainder)
    card = replace(card, outcome=kept, effect=replace(card.effect, value=0.0, share=0.0))
    assert ahead_of(card, explanation.mask) == []


def test_a_part_of_a_sound_is_explained(white: Audio) -> None:
    found = explain(waveform(), white, "input-x-gradient", start=0.2, end=0.7)
    np.testing.assert_array_equal(found.input.samples, white.samples[3200:11200])
    assert (found.provenance["start"], found.provenance["end"]) == (0.2, 0.7)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"method": "gradcamm"}, UnknownNameError, "did you mean 'gradcam'"),
        ({"method": "lime", "sample": 3}, UnknownNameError, "did you mean 'samples'"),
        ({"method": "saliency", "steps": 3}, UnknownNameError, "option of saliency"),
        ({"method": "lime", "samples": "many"}, ParameterError, "must be a number"),
        ({"method": "lime", "samples": 2.5}, ParameterError, "whole number"),
        ({"method": "lime", "samples": 1}, ParameterError, "at least 2"),
        ({"method": "integrated-gradients", "steps": 0}, ParameterError, "at least 1"),
        ({"method": "gradcam", "layer": 1}, ParameterError, "must be text"),
        ({"method": "lime", "width": float("nan")}, ParameterError, "must be finite"),
        ({"method": 3}, UnknownNameError, "no method"),
        ({"seed": -1}, ParameterError, "seed must be"),
        ({"keep": 0.8}, ParameterError, "keep is a share"),
        ({"end": float("nan")}, ParameterError, "seconds"),
        ({"target": True}, ParameterError, "no label"),
        ({"method": "gradcam", "layer": "filter"}, UnknownNameError, "did you mean 'filters'"),
        ({"keep": "many"}, ParameterError, "keep is a share"),
        ({"target": "lwo"}, UnknownNameError, "did you mean 'low'"),
        ({"target": "low", "versus": "low"}, ParameterError, "no difference"),
        ({"start": 9.0}, ParameterError, "after the end of the sound"),
    ],
)
def test_wrong_questions_are_refused(
    white: Audio, change: dict[str, object], error: type[Exception], words: str
) -> None:
    question = {"method": "saliency", **change}
    with pytest.raises(error, match=words):
        explain(spectral(), white, **question)  # type: ignore[arg-type]


def test_a_module_must_be_wrapped(white: Audio) -> None:
    with pytest.raises(ParameterError, match=r"earwitness\.wrap"):
        explain(torch.nn.ReLU(), white)  # type: ignore[arg-type]


def test_prediction_lists_every_output(white: Audio) -> None:
    answer = predict(spectral(), white)
    assert set(answer) == {"clip", "task", "outputs", "label", "probability", "notes"}
    np.testing.assert_allclose(sum(answer["outputs"].values()), 1.0, rtol=1e-6)
    assert answer["probability"] == max(answer["outputs"].values())


def test_extra_files_are_written_on_demand(tmp_path: Path, explanation: Explanation) -> None:
    few = explanation.save(tmp_path / "few")
    names = {"input", "evidence", "remainder", "attribution", "labels", "explanation"}
    assert set(few) == names
    many = explanation.save(tmp_path / "many", files=["picture", "gains", "magnitude"])
    assert set(many) == names | {"picture"}
    with np.load(many["attribution"]) as stored:
        assert {"values", "freqs", "times", "gains", "magnitude"} == set(stored.files)
        np.testing.assert_array_equal(stored["gains"], explanation.mask.gains > 0)
    with pytest.raises(ParameterError, match=r"files are picture, .*got 'pictures'"):
        explanation.save(tmp_path / "other", files=["pictures"])


def test_gains_of_another_making_are_kept(tmp_path: Path, explanation: Explanation) -> None:
    gains = np.random.default_rng(0).random(explanation.mask.gains.shape).astype(np.float32)
    own = replace(explanation, mask=replace(explanation.mask, gains=gains, soft=True))
    own.save(tmp_path / "own")
    np.testing.assert_array_equal(Explanation.load(tmp_path / "own").mask.gains, gains)
    strange = replace(own, mask=replace(own.mask, rule="by hand"))
    strange.save(tmp_path / "strange")
    np.testing.assert_array_equal(Explanation.load(tmp_path / "strange").mask.gains, gains)


def test_folders_of_the_former_schema_load(tmp_path: Path, explanation: Explanation) -> None:
    files = explanation.save(tmp_path / "e", files=["gains", "magnitude"])
    facts = json.loads(files["explanation"].read_text())

    def former(value: object) -> object:
        if isinstance(value, dict):
            names = {"spectrogram": "plane", "audio": "heard"}
            return {names.get(key, key): former(one) for key, one in value.items()}
        return 0.25 if value is None else value

    facts |= {"schema": 1, "trust": former(facts["trust"]), "answers": facts.pop("outputs")}
    files["explanation"].write_text(json.dumps(facts))
    back = Explanation.load(tmp_path / "e")
    assert back.trust.outcome == explanation.trust.outcome
    assert back.trust.controls["energy"] == explanation.trust.controls["energy"]
    assert back.trust.controls["random"].mean.evidence.spectrogram == 0.25
    assert back.outputs == explanation.outputs
    back.save(tmp_path / "e", overwrite=True)
    assert json.loads(files["explanation"].read_text())["schema"] == 2


@pytest.mark.parametrize("level", ["full", "light", "none"])
def test_a_card_costs_what_it_says(level: str, white: Audio) -> None:
    counts: list[int] = []
    found = explain(spectral(), white, "saliency", trust=level, on_passes=counts.append)
    passes = {"full": 25, "light": 7, "none": 0}[level]
    assert sum(counts) - 3 == passes == card_passes(level)  # a gradient counts three
    if level == "none":
        assert found.trust is None
        assert found.outputs[0].evidence is None
        assert sentence(found.verdict) == "Not graded (no trust card)."
        assert str(found).startswith("white: ")
        return
    full = explain(spectral(), white, "saliency")
    np.testing.assert_allclose(
        found.trust.outcome.evidence.audio, full.trust.outcome.evidence.audio, rtol=1e-5
    )
    assert found.trust.controls["random"].draws == {"full": 8, "light": 1}[level]
    assert (found.trust.outcome.evidence.spectrogram is None) == (level == "light")


def test_loading_needs_no_trust_card(tmp_path: Path, white: Audio) -> None:
    found = explain(spectral(), white, "energy", trust="none")
    found.save(tmp_path / "e")
    back = Explanation.load(tmp_path / "e")
    assert back.trust is None
    assert back.outputs == found.outputs


def test_stored_values_are_rounded_to_twelve_significant_bits() -> None:
    values = np.random.default_rng(0).standard_normal(10000).astype(np.float32)
    kept = storable(values)
    relative = (kept.astype(np.float64) - values) / values
    assert 2.0**-13 < np.abs(relative).max() <= 2.0**-12
    assert abs(relative.mean()) < 2.0**-18  # to nearest, not towards zero
    assert not (kept.view(np.uint32) & 0xFFF).any()
    np.testing.assert_array_equal(storable(np.float32([0.0, 1.0, -0.5])), [0.0, 1.0, -0.5])


def test_an_input_that_cannot_be_written_is_refused_in_one_line(
    tmp_path: Path, white: Audio
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file: cannot be written"):
        save_input(tmp_path / "file", white)
