"""Bugs in what the page holds, and in the folder around it."""

from __future__ import annotations

from planted_bugs import Bugs

BUGS: Bugs = {
    "encoding: Ctrl-C is lost in a callback": (
        "interrupts.py",
        "lambda number, _frame: came.append(number)",
        "handler",
    ),
    "orders: Ctrl-C costs a draw": (
        "evaluation/orders.py",
        "with interrupts_later():  # else",
        "if True:  # else",
    ),
    "encoding: Ctrl-C waits for ever": (
        "interrupts.py",
        "for number in came:",
        "for number in came[:0]:",
    ),
    "labels: they end after the sound": (
        "render/labels.py",
        "end = min(last, float(",
        "end = max(0, float(",
    ),
    "report: masks are of maps that are not stored": (
        "masks/keep.py",
        "values = storable(attribution).astype(np.float64)",
        "values = np.asarray(attribution, np.float64)",
    ),
    "report: a share cuts beside its level": (
        "report/packing.py",
        'levels[finite], "right")',
        'levels[finite], "left")',
    ),
    "report: one share in a hundred is not cut": (
        "report/packing.py",
        "_PERCENT = np.arange(1, 101)",
        "_PERCENT = np.arange(1, 100)",
    ),
    "report: negative values are kept": (
        "report/packing.py",
        "& (codes <= POSITIVE)",
        "& (codes <= 255)",
    ),
    "report: the sign of steps is lost": (
        "report/packing.py",
        "((signed << 1) ^ (signed >> 15))",
        "(signed << 1)",
    ),
    "report: arrays lie bin by bin": (
        "report/packing.py",
        "plain = np.ascontiguousarray(values.T)",
        "plain = np.ascontiguousarray(values)",
    ),
    "report: a mask is what its rule says": (
        "report/packing.py",
        "np.array_equal(mask.gains, kept(codes, cuts, percent))",
        "True",
    ),
    "report: the scale of the input is lost": ("report/packing.py", '"scale": peak', '"scale": 1'),
    "report: a name ends the script": (
        "report/sections.py",
        'for sign in "<>&":',
        'for sign in "&":',
    ),
    "report: names that are alike share their data": (
        "report/clip.py",
        '.replace("%", "~")',
        '.replace("%", "_x")',
    ),
    "report: any script may run": (
        "render/policy.py",
        "\" 'self' file:\" * beside",
        "\" 'self' file:\"",
    ),
    "report: assets are left behind": (
        "report/folder.py",
        "if former != self._assets:",
        "if False:",
    ),
    "report: assets are left behind by --overwrite": (
        "report/folder.py",
        'self._clear_assets(facts["assets"], facts["sounds"])',
        "pass",
    ),
    "report: assets may lie anywhere": (
        "report/folder.py",
        "not _ASSETS.fullmatch(self.form.assets)",
        "False",
    ),
    "report: a page that lacks its assets is gone on with": (
        "report/sections.py",
        "    if not path.is_file():\n        return None\n",
        "",
    ),
    "report: --no-audio keeps the input": (
        "jobs/explaining.py",
        "if not saved and task.audio:",
        "if not saved:",
    ),
    "report: --no-audio keeps evidence": (
        "store.py",
        "[not own_input :] if audio else ()",
        "[not own_input :]",
    ),
    "report: --no-audio links the recording": (
        "report/clip.py",
        '"original": _original(root, first) if audio else None',
        '"original": _original(root, first)',
    ),
    "report: --no-audio holds the input": (
        "report/clip.py",
        "_bits(saved, maps)) if audio else None",
        "_bits(saved, maps))",
    ),
    "report: sounds do not count": (
        "jobs/resuming.py",
        'if there.get("audio", True) != here["audio"]:',
        "if False:",
    ),
    "report: the first version's page stays": (
        "report/record.py",
        "return MARK.encode() in head or _TITLE.encode() in head",
        "return MARK.encode() in head",
    ),
    "report: the first version's record may name anything": (
        "report/record.py",
        'all(is_inside(whole, n) for n in facts["own"])',
        "True",
    ),
    "report: the command forgets the target": (
        "report/command.py",
        "if not target.decided:",
        "if False:",
    ),
    "report: the command forgets options": (
        "report/command.py",
        "value != spec.declared[name].default",
        "False",
    ),
    "report: the command forgets the seed": (
        "report/command.py",
        'if one.provenance["seed"]:',
        "if False:",
    ),
    "report: the command is not quoted": (
        "report/command.py",
        "shlex.join(words)",
        '" ".join(words)',
    ),
    "report: pieces are numbered by time first": (
        "perturbation/pieces/decomposition.py",
        "row[:, None] * self._sizes[2] + column",
        "row[:, None] + self._sizes[1] * column",
    ),
    "report: codes of levels are of power": (
        "render/levels.py",
        "20 * np.log10(relative)",
        "10 * np.log10(relative)",
    ),
    "codes: places of another precision": (
        "masks/rounding.py",
        "np.uint32(24 - _SIGNIFICANT)",
        "np.uint32(25 - _SIGNIFICANT)",
    ),
    "codes: a level is above itself": (
        "report/packing.py",
        "first = places_of(edges.astype(np.float32))",
        "first = 1 + places_of(edges.astype(np.float32))",
    ),
}
