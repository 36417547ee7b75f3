"""Bugs in ``perturbation``."""

from __future__ import annotations

BUGS = {
    "seed: one noise for all passes of smoothgrad": (
        "perturbation/noise.py",
        "torch.randn(2, *probe.shape, generator=probe.generator)",
        "torch.randn(2, *probe.shape, generator=torch.Generator())",
    ),
    "sign: occlusion": (
        "perturbation/estimators/occlusion.py",
        "weights = scores[0] - scores[2:]",
        "weights = scores[2:] - scores[0]",
    ),
    "sign: shapley against the sum": (
        "perturbation/estimators/kernel_shap.py",
        "offset = scores - none - last * total",
        "offset = scores - none + last * total",
    ),
    "axis: bands run downwards": (
        "perturbation/pieces/decomposition.py",
        "grid = self._rows.T @ grid",
        "grid = self._rows.flip(1).T @ grid",
    ),
    "axis: segments run backwards": (
        "perturbation/pieces/decomposition.py",
        "*self._sizes) @ self._columns",
        "*self._sizes) @ self._columns.flip(1)",
    ),
    "pieces: edges of two widths": (
        "perturbation/pieces/edges.py",
        "torch.minimum(room[:-1], room[1:])",
        "torch.maximum(room[:-1], room[1:])",
    ),
    "pieces: hard edges": (
        "perturbation/pieces/time.py",
        "max(plane.n_fft / 2, 2 * plane.hop) / plane.rate",
        "0.0",
    ),
    "pieces: regions leak": (
        "perturbation/pieces/decomposition.py",
        "hard / 2 + (",
        "hard / 2.1 + (",
    ),
    "pieces: what stems leave over is lost": (
        "perturbation/pieces/ratios.py",
        "planes, names = torch.cat([planes, rest[None]])",
        "planes, names = torch.cat([planes, 0 * rest[None]])",
    ),
    "pieces: nmf without a rest": (
        "perturbation/pieces/nmf.py",
        "torch.maximum(model, magnitude).clamp",
        "model.clamp",
    ),
    "pieces: superpixels on axes of unequal length": (
        "perturbation/pieces/superpixels.py",
        "max(min(level.shape),",
        "max(max(level.shape),",
    ),
    "pieces: superpixels in several places": (
        "perturbation/pieces/superpixels.py",
        "enforce_connectivity=True",
        "enforce_connectivity=False",
    ),
    "pieces: nmf by squared errors": (
        "perturbation/pieces/nmf.py",
        'beta_loss="kullback-leibler"',
        'beta_loss="frobenius"',
    ),
    "pieces: nmf of a faint sound is of nothing": (
        "perturbation/pieces/nmf.py",
        "float(matrix.mean()) or 1.0",
        "1.0",
    ),
    "pieces: harmonic is percussive": (
        "perturbation/pieces/harmonic_percussive.py",
        "size=(1, long)",
        "size=(long, 1)",
    ),
    "pieces: erb": (
        "perturbation/pieces/bands.py",
        "_ERB_SLOPE = 0.00437",
        "_ERB_SLOPE = 0.0437",
    ),
    "pieces: the first segment is dead": (
        "perturbation/pieces/decomposition.py",
        "peaks.flatten() > _NOTHING)[:, 0]",
        "peaks.flatten() > _NOTHING)[1:, 0]",
    ),
    "game: the model gets the input whatever is drawn": (
        "perturbation/estimators/game.py",
        "whole = self._full(rows.float())",
        "whole = self._full(rows.float() * 0 + 1)",
    ),
    "game: draws are mixed up": (
        "perturbation/estimators/game.py",
        "rows = switches[[first[key] for key in fresh]]",
        "rows = switches[[first[key] for key in fresh[::-1]]]",
    ),
    "complement: pieces that are off are on": (
        "perturbation/estimators/game.py",
        "index_copy(1, self.live.to(switches.device), switches)",
        "index_copy(1, self.live.to(switches.device), 1 - switches)",
    ),
    "seed: draws are not seeded": (
        "perturbation/estimators/designs.py",
        "torch.randperm(len(matrix) - 1, generator=generator)",
        "torch.randperm(len(matrix) - 1)",
    ),
    "design: no signs": (
        "perturbation/estimators/designs.py",
        "matrix[order][:, columns] * signs) > 0",
        "matrix[order][:, columns] * 1) > 0",
    ),
    "design: no opposites": (
        "perturbation/estimators/designs.py",
        "torch.stack([half, ~half], dim=1)",
        "torch.stack([half, half.roll(1, 0)], dim=1)",
    ),
    "normalisation: kernel ignored": (
        "perturbation/estimators/lime.py",
        "torch.exp(-((1 - share.sqrt()) ** 2) / width**2)",
        "torch.ones_like(share)",
    ),
    "normalisation: ridge unscaled": (
        "perturbation/estimators/regression.py",
        "ridge / total",
        "ridge",
    ),
    "normalisation: the tilt of pairs is forgotten": (
        "perturbation/estimators/lime.py",
        "weights = level.weights + share * change",
        "weights = level.weights + 0 * change",
    ),
    "normalisation: shapley's kernel": (
        "perturbation/estimators/kernel_shap.py",
        "return (players - 1) / (size * (players - size)).double()",
        "return (players - 1) / size.double()",
    ),
    "normalisation: coalitions are not reweighed": (
        "perturbation/estimators/kernel_shap.py",
        "return shapley_kernel(players, size) / _size_weights(players)[size - 1]",
        "return torch.ones_like(size).double()",
    ),
    "normalisation: rise sums": (
        "perturbation/estimators/rise.py",
        "on / on.sum(dim=0).clamp(min=1)",
        "on / len(on)",
    ),
    "error: not scaled up": (
        "perturbation/estimators/regression.py",
        "return pairs * (len(pairs) / free) ** 0.5",
        "return pairs * (len(pairs) / free) ** -2",
    ),
    "error: intervals of the mean move": (
        "perturbation/estimators/regression.py",
        "        np.sum,",
        "        np.mean,",
    ),
    "error: draws instead of pairs claim too little": (
        "perturbation/estimators/regression.py",
        "(noise / (whole - noise)) ** 0.5",
        "noise / (whole - noise)",
    ),
    "stop: never": (
        "perturbation/estimators/lime.py",
        "if error_of(weights, influence) <= sampling.tolerance:",
        "if error_of(weights, influence) < 0:",
    ),
    "background: silence for a regression": (
        "perturbation/background/registry.py",
        '"mean" if task == "regression"',
        '"mean" if task == "none"',
    ),
    "background: the default is stated, not what was used": (
        "pipeline.py",
        '{"background": details.get("background")} if "background" in options',
        '{"background": options["background"]} if "background" in options',
    ),
    "baseline: silence for a model without a level": (
        "perturbation/baseline.py",
        'if own and "sudden" in found.details',
        'if own and "undefined" in found.details',
    ),
    "baseline: more steps advised where they do not help": (
        "evaluation/notes.py",
        'and not details.get("sudden")',
        "and True",
    ),
    "baseline: the one that was named is replaced": (
        "perturbation/baseline.py",
        "own = text.strip() == AUTO and names",
        "own = names",
    ),
    "background: quieter than the clip": (
        "perturbation/background/noise_floor.py",
        "math.sqrt(-2 * math.log(1 - _SHARE))",
        "math.sqrt(-2 * math.log(_SHARE))",
    ),
    "background: only the last of several": (
        "perturbation/estimators/game.py",
        "for one in self._scorers]).mean(dim=0)",
        "for one in self._scorers])[-1]",
    ),
    "pieces: segments of speech on any plane": (
        "perturbation/pieces/time.py",
        "return min(1.0, plane.n_fft / plane.rate / _WHOLE_WINDOW)",
        "return 1.0",
    ),
    "pieces: names of two decimals": (
        "perturbation/pieces/time.py",
        "decimals = 2 if step >= _LEAST_STEP else",
        "decimals = 2 if True else",
    ),
}
