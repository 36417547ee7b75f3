"""Bugs in ``decoders``."""

from __future__ import annotations

BUGS = {
    "lmac: the size of the whole batch": (
        "decoders/objective.py",
        "weights.size * gains.mean(dim=(1, 2))",
        "weights.size * gains.mean().expand(len(gains))",
    ),
    "lmac: an absent class rewards removing nothing": (
        "decoders/objective.py",
        "weights.outside * (outside - before).relu()",
        "weights.outside * outside",
    ),
    "lmac: softmax twice": (
        "decoders/objective.py",
        "losses = -functional.log_softmax(outputs, dim=1)",
        "losses = -functional.log_softmax(outputs.softmax(dim=1), dim=1)",
    ),
    "lmac: a value may fall freely": (
        "decoders/objective.py",
        "fall = sign * (over(before, frames) - over(outputs, frames)) / scale",
        "fall = sign * (over(outputs, frames) - over(before, frames)) / scale",
    ),
    "lmac: a constant beyond the knots is none": (
        "plane/knots.py",
        ".clamp(min=1e-9)).clamp(0, 1)",
        ".clamp(min=1e-9))",
    ),
    "lmac: the level of the sound matters": (
        "decoders/slim.py",
        "self.readers[k](one) / _size(one)",
        "self.readers[k](one)",
    ),
    "lmac: the conditioning has no effect": (
        "decoders/slim.py",
        "last = (level * (1 + scale) + shift).relu()",
        "last = level.relu()",
    ),
    "lmac: the conditioning does not weight the deepest layer": (
        "decoders/slim.py",
        "if self._weighted else maps[0]",
        "if False else maps[0]",
    ),
    "lmac: windows do not fade": (
        "plane/windows.py",
        "torch.minimum(ramp, ramp.flip(0)) if fade",
        "torch.ones_like(ramp) if fade",
    ),
    "lmac: windows start at the wrong frame": (
        "decoders/trained.py",
        "round(start / hop) for",
        "round(start / hop) // 2 for",
    ),
    "lmac: gains on a logarithm are taken for gains on the magnitude": (
        "decoders/folder.py",
        'if domain == "linear":\n        return gains',
        "if domain:\n        return gains",
    ),
    "lmac: the remainder of the published decoder's sums": (
        "decoders/published.py",
        "return torch.relu(result)",
        "return result",
    ),
}
