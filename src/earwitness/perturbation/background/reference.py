"""Another recording of the same words, which the input is compared with."""

from __future__ import annotations

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from earwitness.errors import NotApplicableError
from earwitness.perturbation.background.registry import register
from earwitness.probe import Probe

_BLUR_SECONDS, _BLUR_HZ = 0.02, 60.0  # s: two frames of an alignment; Hz: between two harmonics


@register("reference", summary="the other recording of earwitness compare, with the input's phase")
def reference(probe: Probe) -> Tensor | None:
    """Return the magnitude of the other recording on the input's time axis, with the input's phase.

    Where the input is digital silence, which has none, the phase is the other recording's own.

    Raises
    ------
    NotApplicableError
        If the input is compared with nothing.
    """
    if probe.reference is None:
        raise NotApplicableError(
            "background reference is the other recording of earwitness compare A B; here, name the "
            "file of a sound of the same timing"
        )
    other = probe.reference.to(probe.spectrum)
    return torch.where(probe.magnitude > 0, probe.phase * other.abs(), other)


def coarsened(probe: Probe, values: Tensor) -> Tensor:
    """Return a map averaged over what two recordings never share, with the same sum.

    Single cells of two recordings differ in both directions even where they sound the same: the
    alignment is right to a few hundredths of a second, and voices never repeat a harmonic exactly.
    A mask of the cells where the first one happens to be worse would be better than both.

    Parameters
    ----------
    values : Tensor, shape (freq, frame)
    """
    plane = probe.model.plane
    width = (_BLUR_HZ * plane.n_fft / plane.rate, _BLUR_SECONDS * plane.rate / plane.hop)
    # half-sample symmetric at the edges, so that nothing is lost there
    found = gaussian_filter(values.double().cpu().numpy(), width, mode="reflect")
    return torch.from_numpy(found).to(values)
