"""Bugs in what explains a score of speech quality."""

from __future__ import annotations

BUGS = {
    "quality: the published pipeline evaluates the perturbed pictures": (
        "methods/mosnet_lime.py",
        "sequence.repeat(SAMPLES // STORED), STORED",
        "_scores(probe, picture, draws), STORED",
    ),
    "quality: the repaired pipeline evaluates the input only": (
        "methods/mosnet_lime.py",
        "torch.where(some[:, picture.labels], probe.magnitude, off)",
        "torch.where(some[:, picture.labels], probe.magnitude, probe.magnitude)",
    ),
    "quality: the second class minus the most probable": (
        "methods/mosnet_lime.py",
        "values = shares[:, first] - shares[:, second]",
        "values = shares[:, second] - shares[:, first]",
    ),
    "quality: the picture upside down": (
        "methods/mosnet_lime.py",
        "pixels = levels[::-1][",
        "pixels = levels[",
    ),
    "quality: cells have regions of another row": (
        "methods/mosnet_lime.py",
        "(freq - np.arange(freq) - 0.5) * HEIGHT",
        "(np.arange(freq) + 0.5) * HEIGHT",
    ),
    "quality: lime's kernel without its root": (
        "methods/mosnet_lime.py",
        "_KERNEL = 0.25 * math.sqrt(2)",
        "_KERNEL = 0.25",
    ),
    "quality: scores below 1 in the published code": (
        "methods/mosnet_lime.py",
        "if wrap and found == 0:",
        "if found < 0:",
    ),
    "quality: published pipelines are listed": (
        "methods/registry.py",
        "return [one for one in super().all() if not one.published]",
        "return super().all()",
    ),
    "quality: the page repeats a published pipeline as a method": (
        "report/command.py",
        'kind = "--compat" if spec.published else "--method"',
        'kind = "--method"',
    ),
    "quality: frames without their weight": (
        "models/calling/frames.py",
        "return own * scores[target.index], own",
        "return own.mean() * scores[target.index], own",
    ),
    "quality: a span counts all frames": (
        "models/calling/frames.py",
        "if target.frames is not None:",
        "if target.frames is None:",
    ),
    "quality: windows each count in full": (
        "models/calling/frames.py",
        "found[0][0].double().cpu() / len(windows)",
        "found[0][0].double().cpu()",
    ),
    "quality: segments of all windows lie in the first": (
        "models/calling/frames.py",
        "found[2].double().cpu() + start / model.rate",
        "found[2].double().cpu()",
    ),
    "quality: the largest of windows is a sum": (
        "models/calling/frames.py",
        'model.lengths.pool != "mean"',
        'model.lengths.pool == "none"',
    ),
    "quality: the sign of frames with direction down": (
        "methods/frame_scores.py",
        "added = target.sign * (parts",
        "added = (parts",
    ),
    "quality: the reference is not subtracted": (
        "methods/frame_scores.py",
        "parts - against * weights",
        "parts - 0 * weights",
    ),
    "quality: segments of NISQA begin where they have their centre": (
        "models/zoo/nisqa.py",
        "torch.stack([centres - half, centres + half], dim=1)",
        "torch.stack([centres, centres + 2 * half], dim=1)",
    ),
    "quality: all dimensions have the attention of the first": (
        "models/zoo/nisqa.py",
        "[head.weights(rows) for head in heads]",
        "[heads[0].weights(rows) for head in heads]",
    ),
    "quality: a thousand draws, however many pieces": (
        "perturbation/perturb.py",
        "return max(Sampling.samples, _EACH * pieces)",
        "return Sampling.samples",
    ),
    "quality: limits that are tensors have no rule": (
        "methods/lrp.py",
        '_LIMITS = frozenset(["maximum", "minimum", "fmax", "fmin"])',
        "_LIMITS = frozenset([])",
    ),
    "quality: the weakest pieces are printed": (
        "jobs/explaining.py",
        "key=lambda one: -abs(one.weight)",
        "key=lambda one: abs(one.weight)",
    ),
}
