"""The four explanations of Pak and Teryokhina (2025), as published and put right.

They are maps of the network's input, levels in dB (``methods.levels``), and are lifted to the plane
for comparison. The published code (https://github.com/exile8/audio-xai) deviates from the methods
that it names, and ``repaired`` says what is different:

- ``saliency``: the signed gradient. Repaired: times the level above silence, which is the
  derivative with respect to the gain of their masks.
- ``gradcam``: the network there has time before frequency, and the map was resized without turning
  it, so its axes are exchanged. Repaired: they are not.
- ``lime``: quickshift regions of a grey picture; a region that is off has its mean level, while
  their evaluation silences. Repaired: SLIC regions, silence, the logit, antithetic draws.
- ``shap``: called DeepSHAP, but the rules never applied to the network's functions. What was
  computed is ``E_b[f'(b) (x - b)]``, whose gradient is taken at the background only. Repaired: the
  gradient is averaged along the line from background to input, which makes it complete.

They are for comparison and no entries of ``earwitness methods``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor, nn

from earwitness.audio import read_audio
from earwitness.clips import find_clips
from earwitness.errors import NotApplicableError
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.methods.levels import BATCH, Levels
from earwitness.methods.registry import register
from earwitness.perturbation.estimators.designs import fair_draws
from earwitness.perturbation.estimators.lime import fit_pairs, kernel
from earwitness.perturbation.estimators.regression import weighted_ridge
from earwitness.perturbation.pieces.superpixels import slic
from earwitness.plane.domains import FLOOR_DB
from earwitness.probe import Probe
from earwitness.types import Map

SAMPLES = 1000  # of LIME, as published
PIECES, DRAWS = 50, 500  # of LIME put right; ten draws for each piece
BACKGROUNDS = 100  # sounds of SHAP's background, as published
LINES, NODES = 10, 8  # of SHAP put right: backgrounds, and points on the line from each
_QUICKSHIFT = {"kernel_size": 4, "max_dist": 200, "ratio": 0.2}  # of the lime package
_WIDTH = 0.25
_KERNEL = _WIDTH * math.sqrt(2)  # the lime package takes the root of the kernel of the paper
_COMPACTNESS = 0.2  # of SLIC; see ``pieces.superpixels``
_RANGE_DB = 70.0  # below the loudest cell, of SLIC
_PAPER = "Pak, Teryokhina: audio-xai, 2025"


def saliency(sound: Levels, index: int, *, repaired: bool = False) -> Tensor:
    """Return the gradient of an output (row, frame); repaired, times the level above silence."""
    gradient = sound.gradient(sound.levels[None], index)[0]
    return gradient * (sound.levels - FLOOR_DB) if repaired else gradient


def gradcam(sound: Levels, index: int, *, repaired: bool = False) -> Tensor:
    """Return Grad-CAM of the last convolution's output, without ReLU, resized bilinearly.

    As published its rows are frames and its columns are bands, but it is resized as if they were
    not.
    """
    layers = [one for one in sound.network.modules() if isinstance(one, nn.Conv2d)]
    if not layers:
        raise NotApplicableError(f"{sound.model.name} has no layer of convolutions")
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output)

    handle = layers[-1].register_forward_hook(keep)
    try:
        with torch.enable_grad():
            leaf = sound.levels[None, None].clone().requires_grad_()
            score = sound.network(leaf)[0, index]
            (gradient,) = torch.autograd.grad(score, kept[-1])
    finally:
        handle.remove()
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    found = (weights * kept[-1].detach()).sum(dim=1)  # (1, freq, frame)
    turned = found if repaired else found.transpose(1, 2)
    size = list(sound.levels.shape)
    return nn.functional.interpolate(turned[None], size=size, mode="bilinear")[0, 0]


def lime(
    sound: Levels, index: int, seed: int, *, repaired: bool = False
) -> tuple[Tensor, dict[str, Any]]:
    """Return LIME's weights on the regions of the picture, (row, frame), and facts of the fit."""
    generator = torch.Generator().manual_seed(seed)
    regions = _superpixels(sound) if repaired else _quickshift(sound, seed)
    count = int(regions.max()) + 1
    if repaired:
        draws = fair_draws(count, DRAWS, generator)
        off = torch.full_like(sound.levels, FLOOR_DB)
    else:
        draws = torch.rand(SAMPLES, count, generator=generator) < 0.5
        draws[0] = True
        off = _means(sound.levels, regions, count)
    logits = torch.cat([
        sound.logits(torch.where(some[:, regions], sound.levels, off))
        for some in draws.to(sound.levels.device).split(64)
    ]).double()  # fmt: skip
    scores = logits[:, index] if repaired else logits.softmax(dim=1)[:, index]
    scores = scores.cpu()
    if repaired:
        weights, _, r2 = fit_pairs(draws, scores, _WIDTH, ridge=1.0)
    else:
        fit = weighted_ridge(draws.double(), scores, kernel(draws, _KERNEL), 1.0)
        weights, r2 = fit.weights, fit.r2
    facts = {"r2": r2, "pieces": count, "evaluations": len(draws), "settled": False, "error": None}
    return weights.float().to(regions.device)[regions], facts


class Background:
    """Levels of other sounds, with what SHAP needs of them, computed once for each output.

    Parameters
    ----------
    levels : Tensor, shape (sound, row, frame)
    """

    def __init__(self, levels: Tensor) -> None:
        self.levels = levels
        places = np.linspace(0, len(levels) - 1, min(LINES, len(levels))).round()
        self.few = levels[torch.from_numpy(places).long()]
        self._slopes: dict[int, tuple[Tensor, Tensor]] = {}
        self._outputs: Tensor | None = None

    def slopes(self, sound: Levels, index: int) -> tuple[Tensor, Tensor]:
        """Return the mean over ``b`` of the gradient at ``b``, and of the gradient times ``b``."""
        if index not in self._slopes:
            slope, product = torch.zeros_like(self.levels[0]), torch.zeros_like(self.levels[0])
            for some in self.levels.split(BATCH):
                found = sound.gradient(some, index) / len(self.levels)
                slope += found.sum(dim=0)
                product += (found * some).sum(dim=0)
            self._slopes[index] = (slope, product)
        return self._slopes[index]

    def outputs(self, sound: Levels) -> Tensor:
        """Return the outputs (sound, class), in float64."""
        if self._outputs is None:
            self._outputs = sound.logits(self.levels).double()
        return self._outputs


def shap(
    sound: Levels, index: int, background: Background, *, repaired: bool = False
) -> tuple[Tensor, float]:
    """Return SHAP's map (row, frame), and its sum less the mean change of the output.

    Repaired, ten backgrounds are used, evenly spaced.
    """
    output = sound.logits(sound.levels[None])[0, index].double()
    if not repaired:
        slope, product = background.slopes(sound, index)
        found = slope * sound.levels - product
        change = output - background.outputs(sound)[:, index].mean()
        return found, float(found.double().sum() - change)
    found = torch.zeros_like(sound.levels)
    places, weights = np.polynomial.legendre.leggauss(NODES)
    for one in background.few:
        line = sound.levels - one
        at = torch.from_numpy((places + 1) / 2).to(one)[:, None, None]
        share = torch.from_numpy(weights / 2).to(one)[:, None, None]
        slopes = sound.gradient(one + at * line, index)
        found += (share * slopes).sum(dim=0) * line / len(background.few)
    change = output - sound.logits(background.few)[:, index].double().mean()
    return found, float(found.double().sum() - change)


def levels_of(paths: Sequence[Path], sound: Levels) -> Tensor:
    """Return levels of sounds (sound, row, frame), cut or padded to the length of another one."""
    rate, samples = sound.model.rate, sound.samples
    waves = torch.zeros(len(paths), samples)
    for row, path in zip(waves, paths, strict=True):
        read = read_audio(path, rate=rate, end=samples / rate + 0.1).samples[:samples]
        row[: len(read)] = torch.from_numpy(read)
    return torch.stack([Levels(sound.model, wave).levels for wave in waves])


def lifted(probe: Probe, sound: Levels, values: Tensor) -> Tensor:
    """Return a map (row, frame) on the plane (freq, frame).

    A bin has the mean of its bands, weighted by their filters, and 0 outside of all bands. Frames
    have the same centres; the plane may have one more at the end, which repeats the last.
    """
    if sound.front.filters is not None:
        weights = sound.front.filters.T
        values = (weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)) @ values
    frames = torch.arange(probe.shape[1], device=values.device).clamp(max=values.shape[1] - 1)
    return values[:, frames]


def explained(
    probe: Probe, sound: Levels, values: Tensor, details: dict[str, Any] | None = None
) -> Map:
    """Return a map (row, frame) on the plane, with the evidence as published.

    The mask is made of the map's own rows and multiplies the levels above -100 dB. Bands become
    bins by least squares, and the phase is the input's.
    """

    def published(keep: str) -> Tensor:
        rows = values.float().cpu().numpy()
        gains = make_mask(rows, (10 ** (sound.levels / 20)).cpu().numpy(), parse_keep(keep)).gains
        masked = sound.masked(torch.from_numpy(gains).to(sound.levels)[None])
        return sound.sounds(masked)[0]

    return Map(lifted(probe, sound, values), details or {}, published=published)


@register(
    "pak-saliency",
    summary="the signed gradient on levels in dB, as published",
    limits="how far a level is from silence",
    paper=_PAPER,
    signed=True,
    needs_gradients=True,
    published=True,
    cost=3,
)
def pak_saliency(probe: Probe, *, repaired: bool = False) -> Map:
    """Differentiate the output by the levels; repaired, by the gains of masks in dB."""
    sound = _opened(probe)
    probe.tick(3)
    return explained(probe, sound, saliency(sound, probe.target.index, repaired=repaired))


@register(
    "pak-gradcam",
    summary="Grad-CAM on levels in dB with time and frequency exchanged, as published",
    limits="where in time and frequency the evidence is, unless it is repaired",
    paper=_PAPER,
    signed=True,
    needs_gradients=True,
    layerwise=True,
    published=True,
    cost=3,
)
def pak_gradcam(probe: Probe, *, repaired: bool = False) -> Map:
    """Resize the map of the last convolution to the levels; repaired, with its own axes."""
    sound = _opened(probe)
    probe.tick(3)
    found = gradcam(sound, probe.target.index, repaired=repaired)
    note = [] if repaired else ["as published: the axes of the map are exchanged"]
    return explained(probe, sound, found, {"notes": note} if note else {})


@register(
    "pak-lime",
    summary="LIME on a grey picture of levels in dB, cut by quickshift, as published",
    limits="the effect of silencing a region, unless it is repaired",
    paper=_PAPER,
    signed=True,
    random=True,
    published=True,
    cost=lambda options: DRAWS if options["repaired"] else SAMPLES,
)
def pak_lime(probe: Probe, *, repaired: bool = False) -> Map:
    """Fit weights of regions; repaired, of SLIC regions that are silenced."""
    sound = _opened(probe)
    found, facts = lime(sound, probe.target.index, probe.seed, repaired=repaired)
    probe.tick(facts["evaluations"])
    note = [] if repaired else ["as published: a region that is off has its mean level"]
    return explained(probe, sound, found, facts | ({"notes": note} if note else {}))


@register(
    "pak-shap",
    summary="the gradient at a background times the difference from it, published as DeepSHAP",
    limits="what the network does with the sound itself, unless it is repaired",
    paper=_PAPER,
    signed=True,
    needs_gradients=True,
    published=True,
    cost=lambda options: 3 * (LINES * NODES if options["repaired"] else BACKGROUNDS),
)
def pak_shap(
    probe: Probe,
    *,
    repaired: bool = False,
    sounds: str = "",
    most: Annotated[int, Ge(1)] = BACKGROUNDS,
) -> Map:
    """Average the gradient at backgrounds; repaired, along the lines from backgrounds to the sound.

    Parameters
    ----------
    repaired : bool
    sounds : str
        Folder of the background's sounds, 100 of the training set as published; silence if empty.
    most : int
        Number of sounds of the folder that are used, evenly spaced.
    """
    sound = _opened(probe)
    backgrounds = torch.full_like(sound.levels, FLOOR_DB)[None]
    if sounds:
        paths = find_clips([sounds])
        places = np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)
        backgrounds = levels_of([paths[k] for k in places], sound)
    found, gap = shap(sound, probe.target.index, Background(backgrounds), repaired=repaired)
    probe.tick(3 * len(backgrounds))
    note = [] if repaired else ["as published: the gradient is that of the background alone"]
    details = {"sum_gap": gap, "backgrounds": len(backgrounds)} | ({"notes": note} if note else {})
    return explained(probe, sound, found, details)


def _opened(probe: Probe) -> Levels:
    target = probe.target
    if target.versus_index is not None or target.sign < 0:
        raise NotApplicableError("published for one class: without versus and direction")
    return Levels(probe.model, probe.wave)


def _quickshift(sound: Levels, seed: int) -> Tensor:
    """Return the region of each cell: quickshift on the levels as a grey picture in [0, 1]."""
    from skimage.segmentation import quickshift

    levels = sound.levels.double().cpu().numpy()
    low, high = levels.min(), levels.max()
    grey = (levels - low) / (high - low) if high > low else np.zeros_like(levels)
    picture = np.repeat(grey[..., None], 3, axis=2)
    found: NDArray[np.int64] = quickshift(picture, rng=seed % 2**31, **_QUICKSHIFT)
    return torch.from_numpy(found.astype(np.int64)).to(sound.levels.device)


def _superpixels(sound: Levels) -> Tensor:
    levels = sound.levels.double().cpu().numpy()
    scaled = (1 + (levels - levels.max()) / _RANGE_DB).clip(0, 1)
    return torch.from_numpy(slic(scaled, PIECES, _COMPACTNESS)).to(sound.levels.device)


def _means(levels: Tensor, regions: Tensor, count: int) -> Tensor:
    """Return the mean level of each cell's region (row, frame)."""
    places, values = regions.flatten(), levels.flatten().double()
    sums = torch.zeros(count, dtype=torch.float64, device=levels.device)
    sums.index_add_(0, places, values)
    sizes = torch.bincount(places, minlength=count)
    return (sums / sizes).float()[regions]
