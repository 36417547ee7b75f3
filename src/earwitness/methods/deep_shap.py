"""DeepSHAP: DeepLIFT multipliers from random noise floors to the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from earwitness.errors import ParameterError
from earwitness.methods.noise import noise_floors
from earwitness.methods.registry import Map, register
from earwitness.probe import Probe

_STEPS = 16
_SAME = 1e-6
# functions of one number: the multiplier is a ratio of differences
_ELEMENTWISE = {
    *(torch.relu, functional.relu, Tensor.relu, functional.relu6, functional.hardtanh),
    *(functional.leaky_relu, functional.elu, functional.selu, functional.gelu, functional.silu),
    *(functional.hardswish, functional.mish, functional.softplus, functional.logsigmoid),
    *(torch.sigmoid, Tensor.sigmoid, functional.sigmoid, torch.tanh, Tensor.tanh, functional.tanh),
    *(torch.log, Tensor.log, torch.log10, Tensor.log10, torch.log2, torch.log1p, Tensor.log1p),
    *(torch.exp, Tensor.exp, torch.sqrt, Tensor.sqrt, torch.abs, Tensor.abs, torch.square),
    *(Tensor.square, torch.pow, Tensor.pow, Tensor.__pow__, torch.clamp, Tensor.clamp),
}
_IN_PLACE = {
    torch.relu_: torch.relu,
    functional.relu_: torch.relu,
    Tensor.relu_: torch.relu,
    Tensor.clamp_: torch.clamp,
    Tensor.log_: torch.log,
    Tensor.sigmoid_: torch.sigmoid,
    Tensor.tanh_: torch.tanh,
}
# functions of many numbers: the multiplier is the mean slope between the two
_MANY = {
    *(torch.amax, Tensor.amax, torch.logsumexp, Tensor.logsumexp, torch.softmax, Tensor.softmax),
    *(functional.softmax, functional.max_pool1d, functional.max_pool2d, torch.max_pool1d),
    *(torch.max_pool2d, functional.adaptive_max_pool1d, functional.adaptive_max_pool2d),
    *(functional.layer_norm, functional.group_norm, functional.instance_norm),
}
# functions that are linear in each of two numbers, and so only nonlinear if both vary
_PRODUCTS = {
    *(torch.mul, Tensor.mul, Tensor.__mul__, torch.matmul, Tensor.matmul, Tensor.__matmul__),
    *(torch.bmm, Tensor.bmm, torch.div, Tensor.div, Tensor.__truediv__),
    *(torch.maximum, torch.minimum, torch.hypot),
}


class _MeanSlope(torch.autograd.Function):
    """A function whose backward pass uses its mean slope between a pair of inputs.

    Even items of the batch are inputs, odd ones their backgrounds. For a function of one number
    the mean slope is the rescale rule of DeepLIFT; for others it is found along the straight way.
    """

    @staticmethod
    def forward(
        ctx: Any, function: Callable[..., Tensor], elementwise: bool, *values: Tensor
    ) -> Tensor:
        result = function(*values)
        ctx.function, ctx.elementwise = function, elementwise
        ctx.save_for_backward(result, *values)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        result, *values = ctx.saved_tensors
        upstream = gradients[0][0::2]
        ends = [(value[0::2], value[1::2]) for value in values]
        slopes = _mean_vjp(ctx.function, ends, upstream)
        if ctx.elementwise and not values[0].is_complex():
            (here, there), change = ends[0], result[0::2] - result[1::2]
            apart = here - there
            far = apart.abs() > _SAME * (here.abs() + there.abs())
            ratio = change / torch.where(far, apart, torch.ones_like(apart))
            slopes = [torch.where(far, upstream * ratio, slopes[0])]
        pairs = [torch.stack([s, torch.zeros_like(s)], dim=1).flatten(0, 1) for s in slopes]
        return (None, None, *pairs)


def _mean_vjp(
    function: Callable[..., Tensor], ends: list[tuple[Tensor, Tensor]], upstream: Tensor
) -> list[Tensor]:
    """Return the gradient of the function, averaged over the straight way between its inputs."""
    totals = [torch.zeros_like(here) for here, _ in ends]
    for step in range(_STEPS):
        place = (step + 0.5) / _STEPS
        points = [(there + place * (here - there)).requires_grad_() for here, there in ends]
        with torch.enable_grad():
            found = torch.autograd.grad(function(*points), points, upstream)
        for total, slope in zip(totals, found, strict=True):
            total += slope / _STEPS
    return totals


class _RescaleMode(TorchFunctionMode):
    """Give every nonlinear function its mean slope, however the network calls it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        asked, given = args, dict(kwargs or {})
        plain = cast(Callable[..., Any], _IN_PLACE.get(func, func))
        in_place = func in _IN_PLACE
        if plain is functional.relu or "inplace" in given:
            in_place = bool(given.pop("inplace", args[1:] == (True,))) or in_place
            args = args[:1] if plain is functional.relu else args
        varying = [k for k, one in enumerate(args) if isinstance(one, Tensor) and one.requires_grad]
        elementwise = plain in _ELEMENTWISE and varying == [0]
        nonlinear = plain in _MANY or (plain in _PRODUCTS and len(varying) == 2)
        if not varying or not (elementwise or nonlinear):
            return func(*asked, **dict(kwargs or {}))

        def function(*values: Tensor) -> Tensor:
            filled = list(args)
            for k, value in zip(varying, values, strict=True):
                filled[k] = value.clone()  # it may be told by position to work in place
            result: Tensor = plain(*filled, **given)
            return result

        values = [args[k].clone() if in_place else args[k] for k in varying]
        result = _MeanSlope.apply(function, elementwise, *values)  # type: ignore[no-untyped-call]
        return args[0].copy_(result) if in_place else result


@register(
    "deep-shap",
    summary="DeepLIFT multipliers from random noise floors to the input, averaged; they add up",
    paper="Lundberg, Lee: A Unified Approach to Interpreting Model Predictions, 2017, section 4.2; "
    "Shrikumar, Greenside, Kundaje: Learning Important Features Through Propagating Activation "
    "Differences, 2017",
    signed=True,
    complete=True,
    needs_gradients=True,
    cost=lambda options: 12 * int(options["samples"]),
)
def deep_shap(probe: Probe, *, samples: int = 8, noise: float = 0.01) -> Map:
    """Compute the mean over ``b`` of ``(m - b)`` times the score's multiplier from ``b`` to ``m``.

    ``m`` is the input's magnitude, ``b`` the magnitude of complex Gaussian noise. The multiplier of
    a function of one number is the ratio of differences (the rescale rule); that of a function of
    many, such as a maximum or a product of two activations, is its mean slope on the straight way,
    which is the same for one number. The rules apply to every call of such a function, whether by a
    module, as a function, in place or repeatedly. What is not known to the rules keeps its plain
    gradient; that shows in the ``completeness_gap``, the sum of the map minus the change of score.

    Parameters
    ----------
    samples : int >= 1
        Backgrounds.
    noise : float >= 0
        Standard deviation of the background, relative to the root mean square of the magnitude.
    """
    if samples < 1 or noise < 0:
        raise ParameterError(
            f"deep-shap: samples must be at least 1 and noise not negative, got {samples} and "
            f"{noise}"
        )
    probe.require_gradients()
    total = torch.zeros_like(probe.magnitude)
    change = 0.0
    for background in noise_floors(probe, int(samples), float(noise)):
        pair = torch.stack([probe.magnitude, background]).requires_grad_()
        with torch.enable_grad(), probe.model.frozen():
            with _RescaleMode():
                scores = probe.score_magnitude(pair)
            multiplier = probe.differentiate(scores[:1], pair)[0]
        total += (probe.magnitude - background) * multiplier / samples
        change += float((scores[0] - scores[1]).detach().double()) / samples
    gap = float(total.double().sum()) - change
    return Map(total, {"completeness_gap": gap, "score_change": change, "samples": int(samples)})
