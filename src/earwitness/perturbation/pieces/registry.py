"""The registry of cuts into pieces, and the parser of a text such as ``mel x time``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from earwitness.errors import ParameterError
from earwitness.perturbation.pieces.decomposition import Partition, Pieces, Product
from earwitness.probe import Probe
from earwitness.registry import Registry, unknown

# aliases of cuts and of their combinations
_ALIASES = {"grid": ("mel", "time"), "sources": ("harmonic-percussive",)}


@dataclass(frozen=True)
class Sizes:
    """How finely to cut; each cut registers which of these it uses.

    Attributes
    ----------
    segments : int >= 0
        Number of time segments; 0 for four per second (one per 20 windows on a plane with
        windows shorter than 12.5 ms), 20 at most.
    bands : int >= 1
        Number of frequency bands.
    components : int >= 0
        Number of superpixels, or of components of a factorisation; 0 for the cut's default.
    stems : str
        Folder of separated sounds.
    """

    segments: int = 0
    bands: int = 8
    components: int = 0
    stems: str = ""


@dataclass(frozen=True)
class Cut:
    """A registered cut.

    Attributes
    ----------
    name, summary, paper : str
    function : callable
        ``function(probe, sizes)`` returns a ``Partition``, or ``Pieces`` that cannot be combined.
    count : callable
        ``count(sizes)`` returns the approximate number of pieces.
    reads : tuple of str
        The fields of ``Sizes`` that it uses.
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
    """Return a decorator that registers ``function(probe, sizes)`` as a cut."""

    def add(function: Function) -> Function:
        CUTS.add(Cut(name, summary, paper, function, count, reads))
        return function

    return add


def read_pieces(text: str) -> list[Cut]:
    """Parse a text such as ``grid``, ``mel x time`` or ``nmf x loudness`` into cuts.

    Raises
    ------
    UnknownNameError
        If there is no such cut; the message suggests the nearest name.
    """
    cuts = []
    for name in re.split(r"\sx\s", text.replace("\u00d7", " x ")):
        for resolved in _ALIASES.get(name.strip(), (name.strip(),)):
            if resolved not in (known := [one.name for one in CUTS.all()]):
                raise unknown("pieces", resolved, [*known, *_ALIASES])
            cuts.append(CUTS.get(resolved))
    return cuts


def cut(probe: Probe, text: str, sizes: Sizes) -> Pieces:
    """Decompose the plane of a probe into pieces.

    Parameters
    ----------
    text : str
        One cut, or several combined by `` x ``.

    Raises
    ------
    ParameterError
        If the cuts cannot be combined, or a size is out of range.
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
