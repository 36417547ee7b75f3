"""Fused functions of torch written out as steps that have a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.backward.rules import Call, RuleMode
from earwitness.backward.unfold import UNFOLDED
from earwitness.errors import NotApplicableError
from tests.reference.nets import randomised


class _Nothing(RuleMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def rule(self, call: Call) -> None:
        self.names.append(call.name)


def _frames(seed: int = 0, *shape: int) -> Tensor:
    return torch.randn(shape or (6, 2, 8), generator=torch.Generator().manual_seed(seed))


def _cells(kind: type[nn.Module], states: int) -> Callable[[Tensor], Tensor]:
    cell = randomised(kind(8, 3))
    start = _frames(1, 6, 3)
    state = (start, start + 1) if states == 2 else start
    return lambda x: cell(x[:, 0], state) if states == 1 else cell(x[:, 0], state)[1]


def _head(**facts: Any) -> Callable[[Tensor], Any]:
    layer = randomised(nn.MultiheadAttention(8, 2, **facts.pop("made", {})))
    return lambda x: layer(x, x.flip(0), x + 1, **facts)


CAUSAL = torch.ones(6, 6, dtype=torch.bool).triu(1)

FUSED: dict[str, Callable[[Tensor], Any]] = {
    "lstm": lambda x: randomised(nn.LSTM(8, 3, 2, bidirectional=True, batch_first=True))(x),
    "lstm without biases": lambda x: randomised(nn.LSTM(8, 3, bias=False))(x),
    "gru": lambda x: randomised(nn.GRU(8, 3, 2, bidirectional=True))(x),
    "rnn tanh": lambda x: randomised(nn.RNN(8, 3, 2))(x),
    "rnn relu": lambda x: randomised(nn.RNN(8, 3, nonlinearity="relu", batch_first=True))(x),
    "lstm cell": _cells(nn.LSTMCell, 2),
    "gru cell": _cells(nn.GRUCell, 1),
    "attention": _head(),
    "attention, weights per head": _head(average_attn_weights=False),
    "attention, causal": _head(attn_mask=CAUSAL, need_weights=False),
    "attention, padded": _head(
        key_padding_mask=torch.tensor([[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1]]).bool()
    ),
    "attention, both": _head(
        attn_mask=CAUSAL,
        key_padding_mask=torch.tensor([[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1]]).bool(),
    ),
    "attention, no biases": _head(made={"bias": False}),
    "products": lambda x: functional.scaled_dot_product_attention(x, x + 1, x * 2),
    "products, causal": lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    "products, scaled": lambda x: functional.scaled_dot_product_attention(
        x, x, x, attn_mask=torch.ones(2, 2).tril().bool(), scale=0.3
    ),
    "glu": lambda x: functional.glu(x, dim=2),
    "max": lambda x: x.max(),
    "max along": lambda x: tuple(x.max(dim=1, keepdim=True)),
    "min along": lambda x: tuple(torch.min(x, 2)),
    "larger": lambda x: torch.max(x, x.flip(0)),
}


@pytest.mark.parametrize("name", FUSED)
def test_fused_functions_are_written_out_to_the_same_numbers(name: str) -> None:
    inputs = _frames().requires_grad_()
    wanted = FUSED[name](inputs)
    mode = _Nothing()
    with mode:
        found = FUSED[name](inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    assert not set(mode.names) & {one.__name__ for one in UNFOLDED}


@pytest.mark.parametrize("facts", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_attention_with_keys_of_its_own_is_refused(facts: dict[str, Any]) -> None:
    layer = nn.MultiheadAttention(8, 2, **facts)
    inputs = _frames().requires_grad_()
    with _Nothing(), pytest.raises(NotApplicableError, match="keys or values of its own"):
        layer(inputs, inputs, inputs)


def test_recurrent_layers_with_projections_are_refused() -> None:
    inputs = _frames().requires_grad_()
    with _Nothing(), pytest.raises(NotApplicableError, match="projections"):
        nn.LSTM(8, 4, proj_size=2)(inputs)
