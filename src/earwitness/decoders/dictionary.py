"""Dictionaries of spectral patterns: sparse non-negative matrix factorisation by scikit-learn.

A spectrogram ``V`` (freq, frame) is factorised as ``V ~ W H`` into patterns ``W`` (freq,
component), columns of unit L2 norm, and activations ``H`` (component, frame), both non-negative
(Lee, Seung 2001). In Listen to Interpret ``V`` is ``ln(1 + |X|)`` of sounds whose peak is 1, and
``H`` is sparse (Parekh et al. 2022, section 3.1).

The L1 penalty applies to both factors. On ``H`` alone it has no effect in the end: it shrinks if
``H`` is divided by a number and ``W`` multiplied by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.plane.stft import Plane

Array = NDArray[np.float32]
LOSSES = {"euclidean": "frobenius", "kl": "kullback-leibler"}  # ours: scikit-learn's
_MOST_ITERATIONS = 500  # of a fit of activations
_CLOSE = 1e-4  # relative change of the objective at which a fit ends
_LEAST = 1e-12  # norm or peak; avoids a division by zero


@dataclass(frozen=True)
class DictionarySettings:
    """How a dictionary is learnt.

    Attributes
    ----------
    components : int >= 0
        Patterns learnt on all sounds together.
    per_class : int >= 0
        Patterns learnt on the sounds of each class alone, by the model's own decisions.
    noise : int >= 0
        Patterns learnt on a folder of noises.
    divergence : {"euclidean", "kl"}
        Squared error, or generalised Kullback-Leibler divergence.
    sparsity : float >= 0
        Weight of the L1 penalty, per cell of each factor (scikit-learn's ``alpha_W``).
    passes : int >= 1
        Passes over the sounds, at most.
    tolerance : float >= 0
        Relative decrease of the error in a pass below which learning ends.
    batch : int >= 1
        Frames per update; bounds the memory.
    seed : int
    """

    components: int = 0
    per_class: int = 3
    noise: int = 0
    divergence: str = "euclidean"
    sparsity: float = 0.01
    passes: int = 12
    tolerance: float = 2e-3
    batch: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        if self.divergence not in LOSSES:
            raise ParameterError(f"divergence is {' or '.join(LOSSES)}, got {self.divergence!r}")
        for name in ("components", "per_class", "noise", "sparsity", "tolerance"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ParameterError(f"{name} must be 0 or more, got {getattr(self, name):g}")
        if self.passes < 1 or self.batch < 1:
            raise ParameterError("passes and batch must be 1 or more")
        if not self.components + self.per_class + self.noise:
            raise ParameterError("a dictionary needs components, patterns per class or noise")


def log_magnitude(magnitude: Tensor, waves: Tensor, plane: Plane) -> Tensor:
    """Return ``ln(1 + |X|)`` of waves scaled to a peak of 1, with a transform that is not scaled.

    Parameters
    ----------
    magnitude : Tensor, shape (batch, freq, frame)
        On the plane, whose transform is divided by the sum of the window, ``n_fft / 2``.
    waves : Tensor, shape (batch, samples)
    """
    peaks = waves.abs().amax(dim=1).clamp(min=_LEAST)
    return (magnitude * (plane.n_fft / 2 / peaks)[:, None, None]).log1p()


def learn_patterns(
    passes: Iterable[Iterable[Array]], count: int, settings: DictionarySettings
) -> Iterator[tuple[Array, float]]:
    """Learn patterns from frames in mini-batches; yield them after every pass.

    The memory needed depends on the batch, not on the number of frames. The first batch of the
    first pass is kept to measure the error.

    Parameters
    ----------
    passes : iterable of iterable of ndarray, shape (frame, freq)
        Non-negative frames; silent ones are left out.
    count : int
        Number of patterns.
    settings : DictionarySettings

    Yields
    ------
    patterns : ndarray, shape (freq, component), float32
        Columns of unit L2 norm; fewer than ``count`` if the penalty leaves some without any value.
    error : float
        ``sum (V - W H)^2 / sum V^2`` of the kept frames.

    Raises
    ------
    ParameterError
        If there are fewer frames than patterns, or none that is not silent.
    """
    from sklearn.decomposition import MiniBatchNMF

    model = MiniBatchNMF(
        count,
        init="random",
        beta_loss=LOSSES[settings.divergence],
        alpha_W=settings.sparsity,
        l1_ratio=1.0,
        batch_size=settings.batch,
        random_state=settings.seed % 2**32,
    )
    kept: Array | None = None
    last = np.inf
    for number, frames in enumerate(passes):
        for batch in batches(frames, settings.batch):
            if kept is None:
                if len(batch) < count:
                    raise ParameterError(
                        f"{len(batch)} frames are too few to learn {count} patterns from; use more "
                        "sounds or fewer components"
                    )
                kept = batch
            with np.errstate(divide="ignore", invalid="ignore"):  # activations that are all zero
                model.partial_fit(batch)
        if kept is None:
            raise ParameterError("the sounds are silent: there is nothing to learn patterns from")
        with np.errstate(divide="ignore", invalid="ignore"):
            used = float(model.transform(kept).max())
        if not used > 0:  # all activations are zero at this penalty
            raise ParameterError(
                f"a sparsity of {settings.sparsity:g} leaves no pattern; use a smaller one"
            )
        patterns, _ = unit_columns(model.components_.T)
        error = relative_error(kept.T, patterns, fit_activations(kept.T, patterns, settings))
        yield patterns, error
        if last - error < settings.tolerance * last or number + 1 == settings.passes:
            return
        last = error


def batches(frames: Iterable[Array], size: int) -> Iterator[Array]:
    """Yield frames (frame, freq) in batches of ``size``, silent ones left out.

    A last batch of less than half the size is dropped, unless it is the only one.
    """
    waiting: list[Array] = []
    total, given = 0, False
    for some in frames:
        some = some[some.max(axis=1) > 0]
        waiting.append(some)
        total += len(some)
        while total >= size:
            whole = np.concatenate(waiting)
            yield np.ascontiguousarray(whole[:size])
            given = True
            waiting, total = [whole[size:]], total - size
    if total and (2 * total >= size or not given):
        yield np.concatenate(waiting)


def unit_columns(patterns: Array, activations: Array | None = None) -> tuple[Array, Array | None]:
    """Scale columns to unit L2 norm and rows of activations by the inverse; the product is equal.

    Columns of zeros, and their activations, are left out: a penalty makes some.

    Parameters
    ----------
    patterns : ndarray, shape (freq, component)
    activations : ndarray, shape (component, frame), optional
    """
    norms = np.linalg.norm(patterns, axis=0)
    used = norms > _LEAST
    scaled = patterns[:, used] / norms[used]
    if activations is not None:
        activations = (activations[used] * norms[used, None]).astype(np.float32)
    return scaled.astype(np.float32), activations


def fit_activations(values: Array, patterns: Array, settings: DictionarySettings) -> Array:
    """Return the activations (component, frame) that fit values best with the patterns fixed.

    Without a penalty: these are the reference for activations computed by a network.

    Parameters
    ----------
    values : ndarray, shape (freq, frame)
    patterns : ndarray, shape (freq, component)
    """
    import warnings

    from sklearn.decomposition import non_negative_factorization
    from sklearn.exceptions import ConvergenceWarning

    euclidean = settings.divergence == "euclidean"
    with warnings.catch_warnings():  # a fit that ends early is close enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        found, _, _ = non_negative_factorization(
            np.ascontiguousarray(values.T),
            H=np.ascontiguousarray(patterns.T),
            n_components=patterns.shape[1],
            update_H=False,
            solver="cd" if euclidean else "mu",
            beta_loss=LOSSES[settings.divergence],
            tol=_CLOSE,
            max_iter=_MOST_ITERATIONS,
        )
    return found.T


def relative_error(values: Array, patterns: Array, activations: Array) -> float:
    """Return ``sum (V - W H)^2 / sum V^2``; 0 for silence."""
    power = float(np.square(values, dtype=np.float64).sum())
    miss = float(np.square(values - patterns @ activations, dtype=np.float64).sum())
    return miss / power if power else 0.0


def frames_of(values: Tensor) -> Array:
    """Return spectrograms (batch, freq, frame) as frames (frame, freq)."""
    frames: Array = values.transpose(1, 2).flatten(0, 1).cpu().numpy().astype(np.float32)
    return frames


def peak_freqs(patterns: Tensor, plane: Plane) -> Tensor:
    """Return the frequency of the largest value of each pattern (freq, component), in Hz."""
    return plane.freqs()[patterns.cpu().argmax(dim=0)]
