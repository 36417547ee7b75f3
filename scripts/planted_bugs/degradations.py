"""Bugs in the degradations of speech, and in what is measured on them."""

from __future__ import annotations

BUGS = {
    "degraded: the stretch is one frame longer than is said": (
        "data/degraded.py",
        "span.start / rate, span.stop / rate, *band",
        "span.start / rate, span.stop / rate - 0.02, *band",
    ),
    "degraded: quiet bursts are as loud as others": (
        "data/degraded.py",
        'LEVELS = {"burst": 0.0, "quiet-burst": -10.0',
        'LEVELS = {"burst": 0.0, "quiet-burst": 0.0',
    ),
    "degraded: every burst is in the lowest third": (
        "data/degraded.py",
        "third = int(rng.integers(3))",
        "third = int(rng.integers(1))",
    ),
    "degraded: the band of the hum ends below its harmonics": (
        "data/degraded.py",
        "band = (mains / 2, mains * (_HARMONICS + 0.5))",
        "band = (mains / 2, mains * 2.5)",
    ),
    "degraded: lost packets are always silent": (
        "data/degraded.py",
        "repeated = bool(rng.integers(2)) and span.start >= size",
        "repeated = False",
    ),
    "degraded: a clipped stretch is quieter": (
        "data/degraded.py",
        "return gain * clipped, (0.0, top)",
        "return clipped, (0.0, top)",
    ),
    "degraded: what lies below the edge is removed": (
        "data/degraded.py",
        "signal.butter(8, edge, fs=rate",
        'signal.butter(8, edge, "highpass", fs=rate',
    ),
    "degraded: excerpts begin at the start of the file": (
        "data/speech.py",
        "Excerpt(path, since + first / rate",
        "Excerpt(path, first / rate",
    ),
    "degraded: excerpts keep the level of the file": (
        "data/speech.py",
        "(speech * (10 ** (excerpt.level / 20) / level))",
        "(speech * (10 ** (excerpt.level / 20) / 0.05))",
    ),
    "pointed place: single cells are not averaged away": (
        "metrics/place.py",
        "_WINDOW = 0.1  # s",
        "_WINDOW = 0.02  # s",
    ),
    "pointed place: the beginning of a piece instead of its middle": (
        "metrics/place.py",
        "return float((times[first] + times[last]) / 2)",
        "return float(times[first])",
    ),
    "pointed place: the third with most bins": (
        "metrics/place.py",
        "weights=_mel_widths(freqs) * course",
        "weights=course",
    ),
    "pointed place: a sum over bins": (
        "metrics/place.py",
        "course = _mel_widths(freqs) @ np",
        "course = np.ones(len(freqs)) @ np",
    ),
    "pointed place: only what is too late counts as an error": (
        "metrics/place.py",
        "np.maximum(np.maximum(start - at, at - end), 0.0)",
        "np.maximum(at - end, 0.0)",
    ),
    "pointed place: a place has no margin in time": (
        "metrics/place.py",
        "(times >= start - margin) & (times <= end + margin)",
        "(times >= start) & (times <= end)",
    ),
    "degradations: what raises the score is explained": (
        "benchmark/degradations/measure.py",
        'direction="down"',
        'direction="up"',
    ),
    "degradations: the evidence is scored instead of the remainder": (
        "benchmark/degradations/measure.py",
        'routes=("audio",)).audio.remainder',
        'routes=("audio",)).audio.evidence',
    ),
    "degradations: the order at random is the mask itself": (
        "benchmark/degradations/measure.py",
        "orders.at_random(mask.gains, 1)[0]",
        "mask.gains",
    ),
    "degradations: sounds that cost nothing are explained": (
        "benchmark/degradations/measure.py",
        "clean - degraded < LEAST_COST",
        "clean - degraded < -1e9",
    ),
    "degradations: found is in time or in the right third": (
        "benchmark/degradations/summary.py",
        '_in_time(line) * line["right_third"]',
        'max(_in_time(line), line["right_third"])',
    ),
    "degradations: the mean of ratios": (
        "benchmark/degradations/summary.py",
        "ratio = float(gains[side].mean() / costs.mean())",
        "ratio = float((gains[side] / costs).mean())",
    ),
    "degradations: ahead whenever it differs": (
        "benchmark/degradations/summary.py",
        "chance < ALPHA and against.mean() > 0",
        "chance < ALPHA",
    ),
    "degradations: the true place is compared with itself only": (
        "benchmark/degradations/ceiling.py",
        "for one in places_of_size(true, grid.shape) if one != true",
        "for one in places_of_size(true, grid.shape) if one == true",
    ),
    "degradations: the worst of the places": (
        "benchmark/degradations/ceiling.py",
        "best = max(range(len(places))",
        "best = min(range(len(places))",
    ),
    "degradations: what the true place regains has the sign of what is explained": (
        "benchmark/degradations/ceiling.py",
        "score = probe.target.sign * scores[0]",
        "score = scores[0]",
    ),
    "degradations: the ideal mask is that of the speech": (
        "benchmark/degradations/measure.py",
        "gains = ideal_ratio_mask(",
        "gains = 1 - ideal_ratio_mask(",
    ),
    "degradations: what knows the truth is tested among the methods": (
        "benchmark/degradations/summary.py",
        "if method not in (*CONTROLS, *CEILINGS):",
        "if method not in CONTROLS:",
    ),
}
