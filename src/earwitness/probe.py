"""The probe: the score of one model, sound and target as a function of a gain map."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError, reason
from earwitness.mixing import Mixer, band_mixer, same_phase, sound_mixer
from earwitness.models.frontend import is_linear
from earwitness.models.model import Model
from earwitness.models.prepare import Checked, gradients_agree, outputs_agree, prepared
from earwitness.models.target import explained_score
from earwitness.plane.stft import modulus
from earwitness.steps import Steps, chunks, no_gradient
from earwitness.types import Target

_CELLS_PER_PASS = 2_600_000  # cells (10 MB); larger batches exceed CPU caches and are slower
_MOST_KEPT = 64_000_000  # values stored for all pieces of a mixture (256 MB)
_LARGEST_PASS = 32  # gain maps per batch; larger batches are not faster
_WORTH_CHECKING = 5  # inputs from which a faster network saves more than its check costs
_SILENT = 1e-30  # magnitude below which the phase is undefined


class Probe:
    """The only interface of methods to a model.

    ``score(gains)`` is the target's score of the sound whose STFT is multiplied by ``gains``. It is
    evaluated on magnitudes if the model has a front end on the plane, else on the waveform.

    Parameters
    ----------
    model : Model
    wave : Tensor, shape (samples,)
        Mono waveform at the model's sampling rate, full scale at 1.
    target : Target
    seed : int
        Seed of ``generator``, the only random generator of methods.
    background : Tensor, shape (freq, frame), complex, optional
        STFT that replaces what gains below one remove; silence by default.
    on_passes : callable, optional
        Called after every batch with its number of forward passes (a backward pass counts two).
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
        self.model = self._evaluated = model
        self.target = target
        self.samples = wave.shape[-1]
        self.wave = wave.to(model.device, torch.float32)
        self.spectrum = model.plane.analyse(self.wave.unsqueeze(0))[0]
        self.magnitude = modulus(self.spectrum)
        self._fill(background)
        self.reference: Tensor | None = None  # STFT of another recording, same timing
        self.clock: Callable[[float], float] = float  # from its seconds to those of the recording
        self._seed = seed
        self._draws: list[int] = []  # shared with copies; not empty if the seed was read
        self.tick = on_passes or (lambda _: None)

    def with_background(self, background: Tensor | None) -> Probe:
        """Return a copy with another background (freq, frame), complex; None for silence."""
        other = copy.copy(self)
        other._fill(background)
        return other

    def fixed(self) -> Probe:
        """Return a copy, for methods, with features that are fixed to the input (``Model``)."""
        other = copy.copy(self)
        other._evaluated = self.model.fixed(self.wave)
        return other

    def _fill(self, background: Tensor | None) -> None:
        """Set the background; the magnitude of one with the input's phase mixes linearly."""
        self.background = None if background is None else background.to(self.spectrum)
        self.floor: Tensor | None = None
        if self.background is not None and same_phase(self.background, self.spectrum):
            self.floor = self.background.abs()

    @property
    def _faster(self) -> Probe | None:
        """The same probe for the faster copy of the model, if there is one."""
        model = prepared(self.model)
        if model is None:
            return None
        other = copy.copy(self)
        other.model = other._evaluated = model
        return other if self._evaluated is self.model else other.fixed()

    @property
    def seed(self) -> int:
        """Seed of everything that a method draws."""
        self._draws.append(self._seed)
        return self._seed

    @property
    def drew(self) -> bool:
        """Whether a method read the seed, here or in a copy, so that its map varies with it."""
        return bool(self._draws)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of frequency bins and of frames."""
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
        """Seeded random generator on the CPU."""
        return torch.Generator().manual_seed(self.seed)

    @property
    def device(self) -> torch.device:
        """Device of the model and of gains."""
        return self.magnitude.device

    @property
    def chunk(self) -> int:
        """Number of gain maps per forward pass."""
        cells = self.shape[0] * self.shape[1]
        return max(1, min(_LARGEST_PASS, _CELLS_PER_PASS // cells))

    @cached_property
    def phase(self) -> Tensor:
        """The input's phase as complex numbers of modulus 1; 1 in silent cells."""
        return torch.where(self.magnitude > _SILENT, self.spectrum / self.magnitude, 1.0)

    def outputs(self, gains: Tensor) -> Tensor:
        """Return the model's outputs (batch, output) for gains (batch, freq, frame)."""
        return self._counted(self._outputs(gains))

    def _outputs(self, gains: Tensor) -> Tensor:
        if self.model.frontend is None:
            return self._evaluated(self.sound(gains))
        if self.background is None:
            return self.model.from_magnitude(gains * self.magnitude)
        if self.floor is not None:
            return self.model.from_magnitude(gains * self.magnitude + (1 - gains) * self.floor)
        mixed = gains * self.spectrum + (1 - gains) * self.background
        return self.model.from_magnitude(mixed.abs())

    def sound(self, gains: Tensor) -> Tensor:
        """Return the waveform (batch, samples) of gains (batch, freq, frame).

        If the mean gain exceeds 0.5, the removed part is subtracted from the input, so gains of one
        give exactly the input. Otherwise rounding errors in digital silence would change the output
        of a model with a log front end.
        """
        other = torch.zeros_like(self.spectrum) if self.background is None else self.background
        mostly = gains.detach().mean(dim=(1, 2)) > 0.5
        part = torch.where(mostly[:, None, None], 1 - gains, gains)
        way = torch.where(mostly[:, None, None], other - self.spectrum, self.spectrum - other)
        change = self.model.plane.synthesise(part * way, self.samples)
        if self.background is None:
            return torch.where(mostly[:, None], self.wave, 0.0) + change
        off = self.model.plane.synthesise(other.unsqueeze(0), self.samples)
        return torch.where(mostly[:, None], self.wave, off) + change

    def score(self, gains: Tensor) -> Tensor:
        """Return the explained score (batch,) for gains (batch, freq, frame) in [0, 1]."""
        return explained_score(self.model, self.outputs(gains), self.target)

    def score_magnitude(self, magnitude: Tensor) -> Tensor:
        """Return the explained score (batch,) for magnitudes (batch, freq, frame), input phase."""
        outputs = self._counted(self._outputs_of_magnitude(magnitude))
        return explained_score(self.model, outputs, self.target)

    def _outputs_of_magnitude(self, magnitude: Tensor) -> Tensor:
        if self.model.frontend is not None:
            return self.model.from_magnitude(magnitude)
        spectrum = magnitude * self.phase
        return self._evaluated(self.model.plane.synthesise(spectrum, self.samples))

    def _counted(self, outputs: Tensor) -> Tensor:
        self.tick(len(outputs))
        return outputs

    def input_of(self, magnitude: Tensor) -> Tensor:
        """Return what ``from_inputs`` takes for one magnitude (freq, frame) on the plane.

        Its mel bands, or whatever the front end begins with that is linear; else itself.
        """
        frontend = self.model.frontend
        return frontend.linear(magnitude[None])[0] if is_linear(frontend) else magnitude

    @cached_property
    def from_inputs(self) -> Callable[[Tensor], Tensor]:
        """The model from a batch of ``input_of``, or of waves (batch, samples) without front end.

        A faster copy of the network is used where its outputs for the first inputs are the same.
        """

        def last(model: Model) -> Callable[[Tensor], Tensor]:
            if model.frontend is None:
                return model
            return model.from_linear if is_linear(model.frontend) else model.from_magnitude

        faster = self._faster
        quick = None if faster is None else last(faster._evaluated)
        return Checked(last(self._evaluated), quick, outputs_agree, _WORTH_CHECKING)

    def scores(self, gains: Iterable[Tensor]) -> Tensor:
        """Return the score of every gain map (freq, frame), evaluated in batches, no gradients."""
        batches = (torch.stack(some) for some in chunks(gains, self.chunk))
        faster = self._faster
        quick = None if faster is None else faster._outputs
        evaluate = Checked(self._outputs, quick, outputs_agree, _WORTH_CHECKING)
        return self._scores(map(evaluate, batches))

    def mixture(self, gains: Mixer, count: int) -> Callable[[Tensor], Tensor]:
        """Return a function that scores mixtures of pieces in batches, without gradients.

        It maps switches (evaluation, piece) in [0, 1] to the scores (evaluation,) of the gain maps
        ``gains(switches)``. The linear part of the route to the model (mel bands, or the inverse
        STFT) is computed once per piece instead of once per evaluation.

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
        quick = None if faster is None else faster._forward(count)
        evaluate = Checked(self._forward(count), quick, outputs_agree, 1)
        mixed = _LARGEST_PASS if self._mixes_bands(count) else self.chunk  # small, so more at once

        def scores(switches: Tensor) -> Tensor:
            every = map(mix, switches.to(self.device, torch.float32).split(mixed))
            return self._scores(evaluate(one) for few in every for one in few.split(self.chunk))

        return scores

    def _mixer(self, gains: Mixer, count: int) -> Mixer:
        """Return the map from switches (batch, piece) to inputs of ``_forward(count)``."""
        frontend = self.model.frontend
        if self._mixes_bands(count) and is_linear(frontend):
            return band_mixer(frontend, gains, count, self.magnitude, self.floor)
        if self._mixes_sounds(count):
            return sound_mixer(
                self.model.plane, self.wave, self.spectrum, self.background, gains, count
            )
        return gains

    def _forward(self, count: int) -> Callable[[Tensor], Tensor]:
        """Return the map from mixtures of ``count`` pieces to outputs (batch, output)."""
        if self._mixes_bands(count):
            return self.model.from_linear
        return self._evaluated if self._mixes_sounds(count) else self._outputs

    def _mixes_bands(self, count: int) -> bool:
        """Whether the linear part of the front end is stored for each of ``count`` pieces."""
        frontend = self.model.frontend
        if not is_linear(frontend) or not self._linear:
            return False
        bands = frontend.linear(self.magnitude[None, :, :1]).numel() * self.shape[1]
        return count * bands <= _MOST_KEPT

    @property
    def _linear(self) -> bool:
        """Whether the magnitude of a mixture with the background is linear in the gains."""
        return self.background is None or self.floor is not None

    def _mixes_sounds(self, count: int) -> bool:
        """Whether the waveform of each of ``count`` pieces is stored."""
        return self.model.frontend is None and count * self.samples <= _MOST_KEPT

    def _scores(self, outputs: Iterable[Tensor]) -> Tensor:
        # no inference mode: tensors cached by the model must be usable in later gradients
        with torch.no_grad():
            # as Python floats: small tensors allocated between large ones fragment the heap
            found: list[float] = []
            scores = torch.zeros(0)
            for one in outputs:
                scores = explained_score(self.model, self._counted(one), self.target)
                found += scores.tolist()
            return torch.tensor(found, dtype=scores.dtype, device=scores.device)

    def gradients(
        self, points: Iterable[Tensor], *, of_magnitude: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield scores (batch,) and gradients (batch, freq, frame) at maps (freq, frame).

        The maps are gains, or magnitudes if ``of_magnitude``.
        """
        self.require_gradients()
        score = self.score_magnitude if of_magnitude else self.score
        for some in chunks(points, self.chunk):
            batch = torch.stack(some).requires_grad_()
            with torch.enable_grad(), self.model.frozen():
                scores = score(batch)
                gradient = self.differentiate(scores, batch)
            yield scores.detach(), gradient

    def total_gradient(
        self, points: Iterable[Tensor], weights: Sequence[float], *, of_magnitude: bool = False
    ) -> tuple[Tensor, list[int]]:
        """Return the sum over maps of weight times gradient, and the numbers of maps left out.

        The linear part of the front end is differentiated once, for the sum. Maps at which the
        model or its gradient is not finite are left out (``Steps``).

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
        bands = is_linear(frontend) and (of_magnitude or self._linear)
        floor = 0.0 if of_magnitude or self.floor is None else self.floor
        factor = 1.0 if of_magnitude else self.magnitude - floor
        if is_linear(frontend) and bands:
            batches = (frontend.linear(floor + batch * factor) for batch in batches)

        def gradient_of(probe: Probe) -> Callable[[Tensor], Tensor]:
            masked = probe._outputs_of_magnitude if of_magnitude else probe._outputs
            outputs = probe.model.from_linear if bands else masked

            def gradient(batch: Tensor) -> Tensor:
                leaf = batch.detach().requires_grad_()
                with torch.enable_grad(), probe.model.frozen():
                    scores = explained_score(probe.model, outputs(leaf), self.target)
                    return probe._gradient(scores, leaf)

            return gradient

        faster = self._faster
        quick = None if faster is None else gradient_of(faster)
        total: Tensor | float = 0.0
        steps = Steps(self.model.name, weights)
        evaluate = Checked(gradient_of(self), quick, gradients_agree, _WORTH_CHECKING)
        for batch in batches:
            total = total + steps.sum(evaluate, batch)
            self._counted(batch)
            self.tick(2 * len(batch))
        if is_linear(frontend) and bands:
            leaf = torch.zeros_like(self.magnitude).unsqueeze(0).requires_grad_()
            with torch.enable_grad():
                whole = frontend.linear(leaf)
            (back,) = torch.autograd.grad(whole, leaf, torch.as_tensor(total).expand_as(whole))
            total = back[0] * factor
        return torch.as_tensor(total), steps.skipped

    def differentiate(self, scores: Tensor, by: Tensor, *, layer: str = "") -> Tensor:
        """Return the gradient of the summed scores, without accumulating any other gradient.

        If ``by`` is the output of a layer, its name is for the error.
        """
        gradient = self._gradient(scores, by, layer)
        self.tick(2 * len(scores))
        return gradient

    def _gradient(self, scores: Tensor, by: Tensor, layer: str = "") -> Tensor:
        if not scores.requires_grad:
            raise no_gradient(self.model.name, layer)
        try:
            (gradient,) = torch.autograd.grad(scores.sum(), by, allow_unused=True)
        except RuntimeError as error:
            raise NotApplicableError(
                f"{self.model.name} cannot be differentiated ({reason(error)}); use lime or "
                "occlusion"
            ) from error
        if gradient is None:
            raise no_gradient(self.model.name, layer)
        return gradient.detach()

    def require_gradients(self) -> None:
        """Raise ``NotApplicableError`` if the model is a black box."""
        if not self.model.differentiable:
            raise NotApplicableError(
                f"{self.model.name} is a black box without gradients; use a method that needs "
                "none, such as lime or occlusion"
            )
