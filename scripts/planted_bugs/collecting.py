"""Where sounds are searched, and explanations of many sounds in Python."""

from __future__ import annotations

BUGS = {
    "clips: evidence is a recording": (
        "clips.py",
        'if one[0] != "." and not holds_results(here / one)]',
        'if one[0] != "."]',
    ),
    "clips: any report.json marks results": (
        "clips.py",
        'return isinstance(facts, dict) and "schema" in facts',
        "return isinstance(facts, dict)",
    ),
    "clips: a folder of results is searched": (
        "clips.py",
        "    if holds_results(place):",
        "    if False:",
    ),
    "clips: the last folder searched counts": (
        "clips.py",
        "clips.setdefault(clip, root)",
        "clips[clip] = root",
    ),
    "data: results are a class": (
        "data/collection.py",
        'path.name[0] != "." and not holds_results(path)',
        'path.name[0] != "."',
    ),
}
