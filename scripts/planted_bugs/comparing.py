"""Bugs in ``comparing``, and in what serves a comparison elsewhere."""

from __future__ import annotations

BUGS = {
    "compare: the start is not where the path begins": (
        "comparing/comparison.py",
        "float(probe.fixed().scores(",
        "float(probe.scores(",
    ),
    "compare: steps off the diagonal are free": (
        "comparing/alignment.py",
        "lean = _LEAN * mean",
        "lean = 0.0 * mean",
    ),
    "compare: a diagonal step costs as one to the side": (
        "comparing/alignment.py",
        "before[below] + 2 * apart",
        "before[below] + apart",
    ),
    "compare: frames of the second sound run backwards": (
        "comparing/alignment.py",
        "other[k - high : k - low + 1][::-1]",
        "other[k - high : k - low + 1]",
    ),
    "compare: features depend on level": (
        "comparing/alignment.py",
        "np.maximum(power / power.max(),",
        "np.maximum(power,",
    ),
    "compare: features depend on an equaliser": (
        "comparing/alignment.py",
        "found: Values = level - level.mean(axis=0)",
        "found: Values = level - level.mean()",
    ),
    "compare: the alignment is read the other way round": (
        "comparing/alignment.py",
        "np.interp(seconds, self.times, self.places)",
        "np.interp(seconds, self.places, self.times)",
    ),
    "compare: segments do not continue each other": (
        "comparing/warping.py",
        "return low + int(likeness.argmax())",
        "return place",
    ),
    "compare: the sound is half a segment late": (
        "comparing/warping.py",
        "places.astype(int) - hop,",
        "places.astype(int),",
    ),
    "compare: the hybrid keeps the culprit": (
        "comparing/comparison.py",
        "change = kept * (",
        "change = (1 - kept) * (",
    ),
    "compare: what helps is taken for the culprit": (
        "comparing/comparison.py",
        "sign=-1 if down else 1",
        "sign=1 if down else -1",
    ),
    "compare: the second recording is scored unwarped": (
        "comparing/comparison.py",
        '"warped": _score(aligned, plain)',
        '"warped": _score(second, plain)',
    ),
    "compare: the share of the difference has the other sign": (
        "comparing/comparison.py",
        'self.scores["a"] - self.scores[name]',
        'self.scores[name] - self.scores["a"]',
    ),
    "compare: equal scores are divided by": (
        "comparing/comparison.py",
        "/ gap if gap else None",
        "/ gap",
    ),
    "compare: a map loses at its edges": (
        "perturbation/background/reference.py",
        'mode="reflect"',
        'mode="constant"',
    ),
    "compare: maps are not averaged": (
        "pipeline.py",
        "values=coarsened(probe, found.values)",
        "values=found.values",
    ),
    "compare: the reference has its own phase": (
        "perturbation/background/reference.py",
        "probe.phase * other.abs()",
        "other",
    ),
    "compare: the culprit is the largest share": (
        "comparing/comparison.py",
        "        if gained >= _ENOUGH:",
        "        if gained > 10:",
    ),
    "compare: the page plays the hybrid as B": (
        "cli/compare.py",
        '_SOUNDS["reference"], found.warped',
        '_SOUNDS["reference"], found.hybrid',
    ),
    "compare: the command in the page explains": (
        "report/command.py",
        'verb = "explain" if compared is None else "compare"',
        'verb = "explain"',
    ),
    "compare: all of the other recording": (
        "comparing/comparison.py",
        "open_subject(model, one, start=request.start,",
        "open_subject(model, one, start=one is a and start or None,",
    ),
    "compare: the end of the part is lost on the way": (
        "cli/compare.py",
        "                end=end, seed=seed",
        "                end=None, seed=seed",
    ),
}
