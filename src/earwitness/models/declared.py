"""The first outputs of a model for a sound, compared with what was declared about them.

A softmax applied twice, or frames taken for classes, make an explanation of something else without
any error. Both are visible in the outputs: probabilities lie in [0, 1] whatever the sound, and the
number of frames depends on its length. A model that draws at random, or keeps a state, has other
outputs in a second call. Each check is made once per set of weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.errors import ModelError, OutputShapeError
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model

_LEVELS = (0.3, 0.03, 0.003)  # standard deviations of the noises, full scale at 1
_TOLERANCE = 1e-2  # of sums; half precision rounds to about 1e-3
_SAME = 1e-3  # of the largest output; libraries do not always round alike
_LEAST_SECONDS = 0.05  # s, length of a shortened sound
_NOTES: PerModel[tuple[str, ...]] = PerModel()


def outputs_for(model: Model, wave: Tensor, *, batches: bool = False) -> Tensor:
    """Return the model's outputs (output[, frame]) for a sound, checked against its declaration.

    Parameters
    ----------
    wave : Tensor, shape (samples,)
    batches : bool
        Whether to decide too if inputs can share a batch (``Model.settle``).

    Raises
    ------
    ModelError
        If logits are declared, or nothing is, and the outputs for the sound and for noise are
        probabilities; or if the number of outputs depends on the length of the sound.
    """
    with torch.no_grad():
        outputs = (model.settle if batches else model)(wave.unsqueeze(0))[0]
        known = _NOTES.of(model)
        if not known and bool(outputs.any()):  # zeros only tell nothing
            checks = (_check_scale, _check_axes, _check_repeats)
            known[""] = tuple(note for check in checks for note in check(model, wave, outputs))
    return outputs


def declaration_notes(model: Model) -> tuple[str, ...]:
    """Return notes on what the outputs are; empty before the first call of ``outputs_for``."""
    return _NOTES.of(model).get("", ())


def _check_scale(model: Model, wave: Tensor, outputs: Tensor) -> tuple[str, ...]:
    if model.output != "logits":
        return ()
    logs = _sums_to_one(outputs.exp())
    if not logs and not _within(outputs):
        return ()
    every = [outputs, *_noises(model, wave)]
    if logs and all(_sums_to_one(one.exp()) for one in every):
        if model.task == "multi-label":
            raise ModelError(
                f"{model.name}: outputs are log-probabilities of classes that exclude each other "
                "(a log-softmax), and a sigmoid of them means nothing; use task='single-label'"
            )
        return ("outputs are log-probabilities: read as logits, which is the same",)
    if not all(map(_within, every)):
        return ()
    if all(map(_sums_to_one, every)):
        raise ModelError(
            f"{model.name}: outputs are probabilities already (they lie in [0, 1] and sum to 1, "
            "for the sound and for noise), and a softmax would be applied twice; use "
            "output='probabilities'"
        )
    if model.declared:
        return ("outputs lie in [0, 1] for the sound and for noise: read as logits, as declared",)
    raise ModelError(
        f"{model.name}: outputs lie in [0, 1] for the sound and for noise, and it was not declared "
        "what they are; use output='probabilities', task='multi-label' if they are sigmoids, "
        "output='logits' if a softmax or a sigmoid is still to follow (as for similarities), or "
        "output='scores' for a regression"
    )


def _check_axes(model: Model, wave: Tensor, outputs: Tensor) -> tuple[str, ...]:
    """Evaluate another length: outputs stay as many, frames do not."""
    if model.labelled:
        return ()
    other = _other_length(model, wave)
    frames = None
    if other is not None:
        try:
            frames = model(other.unsqueeze(0)).shape[-1]
        except OutputShapeError:
            raise
        except ModelError:  # it takes this length only
            pass
    if not model.per_frame or frames not in (None, outputs.shape[-1]):
        return ()
    text = f"{outputs.shape[0]} outputs in each of {outputs.shape[1]} frames"
    return (f"{text}, by the order of axes (batch, frame, output); labels would confirm it",)


def _check_repeats(model: Model, wave: Tensor, outputs: Tensor) -> tuple[str, ...]:
    """Evaluate the sound once more, with the random state that the first call left."""
    change = float((model(wave.unsqueeze(0))[0] - outputs).abs().max())
    if change <= _SAME * float(outputs.abs().max()):
        return ()
    return (
        f"outputs for one sound differ by {change:.2g} from call to call: the model draws at "
        "random, or keeps a state; every figure is of one call (earwitness check says more)",
    )


def _other_length(model: Model, wave: Tensor) -> Tensor | None:
    """Return half of a sound, or twice the sound, whichever length the model takes."""
    length = min(len(wave), model.longest or len(wave))
    least = max(model.shortest or 0, round(_LEAST_SECONDS * model.rate))
    if length // 2 >= least:
        return wave[: length // 2]
    if 2 * length > (model.longest or 2 * length):
        return None
    return torch.cat([wave[:length]] * 2)


def _noises(model: Model, wave: Tensor) -> list[Tensor]:
    """Return the outputs for white noise of several levels, as long as the sound."""
    length = min(len(wave), model.longest or len(wave))
    noise = torch.randn(length, generator=torch.Generator().manual_seed(0)).to(wave)
    with model.undisturbed():
        return [model((level * noise).unsqueeze(0))[0] for level in _LEVELS]


def _within(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1 + _TOLERANCE)).all())


def _sums_to_one(outputs: Tensor) -> bool:
    several = outputs.shape[0] > 1 and _within(outputs)
    return several and bool(((outputs.sum(dim=0) - 1).abs() <= _TOLERANCE).all())
