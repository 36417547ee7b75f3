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
}
