"""How an explanation is drawn: into axes, as a figure, and in a notebook."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from PIL import Image

from earwitness.errors import ParameterError
from earwitness.evaluation.verdict import sentence
from earwitness.explanation import Explanation
from earwitness.pipeline import explain
from earwitness.render.picture import strength
from earwitness.types import Audio
from tests.toys import RATE, spectral


@pytest.fixture
def explanation(white: Audio) -> Explanation:
    return explain(spectral(), white, "input-x-gradient", target="low", seed=5)


def test_it_shows_itself_in_a_notebook(explanation: Explanation) -> None:
    page = explanation._repr_html_()
    assert page.count("<audio controls") == 3
    assert "low by input-x-gradient" in page
    assert sentence(explanation.verdict) in page
    (code,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    picture = Image.open(io.BytesIO(base64.b64decode(code))).convert("RGBA")
    pixels = np.asarray(picture)
    assert pixels[0, :, 3].max() == 0  # neither white nor black behind the letters
    letters = pixels[pixels[..., 3] > 200][:, :3]
    assert (letters.min(axis=1) > 250).mean() < 0.02  # no white boxes
    assert len(base64.b64decode(code)) < 150_000


@pytest.mark.parametrize("what", ["attribution", "mask", "evidence"])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_it_is_drawn_into_axes_in_seconds_and_hz(
    explanation: Explanation, what: str, scale: str
) -> None:
    axes = Figure().subplots()
    mesh = explanation.plot(axes, what, scale=scale)
    assert isinstance(mesh, QuadMesh)
    corners = mesh.get_coordinates()
    step = explanation.attribution.times[1]
    np.testing.assert_allclose(corners[0, :2, 0], [-step / 2, step / 2], rtol=1e-5)
    np.testing.assert_allclose(corners[-1, 0, 1], 8000 + RATE / 256 / 2, rtol=1e-5)
    gains, size = explanation.mask.gains, explanation.magnitude
    kept = np.maximum(gains * size / size.max(), 10**-3.5)
    wanted = {
        "attribution": strength(explanation.attribution.values),
        "mask": gains, "evidence": 20 * np.log10(kept),
    }[what]  # fmt: skip
    np.testing.assert_allclose(np.asarray(mesh.get_array()), wanted, atol=1e-4)
    assert axes.get_yscale() == scale
    assert axes.get_xlabel() == "time (s)"
    assert axes.yaxis.get_major_formatter()(2000) == "2 kHz"
    assert len(axes.figure.axes) == 1  # the colour bar is the caller's
    figure = explanation.plot(what=what, scale=scale)
    assert isinstance(figure, Figure)
    title = "input-x-gradient: low" if what == "attribution" else f"{what} by input-x-gradient: low"
    assert [one.get_title() for one in figure.axes[:2]] == ["input", title]


def test_what_cannot_be_drawn_is_said(explanation: Explanation) -> None:
    with pytest.raises(ParameterError, match="what is one of attribution, mask, evidence; got 'x'"):
        explanation.plot(what="x")
    with pytest.raises(ParameterError, match="scale is one of linear, log; got 'mel'"):
        explanation.plot(scale="mel")
    assert isinstance(explanation.show(), Figure)
