"""L-MAC: a trained decoder reads the classifier's hidden layers and gives gains in one pass."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from earwitness.decoders.folder import Explainer, load_explainer, load_published
from earwitness.errors import NotApplicableError
from earwitness.methods.registry import register
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.types import Map

_SHIPPED = "earwitness.models.zoo"
_FOLDER = "weights"
_READ: dict[tuple[Path, int, str], Explainer] = {}
_INSTEAD = "use a method that asks anew for every question, such as optimised-mask or lrp"


@register(
    "lmac",
    summary="gains that a trained decoder reads off the model's hidden layers, in one pass",
    limits="how cells act on the decision one by one; it explains as it was trained to",
    paper="Paissan, Ravanelli, Subakan: Listenable Maps for Audio Classifiers, 2024",
    gives_gains=True,
    needs_training=True,
    cost=1,
)
def lmac(probe: Probe, *, decoder: str = "") -> Map:
    """Ask the decoder for the target's evidence; the map is the gains themselves, in (0, 1).

    Parameters
    ----------
    decoder : str
        Folder that ``earwitness train lmac`` wrote, or a file in the layout of the published
        weights; by default the decoder that comes with the model.
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
    """Raise ``NotApplicableError`` for a question or a model that a decoder was not trained for."""
    target, model = probe.target, probe.model
    if target.versus_index is not None:
        raise NotApplicableError(
            f"a decoder explains one output, not one versus another; {_INSTEAD}"
        )
    if target.sign < 0:
        raise NotApplicableError(f"a decoder explains a value, not what lowers it; {_INSTEAD}")
    if target.frames is not None and target.span is not None:
        raise NotApplicableError(
            f"a decoder explains the whole sound's answer, no span; {_INSTEAD}"
        )
    chosen = target.index != 0 if model.task == "regression" else not target.decided
    if chosen and not explainer.conditioned:
        raise NotApplicableError(
            f"this decoder explains the decided output only, not one that is chosen; {_INSTEAD}"
        )
    asked = explainer.facts.get("asked")
    if explainer.conditioned and asked and not asked[target.index]:
        raise NotApplicableError(
            f"this decoder was never asked about {target.label} in training; {_INSTEAD}"
        )
    explainer.require(model)


def _chosen(model: Model, folder: str) -> Explainer:
    if folder and Path(folder).is_file():
        return _published(Path(folder), model)
    if folder:
        return _stored(Path(folder))
    found = shipped(model)
    if found is None:
        raise NotApplicableError(
            f"no decoder comes with {model.name}; train one with earwitness train lmac, and name "
            "its folder with --set decoder=DIR"
        )
    return found


def shipped(model: Model) -> Explainer | None:
    """Return the decoder that the library brings for a model, if it does."""
    place = resources.files(_SHIPPED) / _FOLDER
    for name in sorted(one.name for one in place.iterdir() if one.is_dir()):
        if (place / name / "lmac" / "decoder.json").is_file():
            with resources.as_file(place / name / "lmac") as path:
                explainer = _stored(path)
            if explainer.model == fingerprint(model):
                return explainer
    return None


def _stored(folder: Path) -> Explainer:
    """Return a decoder from a folder, read again only if it was written anew."""
    try:
        written = (folder / "decoder.json").stat().st_mtime_ns
    except OSError:
        written = 0
    return _load(folder, written)


def _published(file: Path, model: Model) -> Explainer:
    """Return a decoder from a file, read again only if the file or the model changed."""
    key = (file, file.stat().st_mtime_ns, fingerprint(model))
    if key not in _READ:
        _READ.clear()  # they are large
        _READ[key] = load_published(file, model)
    return _READ[key]


@lru_cache(maxsize=4)
def _load(folder: Path, _written: int) -> Explainer:
    return load_explainer(folder)
