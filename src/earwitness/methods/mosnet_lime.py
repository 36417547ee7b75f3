"""LIME on a picture of the spectrogram, as published for MOSNet; the same repaired; and a contrast.

Lamba 2023 (mosnet-lime) draws the spectrogram as a picture, cuts it into regions of similar colour,
and fits LIME's regression to the class of the score, its integer part. The published code evaluates
the model on ten stored recordings instead of the perturbed pictures, so its weights are a
regression of a sequence with period ten on random bits. These versions are for comparison: they are
no entries of ``earwitness methods``; ``lime`` explains the score itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.errors import NotApplicableError, ParameterError
from earwitness.methods.registry import register
from earwitness.perturbation.estimators.lime import kernel
from earwitness.perturbation.estimators.regression import is_constant
from earwitness.probe import Probe
from earwitness.types import Map

HEIGHT, WIDTH = 369, 496  # pixels of the published pictures
CLASSES = 5  # opinion scores from 1 to 5
STORED = 10  # recordings, the size of a batch of the lime package
SAMPLES = 100
_RANGE_DB = 80.0  # below the loudest cell, the range of librosa's pictures
_SEGMENTS = {"kernel_size": 4, "max_dist": 200, "ratio": 0.2}  # of the lime package
_KERNEL = 0.25 * math.sqrt(2)  # the lime package takes the root of the kernel of the paper
_RIDGE = 1.0
_PAPER = "Lamba: MOSNet explained by LIME on spectrogram pictures (mosnet-lime), 2023"


@dataclass(frozen=True)
class Picture:
    """The spectrogram as a picture that is cut into regions.

    Attributes
    ----------
    labels : Tensor, shape (freq, frame), int64
        Region of each cell of the plane: that of the pixel at its centre.
    regions : int
        Number of regions of the picture; small ones may hold no cell's centre.
    means : Tensor, shape (region,)
        Mean level over the pixels of a region, in dB below the loudest cell.
    """

    labels: Tensor
    regions: int
    means: Tensor


def levels_of(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return levels in dB relative to the loudest cell, from -80 to 0; 0 for silence."""
    loudest = float(magnitude.max())
    if loudest <= 0:
        return np.zeros_like(magnitude)
    floor = 10 ** (-_RANGE_DB / 20)
    return 20 * np.log10(np.maximum(magnitude / loudest, floor))


def drawn(levels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a picture (369, 496, 3) of colours from 0 to 255, and the level of each pixel.

    High frequencies are at the top. Colours are those of librosa's pictures, in 8 bits as in a PNG.

    Parameters
    ----------
    levels : ndarray, shape (freq, frame)
        In dB, from -80 to 0.
    """
    from matplotlib import colormaps

    rows = ((np.arange(HEIGHT) + 0.5) * levels.shape[0] / HEIGHT).astype(int)
    columns = ((np.arange(WIDTH) + 0.5) * levels.shape[1] / WIDTH).astype(int)
    pixels = levels[::-1][np.ix_(rows, columns)]
    colours = colormaps["magma"](1 + pixels / _RANGE_DB)[..., :3]
    return np.round(255 * colours), pixels


def picture_of(magnitude: Tensor, seed: int) -> Picture:
    """Draw a spectrogram (freq, frame) and cut the picture into regions by quickshift."""
    from skimage.segmentation import quickshift

    image, pixels = drawn(levels_of(magnitude.double().cpu().numpy()))
    regions: NDArray[np.int64] = quickshift(image, rng=seed % 2**31, **_SEGMENTS)
    counts = np.bincount(regions.ravel())
    means = np.bincount(regions.ravel(), weights=pixels.ravel()) / counts
    freq, frame = magnitude.shape
    rows = ((freq - np.arange(freq) - 0.5) * HEIGHT / freq).astype(int)
    columns = ((np.arange(frame) + 0.5) * WIDTH / frame).astype(int)
    labels = torch.from_numpy(regions[np.ix_(rows, columns)].astype(np.int64))
    return Picture(labels.to(magnitude.device), len(counts), torch.from_numpy(means))


def class_of(score: float, *, wrap: bool = False) -> int:
    """Return the class of a score, from 1 to 5: its integer part.

    Parameters
    ----------
    wrap : bool
        Whether a score below 1 is of class 5, as in the published code: its index is then -1.
    """
    found = math.trunc(score)
    if wrap and found == 0:
        return CLASSES
    return min(max(found, 1), CLASSES)


def class_shares(scores: Tensor) -> Tensor:
    """Return the share of each class (score, class): a score of 3.2 is 0.8 of class 3, 0.2 of 4."""
    classes = torch.arange(1, CLASSES + 1, dtype=scores.dtype)
    return (1 - (scores.clamp(1, CLASSES)[:, None] - classes).abs()).clamp(min=0)


@register(
    "mosnet-lime",
    summary="LIME on a picture of the spectrogram, as published: the model sees no perturbed input",
    limits="anything that the model does with the sound",
    paper=_PAPER,
    signed=True,
    random=True,
    published=True,
    cost=STORED,
)
def published(probe: Probe, *, stored: str = "") -> Map:
    """Regress the classes of ten stored recordings, over and over, on random switches of regions.

    The explained class is that of the first recording.

    Parameters
    ----------
    stored : str
        The classes of the ten recordings, separated by commas; by default those of the recording
        itself and of its nine ninths.
    """
    _require_score(probe)
    classes = _read(stored) if stored else _stored(probe)
    picture = picture_of(probe.magnitude, probe.seed)
    draws = _draws(probe, picture.regions)
    explained = classes[0]
    sequence = torch.tensor([float(one == explained) for one in classes], dtype=torch.float64)
    note = (
        f"as published: the model was evaluated on {STORED} stored recordings and on none of the "
        f"{SAMPLES} perturbed pictures, so the map does not depend on what it does with the sound"
    )
    return _fitted(picture, draws, sequence.repeat(SAMPLES // STORED), STORED, explained, note)


@register(
    "mosnet-lime-repaired",
    summary="the published LIME on a picture of the spectrogram, with perturbed inputs evaluated",
    limits="changes of the score within a class, and more regions than a hundred samples resolve",
    paper=_PAPER,
    signed=True,
    random=True,
    published=True,
    cost=SAMPLES,
)
def repaired(probe: Probe) -> Map:
    """Regress the class of the score of perturbed spectrograms on the switches of regions.

    A region that is off has its mean level in dB, and the phase of the input.
    """
    _require_score(probe)
    picture = picture_of(probe.magnitude, probe.seed)
    draws = _draws(probe, picture.regions)
    classes = [class_of(score) for score in _scores(probe, picture, draws).tolist()]
    explained = classes[0]
    ones = torch.tensor([float(one == explained) for one in classes], dtype=torch.float64)
    note = f"{int(ones.sum())} of the {SAMPLES} perturbed inputs are of the same class as the input"
    return _fitted(picture, draws, ones, SAMPLES, explained, note)


@register(
    "mosnet-lime-contrast",
    summary="the same, of the share of the most probable class minus that of the second",
    limits="more regions than a hundred samples resolve",
    paper=_PAPER,
    signed=True,
    random=True,
    published=True,
    cost=SAMPLES,
)
def contrast(probe: Probe) -> Map:
    """Regress the most probable minus the second class on the switches of regions.

    A score between two classes belongs to both, in shares that add up to one; whole classes, as
    published, have no second one.
    """
    _require_score(probe)
    picture = picture_of(probe.magnitude, probe.seed)
    draws = _draws(probe, picture.regions)
    shares = class_shares(_scores(probe, picture, draws))
    first, second = shares[0].argsort(descending=True, stable=True)[:2].tolist()
    note = f"class {first + 1} minus class {second + 1}"
    values = shares[:, first] - shares[:, second]
    found = _fitted(picture, draws, values, SAMPLES, first + 1, note)
    return Map(found.values, {**found.details, "second": second + 1})


def _require_score(probe: Probe) -> None:
    target = probe.target
    if probe.model.task != "regression":
        raise NotApplicableError(
            f"mosnet-lime is for opinion scores from 1 to 5, but {probe.model.name} is a classifier"
        )
    if target.versus_index is not None or target.sign < 0:
        raise NotApplicableError(
            "mosnet-lime explains the class of one score: without versus and direction"
        )


def _read(text: str) -> list[int]:
    """Return ten classes separated by commas."""
    words = [word.strip() for word in text.split(",")]
    valid = all(word in {str(one) for one in range(1, CLASSES + 1)} for word in words)
    if len(words) != STORED or not valid:
        raise ParameterError(f"stored: {STORED} classes from 1 to {CLASSES}, got {text!r}")
    return [int(word) for word in words]


def _stored(probe: Probe) -> list[int]:
    """Return the classes of the recording and of its nine ninths."""
    model, size = probe.model, max(probe.samples // (STORED - 1), 1)
    index = probe.target.index
    with torch.no_grad():
        parts = probe.wave[: size * (STORED - 1)].reshape(-1, size)
        outputs = [model(probe.wave[None]), model(parts)]
    probe.tick(STORED)
    scores = torch.cat([one.flatten(2).mean(dim=2) if one.ndim > 2 else one for one in outputs])
    return [class_of(score, wrap=True) for score in scores[:, index].tolist()]


def _draws(probe: Probe, regions: int) -> Tensor:
    """Return switches (draw, region), the first all on."""
    draws = torch.rand(SAMPLES, regions, generator=probe.generator) < 0.5
    draws[0] = True
    return draws


def _scores(probe: Probe, picture: Picture, draws: Tensor) -> Tensor:
    """Return the scores (draw,) of the spectrogram with regions at their mean level."""
    loudest = probe.magnitude.max()
    means = picture.means.to(probe.magnitude)
    off = loudest * 10 ** (means[picture.labels] / 20)
    scores = []
    with torch.no_grad():
        for some in draws.to(probe.device).split(probe.chunk):
            magnitude = torch.where(some[:, picture.labels], probe.magnitude, off)
            scores.append(probe.score_magnitude(magnitude).double().cpu())
    return torch.cat(scores)


def _fitted(
    picture: Picture, draws: Tensor, values: Tensor, evaluations: int, explained: int, note: str
) -> Map:
    """Return the map of the weights of LIME's regression."""
    from sklearn.linear_model import Ridge

    weights, r2 = torch.zeros(picture.regions), 0.0
    if not is_constant(values):
        switches, near = draws.double().numpy(), kernel(draws, _KERNEL).numpy()
        fit = Ridge(alpha=_RIDGE).fit(switches, values.numpy(), sample_weight=near)
        weights = torch.from_numpy(fit.coef_).float()
        r2 = float(fit.score(switches, values.numpy(), sample_weight=near))
    details = {
        "r2": r2,
        "evaluations": evaluations,
        "pieces": picture.regions,
        "settled": False,
        "error": None,
        "class": explained,
        "notes": [f"class {explained}: {note}"],
    }
    return Map(weights.to(picture.labels.device)[picture.labels], details)
