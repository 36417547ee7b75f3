"""Names of classes in pictures."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from earwitness.pipeline import explain
from earwitness.render import lettering
from earwitness.render.labels import region_labels
from earwitness.render.picture import _shrink
from earwitness.types import Attribution, Audio, Mask, Target
from tests.toys import RATE, spectral

CHARACTERS = frozenset(range(32, 0x250)) | frozenset(map(ord, "اهرم"))


@pytest.fixture(autouse=True)
def _one_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only Latin and some Arabic letters, whatever is installed."""
    monkeypatch.setattr(lettering, "_characters", lambda _file: CHARACTERS)
    lettering._family.cache_clear()
    yield
    lettering._family.cache_clear()


@pytest.mark.parametrize(
    ("label", "drawn"),
    [
        ("dog", "dog"),
        ("$5 and $6", "$5 and $6"),
        ("狗", "output 4"),
        ("狗 (dog)", "(dog)"),
        ("🐶", "output 4"),
        ("dog 🐶 barks", "dog barks"),
        ("a\tb\nc\x00", "a b c"),
        ("", "output 4"),
        ("هرم", "هرم"),
    ],
)
def test_characters_without_a_font_were_boxes(label: str, drawn: str) -> None:
    target = Target(4, label, "logit-difference", 2, "cat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.__version_info__", (3, 11, 0))
        lettering._family.cache_clear()
        found = lettering.legible(target)
        other = lettering.legible(Target(2, "cat", "logit-difference", 4, label))
    assert found == dataclasses.replace(target, label=drawn)
    assert other.versus_label == drawn


def test_letters_that_an_older_matplotlib_does_not_join_are_not_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("matplotlib.__version_info__", (3, 10, 9))
    assert lettering.legible(Target(3, "هرم", "probability")).label == "output 3"


@pytest.mark.parametrize("label", ["$5 and $6", "a$b$c_{", "nice^2$ $", "狗", "🐶"])
def test_a_name_with_two_dollar_signs_ended_every_picture(label: str, tmp_path: Path) -> None:
    wave = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    found = explain(spectral(), Audio(wave, RATE, "noise"), "saliency", target=0, trust="none")
    renamed = dataclasses.replace(found, target=dataclasses.replace(found.target, label=label))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        renamed.save(tmp_path / "folder", files=["picture"])
    shown = "output 0" if label in ("狗", "🐶") else label
    assert renamed.plot().axes[1].get_title() == f"saliency: {shown}"


def test_a_tab_in_a_name_shifted_the_columns_of_labels() -> None:
    values = np.zeros((4, 5), np.float32)
    values[1, 2] = 1
    freqs, times = np.arange(4, dtype=np.float32), np.arange(5, dtype=np.float32)
    mask = Mask(values, "80%", 0.05, 1.0)
    text = region_labels(Attribution(values, freqs, times), mask, "a\tb\nc")
    assert text.splitlines()[0] == "1.500000\t2.500000\ta b c 100%"


def test_a_thumbnail_keeps_the_value_of_largest_magnitude_of_each_block() -> None:
    values = np.zeros((85, 5), np.float32)  # blocks of two rows, the last of one
    values[4, 1], values[5, 1], values[84, 2] = 0.5, -2.0, -1.0
    small = _shrink(values)
    assert small.shape == (43, 5)
    assert small[2, 1] == -2.0
    assert small[42, 2] == -1.0
    assert np.count_nonzero(small) == 2
