"""The attention weights of a transformer, and the time and frequency of its tokens.

Weights are seen at the level of torch functions: a softmax along its last axis whose result is
multiplied with values. Fused attention, which never holds the weights, is computed unfused instead.
Nothing is set in the network, except that one of ``transformers`` with another fused implementation
is switched to its plain one, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from earwitness.backward.calls import bare_name
from earwitness.backward.functions import SHAPING
from earwitness.backward.unfold import UNFOLDED
from earwitness.errors import NotApplicableError
from earwitness.layers.axes import DRAWS, LayerAxes, arrangements, locate, measure
from earwitness.layers.placing import as_maps, bounded, place
from earwitness.layers.recording import (
    gradient_leaf,
    leaf_modules,
    recording,
    require_layers,
    require_one_call,
)
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.types import Map

_FUSED = (functional.scaled_dot_product_attention, functional.multi_head_attention_forward)
_PRODUCTS = frozenset(["matmul", "bmm", "__matmul__"])
_SEEN = ("eager", "sdpa", None)  # implementations of transformers whose weights are seen
_FIRST = "attention"  # a name for its values; no module is called so
_NO_GRADIENT = 1e-4  # of the largest; the output is not read from a token with less
_PLACED: PerModel[LayerAxes | None] = PerModel()
Taken = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]


class Watching(TorchFunctionMode):
    """Pass every product of attention weights and values to ``taken`` within the context.

    Parameters
    ----------
    taken : callable
        From the weights, the values, and the product as a function of the weights, to what the
        network gets.
    """

    def __init__(self, taken: Taken) -> None:
        super().__init__()
        self._taken = taken
        self._weights: dict[int, Tensor] = {}  # kept alive, so that ids stay unique

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _FUSED:
            with self:
                return UNFOLDED[func](*args, **given)
        name = bare_name(getattr(func, "__name__", ""))
        if name in _PRODUCTS and len(args) == 2 and id(args[0]) in self._weights:
            weights = self._weights.pop(id(args[0]))
            return self._taken(weights, args[1], lambda one: func(one, args[1], **given))
        result = func(*args, **given)
        if not isinstance(result, Tensor) or not args:
            return result
        if name == "softmax":
            axis = given.get("dim", args[1] if len(args) > 1 else None)
            if axis in (-1, result.ndim - 1) and result.ndim > 2:
                self._weights[id(result)] = result
        elif name in SHAPING and self._weights.pop(id(args[0]), None) is not None:
            self._weights[id(result)] = result
        return result


@dataclass
class Attention:
    """The attention of one pass.

    Attributes
    ----------
    weights : list of Tensor, shape (window, head, token, token)
        Of every layer, in order; rows sum to 1.
    mixed : list of Tensor
        What the layers make of the values, with tokens on the axis before the last.
    """

    weights: list[Tensor]
    mixed: list[Tensor]


def require_attention(probe: Probe) -> None:
    """Raise unless the layers of the model can be seen, in one call for a sound."""
    probe.require_gradients()
    require_layers(probe.model)
    require_one_call(probe.model, probe.samples)


@contextmanager
def unfused(model: Model) -> Iterator[None]:
    """Switch networks of transformers whose attention hides its weights to one that does not."""
    switched = []
    try:
        for module in (one for part in model.parts for one in part.modules()):
            choose: Any = getattr(module, "set_attn_implementation", None)
            own = getattr(getattr(module, "config", None), "_attn_implementation", None)
            if choose is not None and own not in _SEEN:
                switched.append((choose, own))
                choose("eager")
        yield
    finally:
        for choose, own in reversed(switched):
            choose(own)


def attend(probe: Probe) -> tuple[Tensor, Attention]:
    """Return the score of the sound and the attention, both in one graph.

    Raises
    ------
    NotApplicableError
        If there are no attention weights, or not of all layers over the same tokens.
    """
    token_axes(probe)  # before the weights take memory
    found = Attention([], [])
    count = len(probe.model.windows(probe.samples))
    if count > 1:
        with torch.no_grad():
            probe.model.settle(probe.wave[None])  # its trials of a batch would be seen too

    def taken(weights: Tensor, _: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
        weights = gradient_leaf(weights)  # nothing before the first must be differentiable
        found.weights.append(weights)
        found.mixed.append(product(weights))
        return found.mixed[-1]

    ones = torch.ones(1, *probe.shape, device=probe.device, requires_grad=True)
    with unfused(probe.model), Watching(taken):
        score = probe.score(ones)
    _require_chain(probe.model.name, found.weights, count)
    return score, found


def _require_chain(name: str, layers: list[Tensor], windows: int) -> None:
    instead = "use integrated-gradients"
    if not layers:
        raise NotApplicableError(
            f"{name} computes no attention weights that can be seen (no softmax is multiplied with "
            f"values: no transformer, or its attention is a compiled kernel); {instead}"
        )
    for weights in layers:
        if weights.shape[-1] != weights.shape[-2]:
            raise NotApplicableError(
                f"{name} attends from {weights.shape[-2]} to {weights.shape[-1]} tokens (a decoder "
                f"or a pooling), and relevance is followed through self-attention only; {instead}"
            )
        apart = weights.ndim > 3 and weights.shape[0] != windows
        if apart or weights.shape[0] % windows or weights.shape[-1] != layers[0].shape[-1]:
            sizes = sorted({one.shape[-1] for one in layers})
            raise NotApplicableError(
                f"the attention of {name} is over parts of the tokens ({sizes} at a time), and "
                f"relevance is followed only where every layer is over all of them; {instead}"
            )


def by_window(weights: Tensor, windows: int) -> Tensor:
    """Return weights or gradients as (window, head, token, token)."""
    return weights if weights.ndim > 3 else weights.unflatten(0, (windows, -1))


def read_tokens(slope: Tensor, windows: int) -> Tensor:
    """Return the share of every token (window, token) in what the output is read from.

    Parameters
    ----------
    slope : Tensor, shape (..., token, channel)
        The gradient of the score with respect to what the last attention gives. It is zero for all
        tokens but one if the output is read from a class token; a mean, or any other reading of
        several tokens, counts them alike.
    """
    size = slope.unflatten(0, (windows, -1)).square().sum(dim=-1)
    size = size.reshape(windows, -1, size.shape[-1]).sum(dim=1).sqrt()
    read = (size > _NO_GRADIENT * size.amax(dim=1, keepdim=True)).double()
    return read / read.sum(dim=1, keepdim=True).clamp(min=1)


def placed(probe: Probe, relevance: Tensor, shares: Tensor, layers: int) -> Map:
    """Return the map of a relevance (window, token), at the tokens' time and frequency.

    Special tokens have no place; which tokens the output is read from is noted in the details.
    """
    model, windows = probe.model, probe.model.windows(probe.samples)
    axes = token_axes(probe)
    if axes is None:  # its attention is seen with gradients only
        raise NotApplicableError(
            f"the attention of {model.name} is not seen for other sounds; use integrated-gradients"
        )
    maps = as_maps(relevance.unsqueeze(-1), axes)[:, 0]
    values = place(maps, axes, windows, probe.samples, probe.times, probe.freqs, model.rate)
    count = shares.shape[1]
    read = (shares > 0).any(dim=0).nonzero().flatten().tolist()
    special = 0 if axes.tokens is None else axes.tokens.start + axes.tokens.end
    details = {
        "axes": "time only" if axes.freq_axis is None else "time, frequency",
        "layers": layers,
        "tokens": count,
        "special_tokens": special,
        "read_from": "all tokens" if len(read) == count else f"tokens {_ranges(read)}",
    }
    return Map(values, details)


def _ranges(numbers: list[int]) -> str:
    """Return numbers as ranges: 0-1, 5."""
    parts: list[list[int]] = []
    for one in numbers:
        if parts and parts[-1][-1] == one - 1:
            parts[-1][1:] = [one]
        else:
            parts.append([one])
    return ", ".join("-".join(map(str, part)) for part in parts)


def token_axes(probe: Probe) -> LayerAxes | None:
    """Return where the tokens of the first attention lie, found once per model and length.

    None if no attention is seen.
    """
    model, size = probe.model, probe.model.windows(probe.samples)[0][1]
    known = _PLACED.of(model)
    if size not in known:
        known[size] = _find_axes(model, size, probe.tick)
    return known[size]


def _find_axes(model: Model, samples: int, tick: Callable[[int], None]) -> LayerAxes | None:
    network = torch.nn.Module() if model.module is None else model.module
    modules = leaf_modules(network)  # the order of tokens shows best before attention mixes them

    @contextmanager
    def record(keep: Callable[[str, Tensor], None]) -> Iterator[None]:
        first = True

        def begin(*_: object) -> None:
            nonlocal first
            first = True

        def before(name: str, output: Tensor) -> None:
            if first:
                keep(name, output)

        def taken(weights: Tensor, values: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
            nonlocal first
            if first:
                heads = values if values.ndim > 3 else values.unsqueeze(0)
                keep(_FIRST, heads.transpose(1, 2).flatten(2))
            first = False
            return product(weights)

        handle = network.register_forward_pre_hook(begin)
        try:
            with unfused(model), recording(modules, before), Watching(taken):
                yield
        finally:
            handle.remove()

    for draw in DRAWS:
        responses = measure(model, record, samples, draw, tick)
        if _FIRST not in responses:
            return None
        axes = locate(responses[_FIRST], arrangements(responses.values()), model, samples)
        if axes.time_axis == 1 or (axes.tokens is not None and axes.tokens.axis == 1):
            return bounded(model, record, _FIRST, axes, samples, tick)
    raise NotApplicableError(
        f"found no order in time among the tokens of {model.name}; use integrated-gradients"
    )
