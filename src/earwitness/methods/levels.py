"""A sound on a front end of levels in dB, where Pak and Teryokhina (2025) explain and mask.

Their maps, masks and metrics all live on the network's input, rows of levels, and not on the plane.
The network is evaluated on batches of four: larger ones do not fit the processor's cache and take
up to twice as long for each input. A batch is always full, so that an output does not depend on
what it is evaluated with.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from earwitness.errors import NotApplicableError
from earwitness.models.model import Model
from earwitness.models.prepare import outputs_agree, prepared
from earwitness.models.zoo.decibels import Decibels
from earwitness.plane.domains import FLOOR_DB

BATCH = 4


def front_of(model: Model) -> Decibels:
    """Return the model's front end.

    Raises
    ------
    NotApplicableError
        If it has none of levels in dB, or is no classifier.
    """
    found = next((part for part in model.parts if isinstance(part, Decibels)), None)
    if found is None or model.task != "single-label":
        raise NotApplicableError(
            f"{model.name} is no classifier on the published levels in dB; train one with "
            "earwitness train classifier --front-end mel-db (or stft-db)"
        )
    return found


class Levels:
    """One sound as a network of a model sees it.

    Parameters
    ----------
    model : Model
        With a front end ``Decibels``.
    wave : Tensor, shape (samples,)
        Not longer than the model reads at once.

    Attributes
    ----------
    front : Decibels
    levels : Tensor, shape (row, frame)
        In dB.
    phase : Tensor, shape (bin, frame)
        In radians.
    """

    def __init__(self, model: Model, wave: Tensor) -> None:
        self.model, self.front = model, front_of(model)
        if len(model.windows(len(wave))) > 1:
            most = (model.longest or 0) / model.rate
            raise NotApplicableError(
                f"published for sounds that {model.name} reads at once, {most:g} s; this one has "
                f"{len(wave) / model.rate:.6g} s: give a part of it, such as --end {most:g}"
            )
        self.samples = len(wave)
        missing = max((model.shortest or 0) - len(wave), 0)
        padded = nn.functional.pad(wave.float(), (0, missing))
        with torch.no_grad():
            spectrum = self.front.analyse(padded[None])
            self.levels = self.front.levels(spectrum)[0]
            self.phase = spectrum[0].angle()

    @property
    def network(self) -> nn.Module:
        """The network itself, with its hooks."""
        assert self.model.module is not None
        return self.model.module

    @cached_property
    def faster(self) -> nn.Module:
        """A faster copy of the network that agrees with it on this sound; itself without one."""
        copy = prepared(self.model)
        if copy is None or copy.module is None:
            return self.network
        shares = torch.linspace(1, 0, BATCH, device=self.levels.device)
        inputs = self.masked(shares[:, None, None]).unsqueeze(1)
        with torch.no_grad():
            same = outputs_agree(copy.module(inputs), self.network(inputs))
        return copy.module if same else self.network

    def logits(self, levels: Tensor) -> Tensor:
        """Return the outputs (batch, class) for levels (batch, row, frame), without gradients."""
        found = []
        with torch.no_grad():
            for some in levels.split(BATCH):
                full = nn.functional.pad(some, (0, 0, 0, 0, 0, BATCH - len(some)))
                outputs: Tensor = self.faster(full.unsqueeze(1))
                found.append(outputs[: len(some)])
        return torch.cat(found)

    def gradient(self, levels: Tensor, index: int) -> Tensor:
        """Return the gradient of an output (batch, row, frame) at levels of that shape."""
        parts = []
        for some in levels.split(BATCH):
            leaf = some.unsqueeze(1).clone().requires_grad_()
            with torch.enable_grad():
                score = self.faster(leaf)[:, index].sum()
                parts.append(torch.autograd.grad(score, leaf)[0][:, 0])
        return torch.cat(parts)

    def masked(self, gains: Tensor) -> Tensor:
        """Return masked levels for gains (batch, row, frame): ``(L + 100) g - 100``, as published.

        Gains of one change most levels by a rounding error, as in the published code.
        """
        return (self.levels - FLOOR_DB) * gains + FLOOR_DB

    def sounds(self, levels: Tensor) -> Tensor:
        """Return waves (batch, samples) of levels (batch, row, frame) with the input's phase."""
        return self.front.sound(levels, self.phase, self.samples)
