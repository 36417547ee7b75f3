"""Bugs in what is told of published tables."""

from __future__ import annotations

BUGS = {
    "published: the choice is scaled within its own rows": (
        "benchmark/published/pak.py",
        "scores = published_score(own, every, LOWER)",
        "scores = published_score(own, own, LOWER)",
    ),
    "published: the rule of the text is scaled over all rows": (
        "benchmark/published/pak.py",
        "published_score(own, own, LOWER).argmax()",
        "published_score(own, every, LOWER).argmax()",
    ),
    "published: complexity is better when higher": (
        "benchmark/published/pak.py",
        'LOWER = ("AD", "COMP")',
        'LOWER = ("AD",)',
    ),
    "published: top half masks taken for the top 5 %": (
        "benchmark/published/pak.py",
        'int(rule.split("_")[1]) / 100',
        "0.05",
    ),
    "published: share of masks that are not constant": (
        "benchmark/published/pak.py",
        "min(max(1 - complexity",
        "min(max(complexity",
    ),
    "published: constant masks keep complexity 0": (
        "benchmark/published/pak.py",
        'found["COMP"] + largest',
        'found["COMP"] + 0 * largest',
    ),
    "published: a floor of zero in the geometric mean": (
        "metrics/ranking.py",
        "np.maximum(place, 1e-9)",
        "np.maximum(place, 1e-2)",
    ),
    "published: in-domain figures compared with themselves": (
        "benchmark/published/lmac.py",
        'row["contamination"].endswith("_mixture")',
        'row["contamination"] == _IN_DOMAIN',
    ),
    "published: the cap forgets that in-domain rows are halved": (
        "benchmark/published/lmac.py",
        "times = 2 if",
        "times = 1 if",
    ),
    "published: the cap of one softmax": (
        "benchmark/published/lmac.py",
        "CAP = 100 * (1 - math.exp(-1))",
        "CAP = 100 * 1.0",
    ),
    "compat: the small constant of the other publication": (
        "evaluation/published.py",
        "_common(case, small=1e-6)",
        "_common(case, small=1e-10)",
    ),
    "compat: fidelity of the remainder": (
        "evaluation/published.py",
        '(case["all_evidence"].argmax(axis=1) == c)',
        '(case["all_remainder"].argmax(axis=1) == c)',
    ),
    "compat: gain relative to the probability": (
        "evaluation/published.py",
        "np.maximum(inside - p, 0) / (1 - p + small)",
        "np.maximum(inside - p, 0) / (p + small)",
    ),
    "compat: sparseness without Quantus's constant": (
        "metrics/conciseness.py",
        "flat.sum(axis=1, dtype=np.float64) + cells * small)",
        "flat.sum(axis=1, dtype=np.float64) + 1e-300)",
    ),
}
