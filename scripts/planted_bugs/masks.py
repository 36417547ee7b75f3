"""Bugs in ``masks``."""

from __future__ import annotations

BUGS = {
    "drawn: ones first": (
        "masks/drawn.py",
        "np.arange(len(self.runs)) % 2",
        "1 - np.arange(len(self.runs)) % 2",
    ),
    "drawn: frame by frame": (
        "masks/drawn.py",
        "flat.reshape(self.plane.bins, self.plane.frames(self.samples))",
        "flat.reshape(self.plane.frames(self.samples), self.plane.bins).T",
    ),
    "drawn: any rate": (
        "masks/drawn.py",
        "if own.rate != plane.rate:",
        "if False:",
    ),
    "drawn: any sound": (
        "masks/drawn.py",
        "if self.samples != samples:",
        "if False:",
    ),
    "drawn: runs that end early": (
        "masks/drawn.py",
        "if sum(runs) != cells:",
        "if sum(runs) > cells:",
    ),
    "drawn: no bound": (
        "masks/drawn.py",
        "if cells > MOST_CELLS:",
        "if False:",
    ),
    "drawn: extras are part of the name": (
        "masks/keep.py",
        '_FILE = re.compile(r"file:(.+?)(',
        '_FILE = re.compile(r"file:(.+)(',
    ),
    "drawn: the key is the name": (
        "jobs/resuming.py",
        "replace(keep, file=digest_of([Path(keep.file)]))",
        "keep",
    ),
    "drawn: the gains are not saved": (
        "store.py",
        "if parse_keep(mask.rule).file:",
        "if False:",
    ),
    "drawn: read only when the first sound is": (
        "pipeline.py",
        "    if keep.file:\n        read_drawn(keep.file)\n",
        "",
    ),
    "mask: negative attribution kept": (
        "masks/shares.py",
        "positive = attribution > 0",
        "positive = np.isfinite(attribution)",
    ),
    "mask: smallest kept": (
        "masks/shares.py",
        "    return (attribution >= least).astype",
        "    return (attribution <= least).astype",
    ),
    "mask: energy of magnitudes": (
        "masks/shares.py",
        "energy = magnitude**2",
        "energy = magnitude",
    ),
    "mask: energy without the square": (
        "masks/measure.py",
        "(np.square(gains) * power)",
        "(gains * power)",
    ),
    "mask: full counts as good": (
        "masks/measure.py",
        'return "full" if low >= 1 - _EQUAL else "constant"',
        "return None",
    ),
    "mask: soft is never told": (
        "masks/measure.py",
        "bool(((gains > 0) & (gains < 1)).any())",
        "False",
    ),
    "mask: plus is ignored": (
        "masks/keep.py",
        "if keep.positive else values",
        "if False else values",
    ),
    "mask: top counts the rest": (
        "masks/levels.py",
        "(attribution, 1 - amount)",
        "(attribution, amount)",
    ),
    "mask: thresholds are of the map": (
        "masks/levels.py",
        "(scaled(attribution) >= amount)",
        "(attribution >= amount)",
    ),
    "mask: minmax from zero": (
        "masks/levels.py",
        "return (attribution - low) / (high - low)",
        "return attribution.clip(0) / high",
    ),
    "mask: floor in power": (
        "masks/edges.py",
        "(10.0, decibels / 20)",
        "(10.0, decibels / 10)",
    ),
    "mask: floor clips": (
        "masks/edges.py",
        "floor + (1 - floor) * gains",
        "np.maximum(gains, floor)",
    ),
    "mask: one axis is blurred": (
        "masks/edges.py",
        "gaussian_filter(gains, width",
        "gaussian_filter(gains, (0, width)",
    ),
}
