"""Bugs in classifiers of several labels and in the page of interpretations."""

from __future__ import annotations

BUGS = {
    "labels: only the first counts": (
        "train/classifier.py",
        "float(label in item.labels) for label",
        "float(label in item.labels[:1]) for label",
    ),
    "labels: another separator": (
        "data/collection.py",
        'self.label.split(";")',
        'self.label.split(",")',
    ),
    "labels: they compete": (
        "train/classifier.py",
        'if task == "multi-label":',
        'if task == "none":',
    ),
    "labels: the trained model is of one label": (
        "models/zoo/checkpoint.py",
        '"task": self.task',
        '"task": "single-label"',
    ),
    "l2i-page: right decisions are shown as wrong": (
        "cli/l2i_cases.py",
        "if decided != item.label:",
        "if decided == item.label:",
    ),
    "l2i-page: noise has a level of its own": (
        "cli/l2i_cases.py",
        "(rms * rng.standard_normal",
        "(0.1 * rng.standard_normal",
    ),
    "l2i-page: labels that are not decided are explained": (
        "models/target.py",
        ">= DECIDED",
        ">= 0",
    ),
    "l2i-page: the disturbing sound is called the target": (
        "cli/l2i_cases.py",
        "sources = {one.label: source, other.label: rest}",
        "sources = {other.label: source, one.label: rest}",
    ),
    "l2i-page: a tagger of other classes is found too late": (
        "cli/l2i_page.py",
        "in shared}) < 2:",
        "in shared}) < 0:",
    ),
    "l2i-page: the tagger is not on the page": (
        "cli/l2i_page.py",
        "models=_models(explained, several)",
        "models=_models(explained, None)",
    ),
    "labels: a test without labels is not a number": (
        "train/classifier.py",
        "name: None if math.isnan(value) else value",
        "name: value",
    ),
    "l2i-page: a finished page is made again": (
        "cli/l2i_page.py",
        "if there in shown and all(",
        "if not there and all(",
    ),
    "l2i-page: a page of another seed is gone on with": (
        "cli/l2i_page.py",
        'return "" if there["request"] == here["request"] else',
        'return "" if there["request"] else',
    ),
}
