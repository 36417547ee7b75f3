"""Bugs in metrics that repeat the explanation or ask another model."""

from __future__ import annotations

BUGS = {
    "sizes: the map of no size is cut": (
        "benchmark/reruns.py",
        "if own else 0.0",
        "if not own else 0.0",
    ),
    "sizes: examples of the map of no size": (
        "benchmark/examples.py",
        "(mask,) = sized_masks(probe, choice, values, [rule])",
        "(mask,) = sized_masks(probe, Choice('ideal-ratio-mask', {}), values, [rule])",
    ),
    "sizes: a size that was named is not kept": (
        "benchmark/reruns.py",
        ' and not choice.options["size"]',
        "",
    ),
    "sizes: a size as heard is not asked for": (
        "benchmark/reruns.py",
        "share_of(rule.removesuffix(AS_HEARD)) if own",
        "share_of(rule) if own and not rule.endswith(AS_HEARD)",
    ),
    "sizes: one size counts as much as another": (
        "metrics/sizes.py",
        "trapezoid(values, sizes, axis=-1) / (sizes[:, -1] - sizes[:, 0])",
        "values.mean(axis=-1)",
    ),
    "sizes: from nothing kept on": (
        "metrics/sizes.py",
        "/ (sizes[:, -1] - sizes[:, 0])",
        "/ sizes[:, -1]",
    ),
    "sizes: evidence for remainder": (
        "evaluation/cases.py",
        'f"sized_{side}": fields[f"p_{side}"][None]',
        'f"sized_{side}": fields["p_evidence"][None]',
    ),
    "sizes: the sound for both routes": (
        "evaluation/cases.py",
        "getattr(passes, route))\n        found[route]",
        "passes.audio)\n        found[route]",
    ),
    "named: one repetition counts for all": (
        "benchmark/cells.py",
        "pack(float(np.mean(row)))",
        "pack(float(row[0]))",
    ),
    "named: noise of another seed": (
        "benchmark/reruns.py",
        "noisy_copies(wave, COPIES, seed)",
        "noisy_copies(wave, COPIES, seed + 1)",
    ),
    "named: other seeds are the same seed": (
        "benchmark/reruns.py",
        "explain(wave, seed + k)",
        "explain(wave, seed)",
    ),
    "named: the other model's output by position": (
        "benchmark/reruns.py",
        "index = output_index(other, label)",
        "index = target.index",
    ),
    "named: the other model on the input for the remainder": (
        "benchmark/reruns.py",
        "chance(whole - one)",
        "chance(whole)",
    ),
    "named: another model's outputs on both routes": (
        "benchmark/cells.py",
        'case.update(extra["both"] | extra.get(route, {}))',
        'case.update(extra["both"] | extra["audio"])',
    ),
    "named: computed without being named": (
        "benchmark/reruns.py",
        "for name in grid.metrics for field in METRICS.get(name).given.values()}",
        'for name in grid.metrics or ["stability-noise"] '
        "for field in METRICS.get(name).given.values()}",
    ),
    "named: the cost of one block only": (
        "benchmark/reruns.py",
        'found["sanity"] = len(find_blocks(model, torch.from_numpy(wave).to(model.device)))',
        'found["sanity"] = 1',
    ),
    "named: sanity of a model without weights is begun": (
        "benchmark/reruns.py",
        'if "random_maps" in fields and next',
        "if not fields and next",
    ),
    "reruns: only the first frame of the other classifier": (
        "benchmark/reruns.py",
        "[:, index].mean())",
        "[:, index].flatten()[0])",
    ),
    "reruns: too short for intelligibility is a number": (
        "metrics/sound.py",
        "values.append(np.nan)",
        "values.append(1e-5)",
    ),
    "reruns: empty masks have a sparseness in L-MAC's": (
        "evaluation/published.py",
        'np.where(kept, figures["SPS"], np.nan)',
        'figures["SPS"]',
    ),
}
