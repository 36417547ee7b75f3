"""Slow float64 versions of the metrics, cell by cell; nothing of the library is used.

Every function takes what the metric takes, for one mask or one map, and returns a number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def difference(whole: float, rest: float) -> float:
    return whole - rest


def increase(before: float, after: float) -> float:
    return 100.0 if after - before > 1e-3 else 0.0


def drop(before: float, after: float) -> float:
    return 100 * (before - after) / before if after < before else 0.0


def gain(before: float, after: float) -> float:
    return 100 * (after - before) / (1 - before) if after - before > 1e-3 else 0.0


def among_best(k: int) -> Callable[[Array, Array], float]:
    def found(before: Array, after: Array) -> float:
        order = sorted(range(len(after)), key=lambda c: -after[c])
        decided = max(range(len(before)), key=lambda c: before[c])
        return 1.0 if decided in order[:k] else 0.0

    return found


def area_under(curve: Array, shares: Array) -> float:
    total = 0.0
    for k in range(1, len(curve)):
        total += (shares[k] - shares[k - 1]) * (curve[k] + curve[k - 1]) / 2
    return total


def over_sizes(metric: Callable[[float, float], float]) -> Callable[[float, Array, Array], float]:
    def found(before: float, after: Array, sizes: Array) -> float:
        values = np.array([metric(before, one) for one in after])
        return area_under(values, sizes) / (sizes[-1] - sizes[0])

    return found


def gini(values: Array) -> float:
    """Half the mean absolute difference of all pairs over the mean."""
    flat = [abs(float(v)) for v in values.flat]
    small = 1e-7 * max(flat)
    pairs = sum(abs(a - b) for a in flat for b in flat)
    return pairs / (2 * len(flat) * sum(v + small for v in flat))


def entropy(values: Array) -> float:
    flat = [abs(float(v)) for v in values.flat]
    shares = [v / sum(flat) for v in flat]
    return -sum(s * math.log(s) for s in shares if s > 0)


def entropy_relative(values: Array) -> float:
    return entropy(values) / math.log(values.size)


def mean_gain(gains: Array) -> float:
    return sum(float(g) for g in gains.flat) / gains.size


def effective_area(gains: Array) -> float:
    total = sum(float(g) for g in gains.flat)
    squares = sum(float(g) ** 2 for g in gains.flat)
    return total**2 / (gains.size * squares) if squares else 0.0


def heard(wave: Array, gains: Array, n_fft: int, hop: int) -> Array:
    """|STFT(evidence)| / |X|, at most 1, frame by frame in float64."""
    frames, half = gains.shape[1], n_fft // 2
    window = np.array([0.5 - 0.5 * math.cos(2 * math.pi * n / n_fft) for n in range(n_fft)])
    long = np.zeros((frames - 1) * hop + n_fft)
    long[half : half + len(wave)] = wave

    def transform(sound: Array) -> Array:
        return np.stack([np.fft.rfft(window * sound[t * hop : t * hop + n_fft])
                         for t in range(frames)], axis=1)  # fmt: skip

    spectrum = transform(long)
    total, weight = np.zeros_like(long), np.zeros_like(long)
    for t in range(frames):
        at = slice(t * hop, t * hop + n_fft)
        total[at] += window * np.fft.irfft(gains[:, t] * spectrum[:, t], n_fft)
        weight[at] += window**2
    inside = slice(half, half + len(wave))
    evidence = np.zeros_like(long)
    evidence[inside] = total[inside] / weight[inside]
    return np.minimum(np.abs(transform(evidence)) / np.abs(spectrum), 1)


def kept_energy(gains: Array, magnitude: Array) -> float:
    pairs = list(zip(gains.flat, magnitude.flat, strict=True))
    return sum((g * m) ** 2 for g, m in pairs) / sum(m**2 for _, m in pairs)


def mass(values: Array, truth: Array) -> float:
    pairs = [(max(float(v), 0.0), t) for v, t in zip(values.flat, truth.flat, strict=True)]
    whole = sum(v for v, _ in pairs)
    return sum(v for v, t in pairs if t) / whole if whole else 0.0


def rank(values: Array, truth: Array) -> float:
    """Mean over random orders of cells that are equal, by drawing every tie's expectation."""
    positive = [max(float(v), 0.0) for v in values.flat]
    pairs = sorted(zip(positive, truth.flat, strict=True), key=lambda p: -p[0])
    count = int(truth.sum())
    left, hits = count, 0.0
    for _, group in itertools.groupby(pairs, key=lambda p: p[0]):
        members = [bool(t) for _, t in group]
        taken = min(left, len(members))
        hits += taken * sum(members) / len(members)
        left -= taken
    return hits / count


def pointing(values: Array, truth: Array) -> float:
    best = max(0.0, *values.flat)
    hits = [bool(t) for v, t in zip(values.flat, truth.flat, strict=True) if max(v, 0.0) == best]
    return sum(hits) / len(hits)


def auc(values: Array, truth: Array) -> float:
    inside = [max(v, 0.0) for v, t in zip(values.flat, truth.flat, strict=True) if t]
    outside = [max(v, 0.0) for v, t in zip(values.flat, truth.flat, strict=True) if not t]
    wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    return wins / (len(inside) * len(outside))


def si_sdr(found: Array, wanted: Array) -> float:
    """The ratio with the best scale looked for, not computed."""
    best = -math.inf
    for scale in np.linspace(-3, 3, 60001):
        target = scale * wanted
        rest = found - target
        # the best scale is where the rest is orthogonal to the target
        if scale and abs(rest @ wanted) < 1e-4 * (wanted @ wanted):
            best = max(best, 10 * math.log10((target @ target) / (rest @ rest)))
    return best


def level(sound: Array, whole: Array) -> float:
    return 10 * math.log10(sum(float(s) ** 2 for s in sound) / sum(float(s) ** 2 for s in whole))


def ranks(values: Array) -> list[float]:
    flat = [float(v) for v in values.flat]
    return [sum(o < v for o in flat) + (sum(o == v for o in flat) + 1) / 2 for v in flat]


def spearman(one: Array, other: Array) -> float:
    a, b = ranks(one), ranks(other)
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    above = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    below = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return above / math.sqrt(below)


def spearman_of_sizes(one: Array, other: Array) -> float:
    return spearman(abs(one), abs(other))


def ssim(one: Array, other: Array) -> float:
    """Eq. 13 of Wang 2004 on every window that lies inside, sample covariances.

    Windows are 7 by 7, or as large an odd number as the shorter side allows.
    """
    return ssim_unscaled(*(m.astype(np.float64) / (abs(m).max() or 1.0) for m in (one, other)))


def ssim_unscaled(a: Array, b: Array) -> float:
    side = max(n for n in (1, 3, 5, 7) if n <= max(1, min(a.shape)))
    total = []
    for i in range(a.shape[0] - side + 1):
        for j in range(a.shape[1] - side + 1):
            x, y = (m[i : i + side, j : j + side].ravel() for m in (a, b))
            cov = np.cov(x, y) if side > 1 else np.zeros((2, 2))
            above = (2 * x.mean() * y.mean() + 1e-4) * (2 * cov[0, 1] + 9e-4)
            below = (x.mean() ** 2 + y.mean() ** 2 + 1e-4) * (cov[0, 0] + cov[1, 1] + 9e-4)
            total.append(above / below)
    return float(np.mean(total))


def ssim_of_sizes(one: Array, other: Array) -> float:
    return ssim(abs(one), abs(other))


def clicks(sound: Array, whole: Array, rate: float) -> float:
    """Second differences of more than 8 times the level of the 50 ms around, away from the
    input's own."""

    def bend(x: Array) -> list[float]:
        padded = [0.0, *map(float, x), 0.0]
        return [padded[k - 1] - 2 * padded[k] + padded[k + 1] for k in range(1, len(padded) - 1)]

    def jolts(x: Array, peak: float) -> list[int]:
        bends, size = bend(x), round(0.05 * rate)
        found = []
        for k, one in enumerate(bends):
            places = [k - size // 2 + j for j in range(size)]
            last = len(bends) - 1
            inside = [-p - 1 if p < 0 else 2 * last + 1 - p if p > last else p for p in places]
            power = sum(bends[p] ** 2 for p in inside) / size
            if abs(one) > 1e-4 * peak and one**2 > 64 * power:
                found.append(k)
        return found

    peak, near = max(map(abs, bend(whole))), round(0.005 * rate)
    own = jolts(whole, peak)
    times = [k for k in jolts(sound, peak) if all(abs(k - o) > near for o in own)]
    groups = sum(1 for k, t in enumerate(times) if k == 0 or t - times[k - 1] > near)
    return groups / (len(sound) / rate)


SLOW: dict[str, Callable[..., float]] = {
    "faithfulness": difference,
    "faithfulness-logit": difference,
    "average-increase": increase,
    "average-drop": drop,
    "average-gain": gain,
    "fidelity": among_best(1),
    "top-fidelity": among_best(3),
    "log-odds": difference,
    "average-increase-sizes": over_sizes(increase),
    "average-drop-sizes": over_sizes(drop),
    "faithfulness-sizes": over_sizes(difference),
    "insertion": area_under,
    "deletion": area_under,
    "insertion-score": area_under,
    "deletion-score": area_under,
    "sparseness": gini,
    "sparseness-map": gini,
    "complexity": entropy,
    "complexity-map": entropy,
    "complexity-relative": entropy_relative,
    "complexity-map-relative": entropy_relative,
    "area": mean_gain,
    "effective-area": effective_area,
    "effective-area-audio": effective_area,
    "energy": kept_energy,
    **{f"relevance-mass{s}": mass for s in ("", "-time", "-frequency")},
    **{f"relevance-rank{s}": rank for s in ("", "-time", "-frequency")},
    **{f"pointing-game{s}": pointing for s in ("", "-time", "-frequency")},
    **{f"roc-auc{s}": auc for s in ("", "-time", "-frequency")},
    "si-sdr-source": si_sdr,
    "si-sdr-input": si_sdr,
    "level": level,
    "clicks": clicks,
    "stability-seed": spearman,
    "stability-noise": spearman,
    "stability-encoding": spearman,
    "transfer": difference,
    "sanity-spearman": spearman_of_sizes,
    "sanity-ssim": ssim_of_sizes,
}
