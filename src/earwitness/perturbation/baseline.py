"""Baselines of methods that follow the score along a path from a background to the input.

A model that normalises the level of its input (CREPE, PCEN, division by the RMS or the peak, a
log spectrogram minus its mean) has the same score for the sound at any level above silence. On the
path from silence the whole change is then in an arbitrarily small first step, where no quadrature
finds it. This is seen from a few scores on the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from earwitness.errors import ModelError
from earwitness.perturbation.background.registry import (
    AUTO,
    named_background,
    with_backgrounds,
)
from earwitness.probe import Probe

_PLACES = (1e-3, 1e-2, 1e-1, 0.5)  # on the path, after its first step (60 dB down from silence)
_SUDDEN = 0.9  # share of the change in the first step from which the path is useless
_INSTEAD = "mean"  # a background at the level of the input itself


@dataclass(frozen=True)
class Baseline:
    """The background that a method integrates from.

    Attributes
    ----------
    probes : list of Probe
        One for each background.
    change : float
        The score of the input minus the mean score of the backgrounds.
    details : dict
        ``background``, the names; ``sudden`` if the score changes only in the first step of the
        path; ``instead_of`` what they are used, and ``because`` of what.
    """

    probes: list[Probe]
    change: float
    details: dict[str, Any]

    @property
    def magnitudes(self) -> list[Tensor]:
        """The magnitude (freq, frame) of each background."""
        return [
            torch.zeros_like(one.magnitude) if one.background is None else one.background.abs()
            for one in self.probes
        ]


def find_baseline(probe: Probe, text: str) -> Baseline:
    """Return the baseline of the names in a text.

    ``auto`` is replaced by ``mean`` if the score changes only in the first step of the path, or the
    model cannot be evaluated on the background.

    Raises
    ------
    ModelError
        If the model cannot be evaluated on a background that was named.
    """
    names = named_background(text, probe.model.task)
    own = text.strip() == AUTO and names != _INSTEAD
    try:
        found = _measured(probe, names)
    except ModelError as error:
        if own:
            return _instead(probe, names, "undefined")
        raise ModelError(
            f"{error}; or name another background than {names}, such as {_INSTEAD}"
        ) from None
    return _instead(probe, names, "sudden") if own and "sudden" in found.details else found


def _instead(probe: Probe, names: str, reason: str) -> Baseline:
    found = _measured(probe, _INSTEAD)
    details = {**found.details, "instead_of": names, "because": reason}
    return Baseline(found.probes, found.change, details)


def _measured(probe: Probe, names: str) -> Baseline:
    probes = with_backgrounds(probe, names)
    ones = torch.ones_like(probe.magnitude)
    places = (0.0, *_PLACES, 1.0)
    scores = torch.stack([one.scores(place * ones for place in places) for one in probes])
    course = scores.double().mean(dim=0)
    change = float(course[-1] - course[0])
    late = float((course[1:] - course[-1]).abs().max())
    sudden = late < (1 - _SUDDEN) * abs(change)
    return Baseline(probes, change, {"background": names, **({"sudden": True} if sudden else {})})
