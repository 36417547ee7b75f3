"""L-MAC: a trained decoder maps the classifier's activations to gains in one forward pass."""

from __future__ import annotations

from pathlib import Path

from earwitness.decoders.folder import FILES, Explainer, load_explainer, load_published
from earwitness.decoders.trained import Folders, written
from earwitness.errors import NotApplicableError
from earwitness.layers.recording import require_one_call
from earwitness.methods.registry import register
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.types import Map

FOLDERS = Folders("lmac", FILES, load_explainer)
_READ: dict[tuple[Path, tuple[int, ...], str], Explainer] = {}
_INSTEAD = "use a method without a trained decoder, such as optimised-mask or lrp"


@register(
    "lmac",
    summary="gains that a trained decoder computes from the model's activations, in one pass",
    limits="the effect of single cells; the gains follow what the decoder was trained for",
    paper="Paissan, Ravanelli, Subakan: Listenable Maps for Audio Classifiers, 2024",
    gives_gains=True,
    needs_training=True,
    layerwise=True,
    cost=1,
)
def lmac(probe: Probe, *, decoder: str = "") -> Map:
    """Evaluate the decoder for the target; the map is its gains, in (0, 1).

    Parameters
    ----------
    decoder : str
        Folder written by ``earwitness train lmac``, or a file in the layout of the published
        weights; by default the decoder shipped with the model.
    """
    explainer = _chosen(probe.model, decoder)
    refuse(explainer, probe)
    device = probe.device
    explainer.decoder.to(device)
    values = explainer.gains(probe.model, probe.magnitude, probe.wave, probe.target.index)
    probe.tick(1)
    details = {
        "decoder": decoder or "built in",
        "conditioned": explainer.conditioned,
        "area": float(values.mean()),
    }
    return Map(values, details)


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
