"""What trained explainers share: the model they belong to, windows of long sounds, their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from earwitness.errors import NotApplicableError
from earwitness.files import replacing, unwritable
from earwitness.layers.finding import HiddenLayer
from earwitness.models.fingerprint import PerModel, changed, fingerprint, identity
from earwitness.models.model import Model
from earwitness.plane.stft import Plane
from earwitness.plane.windows import joined

V = TypeVar("V")
_CHECKED: PerModel[list[float]] = PerModel()  # outputs of models, for comparison
_SHIPPED = "earwitness.models.zoo"
_WEIGHTS = "weights"
_MOST_KEPT = 4  # loaded folders
_State = tuple[tuple[int, ...], ...]


def require_model(
    what: str, command: str, name: str, plane: Plane, trained_for: Mapping[str, Any], model: Model
) -> None:
    """Raise ``NotApplicableError`` if a trained explainer belongs to another model.

    Parameters
    ----------
    what, command : str
        ``decoder`` and ``earwitness train lmac``, for the message.
    name : str
        Name of the model that it was trained for.
    plane : Plane
        Plane that it was trained on.
    trained_for : mapping
        Identity of that model (``earwitness.models.fingerprint``).
    """
    if plane.rate != model.rate:
        raise NotApplicableError(
            f"this {what} was trained for {name} at {plane.rate} Hz, not for {model.name} at "
            f"{model.rate} Hz; train one with {command}"
        )
    if plane != model.plane:
        raise NotApplicableError(
            f"this {what} was trained for {name} on another plane ({plane}), not for {model.name} "
            f"on {model.plane}; wrap(..., plane=) sets the plane of a model"
        )
    if trained_for["weights"] != fingerprint(model):
        raise NotApplicableError(
            f"this {what} was trained for {name} (weights {trained_for['weights']}), not for "
            f"{model.name} as it is (weights {fingerprint(model)}); train one with {command}"
        )
    if not trained_for.get("outputs"):  # of an earlier version, or of the published layout
        return
    known = _CHECKED.of(model)
    if "outputs" not in known:
        known["outputs"] = identity(model)["outputs"]
    if changed(trained_for, {**trained_for, "outputs": known["outputs"]}):
        raise NotApplicableError(
            f"this {what} was trained for {name} with other outputs than {model.name} has now, "
            f"with the same weights; train one with {command}"
        )


def first_frames(starts: Sequence[int], hop: int, length: int, total: int) -> list[int]:
    """Return the first frame of windows that start at samples, the last one up to the end.

    Rounding of starts to frames could leave the last frame of ``total`` uncovered by windows of
    ``length`` frames.
    """
    frames = [round(start / hop) for start in starts]
    return [*frames[:-1], max(frames[-1], total - length)] if len(frames) > 1 else frames


def joined_windows(found: Tensor, starts: Sequence[int], hop: int, total: int) -> Tensor:
    """Cross-fade results (window, row, frame) of windows that start at samples.

    Returns
    -------
    Tensor, shape (row, ``total``)
    """
    frames = first_frames(starts, hop, found.shape[-1], total)
    return joined(list(found), frames, total, fade=True)


def layers_of(stored: Sequence[Mapping[str, Any]]) -> tuple[HiddenLayer, ...]:
    """Return layers from their JSON values."""
    return tuple(
        HiddenLayer(**{**one, "freqs": tuple(one["freqs"]), "flips": tuple(one["flips"])})
        for one in stored
    )


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as partial:
            save_file({name: one.contiguous().cpu() for name, one in tensors.items()}, partial)
    except SafetensorError as error:  # a full disk
        raise unwritable(path, error) from error


class Folders(Generic[V]):
    """Folders of trained explainers of one kind, loaded again when a file of them is written.

    Parameters
    ----------
    kind : str
        Name of the folder beside the weights of a built-in model: ``lmac``.
    files : sequence of str
        Names of its files, the description first.
    load : callable
    """

    def __init__(self, kind: str, files: Sequence[str], load: Callable[[Path], V]) -> None:
        self.kind, self.files, self._load = kind, tuple(files), load
        self._kept: dict[Path, tuple[_State, V]] = {}

    def load(self, folder: Path) -> V:
        """Return what a folder holds."""
        state = tuple(written(folder / name) for name in self.files)
        known = self._kept.get(folder)
        if known is not None and known[0] == state:
            return known[1]
        while len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[folder] = (state, self._load(folder))
        return self._kept[folder][1]

    def shipped(self) -> Iterator[tuple[str, V]]:
        """Yield all that come with built-in models, with the names of the models."""
        place = resources.files(_SHIPPED) / _WEIGHTS
        for name in sorted(one.name for one in place.iterdir() if one.is_dir()):
            if (place / name / self.kind / self.files[0]).is_file():
                with resources.as_file(place / name / self.kind) as path:
                    yield name, self.load(path)


def written(file: Path) -> tuple[int, ...]:
    """Return what changes when a file is written again."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)
