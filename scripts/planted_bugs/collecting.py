"""Where sounds are searched, and explanations of many sounds in Python."""

from __future__ import annotations

BUGS = {
    "explanations: processes explain other weights": (
        "collecting/explaining.py",
        "if fingerprint(self.named.load()) != fingerprint(model):",
        "if False:",
    ),
    "clips: evidence is a recording": (
        "clips.py",
        'if one[0] != "." and not holds_results(here / one)]',
        'if one[0] != "."]',
    ),
    "clips: any report.json marks results": (
        "clips.py",
        'return isinstance(facts, dict) and "schema" in facts',
        "return isinstance(facts, dict)",
    ),
    "clips: a folder of results is searched": (
        "clips.py",
        "    if holds_results(place):",
        "    if False:",
    ),
    "clips: the last folder searched counts": (
        "clips.py",
        "clips.setdefault(clip, root)",
        "clips[clip] = root",
    ),
    "data: results are a class": (
        "data/collection.py",
        'path.name[0] != "." and not holds_results(path)',
        'path.name[0] != "."',
    ),
    "explanations: a bad sound ends the run": (
        "collecting/sounds.py",
        'on_failure(text if text.startswith(name) else f"{name}: {text}")',
        "raise",
    ),
    "explanations: other samples of one name are the same": (
        "collecting/sounds.py",
        "digest = blake2b(data, digest_size=4).hexdigest()",
        "digest = blake2b(sound.name.encode(), digest_size=4).hexdigest()",
    ),
    "explanations: sounds of one name are one": (
        "collecting/explanations.py",
        "known.clip if again == 1 else numbered",
        "known.clip",
    ),
    "explanations: all are read at once": (
        "collecting/explanations.py",
        "else Path(one) for one in entries",
        "else load(Path(one)) for one in entries",
    ),
    "explanations: all are made again": (
        "collecting/explaining.py",
        "overwrite=overwrite, key=key",
        "overwrite=True, key=key",
    ),
    "explanations: in the order in which they come": (
        "collecting/explaining.py",
        "for item in items for request in self.requests]",
        "for item in items[::-1] for request in self.requests]",
    ),
    "explanations: evidence and remainder change places in the table": (
        "collecting/table.py",
        'for name in ("evidence", "remainder"))',
        'for name in ("remainder", "evidence"))',
    ),
    "explanations: every method gets every option": (
        "collecting/requests.py",
        "if name in names and not (",
        "if not (",
    ),
    "explanations: the page is per folder": (
        "collecting/joined.py",
        'sound = (Path(facts["clip"]).name, made',
        'sound = (str(entry), Path(facts["clip"]).name, made',
    ),
    "explanations: any page is replaced": (
        "collecting/joined.py",
        "    check_page_at(page)\n",
        "",
    ),
    "plot: the evidence is the input": (
        "render/picture.py",
        "decibels(magnitude, mask.gains * magnitude)",
        "decibels(magnitude)",
    ),
    "plot: cells begin at their centres": (
        "render/picture.py",
        "np.append(wide - step / 2, wide[-1] + step / 2)",
        "np.append(wide, wide[-1] + step)",
    ),
    "plot: white boxes in a dark notebook": (
        "render/picture.py",
        "    figure.patch.set_alpha(0)\n",
        "",
    ),
    "report: explanations of one sound stay apart": (
        "collecting/joined.py",
        '    return Known((facts["model"], *sound),',
        '    return Known((facts["method"], *sound),',
    ),
    "report: models are mixed in a section": (
        "collecting/joined.py",
        '    return Known((facts["model"], *sound),',
        "    return Known(sound,",
    ),
    "report: a page of a scan is overwritten": (
        "collecting/rebuilt.py",
        "if (folder / _SCAN).is_file():",
        "if False:",
    ),
    "report: the rebuilt page forgets its assets": (
        "report/folder.py",
        'Form(facts["assets"], key.get',
        'Form("", key.get',
    ),
    "given: samples without a rate are as many sounds": (
        "collecting/sounds.py",
        "not isinstance(given, Iterable) or _numeric(given)",
        "not isinstance(given, Iterable)",
    ),
    "given: lines of a file are sounds": (
        "collecting/sounds.py",
        "Tensor | IOBase",
        "Tensor",
    ),
    "given: channels first are refused": (
        "audio.py",
        "samples = samples.T",
        "pass",
    ),
    "given: numbers of numpy stay what they are": (
        "types.py",
        'return value.item() if getattr(value, "ndim", None) == 0 else value',
        "return value",
    ),
    "given: a path may be a number": (
        "files.py",
        "if not isinstance(place, str | os.PathLike):",
        "if False:",
    ),
    "given: a device of torch is no device": (
        "models/registry.py",
        "device = str(device)",
        "pass",
    ),
    "given: every failure is in the line": (
        "recordings/scanning.py",
        "failed[:_SHOWN]",
        "failed",
    ),
    "given: a sound is no model folder": (
        "models/registry.py",
        "    if os.path.isfile(name):\n        return ModelError(\n",
        "    if False:\n        return ModelError(\n",
    ),
    "regions: in order of frequency": (
        "render/labels.py",
        "cells[k][1].min())",
        "cells[k][0].min())",
    ),
    "regions: one ends where it begins": (
        "render/labels.py",
        "columns.max()]",
        "columns.min()]",
    ),
    "regions: the lowest frequency of the highest": (
        "render/labels.py",
        "attribution.freqs[rows.max()]",
        "attribution.freqs[rows.min()]",
    ),
    "regions: shares of the mask only": (
        "render/labels.py",
        "whole = np.maximum(attribution.values, 0).sum(dtype=np.float64)",
        "whole = np.maximum(attribution.values * mask.gains, 0).sum(dtype=np.float64)",
    ),
    "regions: negative cells are subtracted": (
        "render/labels.py",
        "np.maximum(attribution.values[rows, columns], 0)",
        "attribution.values[rows, columns]",
    ),
    "regions: corners part them": (
        "render/labels.py",
        "structure=np.ones((3, 3))",
        "structure=None",
    ),
    "train: the weights of the documentation are others": (
        "train/settings.py",
        "inside=6.0, size=25.0",
        "inside=4.0, size=25.0",
    ),
    "given: explanations are saved over themselves": (
        "collecting/explanations.py",
        "if any(one.is_relative_to(root.resolve()) for one in places):",
        "if False:",
    ),
    "given: a mask is a list of indices": (
        "collecting/explanations.py",
        "wanted = [k for k, chosen in enumerate(wanted) if chosen]",
        "pass",
    ),
    "given: a number is an index, whatever the labels": (
        "models/target.py",
        "if model.labels.index(text) != name:",
        "if False:",
    ),
    "given: one sound by a number of two meanings": (
        "pipeline.py",
        "    refuse_numbers(model, request.target, request.versus)\n",
        "",
    ),
    "given: several sounds by a number of two meanings": (
        "jobs/targets.py",
        "    refuse_numbers(model, request.target, request.versus)\n",
        "",
    ),
    "given: two sounds by a number of two meanings": (
        "comparing/comparison.py",
        "    refuse_numbers(model, request.target, request.versus)\n",
        "",
    ),
    "given: a mask of another length": (
        "collecting/explanations.py",
        "if len(wanted) != len(self):",
        "if False:",
    ),
    "given: a scan by a number of two meanings": (
        "recordings/scanning.py",
        "    refuse_numbers(model, *targets)\n",
        "",
    ),
    "given: whole numbers of 64 bits are silence": (
        "samples.py",
        "if samples.dtype in (np.int64, np.uint64):",
        "if False:",
    ),
    "given: functions are not selected from": (
        "models/adapters/black_box.py",
        "return self.inputs.call(self._function, waves.detach().cpu().numpy().astype(np.float32))",
        "return self._numbers(self.inputs.call(self._function, waves.detach().cpu().numpy()))",
    ),
    "given: labels of a tensor are its text": (
        "models/wrapping.py",
        'if hasattr(labels, "tolist"):',
        "if False:",
    ),
    "given: explanations are compared by arrays": (
        "explanation.py",
        "@dataclass(frozen=True, repr=False, eq=False)\nclass Explanation:",
        "@dataclass(frozen=True, repr=False)\nclass Explanation:",
    ),
}
