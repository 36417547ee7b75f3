"""Bugs in the front ends, pipelines and grids of published tables."""

from __future__ import annotations

BUGS = {
    "pak: the remainder as published": (
        "methods/pak.py",
        "torch.from_numpy(gains).to(sound.levels)[None]",
        "torch.from_numpy(1 - gains).to(sound.levels)[None]",
    ),
    "pak: evidence as published by another rule": (
        "pipeline.py",
        "found.published(mask.rule)",
        'found.published("80%")',
    ),
    "pak: a drawn mask on the bands": (
        "pipeline.py",
        "if found.published is not None and not drawn:",
        "if found.published is not None:",
    ),
    "pak: evidence as published is not read again": (
        "store.py",
        'more = ["published"] * (folder / _NAMES["published"]).is_file()',
        "more: list[str] = []",
    ),
    "pak: the score of the other evidence": (
        "pipeline.py",
        "torch.from_numpy(published.samples)",
        "torch.from_numpy(0 * published.samples)",
    ),
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
        "return FLOOR_DB",
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
    "grid pak: noise as loud as the sound": (
        "benchmark/grids/sounds.py",
        "SHARES = (0.6, 0.4)",
        "SHARES = (0.5, 0.5)",
    ),
    "grid pak: levels without padding": (
        "benchmark/grids/sounds.py",
        "np.mean(sound.astype(np.float64) ** 2)",
        "np.max(sound.astype(np.float64) ** 2)",
    ),
    "grid pak: sounds of the first classes only": (
        "benchmark/grids/sounds.py",
        "sorted(order[:count])",
        "range(min(count, len(items)))",
    ),
    "grid pak: learnt sounds are explained": (
        "benchmark/grids/sounds.py",
        "if set(wanted.learnt) & set(wanted.explained):",
        "if False:",
    ),
    "grid pak: topK of the positive part is that of the map": (
        "benchmark/grids/pak.py",
        '"topK_50_pos": "top:50%+"',
        '"topK_50_pos": "top:50%"',
    ),
    "grid pak: remainder and evidence are exchanged": (
        "benchmark/grids/pak.py",
        "inside, outside = self.sound.masked(one), self.sound.masked(1 - one)",
        "outside, inside = self.sound.masked(one), self.sound.masked(1 - one)",
    ),
    "grid pak: masks of other maps are taken for known": (
        "benchmark/grids/pak.py",
        "if name not in self.known]",
        "if not self.known or name not in self.known and k == 0]",
    ),
    "grid pak: a version that does not matter": (
        "benchmark/grids/pak.py",
        'repaired = version == "repaired"',
        'repaired = plan.versions[0] == "repaired"',
    ),
    "grid pak: rises of rounding count": (
        "benchmark/grids/pak_tables.py",
        "rise > _TOLERANCE",
        "rise > 0",
    ),
    "grid pak: degenerate masks are kept": (
        "benchmark/grids/pak_tables.py",
        'if line["degenerate"] is None]',
        "if True]",
    ),
    "grid pak: the code's choice is scaled within its rows": (
        "benchmark/grids/pak_tables.py",
        "for some in (own, rows)",
        "for some in (own, own)",
    ),
    "grid lmac: the levels of the code are those of the paper": (
        "benchmark/grids/sounds.py",
        'if level == "printed" and kind in PRINTED_DB',
        "if kind in PRINTED_DB",
    ),
    "grid lmac: a sound is contaminated with itself": (
        "benchmark/grids/sounds.py",
        "[path for path in others if path != item.path]",
        "[path for path in others if path == item.path] or list(others)",
    ),
    "grid lmac: masks of the signed map": (
        "benchmark/grids/lmac.py",
        "size = np.abs(values)",
        "size = np.maximum(values, 0)",
    ),
    "grid lmac: the weakest cells": (
        "benchmark/grids/lmac.py",
        "np.argsort(-values",
        "np.argsort(values",
    ),
    "grid lmac: soft masks on linear magnitudes": (
        "benchmark/grids/lmac.py",
        '(("log1p", gains), ("linear", matched))',
        '(("linear", gains), ("log1p", matched))',
    ),
    "grid lmac: average drop under one softmax": (
        "benchmark/grids/lmac.py",
        'PUBLISHED["lmac"](soft).items()',
        'PUBLISHED["pak"](soft).items()',
    ),
    "grid lmac: all tables are halved": (
        "benchmark/grids/lmac_tables.py",
        "halved = kind == _HALVED",
        "halved = True",
    ),
    "grid lmac: an empty mask has a sparseness of 0": (
        "benchmark/grids/lmac_tables.py",
        "known = [value for value in values if not math.isnan(value)]",
        "known = [0.0 if math.isnan(value) else value for value in values]",
    ),
}
