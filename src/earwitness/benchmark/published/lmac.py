"""The tables of L-MAC (Paissan et al. 2024), and what their numbers say about how they were made.

``lmac.csv`` holds the 110 rows of tables 1, 2, 4 and 5 of "Listenable Maps for Audio Classifiers"
(ICML 2024), as printed, misprints included.

- **Halved rows.** The complexity of a mask is an entropy, and depends on the mask alone. In the
  in-domain rows it is one half of that of the same method on mixtures, for nearly every method, and
  so is sparseness. The published code divides sums by twice the number of clips where it evaluates
  one sound per clip: all in-domain figures are half of their value.
- **Average drop.** The published code applies a softmax to probabilities. With ``q`` the outcome,
  ``q(evidence) / q(input)`` is at least ``exp(p(evidence) - p(input))`` times a factor near 1, so
  the drop is at most about ``1 - exp(-p)`` of the input's probability ``p``, and never above
  ``1 - 1/e``, 63.2 %. Where the table has a row of all-ones masks, its FF is the mean ``p`` (less
  the probability of silence), which gives the cap of the rows beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from earwitness.errors import OutputError
from earwitness.files import read_table

FIGURES = ("AI", "AD", "AG", "FF", "FidIn", "SPS", "COMP", "MM")
CAP = 100 * (1 - math.exp(-1))  # %, largest drop under two softmaxes
_IN_DOMAIN = "wham_0dB"
_NEAR = 0.02  # of one half; figures are printed with two decimals
Row = dict[str, str]


@dataclass(frozen=True)
class Finding:
    """A row, and what is to be told from it.

    Attributes
    ----------
    table, dataset, contamination, plane, method : str
    figures : dict of str to float or None
        As printed; None where the table has no figure.
    complexity_ratio, sparseness_ratio : float or None
        In-domain figure over that on mixtures of the same data set, plane and method.
    halved : bool or None
        Whether the complexity is one half, to 4 %; None if there is nothing to compare.
    cap : float
        Largest average drop under two softmaxes, in %: at the mean probability of the input where
        a row of all-ones masks gives it.
    single : float or None
        Estimated average drop under one softmax, in %, from means over clips.
    """

    table: str
    dataset: str
    contamination: str
    plane: str
    method: str
    figures: dict[str, float | None]
    complexity_ratio: float | None
    sparseness_ratio: float | None
    halved: bool | None
    cap: float
    single: float | None

    def facts(self) -> dict[str, Any]:
        """Return it as plain JSON values, figures among the others."""
        facts = asdict(self)
        figures: dict[str, float | None] = facts.pop("figures")
        return {**facts, **figures}


@cache
def read_rows() -> tuple[Row, ...]:
    """Return the 110 rows."""
    return tuple(read_table(Path(__file__).parent / "lmac.csv", OutputError))


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Return a finding for each row."""
    mixtures = {_same(row): row for row in rows if row["contamination"].endswith("_mixture")}
    chances = {
        (row["dataset"], row["contamination"]): float(row["FF"])
        for row in rows
        if row["method"] == "all-ones"
    }
    return [
        _finding(
            row,
            mixtures.get(_same(row)) if row["contamination"] == _IN_DOMAIN else None,
            chances.get((row["dataset"], row["contamination"])),
        )
        for row in rows
    ]


def _same(row: Row) -> tuple[str, str, str]:
    return row["dataset"], row["plane"], row["method"]


def _finding(row: Row, mixture: Row | None, chance: float | None) -> Finding:
    complexity, sparse = _ratio(row, mixture, "COMP"), _ratio(row, mixture, "SPS")
    times = 2 if row["contamination"] == _IN_DOMAIN else 1
    drop, cap, single = times * float(row["AD"]), CAP, None
    if chance is not None:
        cap = 100 * (1 - math.exp(-times * chance))
        single = min(100.0, -100 * math.log(1 - drop / 100) / (times * chance))
    return Finding(
        table=row["table"],
        dataset=row["dataset"],
        contamination=row["contamination"],
        plane=row["plane"],
        method=row["method"],
        figures={name: float(row[name]) if row[name] else None for name in FIGURES},
        complexity_ratio=complexity,
        sparseness_ratio=sparse,
        halved=None if complexity is None else abs(complexity - 0.5) <= _NEAR,
        cap=cap / times,
        single=single,
    )


def _ratio(row: Row, mixture: Row | None, name: str) -> float | None:
    if mixture is None or not (row[name] and mixture[name]):
        return None
    return float(row[name]) / float(mixture[name])


def table(found: Sequence[Finding]) -> str:
    """Return as Markdown what the rows show."""
    ratios = [(one, one.complexity_ratio, one.sparseness_ratio) for one in found]
    compared = [(one, a, b) for one, a, b in ratios if a is not None and b is not None]
    halved = [one for one, _, _ in compared if one.halved]
    largest = max(one.figures["AD"] or 0 for one in found)
    lines = [
        "| data set | plane | method | COMP in domain / mixtures | SPS in domain / mixtures |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {one.dataset} | {one.plane} | {one.method} | {a:.3f} | {b:.3f} |"
            for one, a, b in compared
        ),
        "",
        f"{len(halved)} of {len(compared)} in-domain rows have half the complexity of the same "
        f"method on mixtures (median {median(a for _, a, _ in compared):.3f} of complexity, "
        f"{median(b for _, _, b in compared):.3f} of sparseness). Complexity is an entropy of the "
        "mask and does not halve with the background: the in-domain figures were divided by twice "
        "the number of clips.",
        "",
        "| data set | contamination | largest AD, % | cap, % | the same under one softmax, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in found:
        groups.setdefault((one.dataset, one.contamination), []).append(one)
    for (data, noise), some in groups.items():
        worst = max(some, key=lambda one: one.figures["AD"] or 0)
        single = "" if worst.single is None else f"{worst.single:.0f}"
        about = " (halved)" if noise == _IN_DOMAIN else ""
        drop = worst.figures["AD"] or 0
        lines.append(f"| {data} | {noise}{about} | {drop:.2f} | {worst.cap:.2f} | {single} |")
    lines += [
        "",
        f"AD is computed from a softmax of probabilities, which caps it at {CAP:.1f} %, and at "
        f"100 (1 - exp(-p)) % for a mean probability p of the input; the largest of {len(found)} "
        f"is {largest:.2f} %. The last column is an estimate from means over clips.",
    ]
    return "\n".join(lines) + "\n"
