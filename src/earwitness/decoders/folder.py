"""A trained decoder with everything needed to use it, in memory and on disk.

On disk it is a folder with ``decoder.json`` and ``decoder.safetensors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from earwitness.decoders.published import PublishedDecoder, published_layers
from earwitness.decoders.slim import Decoder
from earwitness.decoders.trained import joined_windows, layers_of, require_model, windows_of
from earwitness.errors import ModelError, NotApplicableError, ParameterError
from earwitness.files import read_record, write_json
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import HiddenLayer
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.plane.cutting import soft_cut
from earwitness.plane.domains import linear_gains
from earwitness.plane.stft import Plane
from earwitness.weights import folder_of, read_torch, write_tensors

SCHEMA = 2  # version of the folder's layout
FILES = ("decoder.json", "decoder.safetensors")


@dataclass(frozen=True)
class Explainer:
    """A trained decoder of one model.

    Attributes
    ----------
    decoder : Decoder
    layers : tuple of HiddenLayer
        Layers whose activations are its input, deepest first.
    widths : tuple of int
        Channels of the decoder at each layer; for the published decoder, of the deepest block.
    plane : Plane
        Plane of its gains.
    model : dict
        Identity of the model it was trained for (``earwitness.models.fingerprint``).
    name : str
        Name of that model, for messages.
    facts : mapping
        Training settings and results; plain JSON values.
    domain : {"linear", "log1p"}
        Domain in which its gains multiply the magnitude (``mask_magnitude``).
    """

    decoder: Decoder | PublishedDecoder
    layers: tuple[HiddenLayer, ...]
    widths: tuple[int, ...]
    plane: Plane
    model: dict[str, Any]
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    domain: str = "linear"

    @property
    def conditioned(self) -> bool:
        """Whether it is conditioned on the target, or explains the decided output only."""
        return self.decoder.conditioned

    def require(self, model: Model) -> None:
        """Raise ``NotApplicableError`` if it was trained for another model."""
        require_model("decoder", "earwitness train lmac", self.name, self.plane, self.model, model)

    def gains(
        self,
        model: Model,
        magnitude: Tensor,
        wave: Tensor,
        target: int,
        share: float | None = None,
    ) -> Tensor:
        """Return gains (freq, frame) in [0, 1] for one sound, with one forward pass of the model.

        Parameters
        ----------
        magnitude : Tensor, shape (freq, frame)
        wave : Tensor, shape (samples,)
        target : int
            Index of the output to explain; ignored unless the decoder is conditioned.
        share : float, optional
            Share of cells to keep, for a sized decoder: where gains are at least one half.
        """
        logits = self.logits(model, magnitude, wave, target, share)
        gains = logits.sigmoid() if share is None else soft_cut(logits, share)
        return linear_gains(gains, magnitude, self.domain, scale=self.plane.n_fft / 2)

    def logits(
        self,
        model: Model,
        magnitude: Tensor,
        wave: Tensor,
        target: int,
        share: float | None = None,
    ) -> Tensor:
        """Return the logits (freq, frame) of the gains, which order the cells; see ``gains``."""
        with activations_of(model, self.layers) as recorded:
            if model.frontend is None:
                outputs = model(wave.unsqueeze(0))
            else:
                outputs = model.from_magnitude(magnitude.unsqueeze(0))
            maps = recorded.maps()
            conditioning: Any = None  # which the published decoder does not take
            if self.conditioned:
                conditioning = recorded.conditioning(
                    outputs, torch.tensor([target], device=wave.device)
                )
        windows = model.windows(len(wave))
        frames, total = self.plane.frames(windows[0][1]), magnitude.shape[-1]
        starts = [start for start, _ in windows]
        parts = windows_of(magnitude, starts, self.plane.hop, frames)
        shares = None if share is None else torch.full((len(parts),), share, device=wave.device)
        with torch.no_grad():
            found = self.decoder.logits(maps, conditioning, frames, parts, shares).float()
        return joined_windows(found, starts, self.plane.hop, total)


def make_decoder(
    kind: str, layers: Sequence[HiddenLayer], plane: Plane, widths: Sequence[int]
) -> Decoder | PublishedDecoder:
    """Return an untrained decoder: ``guided``, ``sized``, ``slim`` or ``published``.

    The first two take a share of cells; the others give soft masks only.

    Raises
    ------
    ParameterError
        If there is no such kind.
    NotApplicableError
        If ``kind`` is ``published`` and the layers are not like CNN14's last four blocks.
    """
    if kind in ("guided", "sized", "slim"):
        return Decoder(layers, plane, widths, sized=kind != "slim", guided=kind == "guided")
    if kind != "published":
        raise ParameterError(f"decoder is guided, sized, slim or published, got {kind!r}")
    deepest = layers[0].channels
    if [layer.channels * 2**k for k, layer in enumerate(layers)] != [deepest] * 4 or deepest % 8:
        raise NotApplicableError(
            "the published decoder takes four layers, each with half as many channels as the one "
            f"before it; these have {', '.join(str(layer.channels) for layer in layers)}: name "
            "CNN14's conv_block6 to conv_block3"
        )
    return PublishedDecoder(plane, deepest)


def _kind_of(decoder: Decoder | PublishedDecoder) -> str:
    if isinstance(decoder, PublishedDecoder):
        return "published"
    if decoder.guided:
        return "guided"
    return "sized" if decoder.sized else "slim"


def save_explainer(folder: Path, explainer: Explainer, *, half: bool = False) -> None:
    """Write a decoder to a folder, first the weights, then their description.

    Parameters
    ----------
    half : bool
        Whether to store numbers in half precision, at half the size; they are read as float32.
    """
    tensors = explainer.decoder.state_dict()
    if half:
        tensors = {name: one.half() for name, one in tensors.items()}
    write_tensors(folder / "decoder.safetensors", tensors)
    stored = {
        "schema": SCHEMA,
        "model": {"name": explainer.name, **explainer.model},
        "plane": asdict(explainer.plane),
        "layers": [asdict(layer) for layer in explainer.layers],
        "widths": list(explainer.widths),
        "kind": _kind_of(explainer.decoder),
        "domain": explainer.domain,
        "facts": explainer.facts,
    }
    write_json(folder / "decoder.json", stored)


def load_explainer(folder: Path) -> Explainer:
    """Load a decoder from a folder written by ``train lmac``.

    Raises
    ------
    ModelError
        If the folder contains no decoder, or its files do not match.
    """
    with folder_of("decoder", folder, FILES[1]):
        stored = read_record(folder / "decoder.json", {SCHEMA}, ModelError)
        layers = layers_of(stored["layers"])
        plane, widths = Plane(**stored["plane"]), tuple(stored["widths"])
        decoder = make_decoder(stored["kind"], layers, plane, widths)
        tensors = load_file(folder / "decoder.safetensors")
        decoder.load_state_dict({name: one.float() for name, one in tensors.items()})
        model = dict(stored["model"])
        name, domain = model.pop("name"), stored["domain"]
        if not isinstance(model["weights"], str) or domain not in ("linear", "log1p"):
            raise ValueError("no model, or another domain")
        if not all(isinstance(count, int) for count in [*stored["facts"].get("asked", ())]):
            raise ValueError("no counts")
        return Explainer(
            decoder.eval(), layers, widths, plane, model, name, dict(stored["facts"]), domain
        )


def load_published(path: Path, model: Model) -> Explainer:
    """Load weights in the layout of the published decoder, for a model with CNN14's blocks.

    The file does not record its classifier, so only the shapes can be checked.

    Parameters
    ----------
    path : Path
        A state dict saved by torch, with keys ``convt1.weight`` to ``convt9.bias``.

    Raises
    ------
    ModelError
        If the file is no such state dict.
    NotApplicableError
        If the model does not have CNN14's blocks.
    """
    state: Any = read_torch(path)
    layers = published_layers(model)
    decoder = make_decoder("published", layers, model.plane, ())
    try:
        decoder.load_state_dict(state)
    except Exception as error:
        text = " ".join(str(error).split())
        raise ModelError(f"{path}: the weights do not fit {model.name}: {text[:200]}") from error
    widths = (layers[0].channels,)
    return Explainer(
        decoder.eval(), layers, widths, model.plane, {"weights": fingerprint(model)}, model.name,
        {"file": path.name}, "log1p",
    )  # fmt: skip
