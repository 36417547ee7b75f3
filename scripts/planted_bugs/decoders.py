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
    "lmac: one window is the sound, however long it is": (
        "decoders/trained.py",
        "list(starts) == [0] and length == total",
        "list(starts) == [0]",
    ),
    "lmac: windows start at the wrong frame": (
        "decoders/trained.py",
        "round(start / hop) for",
        "round(start / hop) // 2 for",
    ),
    "sized: the share does not reach the decoder": (
        "decoders/slim.py",
        "_size_code(share, conditioning)",
        "_size_code(None, conditioning)",
    ),
    "sized: every share is the same to the decoder": (
        "decoders/slim.py",
        "torch.stack([torch.ones_like(logs), logs], dim=1)",
        "torch.stack([torch.ones_like(logs), 0 * logs], dim=1)",
    ),
    "sized: the level is left out": (
        "decoders/slim.py",
        "found + self.loudness * loud if",
        "found + 0 * self.loudness * loud if",
    ),
    "sized: the multiple of the level is learnt": (
        "decoders/slim.py",
        'self.register_buffer("loudness", torch.tensor(_LEVEL))',
        "self.loudness = nn.Parameter(torch.tensor(_LEVEL))",
    ),
    "sized: soft gains follow the level": (
        "decoders/slim.py",
        "cut_to_share = self.sized and share is not None",
        "cut_to_share = self.sized and magnitude is not None",
    ),
    "guided: the contrast has no effect": (
        "decoders/slim.py",
        "torch.addcmul(found, slope[0], contrast(loud), value=_GUIDE)",
        "torch.addcmul(found, slope[0], contrast(loud), value=0)",
    ),
    "guided: the bias is added to the slopes too": (
        "decoders/slim.py",
        "torch.cat([rows[:, :1] + self.level, rows[:, 1:]], dim=1)",
        "rows + self.level",
    ),
    "guided: a decoder is stored as one of another kind": (
        "decoders/folder.py",
        '    if decoder.guided:\n        return "guided"\n',
        "",
    ),
    "guided: a kind that does not exist is the published one": (
        "decoders/folder.py",
        '    if kind != "published":\n',
        "    if not kind:\n",
    ),
    "guided: the contrast is the level": (
        "plane/contrast.py",
        "torch.add(level, total, alpha=-1 / _COUNT**2)",
        "level",
    ),
    "guided: the contrast is over bins only": (
        "plane/contrast.py",
        "for axis in (1, 2):",
        "for axis in (1, 1):",
    ),
    "guided: the neighbourhood lies after the cell": (
        "plane/contrast.py",
        "before, after = _COUNT // 2, _COUNT // 2 - 1",
        "before, after = 0, _COUNT - 1",
    ),
    "sized: the level of the sound matters": (
        "plane/cutting.py",
        ".log().sub(size.log())",
        ".log()",
    ),
    "sized: silence has a level": (
        "plane/cutting.py",
        "least = torch.where(audible, _QUIETEST * size, 1.0)",
        "least = _QUIETEST * size",
    ),
    "sized: quiet cells have the level of louder ones": (
        "plane/cutting.py",
        "torch.where(audible, _QUIETEST * size, 1.0)",
        "torch.where(audible, 30 * _QUIETEST * size, 1.0)",
    ),
    "sized: one cell too many": (
        "plane/cutting.py",
        "row.kthvalue(cells - k + 1)",
        "row.kthvalue(max(cells - k, 1))",
    ),
    "sized: a gradient may raise all cells alike": (
        "plane/cutting.py",
        "(logits - at - (moved - moved.detach())).sigmoid()",
        "(logits - at).sigmoid()",
    ),
    "sized: the cut has no gradient": (
        "plane/cutting.py",
        "return hard + (soft - soft.detach())",
        "return hard + 0 * soft",
    ),
    "sized: levels of windows are those of the beginning": (
        "decoders/trained.py",
        "magnitude[:, max(first, 0) : max(first + length, 0)]",
        "magnitude[:, :length]",
    ),
    "sized: guidance by the whole mixture": (
        "decoders/objective.py",
        "along = (power + own - rest) / 2",
        "along = power",
    ),
    "sized: what leaks is the source": (
        "decoders/objective.py",
        "rest / (own + rest).clamp(min=_TINY)",
        "own / (own + rest).clamp(min=_TINY)",
    ),
    "lmac: gains on a logarithm are taken for gains on the magnitude": (
        "plane/domains.py",
        'if domain == "linear":\n        return gains',
        "if domain:\n        return gains",
    ),
    "lmac: the remainder of the published decoder's sums": (
        "decoders/published.py",
        "return torch.relu(result)",
        "return result",
    ),
}
