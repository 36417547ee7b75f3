"""How well an explanation finds the true source, where the truth is known.

Conventions
-----------
The true source and the rest add up to the input. A cell belongs to the source if the source is
louder there than the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def si_sdr(estimate: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB; higher is better.

    Le Roux et al.: SDR - Half-baked or Well Done?, 2019, eq. 5. Not defined (nan) for a silent
    truth; minus infinity for a silent estimate.

    Parameters
    ----------
    estimate, truth : ndarray, shape (time,)
    """
    wanted, found = truth.astype(np.float64), estimate.astype(np.float64)
    power = float(wanted @ wanted)
    if power == 0:
        return float("nan")
    part = (float(found @ wanted) / power) * wanted
    rest = found - part
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.float64(part @ part) / max(float(rest @ rest), 1e-300)))


def relevance_mass(attribution: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Return the share of the positive attribution that lies in true cells, in [0, 1]; higher is
    better. 0 where nothing is positive.

    Arras, Osman, Samek: CLEVR-XAI, 2022, section 3.2.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    truth : ndarray, shape (freq, frame), bool
        Cells that belong to the source.
    """
    positive = np.maximum(attribution, 0).astype(np.float64)
    whole = positive.sum()
    return float(positive[truth].sum() / whole) if whole > 0 else 0.0
