"""Bugs in FLINT and PIQ: networks, losses, relevance, filter, quantiser, folder, refusals."""

from __future__ import annotations

BUGS = {
    "learned: attributes may be negative": (
        "decoders/flint.py",
        "self.last(self.middle(self.begin(total).relu()).relu()).relu()",
        "self.last(self.middle(self.begin(total).relu()).relu())",
    ),
    "learned: attributes of the mean over time alone": (
        "decoders/flint.py",
        "level.amax(dim=3)]",
        "level.mean(dim=3)]",
    ),
    "learned: the level of activations matters": (
        "decoders/flint.py",
        "norm(one / rms(one)[:, :, None, None])",
        "norm(one)",
    ),
    "learned: the decoder has a bias": (
        "decoders/flint.py",
        "self.last = nn.Conv2d(_GROWN[-1], 1, 3, padding=1, bias=False)",
        "self.last = nn.Conv2d(_GROWN[-1], 1, 3, padding=1)",
    ),
    "learned: bands are evenly spaced in Hz": (
        "decoders/flint.py",
        "centres = mel_to_hz((torch.arange(BANDS, device=\"cpu\") + 0.5) / BANDS * highest)",
        "centres = (torch.arange(BANDS, device=\"cpu\") + 0.5) / BANDS * plane.rate / 2",
    ),
    "learned: relevance of another class": (
        "decoders/flint.py",
        "weights = self.theta.weight[output]",
        "weights = self.theta.weight[0]",
    ),
    "learned: a contrast is a sum": (
        "decoders/flint.py",
        "weights = weights - self.theta.weight[versus]",
        "weights = weights + self.theta.weight[versus]",
    ),
    "learned: the weights are centred over attributes": (
        "decoders/flint.py",
        "self.theta.weight.mean(dim=0, keepdim=True)",
        "self.theta.weight.mean(dim=1, keepdim=True)",
    ),
    "learned: the end of a sound has no segment": (
        "decoders/flint.py",
        "return [round(k * (samples - length) / (count - 1)) for k in range(count)]",
        "return [k * max(1, length // 2) for k in range(count - 1)]",
    ),
    "learned: segments do not overlap": (
        "decoders/flint.py",
        "-(-(samples - length) // max(1, length // 2)) + 1",
        "-(-(samples - length) // length) + 1",
    ),
    "learned: a short sound is not padded": (
        "decoders/flint.py",
        "functional.pad(wave, (0, max(0, length - len(wave))))",
        "wave",
    ),
    "learned: amplitudes and not powers": (
        "decoders/flint.py",
        "(self._place @ whole).expm1().square()",
        "(self._place @ whole).expm1()",
    ),
    "learned: every segment has the first one's attributes": (
        "decoders/flint.py",
        "self._attributes[:, number, None, None]",
        "self._attributes[:1, number, None, None].expand(len(self._attributes), -1, -1)",
    ),
    "learned: the entropy's sign is turned": (
        "train/interpreters/flint.py",
        "return -(logs.exp() * logs).sum(dim=-1)",
        "return (logs.exp() * logs).sum(dim=-1)",
    ),
    "learned: diversity is punished": (
        "train/interpreters/flint.py",
        "- weights.diversity * entropy(",
        "+ weights.diversity * entropy(",
    ),
    "learned: diversity of every sound alone": (
        "train/interpreters/flint.py",
        "entropy(attributes.mean(dim=0))",
        "entropy(attributes)",
    ),
    "learned: the last relevance counts and not the mean": (
        "methods/flint.py",
        "mean = attributes.mean(dim=0)",
        "mean = attributes[-1]",
    ),
    "learned: another model's attributes run": (
        "methods/flint.py",
        "    refuse(found, probe)\n",
        "",
    ),
    "learned: another model's codes run": (
        "methods/piq.py",
        "    refuse(found, probe)\n",
        "",
    ),
    "learned: codes that were never trained are used": (
        "methods/piq.py",
        "if found.facts.get(\"asked\", [])[target.index : target.index + 1] == [0]:",
        "if False:",
    ),
    "learned: a part may be missing": (
        "decoders/trained.py",
        "if not any(name.startswith(prefix) for name in tensors):",
        "if False:",
    ),
    "learned: another method's folder is read": (
        "decoders/trained.py",
        "    if there != method:\n",
        "    if False:\n",
    ),
    "learned: a missing file is damage": (
        "weights.py",
        "    except FileNotFoundError as error:\n        missing",
        "    except ZeroDivisionError as error:\n        missing",
    ),
    "learned: codes of all classes": (
        "decoders/piq.py",
        "codes = self.codebook[target]  # (batch, code, width)",
        "codes = self.codebook.flatten(0, 1).expand(len(target), -1, -1)",
    ),
    "learned: the farthest code": (
        "decoders/piq.py",
        ".argmin(dim=2)",
        ".argmax(dim=2)",
    ),
    "learned: no gradient passes the codes": (
        "decoders/piq.py",
        "return vectors + (codes - vectors).detach()",
        "return codes.detach()",
    ),
    "learned: the codebook learns from the mask": (
        "decoders/piq.py",
        "return vectors + (codes - vectors).detach()",
        "return codes + vectors - vectors.detach()",
    ),
    "learned: the codebook's term moves the vectors": (
        "decoders/piq.py",
        "book = (codes - vectors.detach()).square()",
        "book = (codes.detach() - vectors).square()",
    ),
    "learned: rows in the order of the layer's indices": (
        "decoders/piq.py",
        "mels = interpolate(knots, torch.arange(-1.0, len(freqs) + 1.0, device=cpu), at)",
        "mels = at * knots.max() / len(freqs)",
    ),
    "learned: long layers are cut and not averaged": (
        "decoders/piq.py",
        "maps = functional.adaptive_avg_pool2d(maps, (maps.shape[2], most))",
        "maps = maps[..., :most]",
    ),
    "learned: quiet cells are to be kept": (
        "train/interpreters/piq.py",
        "(values > share * values.amax(dim=(1, 2), keepdim=True))",
        "(values < share * values.amax(dim=(1, 2), keepdim=True))",
    ),
    "learned: loud is relative to the batch": (
        "train/interpreters/piq.py",
        "share * values.amax(dim=(1, 2), keepdim=True)",
        "share * values.amax()",
    ),
    "learned: the most probable label alone": (
        "train/interpreters/piq.py",
        "if model.task != \"multi-label\":",
        "if True:",
    ),
    "learned: labels that are not decided": (
        "train/interpreters/piq.py",
        "wanted = decided_labels(model, outputs).float()",
        "wanted = torch.ones_like(outputs)",
    ),
    "learned: the remainder is to keep the class": (
        "train/interpreters/piq.py",
        "evaluate_masked(self.model, spectrum, logits.sigmoid(), self.length)",
        "evaluate_masked(self.model, spectrum, (-logits).sigmoid(), self.length)",
    ),
    "learned: a finished training is repeated": (
        "train/loop.py",
        "    if before is not None:\n        return before\n",
        "",
    ),
    "learned: a training goes on with other sounds or settings": (
        "train/loop.py",
        "    run(loop, folder, {**key, **(prepare(key) if prepare else {})}, on_epoch)",
        "    run(loop, folder, {\"model\": loop.identity}, on_epoch)",
    ),
    "learned: settings are not those asked for": (
        "cli/training.py",
        "plain = (\"epochs\", \"batch\", \"crop\", \"rate\", \"patience\", \"seed\", *names)",
        "plain = (\"epochs\", \"batch\", \"crop\", \"rate\", \"patience\", \"seed\")",
    ),
    "learned: weights of the loss are not those asked for": (
        "cli/training.py",
        "own = {name: wanted[name] for name in vars(weights) if name in wanted}",
        "own: dict[str, Any] = {}",
    ),
    "learned: one input at a time is trained on": (
        "train/loop.py",
        "if self.model.one_by_one:",
        "if False:",
    ),
}  # fmt: skip
