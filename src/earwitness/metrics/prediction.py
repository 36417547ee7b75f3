"""How well predicted scores meet those of listeners, as the field of speech quality reports it.

Of utterances, and of systems, whose score is the mean over their utterances (Lo et al. 2019,
section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FEWEST = 3  # values of which a correlation is computed


def prediction_figures(
    predicted: ArrayLike, wanted: ArrayLike, systems: Sequence[str] | None = None
) -> dict[str, float]:
    """Return ``lcc``, ``srcc`` and ``mse``, and the same of systems with ``system_`` before them.

    Parameters
    ----------
    predicted, wanted : array_like, shape (utterance,)
    systems : sequence of str, optional
        What made each utterance. Utterances without a system are left out of those figures.

    Returns
    -------
    dict
        Pearson's and Spearman's correlation, nan for fewer than three values or constant ones, and
        the mean squared error.

    Examples
    --------
    >>> prediction_figures([1, 2, 4], [1, 2, 3])["mse"]
    0.3333333333333333
    """
    ours, theirs = np.asarray(predicted, dtype=float), np.asarray(wanted, dtype=float)
    figures = _figures(ours, theirs)
    names = sorted({one for one in systems or () if one})
    if names:
        rows = np.asarray(systems)
        means = [[one[rows == name].mean() for name in names] for one in (ours, theirs)]
        own = _figures(np.array(means[0]), np.array(means[1]))
        figures |= {f"system_{name}": value for name, value in own.items()}
    return figures


def _figures(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, float]:
    from scipy.stats import pearsonr, spearmanr

    some = len(ours) >= _FEWEST and ours.std() > 0 and theirs.std() > 0
    return {
        "lcc": float(pearsonr(ours, theirs).statistic) if some else float("nan"),
        "srcc": float(spearmanr(ours, theirs).statistic) if some else float("nan"),
        "mse": float(np.square(ours - theirs).mean()),
    }
