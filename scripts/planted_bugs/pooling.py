"""Bugs in explanations of the windows that decide."""

from __future__ import annotations

BUGS = {
    "pooling: the recording that is compared is forgotten": (
        "pooling.py",
        "    if subject.reference is not None:\n        return False\n",
        "",
    ),
    "pooling: a drawn mask on the part": (
        "pipeline.py",
        "few_decide(subject) and not drawn:",
        "few_decide(subject):",
    ),
    "pooling: a copy keeps what the model was": (
        "models/calling/windowed.py",
        "    vars(other).update(vars(model))\n",
        "",
    ),
    "pooling: regions are named by seconds of the part": (
        "perturbation/regions.py",
        "map(self._clock, self.times[[region.first, region.last]].tolist())",
        "self.times[[region.first, region.last]].tolist()",
    ),
    "pooling: placed a frame late": (
        "pooling.py",
        "first = one.start // hop",
        "first = one.start // hop + 1",
    ),
    "pooling: the evidence stays where it was": (
        "pooling.py",
        "whole[one.start : one.start + one.length] = samples[",
        "whole[one.place : one.place + one.length] = samples[",
    ),
    "pooling: no sound around the windows": (
        "pooling.py",
        "_MARGIN = 2",
        "_MARGIN = 0",
    ),
    "pooling: the smallest windows": (
        "pooling.py",
        "largest = subject.window_outputs[:, indices].topk(count, dim=0).indices",
        "largest = (-subject.window_outputs[:, indices]).topk(count, dim=0).indices",
    ),
    "pooling: the windows of the first output": (
        "pooling.py",
        "indices = [target.index, *(",
        "indices = [0, *(",
    ),
    "pooling: the windows of the target alone": (
        "pooling.py",
        "[] if target.versus_index is None else [target.versus_index]",
        "[]",
    ),
    "pooling: pieces are named by seconds of the part": (
        "pooling.py",
        "    part.clock = _clock(stretches, model.rate)\n",
        "",
    ),
    "pooling: frames that are not read count": (
        "pooling.py",
        "    part.reach = _reach(own, end)\n",
        "",
    ),
    "pooling: sizes of the part": (
        "pooling.py",
        "trust=_resized(found, mask)",
        "trust=found.trust",
    ),
    "pooling: areas of the curve are of the part": (
        "pooling.py",
        "        curve=_resized_curve(found.curve, cut),\n",
        "",
    ),
    "pooling: the rest of the sound is in no piece's sound": (
        "pooling.py",
        "rest = audio.samples - sum(",
        "rest = 0 * audio.samples + sum(",
    ),
    "pooling: the course is that of the part": (
        "pooling.py",
        "        course=subject.course(target),\n",
        "",
    ),
    "pooling: even where all windows decide": (
        "pooling.py",
        "> lengths.deciding",
        "> 1",
    ),
    "pooling: windows are pooled by their mean": (
        "subject.py",
        "return self.model.lengths.pooled(self.window_outputs)",
        "return self.window_outputs.mean(dim=0)",
    ),
    "pooling: the windows of a call are not those asked for": (
        "models/calling/lengths.py",
        "            return list(self.at)\n",
        "            return list(range(len(self.at)))\n",
    ),
    "pooling: starts in samples where frames are read": (
        "models/calling/windowed.py",
        "unit = model.plane.hop if isinstance(model, SpectralModel) else 1",
        "unit = 1",
    ),
    "pooling: only the first windows are evaluated": (
        "models/calling/lengths.py",
        "some = starts[first : first + (together or len(starts))]",
        "some = starts[: (together or len(starts))]",
    ),
}
