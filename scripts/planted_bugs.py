"""One-line bugs that the tests must notice: what stands in a file, and what is put there."""

from __future__ import annotations

# name: (file, what stands there, what is put there)
BUGS: dict[str, tuple[str, str, str]] = {
    "sign: input-x-gradient": ("methods/gradients.py", "Map(gradient[0])", "Map(-gradient[0])"),
    "sign: saliency keeps it": ("methods/gradients.py", "gradient[0].abs()", "gradient[0]"),
    "sign: grad-cam without relu": (
        "methods/gradcam.py",
        "return summed.relu() if",
        "return summed if",
    ),
    "sign: guided backprop lets negative gradients pass": (
        "methods/guided.py",
        "gradients[0].clamp(min=0) * (result > 0)",
        "gradients[0] * (result > 0)",
    ),
    "rule: relus called as methods are not guided": (
        "methods/guided.py",
        'return call.name == "relu"',
        'return call.title == "torch.nn.functional.relu"',
    ),
    "rule: relus in place are not guided": (
        "backward/rules.py",
        'if name.endswith("_") or kwargs.get("inplace"):',
        'if kwargs.get("inplace"):',
    ),
    "rule: deep-shap uses the plain slope at the input": (
        "methods/deep_shap.py",
        "(start + place * (end - start))",
        "(end + place * (end - end))",
    ),
    "rule: deep-shap forgets the ratio": (
        "methods/deep_shap.py",
        "gradients[0] * ratio, slopes[0]",
        "slopes[0], slopes[0]",
    ),
    "rule: deep-shap does not see products": (
        "backward/rules.py",
        "(call.name in MULTILINEAR and len(call.inputs) == 1)",
        "call.name in MULTILINEAR",
    ),
    "sign: gradient-shap from the input to the background": (
        "methods/gradient_shap.py",
        "(probe.magnitude - quiet) * gradients",
        "(quiet - probe.magnitude) * gradients",
    ),
    "seed: one noise for all passes of smoothgrad": (
        "perturbation/noise.py",
        "torch.randn(2, *probe.shape, generator=probe.generator)",
        "torch.randn(2, *probe.shape, generator=torch.Generator())",
    ),
    "normalisation: smoothgrad sums": (
        "methods/smoothgrad.py",
        "[1 / samples] * samples",
        "[1.0] * samples",
    ),
    "sign: contrast reversed": (
        "models/target.py",
        "scale[:, target.index] - scale[:, target.versus_index]",
        "scale[:, target.versus_index] - scale[:, target.index]",
    ),
    "axis: grad-cam swaps time and frequency": (
        "methods/gradcam.py",
        "for axis in (axes.freq_axis, axes.time_axis)",
        "for axis in (axes.time_axis, axes.freq_axis)",
    ),
    "axis: calibration swaps them": (
        "layers/axes.py",
        "LayerAxes(plus_batch[0], plus_batch[1]",
        "LayerAxes(plus_batch[1], plus_batch[0]",
    ),
    "axis: pictures upside down": ("render/picture.py", "pixels[::-1]", "pixels"),
    "axis: time runs backwards in grad-cam": (
        "methods/gradcam.py",
        "knots, values = knots[order], values[..., order]",
        "knots = knots[order]",
    ),
    "seed: probe ignores it": ("probe.py", "manual_seed(self.seed)", "manual_seed(0)"),
    "seed: random is not seeded": (
        "methods/controls.py",
        "torch.randn(probe.shape, generator=probe.generator)",
        "torch.randn(probe.shape)",
    ),
    "target: always the first": (
        "models/target.py",
        "return over(outputs[:, target.index], target.frames)",
        "return over(outputs[:, 0], target.frames)",
    ),
    "target: versus forgotten": (
        "models/target.py",
        "if target.versus_index is None:\n        return over(outputs",
        "if True:\n        return over(outputs",
    ),
    "target: softmax twice": (
        "models/target.py",
        "else outputs.softmax(dim=1)",
        "else outputs.softmax(dim=1).softmax(dim=1)",
    ),
    "target: sigmoid for one of many": (
        "models/target.py",
        'if model.task == "multi-label" else outputs.softmax',
        'if model.task != "regression" else outputs.softmax',
    ),
    "complement: evidence and remainder swapped": (
        "render/evidence.py",
        "return evidence, wave - evidence",
        "return wave - evidence, evidence",
    ),
    "complement: the remainder is the evidence": (
        "evaluation/passes.py",
        "waves = torch.cat([evidence, probe.wave - evidence])",
        "waves = torch.cat([evidence, evidence])",
    ),
    "complement: sides swapped in the card": (
        "evaluation/trust.py",
        "[Outcome(Pair(*row[:2]), Pair(*row[2:])) for row in rows]",
        "[Outcome(Pair(*row[2:]), Pair(*row[:2])) for row in rows]",
    ),
    "passes: equal masks get each other's answers": (
        "evaluation/passes.py",
        "blake2b(one.data).digest()",
        'blake2b(b"").digest()',
    ),
    "passes: routes swapped": (
        "evaluation/passes.py",
        '{"spectrogram": masked, "audio": plane.analyse(waves).abs()}',
        '{"audio": masked, "spectrogram": plane.analyse(waves).abs()}',
    ),
    "passes: the papers' scale forgotten": (
        "evaluation/passes.py",
        "domain, scale=plane.n_fft / 2)",
        "domain, scale=1.0)",
    ),
    "passes: the remainder is kept as the sound": (
        "evaluation/passes.py",
        "kept.append(waves[0].cpu() if sounds",
        "kept.append(waves[1].cpu() if sounds",
    ),
    "cases: the curves swapped": (
        "evaluation/cases.py",
        'fields["insertion"] = curve["p_evidence"]',
        'fields["insertion"] = curve["p_remainder"]',
    ),
    "cases: odds of a probability": (
        "evaluation/cases.py",
        "return outputs[:, index] - rivals.logsumexp(dim=1)",
        "return outputs.softmax(dim=1)[:, index].float().logit(eps=1e-7)",
    ),
    "cases: the first class always": (
        "evaluation/cases.py",
        "probabilities(model, outputs)[:, target.index]",
        "probabilities(model, outputs)[:, 0]",
    ),
    "normalisation: half the path": (
        "methods/integrated_gradients.py",
        "weights.tolist()",
        "(0.5 * weights).tolist()",
    ),
    "normalisation: uniform weights": (
        "methods/integrated_gradients.py",
        "torch.from_numpy(weights) * place.cosh()",
        "torch.from_numpy(weights)",
    ),
    "normalisation: grad-cam sums weights": (
        "methods/gradcam.py",
        "gradient.mean(dim=places, keepdim=True)",
        "gradient.amax(dim=places, keepdim=True)",
    ),
    "normalisation: synthesis window": (
        "plane/stft.py",
        "spectrum * window.sum()",
        "spectrum * self.n_fft",
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
    "pieces: erb": ("perturbation/pieces/bands.py", "_ERB_SLOPE = 0.00437", "_ERB_SLOPE = 0.0437"),
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
    "pieces: sounds of the weakest": (
        "render/evidence.py",
        "key=lambda piece: -abs(weights[piece])",
        "key=lambda piece: abs(weights[piece])",
    ),
    "pieces: everything else is everything": (
        "render/evidence.py",
        "1 - switches.sum(dim=0, keepdim=True)",
        "0 * switches.sum(dim=0, keepdim=True) + 1",
    ),
    "normalisation: energy is magnitude": (
        "methods/controls.py",
        "probe.magnitude**2",
        "probe.magnitude",
    ),
    "mask: negative attribution kept": (
        "masks/shares.py",
        "positive = int((levels > 0).sum())",
        "positive = len(levels)",
    ),
    "mask: smallest kept": (
        "masks/shares.py",
        "attribution >= levels[::-1][last]",
        "attribution <= levels[last]",
    ),
    "mask: energy of magnitudes": (
        "masks/shares.py",
        "energy = magnitude**2",
        "energy = magnitude",
    ),
    "mask: energy without the square": (
        "masks/measure.py",
        "(np.square(gains) * power)",
        "(gains * power)",
    ),
    "mask: full counts as good": (
        "masks/measure.py",
        'return "full" if low >= 1 - _EQUAL else "constant"',
        "return None",
    ),
    "mask: soft is never told": (
        "masks/measure.py",
        "bool(((gains > 0) & (gains < 1)).any())",
        "False",
    ),
    "mask: plus is ignored": (
        "masks/keep.py",
        "if keep.positive else values",
        "if False else values",
    ),
    "mask: top counts the rest": (
        "masks/levels.py",
        "(attribution, 1 - amount)",
        "(attribution, amount)",
    ),
    "mask: thresholds are of the map": (
        "masks/levels.py",
        "(scaled(attribution) >= amount)",
        "(attribution >= amount)",
    ),
    "mask: minmax from zero": (
        "masks/levels.py",
        "return (attribution - low) / (high - low)",
        "return attribution.clip(0) / high",
    ),
    "mask: floor in power": ("masks/edges.py", "(10.0, decibels / 20)", "(10.0, decibels / 10)"),
    "mask: floor clips": (
        "masks/edges.py",
        "floor + (1 - floor) * gains",
        "np.maximum(gains, floor)",
    ),
    "mask: one axis is blurred": (
        "masks/edges.py",
        "gaussian_filter(gains, width",
        "gaussian_filter(gains, (0, width)",
    ),
    "mask: dB of power is dB of magnitude": (
        "plane/domains.py",
        "level = 10 * (magnitude**2)",
        "level = 20 * (magnitude**2)",
    ),
    "mask: dB without its floor": ("plane/domains.py", "+ FLOOR_DB) / 20)", ") / 20)"),
    "mask: log1p without expm1": (
        "plane/domains.py",
        "magnitude.log1p()).expm1()",
        "magnitude.log1p())",
    ),
    "control: not the same gains": (
        "evaluation/orders.py",
        "np.sort(gains, axis=None)",
        "np.sort(gains, axis=None) ** 2 * 0.5",
    ),
    "control: energy upside down": (
        "evaluation/orders.py",
        "ordered[self._by_loudness]",
        "ordered[self._by_loudness[::-1]]",
    ),
    "control: random is rough": (
        "evaluation/orders.py",
        "amplitudes: NDArray[np.floating] = np.abs(fft.rfft2(centred))",
        "amplitudes: NDArray[np.floating] = np.ones_like(np.abs(fft.rfft2(centred)))",
    ),
    "trace: training mode not restored": ("models/model.py", "module.training = training", "pass"),
    "plane: tail is lost": (
        "plane/stft.py",
        "math.ceil((samples + self.n_fft // 2) / self.hop)",
        "math.ceil(samples / self.hop)",
    ),
    "plane: mel scale": ("plane/mel.py", "math.log(6.4) / 27.0", "math.log(6.4) / 26.0"),
    "plane: saliency by gain": (
        "probe.py",
        "spectrum = magnitude * self.phase",
        "spectrum = magnitude * self.spectrum",
    ),
    "length: windows are summed": ("models/model.py", ".mean(dim=0)", ".sum(dim=0)"),
    "speed: never checked": (
        "models/prepare.py",
        "and self._agree(found, wanted)",
        "",
    ),
    "speed: the copy learns nothing of new weights": (
        "models/fingerprint.py",
        "if known is None or known[0] != name:",
        "if known is None:",
    ),
    "speed: a layer that is used twice is folded": (
        "models/prepare.py",
        "if not once or not isinstance",
        "if not isinstance",
    ),
    "speed: norms of the batch are folded": (
        "models/prepare.py",
        "or not norm.track_running_stats or",
        "or",
    ),
    "speed: random numbers are used up": (
        "models/prepare.py",
        "with torch.random.fork_rng(devices=[]):",
        "if True:",
    ),
    "speed: the network itself is frozen": (
        "models/prepare.py",
        "fx.symbolic_trace(copy.deepcopy(network).eval())",
        "fx.symbolic_trace(network)",
    ),
    "speed: scrambled weights pass for the model's own": (
        "evaluation/scrambling.py",
        "model.optimise = False",
        "model.optimise = True",
    ),
    "speed: tolerance": (
        "models/prepare.py",
        "OUTPUT_TOLERANCE = 1e-4",
        "OUTPUT_TOLERANCE = 1e-3",
    ),
    "speed: the floor passes fewer inputs": (
        "benchmark/speed/floor.py",
        "while done < count:",
        "while done < count - 1:",
    ),
    "speed: mean ratio of sums": (
        "benchmark/speed/floor.py",
        "median(taken / least for least, taken in pairs)",
        "median(least / taken for least, taken in pairs)",
    ),
    "mixing: pieces that touch share a sound": (
        "mixing.py",
        "plane.n_fft // plane.hop + 2",
        "1",
    ),
    "mixing: the tail of a piece is lost": (
        "mixing.py",
        "last * plane.hop + reach + 1",
        "last * plane.hop",
    ),
    "mixing: what no piece holds is kept": (
        "mixing.py",
        "whole = wave - plane.synthesise((left * change)",
        "whole = wave - 0 * plane.synthesise((left * change)",
    ),
    "mixing: background forgotten": ("mixing.py", "change = spectrum - other", "change = spectrum"),
    "gradient: weights out of step": (
        "probe.py",
        "done += len(found)\n        if is_linear",
        "done += 0\n        if is_linear",
    ),
    "gradient: gain and magnitude confused": (
        "probe.py",
        "total = back[0] if of_magnitude else back[0] * self.magnitude",
        "total = back[0]",
    ),
    "trace: parameters stay frozen": ("models/model.py", "one.requires_grad_(True)", "pass"),
    "cnn14: one more pooling": (
        "models/zoo/cnn14.py",
        "pool = 2 if number < len(widths) else 1",
        "pool = 2",
    ),
    "cnn14: mean without maximum": (
        "models/zoo/cnn14.py",
        "over_time.amax(dim=2) + over_time.mean(dim=2)",
        "2 * over_time.mean(dim=2)",
    ),
    "cnn14: time and frequency swapped": (
        "models/zoo/cnn14.py",
        "maps.mean(dim=3)",
        "maps.mean(dim=2)",
    ),
    "cnn14: level of the features": (
        "models/zoo/cnn14.py",
        "self.window = _N_FFT / 2",
        "self.window = 1.0",
    ),
    "cnn14: own filters over the file's": (
        "models/zoo/cnn14.py",
        "frontend.filters.copy_(filters)",
        "pass",
    ),
    "cnn14: files are unpickled": (
        "models/zoo/cnn14.py",
        "weights_only=True",
        "weights_only=False",
    ),
    "figures: calibration": ("metrics/calibration.py", "np.abs(gap).sum()", "np.abs(gap.sum())"),
    "figures: si-sdr": ("metrics/localisation.py", "(found - part) ** 2", "(found - wanted) ** 2"),
    "figures: si-sdr is not scaled": (
        "metrics/localisation.py",
        "(found @ wanted / power)[:, None] * wanted",
        "np.ones((len(found), 1)) * wanted",
    ),
    "figures: mass": ("metrics/localisation.py", "truth.ravel()].sum", "~truth.ravel()].sum"),
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
    "figures: a tie is faithful": ("metrics/faithfulness.py", "(others >= ours", "(others > ours"),
    "figures: one class too many": ("metrics/faithfulness.py", "axis=1) < k)", "axis=1) <= k)"),
    "figures: curves forget their steps": (
        "metrics/curves.py",
        "trapezoid(np.asarray(curve, np.float64), shares, axis=-1)",
        "np.asarray(curve, np.float64).mean(axis=-1)",
    ),
    "figures: nested from the weakest": ("metrics/curves.py", "axis=None)[::-1]", "axis=None)"),
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
    "figures: energy of gains, not their square": (
        "metrics/conciseness.py",
        "np.square(gains.reshape(len(gains), -1), dtype=np.float64)",
        "np.abs(gains.reshape(len(gains), -1), dtype=np.float64)",
    ),
    "figures: ranks of one map only": (
        "metrics/similarity.py",
        "rankdata(others.reshape(len(others), -1), axis=1)",
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
    "figures: the input's own clicks count": ("metrics/sound.py", "peak) & ~own", "peak)"),
    "compat: one softmax": (
        "evaluation/published.py",
        'softmax(case[f"all_{side}"], axis=-1)',
        'case[f"all_{side}"]',
    ),
    "compat: constant masks as they are": (
        "evaluation/published.py",
        "np.where(varies,",
        "np.where(True,",
    ),
    "compat: a tolerance": ("evaluation/published.py", "(inside > p)", "(inside > p + 1e-6)"),
    "best: degenerate masks win": ("metrics/ranking.py", "if flag or", "if"),
    "best: less is more": (
        "metrics/registry.py",
        'self.direction == "higher"',
        'self.direction == "lower"',
    ),
    "sanity: statistics are kept": (
        "evaluation/scrambling.py",
        'name.startswith("running_")',
        "False",
    ),
    "sanity: weights are not put back": ("evaluation/scrambling.py", "tensor.copy_(old)", "pass"),
    "sanity: from the input up": (
        "evaluation/scrambling.py",
        "for block in reversed(blocks)",
        "for block in blocks",
    ),
    "sanity: cascading is independent": (
        "evaluation/scrambling.py",
        "blocks[: number + 1] if order",
        "blocks[number : number + 1] if order",
    ),
    "sanity: signs count": (
        "metrics/sanity.py",
        "ssim(np.abs(first), np.abs(scrambled))",
        "ssim(first, scrambled)",
    ),
    "stability: one seed": (
        "evaluation/reruns.py",
        "explain(wave, seed + k)",
        "explain(wave, seed)",
    ),
    "stability: noise in power": (
        "evaluation/reruns.py",
        "10 ** (decibels / 20)",
        "10 ** (decibels / 10)",
    ),
    "benchmark: controls stay out": (
        "benchmark/grid.py",
        "for name in CONTROLS if name not in named",
        "for name in () if name not in named",
    ),
    "benchmark: torn sounds stay": (
        "benchmark/ledger.py",
        "self._file.truncate(end)",
        "self._file.seek(end)",
    ),
    "benchmark: a sound counts before its last line": (
        "benchmark/ledger.py",
        'if line["left"] == 0:\n                self.done',
        'if line["left"] >= 0:\n                self.done',
    ),
    "benchmark: lines without an end count": (
        "benchmark/ledger.py",
        'if not text.endswith(b"\\n"):',
        "if False:",
    ),
    "benchmark: two runs in one folder": (
        "benchmark/ledger.py",
        "fcntl.LOCK_EX |",
        "fcntl.LOCK_SH |",
    ),
    "benchmark: one chance for all sounds": ("benchmark/cells.py", 'f"{seed} {clip}"', 'f"{seed}"'),
    "benchmark: one chance for all seeds": ("benchmark/cells.py", 'f"{seed} {clip}"', 'f"{clip}"'),
    "benchmark: the map of the first seed for all": (
        "benchmark/cells.py",
        'None if "generator" in vars(probe) else (values, seconds)',
        "(values, seconds)",
    ),
    "benchmark: matched controls exchanged": (
        "benchmark/cells.py",
        '"energy": orders.by_energy}',
        '"energy": lambda one: orders.at_random(one, 1)[0]}',
    ),
    "benchmark: the rest is the truth": (
        "benchmark/cells.py",
        "true_cells(levels[0], audible)",
        "true_cells(levels[1], levels[0])",
    ),
    "benchmark: the mask of the rest": (
        "benchmark/cells.py",
        "np.divide(ours, both",
        "np.divide(theirs, both",
    ),
    "passes: nothing is remembered": (
        "evaluation/passes.py",
        "if (routes, name) not in known and",
        "if",
    ),
    "passes: answers of another mask": (
        "evaluation/passes.py",
        "zip(some, each, kept, strict=True)",
        "zip(some[::-1], each, kept, strict=True)",
    ),
    "metrics: answers of the first frames": (
        "evaluation/cases.py",
        "over(chances, target.frames)",
        "over(chances, (0, 5) if target.frames else None)",
    ),
    "statistics: intervals of the median": (
        "benchmark/statistics.py",
        "            np.mean,",
        "            np.median,",
    ),
    "statistics: one-sided": (
        "benchmark/statistics.py",
        "np.abs(signs @ rows.T)",
        "(signs @ rows.T)",
    ),
    "statistics: intervals are turned over": (
        "benchmark/statistics.py",
        'method="percentile"',
        'method="basic"',
    ),
    "statistics: samples change places": (
        "benchmark/statistics.py",
        "yield some, np.stack([samples[place] for place in some])",
        "yield some, np.stack([samples[place] for place in reversed(some)])",
    ),
    "statistics: no correction": ("benchmark/statistics.py", "(len(order) - rank) *", "1 *"),
    "tables: degenerate masks count": (
        "benchmark/rows.py",
        'or "failed" in line or line["degenerate"]',
        'or "failed" in line',
    ),
    "tables: rows of degenerate masks may be best": (
        "benchmark/rows.py",
        "not self.control and few and",
        "not self.control and",
    ),
    "tables: controls may be best": (
        "benchmark/rows.py",
        "not self.control and few and",
        "few and",
    ),
    "tables: pairs are of different sounds": (
        "benchmark/rows.py",
        "[ours[clip] - theirs[clip] for clip in both]",
        "[ours[clip] - min(theirs.values()) for clip in both]",
    ),
    "tables: worse is ahead": (
        "benchmark/rows.py",
        "metric.better(one.difference, 0.0)",
        "metric.better(0.0, one.difference)",
    ),
    "tables: the best sound is the worst": (
        "benchmark/rows.py",
        '-1 if METRICS.get(rank).direction == "higher" else 1',
        '1 if METRICS.get(rank).direction == "higher" else -1',
    ),
    "sounds: levels in magnitude": (
        "data/mixtures.py",
        "10 ** (-level / 20)",
        "10 ** (-level / 10)",
    ),
    "sounds: the other is the louder": (
        "data/mixtures.py",
        "10 ** (-level / 20)",
        "10 ** (level / 20)",
    ),
    "sounds: the quietest part": ("data/mixtures.py", "np.argmax(total", "np.argmin(total"),
    "sounds: test takes are learnt": (
        "data/digits.py",
        "< TEST_TAKES) == test",
        "< TEST_TAKES) != test",
    ),
    "sounds: the planted sound is everywhere": (
        "benchmark/localisation/taught.py",
        "[item for item in items if item.label == TARGET] +",
        "",
    ),
    "page: axis": ("report/sections.py", "100 * (value - low)", "100 * (value - low / 2)"),
    "sign: what lowers a value raises it": (
        "models/target.py",
        'return 1 if direction == "up" else -1',
        "return 1",
    ),
    "target: a span is the whole answer": (
        "models/target.py",
        "values[..., frames[0] : frames[1]]",
        "values[..., :]",
    ),
    "target: the span's first frame is left out": (
        "models/target.py",
        "first = min(int(start / length * count), count - 1)",
        "first = min(int(start / length * count) + 1, count - 1)",
    ),
    "axis: windows of frames laid on one another": (
        "models/model.py",
        "first = round(start / starts[-1] * last)",
        "first = 0",
    ),
    "sign: evidence for a low value judged as for a high one": (
        "evaluation/trust.py",
        "ours = card.sign * (",
        "ours = (",
    ),
    "rule: the background's own values are not used": (
        "methods/deep_shap.py",
        "self.seen.append((call.name, [one.detach().clone() for one in call.inputs]))",
        "self.seen.append((call.name, [one.detach() * 0 for one in call.inputs]))",
    ),
    "rule: gamma favours the wrong side": (
        "methods/lrp.py",
        "zip(signs, weights[::order], strict=True):\n                    extra",
        "zip(signs, weights[::-order], strict=True):\n                    extra",
    ),
    "rule: gamma forgets negative inputs": (
        "methods/lrp.py",
        "values.clamp(max=0))",
        "values.clamp(max=0) * 0)",
    ),
    "rule: gamma leaves the bias alone": (
        "methods/lrp.py",
        "whole = result + rule.gamma * (favoured + offset.clamp(**bound))",
        "whole = result + rule.gamma * favoured",
    ),
    "sign: epsilon makes a layer's result smaller": (
        "methods/lrp.py",
        "stable = whole + sign * least",
        "stable = whole - sign * least",
    ),
    "normalisation: epsilon is absolute": (
        "methods/lrp.py",
        "least = rule.epsilon * result.square().mean().sqrt()",
        "least = rule.epsilon * torch.ones(())",
    ),
    "rule: shared biases go by value, not by size": (
        "methods/lrp.py",
        "values.sign() * _backward(layer, values, layer.weights.abs(), rest)",
        "_backward(layer, values, layer.weights.abs(), rest)",
    ),
    "rule: biases are never shared": (
        "methods/lrp.py",
        "elif rule.share_biases:",
        "elif False:",
    ),
    "rule: the last bias is shared too": (
        "methods/lrp.py",
        "elif rule.share_biases:",
        "if rule.share_biases:",
    ),
    "rule: a batch norm without its scale": (
        "methods/lrp.py",
        "weights=layer.weights * scale.reshape(along)",
        "weights=layer.weights",
    ),
    "rule: a batch norm without its shift": (
        "methods/lrp.py",
        '- given["running_mean"]) * scale',
        "- 0) * scale",
    ),
    "rule: the gate takes what the signal should": (
        "methods/lrp.py",
        "if gates == [True, False]:",
        "if gates == [False, True]:",
    ),
    "normalisation: factors get all, twice": (
        "methods/lrp.py",
        "return 0.5 * (",
        "return 1.0 * (",
    ),
    "rule: a divisor gets relevance": (
        "methods/lrp.py",
        "call.function(call.inputs[0], call.inputs[1].detach())",
        "call.function(*call.inputs)",
    ),
    "rule: functions of one number pass on their slope": (
        "methods/lrp.py",
        "return None, None, gradients[0] * ratio",
        "return None, None, gradients[0] * slope",
    ),
    "sign: leaks the other way round": (
        "backward/rules.py",
        "inwards - outwards, has_rule",
        "outwards - inwards, has_rule",
    ),
    "rule: nothing is refused": (
        "backward/completeness.py",
        "_MOST_UNRULED = 0.05",
        "_MOST_UNRULED = 1e9",
    ),
    "normalisation: a gap is a share of nothing": (
        "backward/completeness.py",
        "abs(gap / wanted) if wanted",
        "abs(gap) if wanted",
    ),
    "axis: recurrent layers run one way": (
        "backward/unfold.py",
        "for step in reversed(steps) if way else steps:",
        "for step in steps:",
    ),
    "axis: gates of the GRU swapped": (
        "backward/unfold.py",
        "reset = torch.sigmoid(here[0] + there[0])\n    keep = here[1] + there[1]",
        "reset = torch.sigmoid(here[1] + there[1])\n    keep = here[0] + there[0]",
    ),
    "rule: attention masks keep what they hide": (
        "backward/unfold.py",
        "masked_fill(~mask, -math.inf)",
        "masked_fill(mask, -math.inf)",
    ),
    "rule: a tensor written over is still taken for the layer's": (
        "methods/lrp.py",
        "known.pop(first, None)",
        "pass",
    ),
    "lmac: the size of the whole batch": (
        "decoders/objective.py",
        "weights.size * gains.mean(dim=(1, 2))",
        "weights.size * gains.mean().expand(len(gains))",
    ),
    "lmac: evidence and remainder exchanged": (
        "train/explaining.py",
        "torch.cat([gains, 1 - gains])",
        "torch.cat([1 - gains, gains])",
    ),
    "lmac: an absent class rewards removing nothing": (
        "decoders/objective.py",
        "weights.outside * (outside - before).relu()",
        "weights.outside * outside",
    ),
    "lmac: guidance everywhere": (
        "train/explaining.py",
        ">= weights.alike",
        ">= -2.0",
    ),
    "lmac: the label is the second best output": (
        "train/explaining.py",
        "order.gather(1, rank[:, None])",
        "order.flip(1).gather(1, rank[:, None])",
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
    "lmac: layers that run backwards are read as they are": (
        "layers/finding.py",
        "output = output.flip(self.flips) if self.flips else output",
        "output = output + 0",
    ),
    "lmac: time and frequency exchanged": (
        "layers/finding.py",
        "[self.freq_axis, self.time_axis]",
        "[self.time_axis, self.freq_axis]",
    ),
    "lmac: the first layer of a resolution": (
        "layers/finding.py",
        "last = {sizes[layer.name]: layer for layer in layers}",
        "last = {sizes[layer.name]: layer for layer in reversed(layers)}",
    ),
    "lmac: a constant beyond the knots is none": (
        "decoders/slim.py",
        "/ gap).clamp(0, 1)",
        "/ gap)",
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
    "lmac: the conditioning is not centred over classes": (
        "layers/activations.py",
        'if model.task == "single-label":',
        "if False:",
    ),
    "lmac: the conditioning is not normalised": (
        "layers/activations.py",
        "return slopes / slopes.square().mean(dim=1, keepdim=True).sqrt().clamp(min=_LEAST)",
        "return slopes",
    ),
    "lmac: the finest layer is read too": (
        "layers/finding.py",
        "fine[:-1][-_MOST_LAYERS:]",
        "fine[-_MOST_LAYERS:]",
    ),
    "lmac: layers that lead nowhere are read": (
        "layers/finding.py",
        "if slope is not None}",
        "}",
    ),
    "lmac: no slope is no number": (
        "layers/activations.py",
        ".nan_to_num(0.0, 0.0, 0.0)",
        "",
    ),
    "lmac: the conditioning vanishes at certainty": (
        "layers/activations.py",
        'log_odds(model, outputs) if model.output == "probabilities" else outputs',
        "outputs",
    ),
    "lmac: what follows writes over the maps": (
        "layers/activations.py",
        "output.detach().clone()",
        "output.detach()",
    ),
    "lmac: the conditioning is of another output": (
        "layers/activations.py",
        "device=values.device), target]",
        "device=values.device), target - 1]",
    ),
    "lmac: the conditioning is of outputs per frame": (
        "layers/finding.py",
        "one.channels > outputs and",
        "True and",
    ),
    "lmac: named outputs of a layer become plain": (
        "layers/recording.py",
        'if hasattr(output, "_replace"):',
        "if False:",
    ),
    "lmac: windows do not fade": (
        "decoders/folder.py",
        "fade = torch.minimum(ramp, ramp.flip(0))",
        "fade = ramp",
    ),
    "lmac: windows start at the wrong frame": (
        "decoders/folder.py",
        "round(start / self.plane.hop)",
        "round(start / self.plane.n_fft)",
    ),
    "lmac: gains on a logarithm are taken for gains on the magnitude": (
        "decoders/folder.py",
        'if domain == "linear":\n        return gains',
        "if domain:\n        return gains",
    ),
    "lmac: any model will do": (
        "methods/lmac.py",
        "    explainer.require(model)\n",
        "",
    ),
    "lmac: the remainder of the published decoder's sums": (
        "decoders/published.py",
        "return torch.relu(result)",
        "return result",
    ),
    "lmac: weights that differ have one fingerprint": (
        "models/fingerprint.py",
        "if known is not None and known[0] == seen:",
        "if known is not None:",
    ),
    "lmac: levels are those of amplitudes": (
        "train/contamination.py",
        "10 ** (-level / 20)",
        "10 ** (-level / 10)",
    ),
    "lmac: a sound is mixed with itself": (
        "train/contamination.py",
        "torch.randint(1, len(self.sounds), (1,), generator=generator)",
        "torch.zeros(1)",
    ),
    "lmac: a resumed optimiser has forgotten": (
        "train/progress.py",
        "training.optimiser.load_state_dict({",
        "dict({",
    ),
    "lmac: the last epoch and not the best": (
        "train/progress.py",
        "return self.since_best() == 0",
        "return True",
    ),
    "lmac: processes go their own ways": (
        "train/progress.py",
        "return DistributedDataParallel(network, broadcast_buffers=False)",
        "return network",
    ),
    "lmac: every epoch has the same chance": (
        "train/lmac.py",
        "self.settings.seed * 1_000_003 + number",
        "self.settings.seed * 1_000_003",
    ),
    "optimised-mask: gains are made as large as possible": (
        "methods/optimised_mask.py",
        "+ extent(weights, gains)",
        "- extent(weights, gains)",
    ),
    "optimised-mask: what lowers a value is what raises it": (
        "methods/optimised_mask.py",
        "sign=target.sign",
        "sign=1",
    ),
    "options: an open end is valid": (
        "options.py",
        'ends["low_open"] = isinstance(rule, Gt)',
        'ends["low_open"] = isinstance(rule, Ge)',
    ),
    "options: text that spells a number is one": (
        "options.py",
        "ConfigDict(strict=True, allow_inf_nan=False)",
        "ConfigDict(allow_inf_nan=False)",
    ),
    "options: what is not finite is valid": (
        "options.py",
        "ConfigDict(strict=True, allow_inf_nan=False)",
        "ConfigDict(strict=True)",
    ),
}
