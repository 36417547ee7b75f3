"""Bugs in ``metrics``."""

from __future__ import annotations

BUGS = {
    "figures: calibration": (
        "metrics/calibration.py",
        "np.abs(gap).sum()",
        "np.abs(gap.sum())",
    ),
    "figures: si-sdr": (
        "metrics/localisation.py",
        "(found - part) ** 2",
        "(found - wanted) ** 2",
    ),
    "figures: si-sdr is not scaled": (
        "metrics/localisation.py",
        "(found @ wanted / power)[:, None] * wanted",
        "np.ones((len(found), 1)) * wanted",
    ),
    "figures: mass": (
        "metrics/localisation.py",
        "truth.ravel()].sum",
        "~truth.ravel()].sum",
    ),
    "figures: rank counts ties as hits": (
        "metrics/localisation.py",
        "places * (equal & inside).sum(axis=1) / equal.sum(axis=1)",
        "(equal & inside).sum(axis=1)",
    ),
    "figures: the weakest cell points": (
        "metrics/localisation.py",
        "flat.max(axis=1, keepdims=True)",
        "flat.min(axis=1, keepdims=True)",
    ),
    "figures: auc upside down": (
        "metrics/localisation.py",
        "rankdata(flat, axis=1)",
        "rankdata(-flat, axis=1)",
    ),
    "figures: truth by time is by frequency": (
        "metrics/localisation.py",
        "ours.sum(axis=0) > theirs.sum(axis=0)",
        "ours.sum(axis=1) > theirs.sum(axis=1)",
    ),
    "figures: truth by magnitude": (
        "metrics/localisation.py",
        "np.asarray(one, np.float64) ** 2 for",
        "np.asarray(one, np.float64) for",
    ),
    "figures: maps by time keep what is negative": (
        "metrics/localisation.py",
        "positive = np.maximum(maps, 0)\n    return",
        "positive = maps\n    return",
    ),
    "figures: faithfulness reversed": (
        "metrics/faithfulness.py",
        "np.asarray(whole, np.float64) - remainder",
        "remainder - np.asarray(whole, np.float64)",
    ),
    "figures: faithfulness of the evidence": (
        "metrics/faithfulness.py",
        'given={"whole": "p_input", "remainder": "p_remainder"}',
        'given={"whole": "p_input", "remainder": "p_evidence"}',
    ),
    "figures: any rise is an increase": (
        "metrics/faithfulness.py",
        "- p_input > tolerance)",
        "- p_input > 0)",
    ),
    "figures: any rise is a gain": (
        "metrics/faithfulness.py",
        "gained > tolerance",
        "gained > 0",
    ),
    "figures: gain over the whole": (
        "metrics/faithfulness.py",
        "_over(gained, 1 - np",
        "_over(gained, np",
    ),
    "figures: drop is not relative": (
        "metrics/faithfulness.py",
        "100 * _over(lost, np.asarray(p_input, np.float64))",
        "100 * lost",
    ),
    "figures: a tie is faithful": (
        "metrics/faithfulness.py",
        "(others >= ours",
        "(others > ours",
    ),
    "figures: one class too many": (
        "metrics/faithfulness.py",
        "axis=1) < k)",
        "axis=1) <= k)",
    ),
    "figures: curves forget their steps": (
        "metrics/curves.py",
        "trapezoid(np.asarray(curve, np.float64), shares, axis=-1)",
        "np.asarray(curve, np.float64).mean(axis=-1)",
    ),
    "figures: nested from the weakest": (
        "metrics/curves.py",
        "axis=None)[::-1]",
        "axis=None)",
    ),
    "figures: gini of signed values": (
        "metrics/conciseness.py",
        "np.sort(np.abs(values.reshape(len(values), -1)), axis=1)",
        "np.sort(values.reshape(len(values), -1), axis=1)",
    ),
    "figures: gini over one cell too many": (
        "metrics/conciseness.py",
        "2 * np.arange(1, cells + 1) - cells - 1.0",
        "2 * np.arange(1, cells + 1) - cells + 0.0",
    ),
    "figures: entropy in bits": (
        "metrics/conciseness.py",
        "np.log(logs, out=logs)",
        "np.log2(logs, out=logs)",
    ),
    "size: the effective area of a sum without its square": (
        "metrics/conciseness.py",
        "np.divide(total**2, flat.shape[1] * squares",
        "np.divide(total, flat.shape[1] * squares",
    ),
    "size: what a filter leaves is heard": (
        "masks/measure.py",
        "magnitude > _SILENT * magnitude.max()",
        "magnitude > 0",
    ),
    "size: gains as heard above 1": (
        "masks/measure.py",
        "return np.minimum(ratio, 1, out=ratio)",
        "return ratio",
    ),
    "size: silence is kept": (
        "masks/measure.py",
        "out=np.zeros_like(kept), where=audible",
        "out=np.ones_like(kept), where=audible",
    ),
    "size: the mask's area for that of the sound": (
        "evaluation/cases.py",
        'shared["heard"] = heard(probe, passes.sounds[:count])',
        'shared["heard"] = gains',
    ),
    "size: the card shows the control's": (
        "evaluation/trust.py",
        "_range(probe, score, known)), effective[0],",
        "_range(probe, score, known)), effective[1],",
    ),
    "figures: energy of gains, not their square": (
        "metrics/conciseness.py",
        "np.square(gains.reshape(len(gains), -1), dtype=np.float64)",
        "np.abs(gains.reshape(len(gains), -1), dtype=np.float64)",
    ),
    "figures: ranks of one map only": (
        "metrics/similarity.py",
        "np.stack([_ranks(other.ravel()) for other in others])",
        "others.reshape(len(others), -1)",
    ),
    "figures: ssim without sample covariance": (
        "metrics/similarity.py",
        "use_sample_covariance=window > 1",
        "use_sample_covariance=False",
    ),
    "figures: level of magnitudes": (
        "metrics/sound.py",
        "return 10 * np.log10",
        "return 20 * np.log10",
    ),
    "figures: the input's own clicks count": (
        "metrics/sound.py",
        "peak) & ~own",
        "peak)",
    ),
    "best: degenerate masks win": (
        "metrics/ranking.py",
        "if flag or",
        "if",
    ),
    "best: less is more": (
        "metrics/registry.py",
        'self.direction == "higher"',
        'self.direction == "lower"',
    ),
    "sanity: signs count": (
        "metrics/sanity.py",
        "ssim(np.abs(first), np.abs(scrambled))",
        "ssim(first, scrambled)",
    ),
    "localisation: ranks of negative values": (
        "metrics/localisation.py",
        "return np.maximum(maps.reshape(len(maps), -1), 0).astype(np.float64)",
        "return maps.reshape(len(maps), -1).astype(np.float64)",
    ),
}
