"""Bugs in ``models/adapters``, and in how ``wrap`` reads sounds and outputs."""

from __future__ import annotations

BUGS = {
    "adapters: options are lost when the model is loaded again": (
        "models/registry.py",
        "model.loaded = join_name(name, options)",
        "model.loaded = name",
    ),
    "adapters: options in a name are kept before those given": (
        "models/registry.py",
        "urlencode({**given, **texts}",
        "urlencode({**texts, **given}",
    ),
    "adapters: a value in a name is not read by its type": (
        "models/registry.py",
        "key: read_value(text, declared[key]) if key in declared else text",
        "key: text",
    ),
    "adapters: commas split labels given as a list": (
        "models/adapters/registry.py",
        "            value = as_text(value)",
        '            value = ",".join(map(str, value))',
    ),
    "adapters: a missing package is not named": (
        "models/adapters/registry.py",
        "        if self.missing:",
        "        if False:",
    ),
    "onnx: a graph of one sound gets a batch": (
        "models/adapters/graphs.py",
        "batch = 1 if len(self.wave.shape) == 1 else self.wave.shape[0]",
        "batch = None",
    ),
    "onnx: what fills a batch is counted": (
        "models/adapters/graphs.py",
        "found.append(self._batched(outputs, size)[:count])",
        "found.append(self._batched(outputs, size))",
    ),
    "onnx: whole numbers have the scale of floats": (
        "models/adapters/graphs.py",
        "np.round(waves * (full - 1))",
        "np.round(waves)",
    ),
    "onnx: the file goes before the user": (
        "models/adapters/graphs.py",
        "known = {**read_metadata(metadata), **facts}",
        "known = {**facts, **read_metadata(metadata)}",
    ),
    "onnx: the length of the graph is not known": (
        "models/adapters/graphs.py",
        "if graph.samples is not None:",
        "if False:",
    ),
    "onnx: the first output whatever was chosen": (
        "models/adapters/graphs.py",
        "return names.index(chosen)",
        "return 0",
    ),
    "onnx: the content does not count": (
        "models/adapters/onnx.py",
        "digest_of([path, *([beside] if beside.is_file() else [])])",
        '""',
    ),
    "tflite: the zero point is left out": (
        "models/adapters/tflite.py",
        "np.round(array / scale) + zero",
        "np.round(array / scale)",
    ),
    "sklearn: a program runs unasked": (
        "models/adapters/sklearn.py",
        "    need_trust(name, trust_code)",
        "    pass",
    ),
    "sklearn: the margin has the wrong sign": (
        "models/adapters/sklearn.py",
        "np.stack([-found / 2, found / 2], axis=1)",
        "np.stack([found / 2, -found / 2], axis=1)",
    ),
    "export: several sounds at once to a program of one": (
        "models/adapters/torchscript.py",
        '**{"batch": batch, **facts}',
        "**facts",
    ),
    "model: outputs that change are not noted": (
        "models/declared.py",
        "    if change <= _SAME",
        "    if 0 * change <= _SAME",
    ),
    "model: threads share a network": (
        "models/model.py",
        "            _TURN,\n",
        "",
    ),
    "model: silence is that of an earlier function": (
        "pipeline.py",
        "        forget_silence(model)\n",
        "",
    ),
    "model: a network overwrites the sound": (
        "models/model.py",
        "outputs = forward(data.clone())",
        "outputs = forward(data)",
    ),
    "length: silence before a sound is not counted": (
        "models/model.py",
        "(start - before, min(",
        "(start, min(",
    ),
    "length: silence always at the end": (
        "models/calling/lengths.py",
        '(missing, 0) if self.pad == "start" else (0, missing)',
        "(0, missing)",
    ),
    "length: the first part instead of the last": (
        "models/calling/lengths.py",
        '0 if self.longer == "first" else length - longest',
        "0",
    ),
    "length: the largest of all windows instead of three": (
        "models/calling/lengths.py",
        '"topk": 3}',
        '"topk": 1}',
    ),
    "length: a sample is lost to rounding": (
        "models/calling/lengths.py",
        "math.floor(high * rate + _ROUNDING)",
        "math.floor(high * rate * (1 - 1e-9))",
    ),
    "readout: frames are dealt out in turn": (
        "models/calling/readout.py",
        "return outputs.unflatten(0, (batch, count))",
        "return outputs.unflatten(0, (count, batch)).transpose(0, 1)",
    ),
    "readout: the reference is not selected": (
        "models/model.py",
        "return similarity(self._embeddings(outputs, len(data)), embedding)",
        "return similarity(self._embeddings(outputs, len(data)), self._embeddings(outputs, 1))",
    ),
    "batch: one sound at a time is forgotten": (
        "models/batching.py",
        "        if self.alone:",
        "        if False:",
    ),
    "gradcam: a tensor is a copy of itself": (
        "backward/outside.py",
        "        if copy is original:",
        "        if False:",
    ),
    "hf: the sample before is not subtracted": (
        "models/adapters/extractors.py",
        "_EMPHASIS = 0.97",
        "_EMPHASIS = 0.96",
    ),
    "hf: padding before the logarithm": (
        "models/adapters/extractors.py",
        "(0, 0, 0, max(missing, 0)))[:, : self.frames]",
        "(0, 0, 0, max(missing, 0)), value=-16.0)[:, : self.frames]",
    ),
    "hf: the range is of the batch": (
        "models/adapters/extractors.py",
        "bands.amax(dim=(1, 2), keepdim=True) if self",
        "bands.amax(dim=2, keepdim=True) if self",
    ),
    "hf: a sound is repeated once too often": (
        "models/adapters/extractors.py",
        "waves = waves.repeat(1, copies)",
        "waves = waves.repeat(1, copies + 1)",
    ),
    "hf: a random head is explained": (
        "models/adapters/huggingface.py",
        "    if wrong:",
        "    if False:",
    ),
    "hf: front end and extractor are not compared": (
        "models/adapters/huggingface.py",
        "return front_end if same else None",
        "return front_end",
    ),
    "hf: every task is one of many": (
        "models/adapters/huggingface.py",
        '_TASKS.get(config.problem_type or "", "single-label")',
        '"single-label"',
    ),
    "hf: text of another label": (
        "models/adapters/huggingface.py",
        "str(one)) for one in names]",
        "str(one)) for one in reversed(list(names))]",
    ),
    "hf: one limit of length does away with the other": (
        "models/adapters/huggingface.py",
        "return shortest or own_least, longest or own_most",
        "return (shortest, longest) if shortest or longest else (own_least, own_most)",
    ),
    "hf: more than the extractor reads is allowed": (
        "models/adapters/huggingface.py",
        "longest > own_most:",
        "False:",
    ),
    "hf: labels of the same embedding pass": (
        "models/adapters/huggingface.py",
        "if len(text.unique(dim=0)) < len(text):",
        "if False:",
    ),
    "hf: other fields of a template are filled": (
        "models/adapters/huggingface.py",
        'template.replace("{}", str(one))',
        "template.format(one)",
    ),
    "hf: errors of other classes pass": (
        "models/adapters/huggingface.py",
        "    except Exception as error:  # safetensors",
        "    except OSError as error:  # safetensors",
    ),
    "onnx: eight bits at the scale of sixteen": (
        "models/adapters/graphs.py",
        "min(8 * self.wave.dtype.itemsize, _MOST_BITS)",
        "_MOST_BITS",
    ),
    "onnx: no zero point": (
        "models/adapters/graphs.py",
        'waves = waves + full if self.wave.dtype.kind == "u" else waves',
        "waves = waves",
    ),
    "onnx: features in a batch pass": (
        "models/adapters/graphs.py",
        "(shape[0] or 1) > _LARGEST_BATCH",
        "False",
    ),
    "onnx: a few values pass for a waveform": (
        "models/adapters/graphs.py",
        "if seconds < _LEAST:",
        "if False:",
    ),
    "onnx: truth values pass for a waveform": (
        "models/adapters/graphs.py",
        'if wave.dtype.kind not in "fiu":',
        "if False:",
    ),
    "onnx: a constant does away with the batch": (
        "models/adapters/graphs.py",
        "size = batch or (1 if whole else len(waves))",
        "size = 1 if whole else batch or len(waves)",
    ),
    "onnx: constants of a batch that is not full": (
        "models/adapters/graphs.py",
        "np.minimum(np.arange(start, start + size), len(value) - 1)",
        "slice(start, start + size)",
    ),
    "onnx: a rate with a point is not read": (
        "models/adapters/graphs.py",
        "[1-9][0-9]*(\\.0*)?",
        "[1-9][0-9]*",
    ),
    "onnx: a number of classes is their name": (
        "models/adapters/graphs.py",
        "if not text.isdecimal()]",
        "]",
    ),
    "onnx: text beside the scores stops": (
        "models/adapters/onnx.py",
        "if one.type != _TEXT]",
        "]",
    ),
    "adapters: a list of labels is read again as lines": (
        "models/adapters/registry.py",
        "            value = as_text(value)",
        '            value = "\\n".join(map(str, value))',
    ),
    "adapters: a mark is part of the first label": (
        "models/adapters/registry.py",
        '"utf-8-sig"',
        '"utf-8"',
    ),
    "adapters: a missing file is a label": (
        "models/adapters/registry.py",
        '(path.is_file() or "," not in text)',
        "path.is_file()",
    ),
    "adapters: constants without names pass": (
        "models/adapters/registry.py",
        "if not isinstance(found, dict):",
        "if found is None:",
    ),
    "adapters: a home folder is not found": (
        "models/adapters/registry.py",
        "place = os.path.expanduser(place)",
        "place = place",
    ),
    "adapters: trust is refused where no code runs": (
        "models/registry.py",
        "if _TRUST not in _declared(place):",
        "if False:",
    ),
    "adapters: what a bare network needs is not said": (
        "models/adapters/python.py",
        "        if callable(model):\n",
        "        if False:\n",
    ),
    "export: a few values pass for a waveform": (
        "models/adapters/torchscript.py",
        "samples < _LEAST *",
        "samples < 0 *",
    ),
    "export: a program without inputs": (
        "models/adapters/torchscript.py",
        "    if not shape:\n",
        "    if False:\n",
    ),
    "sklearn: an outlier's score is two classes": (
        "models/adapters/sklearn.py",
        'output = "scores"  # of one',
        'output = "logits"  # of one',
    ),
    "sklearn: numbers of clusters are scores": (
        "models/adapters/sklearn.py",
        "if isinstance(last, ClusterMixin):",
        "if False:",
    ),
    "sklearn: several targets pass": (
        "models/adapters/sklearn.py",
        "any(np.ndim(one) for one in classes)",
        "False",
    ),
    "sklearn: pairs of classes pass": (
        "models/adapters/sklearn.py",
        "    if pairs and",
        "    if False and",
    ),
}
