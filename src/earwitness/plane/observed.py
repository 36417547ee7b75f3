"""The spectrogram that a network computes itself, as a plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from earwitness.plane.stft import Plane

_MOST_OVERLAP = 16  # windows over a sample; a plane of more costs time and shows nothing else
_LEAST_WINDOW = 16  # samples
_RESAMPLED = 0.1  # relative; a greater change of length is a change of rate, and not padding
_STFT = (torch.stft, Tensor.stft)
_Found = tuple[float, float]  # window and hop in samples


def observed_plane(
    parts: Sequence[nn.Module], forward: Callable[[Tensor], Any], waves: Tensor, rate: int
) -> Plane | None:
    """Return the plane of the first ``torch.stft`` of a forward pass, or None.

    A scripted network hides its calls, and some compute spectrograms by convolutions; for these the
    attributes ``n_fft``, ``hop_length`` and ``win_length`` of a module are read, as torchaudio and
    torchlibrosa name them.

    Parameters
    ----------
    parts : sequence of Module
        All modules of the model.
    forward : callable
        Evaluates the model on ``waves``; where it fails, attributes only are read.
    waves : Tensor, shape (batch, samples)
    rate : int
        Of ``waves``, in Hz.
    """
    watch = _Watch(waves)
    try:
        with watch:
            forward(waves)
    except Exception:  # it fails again where its outputs are needed, with an error of its own
        pass
    found = watch.found or _attributes(parts)
    if found is None:
        return None
    window = 2 * max(_LEAST_WINDOW // 2, round(found[0] / 2))
    hop = min(max(round(found[1]), window // _MOST_OVERLAP, 1), window // 2)
    return Plane(rate, window, hop) if window <= max(waves.shape[-1], rate) else None


class _Watch(TorchFunctionMode):
    """Remember window and hop of the first STFT, in samples of the input."""

    def __init__(self, waves: Tensor) -> None:
        super().__init__()
        self._shape = waves.shape
        self.found: _Found | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in _STFT and self.found is None:
            names = ("input", "n_fft", "hop_length", "win_length")
            self.found = self._read({**dict(zip(names, args, strict=False)), **given})
        return func(*args, **given)

    def _read(self, call: dict[str, Any]) -> _Found:
        length, size = call["input"].shape[-1], call["n_fft"]
        same = call["input"].numel() // length == self._shape[0]
        ratio = self._shape[-1] / length if same else 1.0
        ratio = ratio if abs(ratio - 1) > _RESAMPLED else 1.0
        window, hop = call.get("win_length") or size, call.get("hop_length") or size // 4
        return ratio * window, ratio * hop


def _attributes(parts: Sequence[nn.Module]) -> _Found | None:
    for module in (one for part in parts for one in part.modules()):
        size, hop = (_whole(module, name) for name in ("n_fft", "hop_length"))
        if size and hop:
            return _whole(module, "win_length") or size, hop
    return None


def _whole(module: nn.Module, name: str) -> int | None:
    value = getattr(module, name, None)
    return value if isinstance(value, int) and value > 0 else None
