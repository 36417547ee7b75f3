"""PIQ: gains decoded from vector-quantised codes of the explained class."""

from __future__ import annotations

from pathlib import Path

from earwitness.decoders.piq import gains_of, load_piq
from earwitness.decoders.trained import LEARNED, Folders
from earwitness.errors import NotApplicableError
from earwitness.methods.l2i import refuse
from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import Map

FOLDERS = Folders("piq", LEARNED, load_piq)
_INSTEAD = "use a method without training, such as lime or lrp"


@register(
    "piq",
    summary="gains that a trained decoder makes of codes of the explained class, in one pass",
    limits="what the model does itself; the gains are patterns of loud cells of the class",
    paper="Paissan, Subakan, Ravanelli: Posthoc Interpretation via Quantization, 2023",
    gives_gains=True,
    needs_training=True,
    layerwise=True,
    cost=1,
)
def piq(probe: Probe, *, interpreter: str = "") -> Map:
    """Quantise the activations by the codes of the class and decode them; the map is the gains.

    Parameters
    ----------
    interpreter : str
        Folder written by ``earwitness train piq``.
    """
    model, target = probe.model, probe.target
    if not interpreter:
        raise NotApplicableError(
            f"no interpreter of piq comes with {model.name}; train one with earwitness train piq "
            "and give its folder with --set interpreter=DIR"
        )
    found = FOLDERS.load(Path(interpreter))
    if target.versus_index is not None:
        raise NotApplicableError(
            f"codes belong to one output, not to one versus another; {_INSTEAD}"
        )
    refuse(found, probe)
    if found.facts.get("asked", [])[target.index : target.index + 1] == [0]:
        raise NotApplicableError(
            f"this interpreter was trained on no sound decided as {target.label}, so it has no "
            f"codes for it; {_INSTEAD}"
        )
    found.network.to(probe.device)
    values, used = gains_of(found, model, probe.magnitude, probe.wave, target.index)
    probe.tick(1)
    details = {"interpreter": interpreter, "codes": used, "area": float(values.mean())}
    return Map(values, details)
