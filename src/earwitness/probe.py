"""The probe: one model, one sound and one question, as a function of a gain map."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError
from earwitness.models.model import Model
from earwitness.types import Target

_CELLS_PER_PASS = 4_000_000
_LARGEST_PASS = 32
_SILENT = 1e-30  # below it a phase cannot be told


class Probe:
    """All that a method may see of a model.

    ``score(gains)`` is the target's score of the sound whose plane was multiplied by ``gains``.
    The shortest route to the model is taken: a model with a front end on the plane is asked on
    magnitudes, any other through the inverse transform.

    Parameters
    ----------
    model : Model
    wave : Tensor, shape (samples,)
        Mono sound at the model's rate.
    target : Target
    seed : int
        Seed of ``generator``, the only source of chance a method may use.
    background : Tensor, shape (freq, frame), complex, optional
        What fills the plane where gains are below one; silence by default.
    on_passes : callable, optional
        Told after every batch how many forward passes (a backward counts two) it cost.
    """

    def __init__(
        self,
        model: Model,
        wave: Tensor,
        target: Target,
        *,
        seed: int = 0,
        background: Tensor | None = None,
        on_passes: Callable[[int], None] | None = None,
    ) -> None:
        self.model = model
        self.target = target
        self.samples = wave.shape[-1]
        self.wave = wave.to(model.device, torch.float32)
        self.spectrum = model.plane.analyse(self.wave.unsqueeze(0))[0]
        self.magnitude = self.spectrum.abs()
        self.background = None if background is None else background.to(self.spectrum)
        self.seed = seed
        self.tick = on_passes or _untold

    def filled(self, background: Tensor | None) -> Probe:
        """Return the same probe with another background (freq, frame), complex."""
        other = copy.copy(self)
        other.background = None if background is None else background.to(self.spectrum)
        return other

    @property
    def shape(self) -> tuple[int, int]:
        """Number of frequencies and of frames."""
        return (self.magnitude.shape[0], self.magnitude.shape[1])

    @cached_property
    def freqs(self) -> Tensor:
        """Frequency of each bin in Hz."""
        return self.model.plane.freqs()

    @cached_property
    def times(self) -> Tensor:
        """Centre of each frame in seconds."""
        return self.model.plane.times(self.shape[1])

    @cached_property
    def generator(self) -> torch.Generator:
        """Seeded source of chance on the CPU."""
        return torch.Generator().manual_seed(self.seed)

    @property
    def device(self) -> torch.device:
        """Where gains are expected."""
        return self.magnitude.device

    @property
    def chunk(self) -> int:
        """How many gain maps go through the model at once."""
        cells = self.shape[0] * self.shape[1]
        return max(1, min(_LARGEST_PASS, _CELLS_PER_PASS // cells))

    @cached_property
    def phase(self) -> Tensor:
        """The input's phase as numbers of size one; one where nothing is heard."""
        ones = torch.ones_like(self.spectrum)
        return torch.where(self.magnitude > _SILENT, self.spectrum / self.magnitude, ones)

    def outputs(self, gains: Tensor) -> Tensor:
        """Return the model's outputs (batch, output) for gains (batch, freq, frame)."""
        if self.model.frontend is None:
            return self._told(self.model(self.sound(gains)))
        if self.background is None:
            return self._told(self.model.from_magnitude(gains * self.magnitude))
        mixed = gains * self.spectrum + (1 - gains) * self.background
        return self._told(self.model.from_magnitude(mixed.abs()))

    def sound(self, gains: Tensor) -> Tensor:
        """Return the sound (batch, samples) of gains (batch, freq, frame).

        Where most is kept, what is removed is taken from the input, so that gains of one give back
        the input exactly: a model that takes a logarithm hears rounding errors in digital silence.
        """
        other = torch.zeros_like(self.spectrum) if self.background is None else self.background
        mostly = gains.detach().mean(dim=(1, 2)) > 0.5
        part = torch.where(mostly[:, None, None], 1 - gains, gains)
        base = torch.where(mostly[:, None, None], self.spectrum, other)
        rest = torch.where(mostly[:, None, None], other, self.spectrum)
        change = self.model.plane.synthesise(part * (rest - base), self.samples)
        if self.background is None:
            return torch.where(mostly[:, None], self.wave, 0.0) + change
        filled = self.model.plane.synthesise(other.unsqueeze(0), self.samples)
        return torch.where(mostly[:, None], self.wave, filled) + change

    def score(self, gains: Tensor) -> Tensor:
        """Return the score (batch,) that methods explain, for gains (batch, freq, frame)."""
        return self.model.explained(self.outputs(gains), self.target)

    def score_magnitude(self, magnitude: Tensor) -> Tensor:
        """Return the score (batch,) of magnitudes (batch, freq, frame) with the input's phase."""
        if self.model.frontend is not None:
            outputs = self.model.from_magnitude(magnitude)
        else:
            spectrum = magnitude * self.phase
            outputs = self.model(self.model.plane.synthesise(spectrum, self.samples))
        return self.model.explained(self._told(outputs), self.target)

    def _told(self, outputs: Tensor) -> Tensor:
        self.tick(len(outputs))
        return outputs

    def scores(self, gains: Iterable[Tensor]) -> Tensor:
        """Return the score of every gain map (freq, frame), without gradients, in batches."""
        with torch.no_grad():
            return torch.cat([self.score(torch.stack(some)) for some in chunks(gains, self.chunk)])

    def gradients(
        self, points: Iterable[Tensor], *, of_magnitude: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield scores (batch,) and gradients (batch, freq, frame) at maps (freq, frame).

        The maps are gains, or magnitudes if ``of_magnitude``.
        """
        self.require_gradients()
        ask = self.score_magnitude if of_magnitude else self.score
        for some in chunks(points, self.chunk):
            batch = torch.stack(some).requires_grad_()
            with torch.enable_grad():
                scores = ask(batch)
                yield scores.detach(), self.differentiate(scores, batch)

    def differentiate(self, scores: Tensor, by: Tensor) -> Tensor:
        """Return the gradient of summed scores, leaving no gradient anywhere else."""
        if not scores.requires_grad:
            raise NotApplicableError(self._no_gradient())
        try:
            (gradient,) = torch.autograd.grad(scores.sum(), by, allow_unused=True)
        except RuntimeError as error:
            text = str(error).strip().split("\n")[0]
            raise NotApplicableError(
                f"{self.model.name} cannot be differentiated ({text}); use lime or occlusion"
            ) from error
        self.tick(2 * len(scores))
        if gradient is None:
            raise NotApplicableError(self._no_gradient())
        return gradient.detach()

    def require_gradients(self) -> None:
        """Raise ``NotApplicableError`` if the model is a black box."""
        if not self.model.differentiable:
            raise NotApplicableError(
                f"{self.model.name} is a black box without gradients; use a method that needs "
                "none, such as lime or occlusion"
            )

    def _no_gradient(self) -> str:
        return (
            f"the score of {self.model.name} does not depend differentiably on its waveform (a "
            "step in the model or its features cuts the graph); use lime or occlusion"
        )


def _untold(_count: int) -> None:
    """Tell nobody."""


def chunks(maps: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    """Yield maps in lists of at most ``size``, drawing no more of them than needed."""
    some: list[Tensor] = []
    for one in maps:
        some.append(one)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
