"""Bugs in ``backward``."""

from __future__ import annotations

BUGS = {
    "rule: relus in place are not guided": (
        "backward/calls.py",
        'if name.endswith("_") or kwargs.get("inplace"):',
        'if kwargs.get("inplace"):',
    ),
    "rule: deep-shap does not see products": (
        "backward/calls.py",
        "(call.name in MULTILINEAR and len(call.inputs) == 1)",
        "call.name in MULTILINEAR",
    ),
    "sign: leaks the other way round": (
        "backward/rules.py",
        "inwards - outwards, has_rule",
        "outwards - inwards, has_rule",
    ),
    "rule: nothing is refused": (
        "backward/completeness.py",
        "_MOST_UNRULED = 0.05",
        "_MOST_UNRULED = 1e9",
    ),
    "normalisation: a gap is a share of nothing": (
        "backward/completeness.py",
        "abs(gap / wanted) if wanted",
        "abs(gap) if wanted",
    ),
    "rule: masks are constants": (
        "backward/calls.py",
        "    if call.masked:\n        return False\n",
        "",
    ),
    "rule: a mask stays what it was at the input": (
        "backward/calls.py",
        "replaced[index] = origin.compute({key: values[k] for key, k in keys.items()})",
        "pass",
    ),
    "rule: a mask is computed from what was written over": (
        "backward/outside.py",
        "return origin if fresh else None",
        "return origin",
    ),
    "rule: a threshold above 0 is a rectifier": (
        "backward/calls.py",
        "_SCALES = (1.0, -1.0, 1e-3, -1e-3, 1e3, -1e3)",
        "_SCALES = (1e3, -1e3)",
    ),
    "rule: copies are strangers to their masks": (
        "backward/rules.py",
        'if self.origins is not None and call.name in ("clone", "contiguous"):',
        "if False:",
    ),
    "rule: writing to a slice is not in place": (
        "backward/calls.py",
        'return name == "__setitem__" or (',
        "return (",
    ),
    "rule: constants are written over again and again": (
        "backward/calls.py",
        "leaves[0] = leaves[0].detach().clone()  # a constant",
        "pass  # a constant",
    ),
    "rule: shapes changed in place are lost": (
        "backward/rules.py",
        "if call.name in SHAPING:  # squeeze_",
        "if False:  # squeeze_",
    ),
    "rule: norms by a few points of the line": (
        "backward/mean_slope.py",
        "_MOST_INTERVALS = 40",
        "_MOST_INTERVALS = 4",
    ),
    "normalisation: intervals of the line count alike": (
        "backward/mean_slope.py",
        "(low + width * place, width * weight)",
        "(low + width * place, weight / 4)",
    ),
    "rule: added constants keep their relevance": (
        "backward/relevance.py",
        "if ctx.rule.share_biases and not ctx.use.last:",
        "if False:",
    ),
    "rule: constants of the score are shared": (
        "backward/relevance.py",
        "if ctx.rule.share_biases and not ctx.use.last:",
        "if ctx.rule.share_biases:",
    ),
    "normalisation: constants of the score count twice": (
        "methods/lrp.py",
        "(one, ()))[1] if use not in terms]",
        "(one, ()))[1]]",
    ),
    "rule: a map that does not add up is accepted": (
        "backward/completeness.py",
        "_MOST_GAP = 0.5",
        "_MOST_GAP = 1e9",
    ),
    "rule: small gaps go unnoted": (
        "evaluation/notes.py",
        "_LARGE_GAP = 0.02",
        "_LARGE_GAP = 0.05",
    ),
    "cam: activations before the relu": (
        "backward/following.py",
        "active = call.name in ACTIVATIONS or is_rectifier(call)",
        "active = False",
    ),
    "cam: an activation function on one of two paths": (
        "backward/following.py",
        "while len(takers := self._takers.get(id(here), [])) == 1:",
        "while takers := self._takers.get(id(here), []):",
    ),
    "axis: recurrent layers run one way": (
        "backward/unfold.py",
        "for step in reversed(steps) if way else steps:",
        "for step in steps:",
    ),
    "axis: gates of the GRU swapped": (
        "backward/unfold.py",
        "reset = torch.sigmoid(here[0] + there[0])\n    keep = here[1] + there[1]",
        "reset = torch.sigmoid(here[1] + there[1])\n    keep = here[0] + there[0]",
    ),
    "rule: attention masks keep what they hide": (
        "backward/unfold.py",
        "masked_fill(~mask, -math.inf)",
        "masked_fill(mask, -math.inf)",
    ),
}
