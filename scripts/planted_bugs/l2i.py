"""Bugs in Listen to Interpret: dictionary, networks, relevance, filter, training, folder."""

from __future__ import annotations

BUGS = {
    "l2i: columns are not of unit norm": (
        "decoders/dictionary.py",
        "norms = np.linalg.norm(patterns, axis=0)",
        "norms = patterns.sum(axis=0)",
    ),
    "l2i: activations are scaled like the patterns": (
        "decoders/dictionary.py",
        "activations[used] * norms[used, None]",
        "activations[used] / norms[used, None]",
    ),
    "l2i: the penalty is left out": (
        "decoders/dictionary.py",
        "alpha_W=settings.sparsity,",
        "alpha_W=0.0,",
    ),
    "l2i: the divergence is always the squared error": (
        "decoders/dictionary.py",
        'euclidean = settings.divergence == "euclidean"',
        "euclidean = True",
    ),
    "l2i: the level of the sound matters to the dictionary": (
        "decoders/dictionary.py",
        "plane.n_fft / 2 / peaks",
        "plane.n_fft / 2 / peaks.clamp(min=1)",
    ),
    "l2i: all frames are read at once": (
        "decoders/dictionary.py",
        "    for some in frames:\n",
        "    for some in list(frames):\n",
    ),
    "l2i: a dictionary of nothing passes": (
        "decoders/dictionary.py",
        "if not used > 0:",
        "if False:",
    ),
    "l2i: activations may be negative": (
        "decoders/components.py",
        "self.last(self.end(level).relu()).relu()",
        "self.last(self.end(level).relu())",
    ),
    "l2i: the level of a layer is forgotten": (
        "decoders/components.py",
        "total = self.level(self.levels(torch.cat(sizes, dim=1).log())).unsqueeze(2)",
        "total = 0 * self.level(self.levels(torch.cat(sizes, dim=1).log())).unsqueeze(2)",
    ),
    "l2i: attention over components": (
        "decoders/components.py",
        "self.weight(gated).squeeze(2).softmax(dim=1)",
        "self.weight(gated).squeeze(2).softmax(dim=0)",
    ),
    "l2i: theta has a bias": (
        "decoders/components.py",
        "self.theta = nn.Linear(components, outputs, bias=False)",
        "self.theta = nn.Linear(components, outputs)",
    ),
    "l2i: the mean over time instead of attention": (
        "decoders/components.py",
        "(activations * self.attention(activations).unsqueeze(1)).sum(dim=2)",
        "activations.mean(dim=2)",
    ),
    "l2i: relevance of another class": (
        "decoders/components.py",
        "weights = self.theta.weight[output]",
        "weights = self.theta.weight[0]",
    ),
    "l2i: a contrast is a sum": (
        "decoders/components.py",
        "weights = weights - self.theta.weight[versus]",
        "weights = weights + self.theta.weight[versus]",
    ),
    "l2i: the weights are centred over components": (
        "decoders/components.py",
        "self.theta.weight.mean(dim=0, keepdim=True)",
        "self.theta.weight.mean(dim=1, keepdim=True)",
    ),
    "l2i: the sign of relevance is lost": (
        "decoders/components.py",
        "return shares / scale if",
        "return shares.abs() / scale if",
    ),
    "l2i: relevance by the largest absolute value": (
        "decoders/components.py",
        "scale = largest if float(largest) > 0 else shares.abs().max()",
        "scale = shares.abs().max()",
    ),
    "l2i: the least relevant components": (
        "decoders/components.py",
        "relevance.argsort(descending=True, stable=True)",
        "relevance.argsort(stable=True)",
    ),
    "l2i: components below the threshold": (
        "decoders/components.py",
        "chosen = relevance > threshold",
        "chosen = relevance < threshold",
    ),
    "l2i: the filter is no ratio": (
        "decoders/components.py",
        "return total / self._whole",
        "return total",
    ),
    "l2i: cells of no component are lost": (
        "decoders/components.py",
        "total = switches[:, -1, None, None] * self._rest",
        "total = torch.zeros_like(switches[:, -1, None, None] * self._whole)",
    ),
    "l2i: amplitudes and not powers": (
        "decoders/components.py",
        "values.expm1().square()",
        "values.expm1()",
    ),
    "l2i: shares of a logarithm": (
        "decoders/components.py",
        "values.expm1().square()",
        "values.square()",
    ),
    "l2i: an interpreter without Theta runs": (
        "decoders/interpreter.py",
        '"theta.": "Theta"}',
        "}",
    ),
    "l2i: another model's interpreter runs": (
        "methods/l2i.py",
        "    interpreter.require(model)\n",
        "",
    ),
    "l2i: another rate is another plane only": (
        "decoders/trained.py",
        "if plane.rate != model.rate:",
        "if False:",
    ),
    "l2i: a dictionary of any scale runs": (
        "decoders/interpreter.py",
        "if not bool(((norms - 1).abs() < _UNIT).all()):",
        "if False:",
    ),
    "l2i: all that is relevant is removed": (
        "methods/l2i.py",
        "torch.cat([kept, kept.new_zeros(1)])",
        "torch.cat([~kept, kept.new_zeros(1)])",
    ),
    "l2i: components are named after another group": (
        "methods/l2i.py",
        "for group, count in interpreter.groups:",
        "for group, count in reversed(interpreter.groups):",
    ),
    "l2i: a disagreement is kept quiet": (
        "methods/l2i.py",
        "decided != target.index:",
        "False:",
    ),
    "l2i: the entropy of the interpreter alone": (
        "train/interpreters/objective.py",
        "return -(wanted * scores.log_softmax(dim=1)).sum(dim=1)",
        "return -(scores.softmax(dim=1) * scores.log_softmax(dim=1)).sum(dim=1)",
    ),
    "l2i: labels are averaged": (
        "train/interpreters/objective.py",
        "return each.sum(dim=1)",
        "return each.mean(dim=1)",
    ),
    "l2i: the weight of the fidelity falls": (
        "train/interpreters/objective.py",
        "self.late if epoch >=",
        "self.late if epoch <",
    ),
    "l2i: sparsity is rewarded with activity": (
        "train/interpreters/objective.py",
        "+ weights.sparsity * size",
        "- weights.sparsity * size",
    ),
    "l2i: a stopped training learns its dictionary again": (
        "train/interpreters/l2i.py",
        "    if stored is not None:\n        return stored\n",
        "",
    ),
    "l2i: a training goes on with other settings": (
        "train/interpreters/dictionary.py",
        "    require_same(folder, there, key)\n",
        "",
    ),
    "l2i: patterns of a class are learnt on all sounds": (
        "train/interpreters/dictionary.py",
        "jobs.append((label, sounds, numbers, settings.per_class))",
        "jobs.append((label, sounds, every, settings.per_class))",
    ),
    "l2i: the finest layer is left out": (
        "train/interpreters/loop.py",
        "samples=self.length, finest=True)",
        "samples=self.length)",
    ),
    "l2i: the relevant components are kept and not removed": (
        "train/interpreters/figures.py",
        "probe.scores(1 - pieces.mix(row[None])[0].clamp(0, 1) for row in switches)",
        "probe.scores(pieces.mix(row[None])[0].clamp(0, 1) for row in switches)",
    ),
    "l2i: random components are one more": (
        "train/interpreters/figures.py",
        "rng.permutation(some)[:count]",
        "rng.permutation(some)[: count + 1]",
    ),
    "l2i: a training forgets where components are strongest": (
        "train/interpreters/l2i.py",
        "return replace(made, strongest=strongest(model, made, training.sounds))",
        "return made",
    ),
    "l2i: the table has the size of relevance": (
        "methods/l2i.py",
        "tuple(relevance.tolist()),",
        "tuple(relevance.abs().tolist()),",
    ),
    "l2i: the top class only": (
        "metrics/agreement.py",
        "(scores > own).sum(axis=1) < k",
        "(scores > own).sum(axis=1) < 1",
    ),
    "l2i: labels of no sound count": (
        "metrics/agreement.py",
        "used = decided.any(axis=0)",
        "used = decided.any(axis=0) | True",
    ),
    "l2i: the masked loss counts from the first epoch on": (
        "train/interpreters/objective.py",
        "return self.faithfulness if epoch >= self.turn * epochs else 0.0",
        "return self.faithfulness",
    ),
    "l2i: the masked loss is of the other side": (
        "train/interpreters/masking.py",
        "return faith(weights, kept, left, before)",
        "return faith(weights, left, kept, before)",
    ),
    "l2i: the softly selected are the irrelevant ones": (
        "train/interpreters/masking.py",
        "(shares / largest - _KEPT) / _WIDTH",
        "(_KEPT - shares / largest) / _WIDTH",
    ),
    "l2i: the relevance of training is not centred": (
        "train/interpreters/masking.py",
        "weights = weights - weights.mean(dim=0)",
        "pass",
    ),
    "l2i: the rest is heard in training": (
        "train/interpreters/masking.py",
        "rest = kept.new_zeros(1)",
        "rest = kept.new_ones(1)",
    ),
    "l2i: the masked loss is left out of the training": (
        "train/interpreters/l2i.py",
        "loss[some] + weight * len(loss) / some.stop * term",
        "loss[some]",
    ),
    "l2i: patterns of nothing are kept": (
        "decoders/dictionary.py",
        "used = norms > _LEAST",
        "used = norms > -1",
    ),
    "l2i: patterns are counted as asked": (
        "train/interpreters/dictionary.py",
        "(job[0], part.shape[1])",
        "(job[0], job[3])",
    ),
    "l2i: gradients are missed in the middle of the training": (
        "train/interpreters/l2i.py",
        "if settings.weights.faithfulness:\n            self._require_gradients()",
        "pass",
    ),
    "l2i: own patterns of another class": (
        "train/interpreters/l2i.py",
        "            place += count\n",
        "            place += 1\n",
    ),
}
