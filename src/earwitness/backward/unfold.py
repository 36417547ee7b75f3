"""Fused functions (recurrent layers, attention) unrolled into elementary functions.

Rules for elementary functions then apply inside them. Each function here has the signature of the
fused one and returns the same values, which is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from earwitness.errors import NotApplicableError

Cell = Callable[[Tensor, tuple[Tensor, ...], Sequence[Tensor | None]], tuple[Tensor, ...]]


def _lstm_cell(inputs: Tensor, state: tuple[Tensor, ...], weights: Sequence[Any]) -> Any:
    """Hochreiter and Schmidhuber 1997, with a forget gate; gates in the order i, f, g, o."""
    hidden, memory = state
    forward, back, bias_forward, bias_back = weights
    gates = functional.linear(inputs, forward, bias_forward)
    gates = gates + functional.linear(hidden, back, bias_back)
    enter, forget, new, leave = gates.chunk(4, dim=-1)
    memory = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(memory), memory


def _gru_cell(inputs: Tensor, state: tuple[Tensor, ...], weights: Sequence[Any]) -> Any:
    """Cho et al. 2014; gates in the order r, z, n."""
    (hidden,) = state
    forward, back, bias_forward, bias_back = weights
    here = functional.linear(inputs, forward, bias_forward).chunk(3, dim=-1)
    there = functional.linear(hidden, back, bias_back).chunk(3, dim=-1)
    reset = torch.sigmoid(here[0] + there[0])
    keep = here[1] + there[1]
    new = torch.tanh(here[2] + reset * there[2])
    # 1 - sigmoid(x) = sigmoid(-x), so both factors are recognised as gates
    return (torch.sigmoid(-keep) * new + torch.sigmoid(keep) * hidden,)


def _plain_cell(activation: Callable[[Tensor], Tensor]) -> Cell:
    def cell(
        inputs: Tensor, state: tuple[Tensor, ...], weights: Sequence[Any]
    ) -> tuple[Tensor, ...]:
        forward, back, bias_forward, bias_back = weights
        total = functional.linear(inputs, forward, bias_forward)
        return (activation(total + functional.linear(state[0], back, bias_back)),)

    return cell


def _recurrent(cell: Cell, states: int) -> Callable[..., Any]:
    def unfolded(
        inputs: Tensor,
        start: Any,
        weights: Sequence[Tensor],
        has_biases: Any,
        layers: Any = None,
        dropout: float = 0.0,
        train: bool = False,
        bidirectional: bool = False,
        batch_first: bool = False,
    ) -> Any:
        if isinstance(layers, float) or not isinstance(has_biases, bool):
            raise NotApplicableError(
                "the network uses packed sequences, for which there is no rule; use padded "
                "sequences in the model, or integrated-gradients"
            )
        begin = tuple(start) if states == 2 else (start,)
        directions = 2 if bidirectional else 1
        per_cell = 4 if has_biases else 2
        if len(weights) != per_cell * directions * layers:
            raise NotApplicableError(
                "the network has a recurrent layer with projections, for which there is no rule; "
                "use integrated-gradients"
            )
        sequence = inputs.transpose(0, 1) if batch_first else inputs
        ends: list[tuple[Tensor, ...]] = []
        for layer in range(layers):
            ways = []
            for way in range(directions):
                number = layer * directions + way
                own: Sequence[Tensor | None] = weights[number * per_cell : (number + 1) * per_cell]
                own = own if has_biases else (*own, None, None)
                state = tuple(one[number] for one in begin)
                steps = list(sequence.unbind(0))
                outputs = []
                for step in reversed(steps) if way else steps:
                    state = cell(step, state, own)
                    outputs.append(state[0])
                ways.append(torch.stack(outputs[::-1] if way else outputs))
                ends.append(state)
            sequence = torch.cat(ways, dim=-1) if bidirectional else ways[0]
            if train and dropout and layer < layers - 1:
                sequence = functional.dropout(sequence, dropout, True)
        final = tuple(torch.stack([end[k] for end in ends]) for k in range(states))
        return (sequence.transpose(0, 1) if batch_first else sequence, *final)

    return unfolded


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Vaswani et al. 2017, eq. 1."""
    return _weighted(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)[0]


def _weighted(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    causal: bool,
    scale: float | None = None,
    grouped: bool = False,
) -> tuple[Tensor, Tensor]:
    if grouped:
        times = query.shape[-3] // key.shape[-3]
        key, value = (one.repeat_interleave(times, dim=-3) for one in (key, value))
    size = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query, key.transpose(-2, -1)) * size
    if causal and mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -math.inf)
    elif mask is not None:
        scores = scores + mask
    weights = torch.softmax(scores, dim=-1)
    if dropout:
        weights = functional.dropout(weights, dropout, True)
    return torch.matmul(weights, value), weights


def _multi_head(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,  # noqa: ARG001
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,  # noqa: ARG001
) -> tuple[Tensor, Tensor | None]:
    """Vaswani et al. 2017, section 3.2.2; sequences are (time, batch, feature)."""
    unusual = (bias_k, bias_v, static_k, static_v)
    if add_zero_attn or any(one is not None for one in unusual):
        raise NotApplicableError(
            "the network's attention adds keys or values of its own, for which there is no rule; "
            "use integrated-gradients"
        )
    single = query.ndim == 2
    if single:
        query, key, value = (one.unsqueeze(1) for one in (query, key, value))
    if use_separate_proj_weight:
        projections = [q_proj_weight, k_proj_weight, v_proj_weight]
    else:
        projections = list((in_proj_weight if in_proj_weight is not None else query).chunk(3))
    biases = [None] * 3 if in_proj_bias is None else list(in_proj_bias.chunk(3))
    heads = []
    for one, weight, bias in zip((query, key, value), projections, biases, strict=True):
        projected = functional.linear(one, weight, bias)  # type: ignore[arg-type]
        heads.append(projected.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3))
    mask = attn_mask
    if mask is not None:
        if mask.dtype == torch.bool:
            mask = ~mask
        if mask.ndim == 3:
            mask = mask.unflatten(0, (-1, num_heads))
    if key_padding_mask is not None:
        padding = key_padding_mask[:, None, None, :]
        if padding.dtype == torch.bool:
            padding = torch.zeros_like(padding, dtype=query.dtype).masked_fill(padding, -math.inf)
        if mask is not None and mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -math.inf)
        mask = padding if mask is None else mask + padding
    drop = dropout_p if training else 0.0
    mixed, weights = _weighted(heads[0], heads[1], heads[2], mask, drop, False)
    joined = mixed.permute(2, 0, 1, 3).flatten(2)
    result = functional.linear(joined, out_proj_weight, out_proj_bias)
    if single:
        result, weights = result.squeeze(1), weights.squeeze(0)
    if not need_weights:
        return result, None
    return result, weights.mean(dim=-3) if average_attn_weights else weights


def _extreme(sign: int) -> Callable[..., Any]:
    def unfolded(input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        other = args[0] if args else kwargs.get("other")
        if isinstance(other, Tensor):
            return (torch.maximum if sign > 0 else torch.minimum)(input, other)
        dim = args[0] if args else kwargs.get("dim")
        keep = args[1] if len(args) > 1 else kwargs.get("keepdim", False)
        extreme, place = (torch.amax, torch.argmax) if sign > 0 else (torch.amin, torch.argmin)
        if dim is None:
            return extreme(input)
        kind = torch.return_types.max if sign > 0 else torch.return_types.min
        with torch.no_grad():
            where = place(input, dim, keep)
        return kind((extreme(input, dim, keep), where))

    return unfolded


def _glu(input: Tensor, dim: int = -1) -> Tensor:  # noqa: A002
    """Dauphin et al. 2017."""
    signal, gate = input.chunk(2, dim)
    return signal * torch.sigmoid(gate)


def _four(weights: Sequence[Any]) -> Sequence[Any]:
    """Return four weights, with None for omitted biases."""
    return (*weights, None, None)[:4]


UNFOLDED: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.lstm: _recurrent(_lstm_cell, 2),
    torch.gru: _recurrent(_gru_cell, 1),
    torch.rnn_tanh: _recurrent(_plain_cell(torch.tanh), 1),
    torch.rnn_relu: _recurrent(_plain_cell(torch.relu), 1),
    torch.lstm_cell: lambda x, state, *weights: _lstm_cell(x, tuple(state), _four(weights)),
    torch.gru_cell: lambda x, state, *weights: _gru_cell(x, (state,), _four(weights))[0],
    functional.scaled_dot_product_attention: _attention,
    functional.multi_head_attention_forward: _multi_head,
    functional.glu: _glu,
    torch.max: _extreme(1),
    Tensor.max: _extreme(1),
    torch.min: _extreme(-1),
    Tensor.min: _extreme(-1),
}
