"""A picture of the relevance of components for classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from earwitness.render.lettering import families
from earwitness.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_matrix(labels: Sequence[str], numbers: Sequence[int], values: FloatArray) -> Figure:
    """Plot mean relevance (class, component), red for a class and blue against it.

    Parameters
    ----------
    labels : sequence of str
        Of the rows.
    numbers : sequence of int
        Of the columns, as components are numbered.
    values : ndarray, shape (class, component)
        Colours end at -1 and 1.
    """
    from matplotlib.figure import Figure

    size = (2.5 + 0.22 * max(12, len(numbers)), 1.2 + 0.28 * max(4, len(labels)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    figure.colorbar(shown, ax=axes, label="mean relevance")
    axes.set_xticks(range(len(numbers)), [str(one) for one in numbers], rotation=90, fontsize=7)
    axes.set_yticks(range(len(labels)), labels)
    for text in axes.get_yticklabels():
        text.set(fontfamily=families(text.get_text()), parse_math=False, usetex=False)
    axes.set(xlabel="component", ylabel="decided class")
    return figure
