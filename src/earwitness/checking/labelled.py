"""Accuracy on labelled sounds: permuted labels, a wrong rate, another scale of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from earwitness.audio import read_audio
from earwitness.checking.finding import Finding
from earwitness.checking.outputs import unchecked
from earwitness.errors import EarwitnessError
from earwitness.models.model import Model
from earwitness.models.target import over

Counts = NDArray[np.int64]
_FEWEST = 4  # labelled sounds, for anything to be said
_DRAWS = 200  # shuffles of labels
_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, of most models
_FULL_SCALE = 32768.0  # of 16-bit samples
_LEVEL = 2.6  # standard deviations, about 1 in 200 by chance


def labelled(
    model: Model, clips: Sequence[Path], table: Mapping[Path, str]
) -> tuple[list[tuple[Path, int]], list[str]]:
    """Return sounds with a label of the model, and labels that it does not have."""
    places = {_folded(label): k for k, label in enumerate(model.labels)}
    found, others = [], []
    for clip in clips:
        whole = clip.resolve()
        name = table.get(whole, whole.parent.name)
        if _folded(name) in places:
            found.append((clip, places[_folded(name)]))
        else:
            others.append(name)
    return found, sorted(set(others))


def check_labelled(model: Model, clips: Sequence[Path], table: Mapping[Path, str]) -> list[Finding]:
    """Return the accuracy on labelled sounds, and what would raise it.

    Parameters
    ----------
    clips : sequence of Path
    table : mapping of Path to str
        Labels by absolute path. The label of other sounds is the name of their folder.
    """
    if model.task == "regression":
        return []
    known, others = labelled(model, clips, table)
    if len(known) < _FEWEST:
        return []
    guess = _guesses(model, [clip for clip, _ in known])
    left = [clip.name for (clip, _), one in zip(known, guess, strict=True) if one < 0]
    known = [one for one, answer in zip(known, guess, strict=True) if answer >= 0]
    if len(known) < _FEWEST:
        text = f"only {len(known)} of {len(left) + len(known)} labelled sounds can be evaluated"
        return [Finding("accuracy", "note", text, "", {"sounds_left_out": left})]
    truth, guess = np.array([label for _, label in known]), guess[guess >= 0]
    right = guess == truth
    count, accuracy = len(known), float(right.mean())
    low = float(np.mean([np.mean(truth == one) for one in np.unique(truth)]))
    chance = max(low, 1 / len(model.labels))
    text = f"{accuracy:.0%} of {count} labelled sounds"
    facts = {"accuracy": accuracy, "sounds": count, "chance": chance, "folders_left_out": others,
             "sounds_left_out": left}  # fmt: skip
    if others:
        text += f" (no label is called {', '.join(others[:3])})"
    if left:
        text += f"; {len(left)} that cannot be evaluated left out ({', '.join(left[:3])})"
    findings = [_permuted(model, truth, guess)]
    if len(np.unique(truth)) > 1:
        heard = _heard_otherwise(model, [clip for clip, _ in known], truth, right)
        findings = _likelier(findings[0], heard, count)
    poor = accuracy - chance < _LEVEL * math.sqrt(chance * (1 - chance) / count)
    grade = "note" if left or (poor and count >= 2 * _FEWEST) else "ok"
    advice = "no better than chance: check weights, labels, rate and level" if poor else ""
    if poor and count >= 2 * _FEWEST and all(one.grade == "ok" for one in findings):
        grade = "broken"
    return [Finding("accuracy", grade, text, advice, facts), *findings]  # type: ignore[arg-type]


def _likelier(order: Finding, heard: Finding, count: int) -> list[Finding]:
    """Return both findings, or of two that are broken the one that explains more sounds.

    Each can look like the other: a rate that is wrong by a factor moves sounds of one class to
    another, as a permutation does.
    """
    if order.grade != "broken" or heard.grade != "broken":
        return [order, heard]
    return [heard if heard.facts["accuracy"] > order.facts["reordered"] / count else order]


def _guesses(
    model: Model, clips: Sequence[Path], rate: int | None = None, scale: float = 1.0
) -> Counts:
    """Return the decided class of every sound; -1 where the model cannot be evaluated.

    Parameters
    ----------
    rate : int, optional
        Sampling rate at which sounds are read, and given as if it were the model's.
    """
    found, raw = [], unchecked(model)
    for clip in clips:
        try:
            samples = read_audio(clip, rate=rate or model.rate).samples
            wave = scale * torch.from_numpy(samples).to(model.device).unsqueeze(0)
            with model.undisturbed(), torch.no_grad():
                outputs = raw(wave)
            values = over(outputs, None) if model.per_frame else outputs
            found.append(int(values[0].argmax()))
        except EarwitnessError:
            found.append(-1)
    return np.array(found)


def _permuted(model: Model, truth: Counts, guess: Counts) -> Finding:
    """Return whether another order of the labels fits the decisions clearly better."""
    counts = _confusion(truth, guess, len(model.labels))
    rows, columns = linear_sum_assignment(-counts)
    best = int(counts[rows, columns].sum())
    now = int(np.trace(counts))
    moved = [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if row != column and counts[row, column] > counts[row, row] and counts[row, column] > 1
    ]
    gain = sum(int(counts[row, column] - counts[row, row]) for row, column in moved)
    generator = np.random.default_rng(0)
    at_random = [
        _best(_confusion(generator.permutation(truth), guess, len(model.labels)))
        for _ in range(_DRAWS)
    ]
    told = best > max(at_random)  # the decisions do follow the sounds
    if len(moved) < 2 or gain < 3 or not told or gain < math.sqrt(2 * len(truth) / 10):
        return Finding("order of labels", "ok", "no other order fits the decisions better")
    pairs = {model.labels[row]: model.labels[column] for row, column in moved}
    shown = ", ".join(f"{one} is answered as {other}" for one, other in list(pairs.items())[:4])
    return Finding(
        "order of labels", "broken",
        f"labels look permuted: {shown}; {now} of {len(truth)} right, {best} with another order",
        "check the order of labels=", {"answered_as": pairs, "right": now, "reordered": best},
    )  # fmt: skip


def _heard_otherwise(
    model: Model, clips: Sequence[Path], truth: Counts, right: NDArray[np.bool_]
) -> Finding:
    """Return whether another rate or scale of samples makes clearly more decisions right."""
    tries = {f"sample_rate={rate}": (rate, 1.0) for rate in _RATES if rate != model.rate}
    tries["samples times 32768"] = (model.rate, _FULL_SCALE)
    best, name = 0.0, ""
    for one, (rate, scale) in tries.items():
        other = _guesses(model, clips, rate, scale) == truth
        won, lost = int((other & ~right).sum()), int((right & ~other).sum())
        level = (won - lost) / math.sqrt(max(won + lost, 1))
        if won - lost >= 3 and level > max(best, _LEVEL):
            best, name, gained = level, one, float(other.mean())
    if not name:
        return Finding("rate and scale", "ok", "no other rate or scale of samples is better")
    better = int(name.partition("=")[2]) if "=" in name else None
    return Finding(
        "rate and scale", "broken",
        f"{'rate' if better else 'scale of samples'} looks wrong: {gained:.0%} right with {name}, "
        f"{float(right.mean()):.0%} as declared",
        name if better else "multiply the waves by 32768",
        {"better": name, "accuracy": gained}, {"sample_rate": better} if better else {},
    )  # fmt: skip


def _confusion(truth: Counts, guess: Counts, count: int) -> Counts:
    counts = np.zeros((count, count), np.int64)
    inside = guess >= 0
    np.add.at(counts, (truth[inside], guess[inside]), 1)
    return counts


def _best(counts: Counts) -> int:
    rows, columns = linear_sum_assignment(-counts)
    return int(counts[rows, columns].sum())


def _folded(name: str) -> str:
    return name.strip().lower().replace("_", " ").replace("-", " ")
