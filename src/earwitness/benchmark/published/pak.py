"""The tables of Pak and Teryokhina (2025), and what their choice of masks rests on.

``pak.csv`` holds the 280 rows of the supplementary tables of
https://github.com/exile8/audio-xai (folder ``supplementary/exported_csvs``): two front ends, four
scenarios, four methods, fourteen masks, and seven metrics averaged over the 400 clips of fold 5 of
ESC-50.

The publication chooses one mask for each front end, scenario and method, by the geometric mean of
the metrics after scaling each to [0, 1]. Its text scales within the 14 rows of the choice, its code
over all 280 rows, and the printed choices are those of the code.

Sparseness and complexity of a constant mask are 0 in these tables, and 0 is the best complexity.
The share of clips with a constant mask follows from the means: for binary masks that keep a share
``q`` of ``d`` cells, sparseness is ``1 - q`` and complexity ``ln(q d)``, so means over clips are
these times the share of masks that are not constant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from earwitness.benchmark.rows import MOST_DEGENERATE
from earwitness.errors import OutputError
from earwitness.files import read_table
from earwitness.metrics.ranking import published_score
from earwitness.metrics.registry import Array

FIGURES = ("FF", "AI", "AG", "FidIn", "SPS", "AD", "COMP")
LOWER = ("AD", "COMP")
CELLS = {"stft_db": 257 * 313, "mel_db": 64 * 501}  # bins times frames of a clip of 5 s
_EVEN = 0.99  # share of cells of an even mask with the same entropy, above which a mask is even
Row = dict[str, str]


@dataclass(frozen=True)
class Choice:
    """A mask that the publication chose.

    Attributes
    ----------
    frontend, scenario, method, mask : str
        As in the table.
    score : float
        Geometric mean of the scaled metrics, in [0, 1], scaled over all rows.
    stated : str
        The mask under the rule of the paper's text.
    degenerate : str or None
        ``constant`` if more than a tenth of the clips have a constant mask; ``even`` if the masks
        have the entropy of an even mask over more than 99 % of the cells.
    constant : float
        Estimated share of clips whose mask is constant, in [0, 1]; 0 for soft masks.
    even : float
        Share of cells of an even mask with the mean complexity of the masks that are not constant.
    corrected : str
        The mask chosen if constant masks had their own complexity, ``ln d``, and all else stayed.
    """

    frontend: str
    scenario: str
    method: str
    mask: str
    score: float
    stated: str
    degenerate: str | None
    constant: float
    even: float
    corrected: str

    @property
    def changes(self) -> bool:
        """Whether the rule of the paper's text chooses another mask."""
        return self.stated != self.mask


@cache
def read_rows() -> tuple[Row, ...]:
    """Return the 280 rows."""
    return tuple(read_table(Path(__file__).parent / "pak.csv", OutputError))


def choices(rows: Sequence[Row]) -> list[Choice]:
    """Return the choice for each front end, scenario and method, in order of the rows."""
    tables: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        tables.setdefault((row["frontend"], row["scenario"], row["method"]), []).append(row)
    every, amended = _columns(rows), _corrected(rows)
    return [_choice(some, every, amended) for some in tables.values()]


def _choice(some: Sequence[Row], every: dict[str, Array], amended: dict[str, Array]) -> Choice:
    own = _columns(some)
    scores = published_score(own, every, LOWER)
    row = some[int(scores.argmax())]
    stated = some[int(published_score(own, own, LOWER).argmax())]
    corrected = some[int(published_score(_corrected(some), amended, LOWER).argmax())]
    constant = constant_share(row)
    even = math.exp(float(row["COMP"]) / (1 - constant)) / CELLS[row["frontend"]]
    degenerate = "constant" if constant > MOST_DEGENERATE else "even" if even > _EVEN else None
    return Choice(
        frontend=row["frontend"],
        scenario=row["scenario"],
        method=row["method"],
        mask=row["mask"],
        score=float(scores.max()),
        stated=stated["mask"],
        degenerate=degenerate,
        constant=constant,
        even=even,
        corrected=corrected["mask"],
    )


def constant_share(row: Row) -> float:
    """Return the share of clips with a constant mask, from a row's sparseness and complexity.

    Exact for ``topK`` masks, whose size is known; for ``bin`` the masks that are not constant are
    taken to be of one size. Masks of other rules are soft or never constant.
    """
    sparse, complexity = float(row["SPS"]), float(row["COMP"])
    cells, rule = CELLS[row["frontend"]], row["mask"]
    if rule.startswith("topK_"):
        kept = int(rule.split("_")[1]) / 100
    elif rule == "bin" and 0 < sparse < complexity:
        kept = _kept(sparse / complexity, cells)
    else:
        return 0.0
    return min(max(1 - complexity / math.log(kept * cells), 0.0), 1.0)


def _kept(ratio: float, cells: int) -> float:
    """Return ``q`` with ``(1 - q) / ln(q cells) = ratio``, which decreases with ``q``."""
    from scipy.optimize import brentq

    def excess(kept: float) -> float:
        return (1 - kept) / math.log(kept * cells) - ratio

    return float(brentq(excess, 2 / cells, 1.0, xtol=1e-12))


def _columns(rows: Sequence[Row]) -> dict[str, Array]:
    return {name: np.array([float(row[name]) for row in rows]) for name in FIGURES}


def _corrected(rows: Sequence[Row]) -> dict[str, Array]:
    """Return the columns with the complexity that constant masks have."""
    found = _columns(rows)
    largest = np.array([constant_share(row) * math.log(CELLS[row["frontend"]]) for row in rows])
    return {**found, "COMP": found["COMP"] + largest}


def table(found: Sequence[Choice]) -> str:
    """Return the choices as Markdown, with what is to be read from them."""
    head = ("front end", "scenario", "method", "mask", "score", "by the text", "rests on")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for one in found:
        cells = (one.frontend, one.scenario, one.method, one.mask, f"{one.score:.3f}")
        stated = f"**{one.stated}**" if one.changes else "same"
        lines.append(f"| {' | '.join((*cells, stated, _basis(one)))} |")
    changed = sum(one.changes for one in found)
    flat = sum(one.degenerate is not None for one in found)
    other = [f"{one.frontend} {one.scenario} {one.method}: {one.corrected} instead of {one.mask}"
             for one in found if one.corrected != one.mask]  # fmt: skip
    lines += [
        "",
        f"{len(found)} published choices. Under the rule as the paper's text states it (metrics "
        f"scaled within the {len(read_rows()) // len(found)} masks of a choice, not over all "
        f"{len(read_rows())} rows) {changed} change, in bold.",
        "",
        f"{flat} rest on degenerate masks: constant in more than {MOST_DEGENERATE:.0%} of the "
        "clips, or even over nearly all cells. A constant mask has complexity 0 in these tables, "
        "the best value; it is ln(cells), the worst. With that alone put right, "
        f"{len(other)} choices change: {'; '.join(other)}.",
    ]
    return "\n".join(lines) + "\n"


def _basis(one: Choice) -> str:
    if one.degenerate == "even":
        return f"masks even over {one.even:.1%} of the cells"
    return f"{one.constant:.2%} constant masks" if one.constant > 0.001 else ""
