"""L-MAC: a trained decoder maps the classifier's activations to gains in one forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Lt
from torch import Tensor
from torch.nn import functional

from earwitness.decoders.folder import FILES, Explainer, load_explainer, load_published
from earwitness.decoders.objective import Weights, distance, faith
from earwitness.decoders.trained import Folders, written
from earwitness.errors import NotApplicableError
from earwitness.layers.recording import require_one_call
from earwitness.methods.registry import register
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.models.target import overall
from earwitness.plane.cutting import cut, soft_cut
from earwitness.probe import Probe
from earwitness.types import Map

FOLDERS = Folders("lmac", FILES, load_explainer)
_READ: dict[tuple[Path, tuple[int, ...], str], Explainer] = {}
_CELLS = (4, 2)  # bins and frames per value of the change; an analysis window blurs finer ones
_RATE = 0.5  # of Adam, in units of the logits
_INSTEAD = "use a method without a trained decoder, such as optimised-mask or lrp"


def _passes(size: float, steps: int) -> int:
    return 6 * steps + (3 if size else 4) if steps else 1


@register(
    "lmac",
    summary="gains that a trained decoder computes from the model's activations, in one pass",
    limits="the effect of single cells; the gains follow what the decoder was trained for",
    paper="Paissan, Ravanelli, Subakan: Listenable Maps for Audio Classifiers, 2024",
    gives_gains=True,
    sized=True,
    own=("steps",),
    needs_training=True,
    layerwise=True,
    cost=lambda options: _passes(options["size"], options["steps"]),
)
def lmac(
    probe: Probe,
    *,
    decoder: str = "",
    size: Annotated[float, Ge(0), Lt(1)] = 0.0,
    steps: Annotated[int, Ge(0)] = 0,
) -> Map:
    """Evaluate the decoder for the target; the map is its gains, in [0, 1].

    Parameters
    ----------
    decoder : str
        Folder written by ``earwitness train lmac``, or a file in the layout of the published
        weights; by default the decoder shipped with the model.
    size : float
        Share of cells to keep, where gains are at least one half; 0 for soft gains of the
        decoder's own size. ``--keep area:10%`` sets it to 0.1.
    steps : int
        Gradient steps that refine the order of the cells for this clip. They raise the score, and
        are partly adversarial.
    """
    explainer = _chosen(probe.model, decoder)
    refuse(explainer, probe)
    device = probe.device
    explainer.decoder.to(device)
    given = (probe.model, probe.magnitude, probe.wave, probe.target.index)
    details: dict[str, Any] = {
        "decoder": decoder or "built in",
        "conditioned": explainer.conditioned,
    }
    if not (steps and size):
        values = explainer.gains(*given, size or None)
        probe.tick(1)
    if steps:
        share = size or float(values.mean())
        logits = explainer.logits(*given, share)
        probe.tick(1)
        values = soft_cut(refined(probe, logits, share, steps), share)
        details["notes"] = [
            f"refined by {steps} gradient steps on this sound: its scores are partly due to the "
            "optimisation, which finds cells that raise the score and need not be evidence"
        ]
    return Map(values, {**details, "area": float(values.mean())})


def refined(probe: Probe, logits: Tensor, share: float, steps: int) -> Tensor:
    """Return logits (freq, frame) after gradient steps on L-MAC's loss of the cut mask as sound.

    A change of the logits is optimised by Adam. It has a value for every 4 bins and 2 frames, and
    is interpolated.

    Parameters
    ----------
    logits : Tensor, shape (freq, frame)
    share : float
        Share of cells that the mask is cut to.
    steps : int
    """
    probe.require_gradients()
    model, weights = probe.model, Weights()
    index = torch.tensor([probe.target.index], device=probe.device)
    shares = torch.tensor([share], device=probe.device)
    with torch.no_grad():
        before, nothing = model(torch.stack([probe.wave, torch.zeros_like(probe.wave)])).split(1)
        probe.tick(2)
        scale = (overall(model, before) - overall(model, nothing)).abs().clamp(min=1e-6)[0]
        start = distance(model, before, index, before, scale)
    rows, columns = (-(-n // cell) for n, cell in zip(probe.shape, _CELLS, strict=True))
    change = torch.zeros(1, 1, rows, columns, device=probe.device, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=_RATE)

    def changed(by: Tensor) -> Tensor:
        return (
            logits
            + functional.interpolate(
                by, size=list(probe.shape), mode="bilinear", align_corners=False
            )[:, 0]
        )

    with torch.enable_grad(), model.frozen():
        for _ in range(steps):
            evidence = probe.sound(cut(changed(change), shares))
            outputs = model(torch.cat([evidence, probe.wave - evidence]))
            kept, left = (distance(model, one, index, before, scale) for one in outputs.split(1))
            change.grad = probe.differentiate(faith(weights, kept, left, start), change)
            probe.tick(4)
            optimiser.step()
    return changed(change.detach())[0]


def refuse(explainer: Explainer, probe: Probe) -> None:
    """Raise ``NotApplicableError`` for a target or a model that the decoder was not trained for."""
    target, model = probe.target, probe.model
    if target.versus_index is not None:
        raise NotApplicableError(
            f"a decoder explains one output, not one versus another; {_INSTEAD}"
        )
    if target.sign < 0:
        raise NotApplicableError(f"a decoder explains a value, not what lowers it; {_INSTEAD}")
    if target.frames is not None and target.span is not None:
        raise NotApplicableError(
            f"a decoder explains the output for the whole sound, not for a span; {_INSTEAD}"
        )
    chosen = target.index != 0 if model.task == "regression" else not target.decided
    if chosen and not explainer.conditioned:
        raise NotApplicableError(
            f"this decoder explains the decided output only, not another target; {_INSTEAD}"
        )
    explainer.require(model)
    trained = explainer.facts.get("asked", [])  # number of training sounds for each target
    if explainer.conditioned and trained[target.index : target.index + 1] == [0]:
        raise NotApplicableError(
            f"this decoder was never trained on the target {target.label}; {_INSTEAD}"
        )
    require_one_call(model, probe.samples)


def _chosen(model: Model, folder: str) -> Explainer:
    if folder and Path(folder).is_file():
        return _published(Path(folder), model)
    if folder:
        return FOLDERS.load(Path(folder))
    found = shipped(model)
    if found is None:
        built_in = [name for name, _ in FOLDERS.shipped()]
        if model.name in built_in:
            raise NotApplicableError(
                f"the decoder that comes with {model.name} was trained for other weights, labels "
                "or rate than this model has; train one with earwitness train lmac and give its "
                "folder with --set decoder=DIR"
            )
        raise NotApplicableError(
            f"no decoder comes with {model.name}; train one with earwitness train lmac and give "
            "its folder with --set decoder=DIR"
        )
    return found


def shipped(model: Model) -> Explainer | None:
    """Return the decoder shipped for a model, or None."""
    every = (explainer for _, explainer in FOLDERS.shipped())
    return next((one for one in every if one.model["weights"] == fingerprint(model)), None)


def _published(file: Path, model: Model) -> Explainer:
    """Return a decoder from a file, cached until the file or the model changes."""
    key = (file, written(file), fingerprint(model))
    if key not in _READ:
        _READ.clear()  # published decoders are large; only one is kept
        _READ[key] = load_published(file, model)
    return _READ[key]
