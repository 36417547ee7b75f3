"""Attention of all layers of a transformer, multiplied."""

from __future__ import annotations

import torch

from earwitness.methods.attention import (
    attend,
    by_window,
    placed,
    read_tokens,
    require_attention,
)
from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.steps import no_gradient
from earwitness.types import Map


@register(
    "attention-rollout",
    summary="attention of all layers of a transformer, multiplied; the same for every target",
    limits="the target: the map shows where the network looks, not what for",
    paper="Abnar, Zuidema: Quantifying Attention Flow in Transformers, 2020, section 3",
    needs_gradients=True,
    layerwise=True,
    needs_attention=True,
    cost=8,
)
def attention_rollout(probe: Probe) -> Map:
    """Multiply ``(A + I) / 2`` over the layers, with ``A`` the mean attention of the heads.

    The map is the mean of the product's rows over the tokens that the output is read from, which
    are found from the gradient as in ``attention-relevance``. Tokens are placed as there.

    Raises
    ------
    NotApplicableError
        If the network has no attention, or not every layer attends to all tokens.
    """
    require_attention(probe)
    windows = len(probe.model.windows(probe.samples))
    with torch.enable_grad(), probe.model.frozen():
        score, found = attend(probe)
        if not score.requires_grad:
            raise no_gradient(probe.model.name)
        slope = probe.differentiate(score, found.mixed[-1])
    shares = read_tokens(slope, windows)
    rolled, count = shares, len(found.weights)
    while found.weights:
        mean = by_window(found.weights.pop().detach(), windows).mean(dim=1).double()
        rolled = (rolled + torch.einsum("wi,wij->wj", rolled, mean)) / 2
    del score, found, slope
    return placed(probe, rolled, shares, count)
