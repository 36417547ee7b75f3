"""The probe: one model, one sound and one question, as a function of a gain map."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError
from earwitness.mixing import Mixer, band_mixer, sound_mixer
from earwitness.models.frontend import is_linear
from earwitness.models.model import Model
from earwitness.models.prepare import Checked, gradients_agree, outputs_agree, prepared
from earwitness.models.target import explained_score
from earwitness.types import Target

# larger batches leave the processor's caches and are slower, not faster
_CELLS_PER_PASS = 2_600_000
_MOST_KEPT = 64_000_000  # values kept of pieces that are mixed again and again, 256 MB
_LARGEST_PASS = 32
_WORTH_CHECKING = 5  # inputs, from which on a faster copy of the network saves more than it costs
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

    def with_background(self, background: Tensor | None) -> Probe:
        """Return the same probe with another background (freq, frame), complex."""
        other = copy.copy(self)
        other.background = None if background is None else background.to(self.spectrum)
        return other

    @property
    def _faster(self) -> Probe | None:
        """The same probe of the faster copy of the model, if there is one."""
        model = prepared(self.model)
        if model is None:
            return None
        other = copy.copy(self)
        other.model = model
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
        return self._told(self._outputs(gains))

    def _outputs(self, gains: Tensor) -> Tensor:
        if self.model.frontend is None:
            return self.model(self.sound(gains))
        if self.background is None:
            return self.model.from_magnitude(gains * self.magnitude)
        mixed = gains * self.spectrum + (1 - gains) * self.background
        return self.model.from_magnitude(mixed.abs())

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
        return explained_score(self.model, self.outputs(gains), self.target)

    def score_magnitude(self, magnitude: Tensor) -> Tensor:
        """Return the score (batch,) of magnitudes (batch, freq, frame) with the input's phase."""
        outputs = self._told(self._outputs_of_magnitude(magnitude))
        return explained_score(self.model, outputs, self.target)

    def _outputs_of_magnitude(self, magnitude: Tensor) -> Tensor:
        if self.model.frontend is not None:
            return self.model.from_magnitude(magnitude)
        spectrum = magnitude * self.phase
        return self.model(self.model.plane.synthesise(spectrum, self.samples))

    def _told(self, outputs: Tensor) -> Tensor:
        self.tick(len(outputs))
        return outputs

    def scores(self, gains: Iterable[Tensor]) -> Tensor:
        """Return the score of every gain map (freq, frame), without gradients, in batches."""
        batches = (torch.stack(some) for some in chunks(gains, self.chunk))
        faster = self._faster
        quick = None if faster is None else faster._outputs
        ask = Checked(self._outputs, quick, outputs_agree, _WORTH_CHECKING)
        return self._scores(map(ask, batches))

    def mixture(self, gains: Mixer, count: int) -> Callable[[Tensor], Tensor]:
        """Return a function that scores mixtures of pieces, without gradients, in batches.

        It maps switches (evaluation, piece) in [0, 1] to the scores (evaluation,) of the gain maps
        ``gains(switches)``, but what is linear on the way to the model (mel bands, or the inverse
        transform) is done once per piece and not once per evaluation.

        Parameters
        ----------
        gains : callable
            From switches (batch, piece) to gains (batch, freq, frame), linear in the switches.
        count : int
            Number of pieces.
        """
        faster = self._faster
        with torch.no_grad():
            mix = self._mixer(gains, count)
        quick = None if faster is None else faster._asker(count)
        ask = Checked(self._asker(count), quick, outputs_agree, 1)

        def scores(switches: Tensor) -> Tensor:
            with torch.no_grad():
                batches = map(mix, switches.to(self.device, torch.float32).split(self.chunk))
                return self._scores(map(ask, batches))

        return scores

    def _mixer(self, gains: Mixer, count: int) -> Mixer:
        """Return how switches (batch, piece) become inputs of ``_asker(count)``."""
        frontend = self.model.frontend
        if self._mixes_bands(count) and is_linear(frontend):
            return band_mixer(frontend, gains, count, self.magnitude)
        if self._mixes_sounds(count):
            return sound_mixer(
                self.model.plane, self.wave, self.spectrum, self.background, gains, count
            )
        return gains

    def _asker(self, count: int) -> Callable[[Tensor], Tensor]:
        """Return what maps mixtures of so many pieces to outputs (batch, output)."""
        if self._mixes_bands(count):
            return self.model.from_linear
        return self.model if self._mixes_sounds(count) else self._outputs

    def _mixes_bands(self, count: int) -> bool:
        """Whether the linear part of the front end is kept for each of so many pieces."""
        frontend = self.model.frontend
        if not is_linear(frontend) or self.background is not None:
            return False
        bands = frontend.linear(self.magnitude[None, :, :1]).numel() * self.shape[1]
        return count * bands <= _MOST_KEPT

    def _mixes_sounds(self, count: int) -> bool:
        """Whether the sound of each of so many pieces is kept."""
        return self.model.frontend is None and count * self.samples <= _MOST_KEPT

    def _scores(self, answers: Iterable[Tensor]) -> Tensor:
        # not in inference mode: what a model keeps from its calls must serve for gradients later
        with torch.no_grad():
            # as numbers: small tensors that stay among large ones that go would make the heap grow
            found: list[float] = []
            scores = torch.zeros(0)
            for one in answers:
                scores = explained_score(self.model, self._told(one), self.target)
                found += scores.tolist()
            return torch.tensor(found, dtype=scores.dtype, device=scores.device)

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
            with torch.enable_grad(), self.model.frozen():
                scores = ask(batch)
                gradient = self.differentiate(scores, batch)
            yield scores.detach(), gradient

    def total_gradient(
        self, points: Iterable[Tensor], weights: Sequence[float], *, of_magnitude: bool = False
    ) -> Tensor:
        """Return the sum over maps (freq, frame) of weight times gradient, shape (freq, frame).

        What is linear in the front end is differentiated once, for the sum.

        Parameters
        ----------
        points : iterable of Tensor, shape (freq, frame)
            Gains, or magnitudes if ``of_magnitude``.
        weights : sequence of float
        of_magnitude : bool
        """
        self.require_gradients()
        frontend = self.model.frontend
        batches = (torch.stack(some) for some in chunks(points, self.chunk))
        bands = is_linear(frontend) and (of_magnitude or self.background is None)
        if is_linear(frontend) and bands:
            factor = 1.0 if of_magnitude else self.magnitude
            batches = (frontend.linear(batch * factor) for batch in batches)

        def gradient_of(probe: Probe) -> Callable[[Tensor], Tensor]:
            outputs: Callable[[Tensor], Tensor]
            outputs = probe._outputs_of_magnitude if of_magnitude else probe._outputs
            outputs = probe.model.from_linear if bands else outputs

            def ask(batch: Tensor) -> Tensor:
                leaf = batch.detach().requires_grad_()
                with torch.enable_grad(), probe.model.frozen():
                    scores = explained_score(probe.model, outputs(leaf), self.target)
                    return probe._gradient(scores, leaf)

            return ask

        faster = self._faster
        quick = None if faster is None else gradient_of(faster)
        total: Tensor | float = 0.0
        done = 0
        ask = Checked(gradient_of(self), quick, gradients_agree, _WORTH_CHECKING)
        for found in map(ask, batches):
            self._told(found)
            self.tick(2 * len(found))
            share = torch.tensor(weights[done : done + len(found)]).to(found)
            total = total + torch.tensordot(share, found, dims=1)
            done += len(found)
        if is_linear(frontend) and bands:
            leaf = torch.zeros_like(self.magnitude).unsqueeze(0).requires_grad_()
            with torch.enable_grad():
                whole = frontend.linear(leaf)
            (back,) = torch.autograd.grad(whole, leaf, torch.as_tensor(total).expand_as(whole))
            total = back[0] if of_magnitude else back[0] * self.magnitude
        return torch.as_tensor(total)

    def differentiate(self, scores: Tensor, by: Tensor) -> Tensor:
        """Return the gradient of summed scores, leaving no gradient anywhere else."""
        gradient = self._gradient(scores, by)
        self.tick(2 * len(scores))
        return gradient

    def _gradient(self, scores: Tensor, by: Tensor) -> Tensor:
        if not scores.requires_grad:
            raise self.no_gradient()
        try:
            (gradient,) = torch.autograd.grad(scores.sum(), by, allow_unused=True)
        except RuntimeError as error:
            text = str(error).strip().split("\n")[0]
            raise NotApplicableError(
                f"{self.model.name} cannot be differentiated ({text}); use lime or occlusion"
            ) from error
        if gradient is None:
            raise self.no_gradient()
        return gradient.detach()

    def require_gradients(self) -> None:
        """Raise ``NotApplicableError`` if the model is a black box."""
        if not self.model.differentiable:
            raise NotApplicableError(
                f"{self.model.name} is a black box without gradients; use a method that needs "
                "none, such as lime or occlusion"
            )

    def no_gradient(self) -> NotApplicableError:
        """Return what to raise where the score does not depend differentiably on the sound."""
        return NotApplicableError(
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
