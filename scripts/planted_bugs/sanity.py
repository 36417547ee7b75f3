"""Bugs in the benchmarks of dependence on the weights: randomisation, remove and retrain."""

from __future__ import annotations

BUGS = {
    "randomisation: digital silence counts": (
        "benchmark/sanity/measure.py",
        '"ssim": ssim(first_size, sizes, frames)',
        '"ssim": ssim(first_size, sizes)',
    ),
    "randomisation: ranks of silent cells count": (
        "benchmark/sanity/measure.py",
        "spearman(first_size[:, frames], sizes[..., frames])",
        "spearman(first_size, sizes)",
    ),
    "randomisation: signs are lost": (
        "benchmark/sanity/measure.py",
        "spearman(first[:, frames], others[..., frames]) if signed",
        "spearman(first_size[:, frames], sizes[..., frames]) if signed",
    ),
    "randomisation: one unchanged map is enough": (
        "benchmark/sanity/measure.py",
        "<= _SAME * largest).all())",
        "<= _SAME * largest).any())",
    ),
    "randomisation: windows over silence count": (
        "metrics/similarity.py",
        "found.append(values[inside][:, counted].mean())",
        "found.append(values[inside].mean())",
    ),
    "randomisation: frames beside their windows": (
        "metrics/similarity.py",
        "counted = counted[inside[1]]",
        "counted = counted[: inside[1].stop - inside[1].start]",
    ),
    "randomisation: equal values in the order of the sort": (
        "metrics/similarity.py",
        "np.repeat((starts + ends + 1) / 2, ends - starts)",
        "np.arange(1, len(values) + 1)",
    ),
    "randomisation: every order is cascading": (
        "benchmark/sanity/measure.py",
        "explain, order=order, seed=own)",
        'explain, order="cascading", seed=own)',
    ),
    "randomisation: the same draw for every seed": (
        "benchmark/sanity/measure.py",
        "own = seed_of(seed, setting.clip)",
        "own = seed_of(0, setting.clip)",
    ),
    "randomisation: Grad-CAM is not beside": (
        "benchmark/sanity/plan.py",
        "if BESIDE not in names:",
        "if not names:",
    ),
    "randomisation: blocks that cannot change count": (
        "evaluation/scrambling.py",
        "if any(_varied(modules[name]) for name in block)]",
        "]",
    ),
    "randomisation: seeds count as sounds": (
        "benchmark/sanity/summary.py",
        "{clip: np.mean(some, axis=0) for clip, some in found.items()}",
        "{clip: np.array(some[0]) for clip, some in found.items()}",
    ),
    "randomisation: above is below": (
        "benchmark/sanity/summary.py",
        "'above' if self.difference.mean > 0",
        "'above' if self.difference.mean < 0",
    ),
    "randomisation: a control is not named": (
        "benchmark/sanity/summary.py",
        'all(line["unchanged"] for line in whole)',
        'not any(line["unchanged"] for line in whole)',
    ),
    "randomisation: a folder's first sounds": (
        "benchmark/sanity/plan.py",
        "sorted(turns, key=lambda pair: pair[0])",
        "sorted(turns, key=lambda pair: pair[1] % 2)",
    ),
    "roar: the least important cells go": (
        "benchmark/sanity/roar.py",
        "np.argsort(-values.ravel()[shuffled]",
        "np.argsort(values.ravel()[shuffled]",
    ),
    "roar: equal cells in their order": (
        "benchmark/sanity/roar.py",
        "np.random.default_rng(seed).permutation(places)",
        "places",
    ),
    "roar: cells of silence go too": (
        "benchmark/sanity/roar.py",
        "np.flatnonzero(np.broadcast_to(frames, values.shape))",
        "np.arange(values.size)",
    ),
    "roar: removed cells lose their phase": (
        "benchmark/sanity/roar.py",
        "mean[rows] * phases",
        "mean[rows]",
    ),
    "roar: the mean of another frequency": (
        "benchmark/sanity/roar.py",
        "rows = removed // spectrum.shape[1]",
        "rows = removed % len(mean)",
    ),
    "roar: silence lowers the mean": (
        "benchmark/sanity/roar.py",
        "magnitude[:, frames].sum(axis=1, dtype=np.float64)\n        count += int(frames.sum())",
        "magnitude.sum(axis=1, dtype=np.float64)\n        count += len(frames)",
    ),
    "roar: test sounds are whole": (
        "benchmark/sanity/roar.py",
        "made = wave if order is None else",
        "made = wave if order is None or number >= len(plan.train) else",
    ),
    "roar: every training has the same seed": (
        "benchmark/sanity/roar.py",
        "replace(plan.settings, seed=seed)",
        "replace(plan.settings, seed=plan.seeds[0])",
    ),
    "roar: trainings are repeated": (
        "benchmark/sanity/roar.py",
        "if (name, _title(*one)) not in ledger.done]",
        "]",
    ),
    "roar: controls are left out": (
        "benchmark/sanity/roar.py",
        "(*self.methods, *missing)",
        "self.methods",
    ),
    "roar: one seed below the control is enough": (
        "benchmark/sanity/roar_tables.py",
        "max(values) < min(other",
        "min(values) < min(other",
    ),
}
