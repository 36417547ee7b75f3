"""Relevance of tokens by the attention of all layers, weighted by its gradient."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError, reason
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
    "attention-relevance",
    summary="attention of all layers of a transformer, weighted by the gradient of the score",
    limits="what the layers between the attentions do, and evidence against the target",
    paper="Chefer, Gur, Wolf: Generic Attention-model Explainability for Interpreting Bi-Modal and "
    "Encoder-Decoder Transformers, 2021, eq. 5 and 6",
    needs_gradients=True,
    layerwise=True,
    needs_attention=True,
    cost=8,
)
def attention_relevance(probe: Probe) -> Map:
    """Accumulate ``R <- R + mean_h((dA * A)+) R`` over the layers, from ``R = I``.

    ``A`` is a layer's attention, ``dA`` the gradient of the score with respect to it, and the mean
    is over heads after negative products are set to zero. The map is the mean of ``R - I`` over the
    tokens that the output is read from. These are found from the gradient: the class token (and the
    distillation token) of a network that has one, all tokens if it takes their mean. Tokens are
    placed at their measured time and frequency, time only if each covers all frequencies; special
    tokens have no place and are left out.

    Attention may be of any kind whose weights over tokens add up to 1: of ``transformers``,
    ``torch.nn.MultiheadAttention``, ``scaled_dot_product_attention``, or written by hand.

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
        first, last, count = found.weights[0], found.mixed[-1], len(found.weights)
        means: dict[int, Tensor] = {}
        for layer, weights in enumerate(found.weights):
            # each gradient is used as it comes: together they would take as much as the weights
            weights.register_hook(partial(_add_mean, means, layer, windows, weights.detach()))
        del weights
        found.weights.clear()
        try:
            slope = torch.autograd.grad(score.sum(), [last, first], allow_unused=True)[0]
        except RuntimeError as error:
            raise NotApplicableError(
                f"{probe.model.name} cannot be differentiated ({reason(error)}); use lime or "
                "occlusion"
            ) from error
        probe.tick(2)
    if slope is None:
        raise no_gradient(probe.model.name)
    shares = read_tokens(slope, windows)
    del score, found, first, last, slope
    relevance = shares
    for layer in sorted(means, reverse=True):
        relevance = relevance + torch.einsum("wi,wij->wj", relevance, means[layer].double())
    return placed(probe, relevance - shares, shares, count)


def _add_mean(
    means: dict[int, Tensor], layer: int, windows: int, weights: Tensor, slope: Tensor
) -> None:
    """Add the mean over heads of a layer's positive products of weight and gradient."""
    means[layer] = (by_window(slope, windows) * by_window(weights, windows)).relu_().mean(dim=1)
