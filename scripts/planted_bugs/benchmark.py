"""Bugs in ``benchmark``."""

from __future__ import annotations

BUGS = {
    "tables: a mask of a size as heard has none": (
        "benchmark/tables.py",
        "row.mask.removesuffix(AS_HEARD)",
        "row.mask",
    ),
    "tables: the first of several alike is best": (
        "benchmark/rows.py",
        "figure.best = row.may_be_best and figure.mean == best.mean",
        "figure.best = figure is best",
    ),
    "randomisation: too few sounds are not said": (
        "benchmark/sanity/summary.py",
        "if math.isnan(self.difference.low) else",
        "if False else",
    ),
    "heard: bisection the wrong way": (
        "matching.py",
        "(share, high) if found < size else (low, share)",
        "(share, high) if found > size else (low, share)",
    ),
    "heard: the area of the mask and not of its sound": (
        "matching.py",
        "effective_area(heard(probe, sound))[0]",
        "effective_area(gains[None])[0]",
    ),
    "heard: a grid forgets that masks are as heard": (
        "matching.py",
        '(AS_HEARD if rule.endswith(AS_HEARD) else "")',
        '""',
    ),
    "speed: the floor passes fewer inputs": (
        "benchmark/speed/floor.py",
        "while done < count:",
        "while done < count - 1:",
    ),
    "speed: mean ratio of sums": (
        "benchmark/speed/floor.py",
        "median(taken / least for least, taken in pairs)",
        "median(least / taken for least, taken in pairs)",
    ),
    "benchmark: controls stay out": (
        "benchmark/grid.py",
        "for name in CONTROLS if name not in named",
        "for name in () if name not in named",
    ),
    "benchmark: torn sounds stay": (
        "benchmark/ledger.py",
        "self._file.truncate(end)",
        "self._file.seek(end)",
    ),
    "benchmark: a sound counts before its last line": (
        "benchmark/ledger.py",
        'if line["left"] == 0:\n                self.done',
        'if line["left"] >= 0:\n                self.done',
    ),
    "benchmark: lines without an end count": (
        "benchmark/ledger.py",
        'if not text.endswith(b"\\n"):',
        "if False:",
    ),
    "benchmark: one chance for all sounds": (
        "benchmark/cells.py",
        'f"{seed} {clip}"',
        'f"{seed}"',
    ),
    "benchmark: one chance for all seeds": (
        "benchmark/cells.py",
        'f"{seed} {clip}"',
        'f"{clip}"',
    ),
    "benchmark: the map of the first seed for all": (
        "benchmark/cells.py",
        "None if probe.drew else (made, seconds)",
        "(made, seconds)",
    ),
    "benchmark: draws of a probe's copy are not seen": (
        "benchmark/cells.py",
        "None if probe.drew else (made, seconds)",
        'None if "generator" in vars(probe) else (made, seconds)',
    ),
    "benchmark: matched controls exchanged": (
        "benchmark/cells.py",
        '"energy": orders.by_energy}',
        '"energy": lambda one: orders.at_random(one, 1)[0]}',
    ),
    "benchmark: the rest is the truth": (
        "benchmark/cells.py",
        "true_cells(levels[0], audible)",
        "true_cells(levels[1], levels[0])",
    ),
    "benchmark: the mask of the rest": (
        "benchmark/cells.py",
        "np.divide(wanted, both",
        "np.divide(other, both",
    ),
    "statistics: intervals of the median": (
        "benchmark/statistics.py",
        "            np.mean,",
        "            np.median,",
    ),
    "statistics: one-sided": (
        "benchmark/statistics.py",
        "np.abs(signs @ rows.T)",
        "(signs @ rows.T)",
    ),
    "statistics: intervals are turned over": (
        "benchmark/statistics.py",
        'method="BCa"',
        'method="basic"',
    ),
    "statistics: samples change places": (
        "benchmark/statistics.py",
        "yield some, np.stack([samples[place] for place in some])",
        "yield some, np.stack([samples[place] for place in reversed(some)])",
    ),
    "statistics: no correction": (
        "benchmark/statistics.py",
        "(len(order) - rank) *",
        "1 *",
    ),
    "tables: degenerate masks count": (
        "benchmark/rows.py",
        'or "failed" in line or line["degenerate"]',
        'or "failed" in line',
    ),
    "tables: rows of degenerate masks may be best": (
        "benchmark/rows.py",
        "not self.control and few and",
        "not self.control and",
    ),
    "tables: controls may be best": (
        "benchmark/rows.py",
        "not self.control and few and",
        "few and",
    ),
    "tables: pairs are of different sounds": (
        "benchmark/rows.py",
        "[ours[clip] - theirs[clip] for clip in both]",
        "[ours[clip] - min(theirs.values()) for clip in both]",
    ),
    "tables: worse is ahead": (
        "benchmark/rows.py",
        "metric.better(one.difference, 0.0)",
        "metric.better(0.0, one.difference)",
    ),
    "tables: the best sound is the worst": (
        "benchmark/rows.py",
        '-1 if METRICS.get(rank).direction == "higher" else 1',
        '1 if METRICS.get(rank).direction == "higher" else -1',
    ),
    "sounds: the planted sound is everywhere": (
        "benchmark/localisation/taught.py",
        "[item for item in items if item.label == TARGET] +",
        "",
    ),
    "benchmark: models are known by their names": (
        "benchmark/engine.py",
        "        if difference:\n",
        "        if False:\n",
    ),
    "benchmark: sounds are known by their names": (
        "benchmark/engine.py",
        "if digest != done[part.model, clip.name]:",
        "if False:",
    ),
    "benchmark: files of options are known by their names": (
        "benchmark/grid.py",
        '"files": [digest_of(choice.files) for choice in self.methods],',
        '"files": [list(map(str, choice.files)) for choice in self.methods],',
    ),
    "benchmark: a classifier is known by its folder": (
        "benchmark/localisation/taught.py",
        'if not path.exists() or json.loads(path.read_text(encoding="utf-8")) != here:',
        "if False:",
    ),
    "statistics: intervals of few sounds": (
        "benchmark/statistics.py",
        "FEWEST = 8",
        "FEWEST = 2",
    ),
    "statistics: level of few sounds": (
        "benchmark/statistics.py",
        "confidence_level=_expanded(rows.shape[1])",
        "confidence_level=LEVEL",
    ),
    "statistics: equal values have no interval": (
        "benchmark/statistics.py",
        "found[place] = (float(row[0]), float(row[0]))",
        "pass",
    ),
    "tables: no dash for a missing interval": (
        "benchmark/tables.py",
        '"[\\u2013]" if math.isnan(low)',
        '"" if math.isnan(low)',
    ),
}
