"""Faster forward passes: batch norms folded into convolutions, and channels-last memory.

``optimise`` of a model selects the method: ``True`` (``torch.fx`` traces the network and folds its
batch norms), ``"compile"`` (``torch.compile``) or ``False``. Only passes on many inputs use it:
perturbations and sums of gradients. The first two inputs of every run are computed by the network
and by the faster copy; if the results differ, or the copy fails, the network is used. The network
itself is never changed; the copy takes as much memory as its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model

OUTPUT_TOLERANCE = 1e-4  # relative to the standard deviation over inputs and outputs
GRADIENT_TOLERANCE = 1e-3  # relative to the norm; a ReLU near its kink may switch
_ROUNDING = 5e-6  # relative to the largest output; float32 sums in another order
_CHECKED = 2  # inputs of every run that both networks compute
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Pass = Callable[[Tensor], Tensor]
_COPIES: PerModel[Model | None] = PerModel()


def prepared(model: Model) -> Model | None:
    """Return a faster copy of a model, made once per set of weights, or None if there is none.

    None for black boxes, with ``optimise=False``, and for networks without convolutions or that
    ``torch.fx`` cannot trace.
    """
    known = _COPIES.of(model)
    if model.optimise not in known:
        known[model.optimise] = _copy(model)
    return known[model.optimise]


def _copy(model: Model) -> Model | None:
    network = model.module
    if network is None or not model.optimise:
        return None
    faster: Any
    try:
        if model.optimise == "compile":
            faster = torch.compile(copy.deepcopy(network).eval().requires_grad_(False))
        elif any(isinstance(part, (*_CONVOLUTIONS, *_NORMS)) for part in network.modules()):
            faster = _folded(network).requires_grad_(False).to(memory_format=torch.channels_last)
        else:
            return None
    except Exception:  # a network that cannot be traced or compiled is used itself
        return None
    other = copy.copy(model)
    other.module = faster
    return other


def _folded(network: nn.Module) -> Any:
    """Return a traced copy in which norms are part of the convolution or linear layer before."""
    traced = fx.symbolic_trace(copy.deepcopy(network).eval())
    modules: dict[str, Any] = dict(traced.named_modules())
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    for node in calls:
        before: Any = node.args[0] if node.args else None
        norm = modules[str(node.target)]
        if not isinstance(norm, _NORMS) or not norm.track_running_stats or before not in calls:
            continue
        layer = modules[str(before.target)]
        once = sum(call.target == before.target for call in calls) == 1 == len(before.users)
        if not once or not isinstance(layer, (*_CONVOLUTIONS, nn.Linear)):
            continue
        if isinstance(layer, nn.Linear):
            traced.set_submodule(str(before.target), fuse_linear_bn_eval(layer, norm))
        else:
            traced.set_submodule(str(before.target), fuse_conv_bn_eval(layer, norm))
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


class Checked:
    """The function ``faster``, if its first two results agree with ``plain``; else ``plain``.

    Parameters
    ----------
    plain, faster : callable
        From inputs (batch, ...) to outputs or gradients (batch, ...), one for each input.
    agree : callable
        ``agree(found, wanted)`` compares two results for the same inputs.
    fewest : int
        Least number of inputs in a batch for the comparison; below it, ``plain`` is cheaper.
    """

    def __init__(
        self, plain: Pass, faster: Pass | None, agree: Callable[[Tensor, Tensor], bool], fewest: int
    ) -> None:
        self._plain, self._faster, self._agree, self._fewest = plain, faster, agree, fewest
        self._decided = False

    def __call__(self, batch: Tensor) -> Tensor:
        """Return one result for each input."""
        if self._faster is not None and not self._decided and len(batch) >= self._fewest:
            wanted, found = self._plain(batch[:_CHECKED]), _tried(self._faster, batch[:_CHECKED])
            same = found is not None and found.shape == wanted.shape and self._agree(found, wanted)
            self._decided, self._faster = True, self._faster if same else None
            if same and found is not None and len(batch) > _CHECKED:
                rest = self(batch[_CHECKED:])
                return torch.cat([found, rest])
        if self._faster is None or not self._decided:
            return self._plain(batch)
        found = _tried(self._faster, batch)
        return self._plain(batch) if found is None else found


def _tried(function: Pass, batch: Tensor) -> Tensor | None:
    """Return the result, or None if the function fails; the random state is restored."""
    try:
        with torch.random.fork_rng(devices=[]):
            return function(batch)
    except Exception:  # the network itself is evaluated next and may raise it again
        return None


def outputs_agree(found: Tensor, wanted: Tensor) -> bool:
    """Whether outputs differ by at most 1e-4 of their standard deviation (or by rounding)."""
    allowed = max(OUTPUT_TOLERANCE * float(wanted.std()), _ROUNDING * float(wanted.abs().max()))
    return float((found - wanted).abs().max()) <= allowed


def gradients_agree(found: Tensor, wanted: Tensor) -> bool:
    """Whether gradients differ by at most 1e-3 of their norm."""
    return float((found - wanted).norm()) <= GRADIENT_TOLERANCE * float(wanted.norm())
