"""Bugs in ``models``."""

from __future__ import annotations

BUGS = {
    "model: a folder takes the place of a built-in name": (
        "models/registry.py",
        "    if name in [model.name for model in list_models()]:  # ./NAME",
        "    if name in [m.name for m in list_models()] and not os.path.isdir(name):  # ./NAME",
    ),
    "target: a span may end after the sound": (
        "models/target.py",
        "min(float(span[1]), seconds or math.inf)",
        "float(span[1])",
    ),
    "sign: contrast reversed": (
        "models/target.py",
        "scale[:, target.index] - scale[:, target.versus_index]",
        "scale[:, target.versus_index] - scale[:, target.index]",
    ),
    "target: always the first": (
        "models/target.py",
        "        return outputs[:, target.index]\n",
        "        return outputs[:, 0]\n",
    ),
    "target: versus forgotten": (
        "models/target.py",
        "if target.versus_index is None:\n        return outputs[",
        "if True:\n        return outputs[",
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
    "batch: items always share a batch": (
        "models/model.py",
        "if len(data) > 1 and not self._batching.together(data, evaluate, self.dtype):",
        "if False:",
    ),
    "batch: tried on equal items": (
        "models/batching.py",
        "return [item, quiet, noise * item.square().mean().sqrt().clamp(min=_QUIET)]",
        "return [item, item, item]",
    ),
    "batch: no note": (
        "evaluation/notes.py",
        "if not model.one_by_one or model.declared_alone:",
        "if True:",
    ),
    "batch: not decided before the method": (
        "subject.py",
        "outputs_for(self.model, self.wave, batches=True)",
        "outputs_for(self.model, self.wave)",
    ),
    "trace: training mode not restored": (
        "models/calling/modes.py",
        "module.training = training",
        "pass",
    ),
    "length: windows are summed": (
        "models/calling/lengths.py",
        "return outputs.mean(dim=0)",
        "return outputs.sum(dim=0)",
    ),
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
    "speed: tolerance": (
        "models/prepare.py",
        "OUTPUT_TOLERANCE = 1e-4",
        "OUTPUT_TOLERANCE = 1e-3",
    ),
    "trace: parameters stay frozen": (
        "models/calling/modes.py",
        "one.requires_grad_(True)",
        "pass",
    ),
    "mosnet: padding before": (
        "models/zoo/mosnet.py",
        "(lacking // 2, lacking - lacking // 2, 1, 1)",
        "(lacking - lacking // 2, lacking // 2, 1, 1)",
    ),
    "mosnet: channels outside": (
        "models/zoo/mosnet.py",
        "maps.permute(0, 2, 3, 1).flatten(2)",
        "maps.permute(0, 2, 1, 3).flatten(2)",
    ),
    "mosnet: padded frames count": (
        "models/zoo/mosnet.py",
        "return frames.sum(dim=1) / counts[:, None], frames",
        "return frames.mean(dim=1), frames",
    ),
    "mosnet: padded maps are not cleared": (
        "models/zoo/mosnet.py",
        "maps if kept is None else maps * kept",
        "maps",
    ),
    "mosnet: layers in the order of letters": (
        "models/zoo/keras_file.py",
        "sorted(groups, key=_natural)",
        "sorted(groups)",
    ),
    "mosnet: both directions alike": (
        "models/zoo/keras_file.py",
        'if "backward" not in one["name"]]',
        'if "backward" in one["name"]]',
    ),
    "mosnet: an optimiser's arrays are layers": (
        "models/zoo/keras_file.py",
        'or "optimizer" in name',
        "",
    ),
    "mosnet: frames do not count in the loss": (
        "train/mosnet.py",
        "+ miss.sum(dim=1) / counts, scores",
        "+ 0 * miss.sum(dim=1), scores",
    ),
    "mosnet: a resumed training draws again": (
        "train/mosnet.py",
        "1_000_003 + len(self.history)",
        "1_000_003 + 0",
    ),
    "nisqa: the floor is not fixed": ("models/zoo/nisqa.py", "if loudest is None:", "if True:"),
    "nisqa: pooling at other layers": (
        "models/zoo/nisqa.py",
        "if number in (1, 2, 4):",
        "if number in (1, 3, 4):",
    ),
    "nisqa: the backward end is the last": (
        "models/zoo/nisqa.py",
        "rows[:, 0, _UNITS:]",
        "rows[:, -1, _UNITS:]",
    ),
    "nisqa: segments overlap by one": (
        "models/zoo/nisqa.py",
        "self.step = 1 if synthetic else 4",
        "self.step = 1",
    ),
    "nisqa: methods see the model itself": (
        "pipeline.py",
        "spec.map(probe.fixed(), settled)",
        "spec.map(probe, settled)",
    ),
    "speechbrain: another window": (
        "models/zoo/speechbrain.py",
        "torch.hamming_window(",
        "torch.hann_window(",
    ),
    "speechbrain: bands as wide as above": (
        "models/zoo/speechbrain.py",
        "hz[1:-1] - hz[:-2]",
        "hz[2:] - hz[1:-1]",
    ),
    "speechbrain: the logarithm is left out": (
        "models/zoo/speechbrain.py",
        "if has.use_log1p_mel else",
        "if False else",
    ),
    "speechbrain: cosines are not scaled": (
        "models/zoo/speechbrain.py",
        "return _SCALE * ",
        "return ",
    ),
    "speechbrain: deeper levels count": (
        "models/zoo/speechbrain.py",
        r'r"^(\w+):',
        r'r"^\s*(\w+):',
    ),
    "speechbrain: labels in the order of lines": (
        "models/zoo/speechbrain.py",
        "return [numbers[k] for k in range(classes)]",
        "return list(numbers.values())",
    ),
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
        "weights.py",
        "weights_only=True",
        "weights_only=False",
    ),
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
        "plane/windows.py",
        "round(start / starts[-1] * last) for",
        "0 for",
    ),
    "lmac: weights that differ have one fingerprint": (
        "models/fingerprint.py",
        "if known is not None and known[0] == seen:",
        "if known is not None:",
    ),
    "identity: an inner hold ends the outer one": (
        "models/fingerprint.py",
        "        if outer is None:\n",
        "        if True:\n",
    ),
    "identity: outputs do not count": (
        "models/fingerprint.py",
        'return "" if same else "outputs"',
        'return ""',
    ),
    "identity: source does not count": (
        "models/fingerprint.py",
        'for name in ("weights", "source"):',
        'for name in ("weights",):',
    ),
    "identity: modules beside do not count": (
        "models/adapters/python.py",
        "digest_of([path, *_beside(path)])",
        "digest_of([path])",
    ),
    "lmac: a decoder of a model with other outputs is used": (
        "decoders/trained.py",
        'if changed(trained_for, {**trained_for, "outputs"',
        'if False and changed(trained_for, {**trained_for, "outputs"',
    ),
    "lmac: an old decoder is kept in memory": (
        "decoders/trained.py",
        "for name in self.files)",
        "for name in self.files[:1])",
    ),
    "declared: a softmax is applied twice": (
        "models/declared.py",
        "if all(map(_sums_to_one, every)):",
        "if False:",
    ),
    "declared: sigmoids are logits by default": (
        "models/declared.py",
        "if model.declared:",
        "if True:",
    ),
    "declared: one sound is enough": (
        "models/declared.py",
        "every = [outputs, *_noises(model, wave)]",
        "every = [outputs]",
    ),
    "declared: log-softmax of several labels": (
        "models/declared.py",
        'if model.task == "multi-label":',
        "if False:",
    ),
    "declared: log-probabilities are not said": (
        "models/declared.py",
        'return ("outputs are log-probabilities: read as logits, which is the same",)',
        "return ()",
    ),
    "declared: checked for every sound": (
        "models/declared.py",
        "if not known and",
        "if",
    ),
    "declared: frames are classes": (
        "models/declared.py",
        "        except OutputShapeError:\n            raise\n",
        "",
    ),
    "declared: logits that are zero are sigmoids": (
        "models/declared.py",
        " and bool(outputs.any())",
        "",
    ),
    "declared: regressions are checked as logits": (
        "models/declared.py",
        'if model.output != "logits":',
        "if False:",
    ),
    "output: whole numbers are scores": (
        "models/outputs.py",
        "if not outputs.is_floating_point():",
        "if False:",
    ),
    "output: counts are refused": (
        "models/outputs.py",
        'if model.task == "regression" and outputs.dtype != torch.bool:',
        "if False:",
    ),
    "output: imaginary part of features is lost": (
        "models/model.py",
        "return data if data.is_complex() else data.to(self.dtype)",
        "return data.to(self.dtype)",
    ),
    "output: imaginary part of a black box is lost": (
        "models/adapters/black_box.py",
        '"c": np.complex64',
        '"c": np.float32',
    ),
    "labels: names and indices change places": (
        "models/wrapping.py",
        "pairs = [(value, key) for key, value in pairs]",
        "pass",
    ),
    "labels: order of the mapping": (
        "models/wrapping.py",
        "return [by_index[k] for k in range(len(pairs))]",
        "return list(by_index.values())",
    ),
    "labels: a set is a list": (
        "models/wrapping.py",
        "if isinstance(labels, set | frozenset):",
        "if False:",
    ),
    "plane: window is the transform": (
        "plane/observed.py",
        'window, hop = call.get("win_length") or size',
        "window, hop = size",
    ),
    "plane: rate of the network": (
        "plane/observed.py",
        "ratio = self._shape[-1] / length if same else 1.0",
        "ratio = 1.0",
    ),
    "plane: the model's own is not observed": (
        "plane/observed.py",
        "if func in _STFT and",
        "if False and",
    ),
    "plane: attributes are not read": (
        "plane/observed.py",
        "watch.found or _attributes(parts)",
        "watch.found",
    ),
    "plane: the given one is forgotten": (
        "models/wrapping.py",
        'facts["plane"] = _plane(plane, sample_rate)',
        "pass",
    ),
}
