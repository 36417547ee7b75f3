"""How a way of cutting joins, and how a text such as ``mel x time`` is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from earwitness.errors import ParameterError
from earwitness.perturbation.pieces.decomposition import Partition, Pieces, Product
from earwitness.probe import Probe
from earwitness.registry import Registry, unknown

# everyday names of cuts and of combinations
_MEANT = {"grid": ("mel", "time"), "sources": ("harmonic-percussive",)}


@dataclass(frozen=True)
class Sizes:
    """How finely to cut; each way of cutting says which of them it reads.

    Attributes
    ----------
    segments : int >= 0
        Segments of time; 0 for four a second, 20 at most.
    bands : int >= 1
        Bands of frequency.
    components : int >= 1
        Superpixels, or parts of a factorisation; 0 for as many as each thinks fit.
    stems : str
        Folder of separated sounds.
    """

    segments: int = 0
    bands: int = 8
    components: int = 0
    stems: str = ""


@dataclass(frozen=True)
class Cut:
    """A way of cutting and its facts.

    Attributes
    ----------
    name, summary, paper : str
    function : callable
        ``function(probe, sizes)`` returns a ``Partition``, or ``Pieces`` that cannot be combined.
    count : callable
        ``count(sizes)`` returns about how many pieces it makes.
    reads : tuple of str
        The sizes that it reads.
    """

    name: str
    summary: str
    paper: str
    function: Callable[[Probe, Sizes], Partition | Pieces]
    count: Callable[[Sizes], int]
    reads: tuple[str, ...]


CUTS: Registry[Cut] = Registry("pieces", "earwitness.perturbation.pieces", "earwitness.pieces")
Function = Callable[[Probe, Sizes], Partition | Pieces]


def register(
    name: str,
    *,
    summary: str,
    count: Callable[[Sizes], int],
    paper: str = "",
    reads: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Register ``function(probe, sizes)`` under a name, with its facts."""

    def add(function: Function) -> Function:
        CUTS.add(Cut(name, summary, paper, function, count, reads))
        return function

    return add


def read_pieces(text: str) -> list[Cut]:
    """Return the cuts that a text such as ``grid``, ``mel x time`` or ``nmf x loudness`` names.

    Raises
    ------
    UnknownNameError
        With the nearest name there is.
    """
    cuts = []
    for name in re.split(r"\sx\s", text.replace("\u00d7", " x ")):
        for meant in _MEANT.get(name.strip(), (name.strip(),)):
            if meant not in (known := [one.name for one in CUTS.all()]):
                raise unknown("pieces", meant, [*known, *_MEANT])
            cuts.append(CUTS.get(meant))
    return cuts


def cut(probe: Probe, text: str, sizes: Sizes) -> Pieces:
    """Cut the plane of a probe.

    Parameters
    ----------
    text : str
        One way of cutting, or several joined by `` x ``.

    Raises
    ------
    ParameterError
        If the ways cannot be combined, or a size is out of range.
    """
    if sizes.segments < 0 or sizes.bands < 1 or sizes.components < 0:
        raise ParameterError(
            f"pieces: segments and components must be >= 0 and bands >= 1, got {sizes.segments}, "
            f"{sizes.components} and {sizes.bands}"
        )
    made = [one.function(probe, sizes) for one in read_pieces(text)]
    partitions = [one for one in made if isinstance(one, Partition)]
    if len(partitions) == len(made):
        return Product(probe.shape, partitions)
    if len(made) == 1 and isinstance(made[0], Pieces):
        return made[0]
    alone = next(one.name for one, got in zip(read_pieces(text), made, strict=True)
                 if isinstance(got, Pieces))  # fmt: skip
    raise ParameterError(f"pieces: {alone} cuts both axes at once and cannot be combined")
