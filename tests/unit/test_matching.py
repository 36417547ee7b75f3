"""Masks of equal size as heard, and grids that use them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.benchmark.cells import measure_clip
from earwitness.benchmark.rows import make_rows
from earwitness.benchmark.tables import tables_of
from earwitness.errors import ParameterError
from earwitness.evaluation.cases import make_cases, measure
from earwitness.matching import heard_size, mask_by
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.toy_grid import toy_grid
from tests.toys import spectral


def test_masks_of_equal_size_as_heard(white: Audio) -> None:
    model, wave = spectral(), torch.from_numpy(white.samples)
    with torch.no_grad():
        probe = Probe(model, wave, make_target(model, model(wave[None])[0]))
    rng = np.random.default_rng(0)
    scattered = rng.random(probe.shape).astype(np.float32)
    rows, columns = np.indices(probe.shape)
    together = (1e5 - (rows - 60) ** 2 - (columns - 70) ** 2).astype(np.float32)
    masks = [mask_by(probe, one, "area:10% as heard") for one in (scattered, together)]
    figures = measure(
        make_cases(probe, [one.gains for one in masks])["audio"], ["area", "effective-area-audio"]
    )
    np.testing.assert_allclose(figures["effective-area-audio"], 0.1, atol=0.004)
    assert figures["area"][0] < 0.5 * figures["area"][1]
    assert masks[0].rule == "area:10% as heard"
    plain = mask_by(probe, scattered, "area:10%")
    np.testing.assert_allclose(plain.area, 0.1, atol=1e-3)


def test_a_grid_matches_its_masks() -> None:
    grid = toy_grid(clips=1, seeds=(0,), masks=("area:5%", "area:5% as heard"),
                    metrics=("area", "effective-area-audio"))  # fmt: skip
    assert grid.masks == ("area:5%", "area:5% as heard")
    (part,) = grid.parts[:1]
    lines = measure_clip(part.load(Path()), part.model, part.clips[0], grid)
    named = {"random", "energy"}
    found = {
        (line["method"], line["mask"]): line["figures"]
        for line in lines
        if line.get("mask") in grid.masks and line["method"] in named and line["route"] == "mask"
    }
    sizes = [found[name, "area:5% as heard"]["effective-area-audio"] for name in sorted(named)]
    np.testing.assert_allclose(sizes, 0.05, atol=0.004)
    areas = [found[name, "area:5%"]["area"] for name in sorted(named)]
    np.testing.assert_allclose(areas, 0.05, atol=1e-3)
    titles = [title for title, _ in tables_of(make_rows(lines, "area"))]
    assert any(title.endswith("mask area:5% as heard (binary)") for title in titles)
    with pytest.raises(ParameterError, match="only an area can be as heard"):
        toy_grid(masks=("80% as heard",))


def test_a_comb_saves_area_that_is_heard_all_the_same() -> None:
    model = load_model("esc10")
    wave = torch.from_numpy(np.random.default_rng(0).standard_normal(32000).astype(np.float32))
    with torch.no_grad():
        probe = Probe(model, wave, make_target(model, model(wave[None])[0]))
    comb = np.zeros(probe.shape, np.float32)
    comb[::2] = 1  # every second bin
    np.testing.assert_allclose(comb.mean(), 0.5, atol=1e-3)
    assert heard_size(probe, comb) > 0.85
