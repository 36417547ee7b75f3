"""Bugs in the table of components: names, strongest segments, the overview over many sounds."""

from __future__ import annotations

BUGS = {
    "l2i: segments are where a component is weakest": (
        "train/interpreters/strongest.py",
        "return -pair[0]",
        "return pair[0]",
    ),
    "l2i: segments are of the beginning of every part": (
        "train/interpreters/strongest.py",
        "centres = (begin + frames * plane.hop)",
        "centres = (frames * plane.hop)",
    ),
    "l2i: the last part of a long sound wins": (
        "train/interpreters/strongest.py",
        "best = [max(two, key=_strength) for two in zip(best or here, here, strict=True)]",
        "best = here",
    ),
    "l2i: segments reach beyond the sound": (
        "train/interpreters/strongest.py",
        "start = min(max(0.0, centre - WINDOW / 2), max(0.0, whole - WINDOW))",
        "start = max(0.0, centre - WINDOW / 2)",
    ),
    "l2i: segments have the bare names of files": (
        "train/interpreters/strongest.py",
        "return [path.relative_to(common).as_posix() for path in whole]",
        "return [path.name for path in whole]",
    ),
    "l2i: files of different disks have absolute paths": (
        "train/interpreters/strongest.py",
        'if common in ("", *drives):',
        'if common == "":',
    ),
    "l2i: examples have the bare names of files": (
        "jobs/components.py",
        "files[one.path]",
        "one.path.name",
    ),
    "l2i: sounds are found by their bare names": (
        "report/components.py",
        "for first in range(len(parts)):",
        "for first in range(len(parts) - 1, len(parts)):",
    ),
    "l2i: the last of two sounds is taken for both": (
        "report/components.py",
        "found[end] = None if end in found else path",
        "found[end] = path",
    ),
    "l2i: the folder's own sound is not preferred": (
        "report/components.py",
        "if path} | exact",
        "if path}",
    ),
    "l2i: a model of one window at a time gets several": (
        "train/interpreters/strongest.py",
        "size = min(size, model.longest or size)",
        "pass",
    ),
    "l2i: a label of just 0.5 is not decided": (
        "models/target.py",
        "return overall(model, probabilities(model, outputs)) >= DECIDED",
        "return overall(model, probabilities(model, outputs)) > DECIDED",
    ),
    "l2i: the threshold of an overview is another one": (
        "cli/components.py",
        "threshold = THRESHOLD if threshold is None else threshold",
        "threshold = 1.0 if threshold is None else threshold",
    ),
    "l2i: the user's threshold is not taken": (
        "cli/components.py",
        "threshold = THRESHOLD if threshold is None else threshold",
        "threshold = THRESHOLD",
    ),
    "l2i: segments of silence": (
        "train/interpreters/strongest.py",
        "for strength, one in some if strength > 0)",
        "for strength, one in some)",
    ),
    "l2i: patterns are saved over time": (
        "store.py",
        'own = {} if table.patterns is None else {"patterns": storable(table.patterns)}',
        'own = {} if table.patterns is None else {"patterns": storable(table.activations)}',
    ),
    "l2i: the segments of components are not loaded": (
        "store.py",
        'for some in facts["strongest"]),',
        "for some in ()),",
    ),
    "l2i: names count from 0": (
        "naming.py",
        "for number, one in enumerate(table.names, start=1))",
        "for number, one in enumerate(table.names, start=0))",
    ),
    "l2i: own names are not on the pieces": (
        "naming.py",
        "replace(p, name=n) for p, n in",
        "replace(p, name=p.name) for p, n in",
    ),
    "l2i: names of components that are not there": (
        "naming.py",
        "if beyond:",
        "if False:",
    ),
    "l2i: a component with two names has the last": (
        "naming.py",
        "if number in names:",
        "if False:",
    ),
    "l2i: a run goes on with other names": (
        "jobs/resuming.py",
        'settings["names"] = digest_of([Path(settings["names"])])',
        "pass",
    ),
    "l2i: the relevance of a class is a sum": (
        "jobs/components.py",
        "counts = np.maximum(self._sounds, 1)[:, None]",
        "counts = np.ones_like(self._sounds)[:, None]",
    ),
    "l2i: what speaks against a class leads it": (
        "jobs/components.py",
        "return sorted(some, key=lambda k: -self.relevance[k])[:count]",
        "return sorted(some, key=lambda k: self.relevance[k])[:count]",
    ),
    "l2i: one label of a tagger counts": (
        "jobs/components.py",
        'if self.model.task == "multi-label":',
        "if False:",
    ),
    "l2i: the last sound is the example": (
        "jobs/components.py",
        "if strength > (best.strength if best else 0.0):",
        "if strength > 0:",
    ),
    "l2i: the example is not filtered": (
        "jobs/components.py",
        "switches[0, component] = 1",
        "switches[:] = 1",
    ),
    "l2i: the overview takes another model's interpreter": (
        "jobs/components.py",
        "        interpreter.require(model)\n",
        "",
    ),
    "l2i: the table is of the printed components": (
        "cli/components.py",
        "for k, name in enumerate(table.names):",
        "for k, name in enumerate(table.names[:3]):",
    ),
    "l2i: an overview removes other files": (
        "cli/components.py",
        "if len(own) < len(there) or (own and not overwrite):",
        "if own and not overwrite:",
    ),
    "l2i: an overview removes the earlier files before it begins": (
        "cli/components.py",
        "    return own\n",
        "    for path in own:\n        path.unlink()\n    return own\n",
    ),
    "l2i: the table with the names is removed before it is written": (
        "cli/components.py",
        "        write_text(root / _TABLE, text.getvalue())\n        for path in earlier:\n"
        "            if path.name != _TABLE:\n                path.unlink(missing_ok=True)\n",
        "        for path in earlier:\n            path.unlink(missing_ok=True)\n"
        "        write_text(root / _TABLE, text.getvalue())\n",
    ),
}
