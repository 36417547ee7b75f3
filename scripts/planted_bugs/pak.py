"""Bugs in the front ends, pipelines and grids of published tables."""

from __future__ import annotations

BUGS = {
    "pak: the front end pads with zeros": (
        "models/zoo/decibels.py",
        'pad_mode="reflect"',
        'pad_mode="constant"',
    ),
    "pak: bands of magnitudes": (
        "models/zoo/decibels.py",
        "power = spectrum.real.square() + spectrum.imag.square()",
        "power = (spectrum.real.square() + spectrum.imag.square()).sqrt()",
    ),
    "pak: triangles of unit area": (
        "models/zoo/decibels.py",
        "(mel_triangles(self.plane.freqs(), edges) * heights)",
        "(mel_triangles(self.plane.freqs(), edges) + 0 * heights)",
    ),
    "pak: negative powers of bins are kept": (
        "models/zoo/decibels.py",
        "(self._inverse @ power).clamp(min=0)",
        "(self._inverse @ power).abs()",
    ),
    "pak: the way back takes powers for magnitudes": (
        "models/zoo/decibels.py",
        "torch.polar(power.sqrt(), phase",
        "torch.polar(power, phase",
    ),
    "pak: augmentation masks with 0 dB, as published": (
        "models/zoo/checkpoint.py",
        "return 0.0 if self.front_end == LOG_MEL else FLOOR_DB",
        "return 0.0",
    ),
    "pak: a front end that is not stored": (
        "models/zoo/checkpoint.py",
        "        front_end=front_end,\n    )",
        "    )",
    ),
    "compat pak: levels masked from 0 dB": (
        "methods/levels.py",
        "return (self.levels - FLOOR_DB) * gains + FLOOR_DB",
        "return self.levels * gains",
    ),
    "compat pak: outputs depend on what is evaluated with them": (
        "methods/levels.py",
        "outputs[: len(some)]",
        "outputs[: len(some)] + outputs[-1] * 0.01",
    ),
    "compat pak: a faster copy that is not compared": (
        "methods/levels.py",
        "copy = prepared(self.model)",
        "copy = None",
    ),
    "compat pak: saliency put right is the same": (
        "methods/pak.py",
        "return gradient * (sound.levels - FLOOR_DB) if repaired",
        "return gradient if repaired",
    ),
    "compat pak: Grad-CAM turned when it is repaired": (
        "methods/pak.py",
        "turned = found if repaired else found.transpose(1, 2)",
        "turned = found.transpose(1, 2) if repaired else found",
    ),
    "compat pak: Grad-CAM of the input": (
        "methods/pak.py",
        "found = (weights * kept[-1].detach()).sum(dim=1)",
        "found = (weights.abs() * kept[-1].detach()).sum(dim=1) * 0 + 1",
    ),
    "compat pak: regions are silenced as published": (
        "methods/pak.py",
        "off = _means(sound.levels, regions, count)",
        "off = torch.full_like(sound.levels, FLOOR_DB)",
    ),
    "compat pak: the first draw is random": (
        "methods/pak.py",
        "        draws[0] = True\n",
        "",
    ),
    "compat pak: SHAP's gradient is that at the sound": (
        "methods/pak.py",
        "found = sound.gradient(some, index) / len(self.levels)",
        "found = sound.gradient(sound.levels[None], index) / len(self.levels)",
    ),
    "compat pak: slopes of the first output that was asked for": (
        "methods/pak.py",
        "if index not in self._slopes:",
        "index = next(iter(self._slopes), index)\n        if index not in self._slopes:",
    ),
    "compat pak: points on the line are not weighted": (
        "methods/pak.py",
        "torch.from_numpy(weights / 2)",
        "torch.from_numpy(weights * 0 + 1 / 4)",
    ),
    "compat pak: bins outside of all bands repeat others": (
        "methods/pak.py",
        "values = (weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)) @ values",
        "values = weights @ values",
    ),
    "compat pak: every sound of the folder is a background": (
        "methods/pak.py",
        "min(most, len(paths))",
        "len(paths)",
    ),
}
