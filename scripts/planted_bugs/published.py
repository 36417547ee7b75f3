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
}
