"""Bugs in what is refused, and in what is said of it."""

from __future__ import annotations

BUGS = {
    "refusals: the hint about lengths for every exception": (
        "models/calling/failures.py",
        "if isinstance(error, _OF_CODE) or _OTHER.search(text) or not _LENGTHS.search(text):",
        "if False:",
    ),
    "refusals: the first line only": (
        "errors.py",
        'text = " ".join(lines)',
        "text = lines[0]",
    ),
    "refusals: the first line of TorchScript": (
        "errors.py",
        'return lines[-1].removeprefix("RuntimeError: ")',
        "return lines[0]",
    ),
    "refusals: memory taken for lengths": (
        "models/calling/failures.py",
        "if isinstance(error, MemoryError | torch.OutOfMemoryError) or _MEMORY.search(text):",
        "if False:",
    ),
    "refusals: stereo not tried": (
        "models/calling/failures.py",
        "if _works(forward, wave.expand(-1, 2, -1)):",
        "if False:",
    ),
    "refusals: numpy front end not tried without gradients": (
        "models/calling/failures.py",
        "if data.requires_grad and _works(forward, data.detach()):",
        "if False:",
    ),
    "refusals: inputs beside the waveform not named": (
        "models/calling/inputs.py",
        "if missing:",
        "if False:",
    ),
    "refusals: constants for no input": (
        "models/calling/inputs.py",
        "if key not in [one.name for one in named] and not others:",
        "if False:",
    ),
    "refusals: constants without a batch": (
        "models/calling/inputs.py",
        "batch = np.repeat(value[None], len(data), axis=0)",
        "batch = value[None]",
    ),
    "refusals: constants by name only": (
        "models/calling/inputs.py",
        "if name not in given:\n                break",
        "if True:\n                break",
    ),
    "refusals: constants do not tell models apart": (
        "models/fingerprint.py",
        "*model.inputs.facts()",
        "",
    ),
    "refusals: frozen TorchScript has no mode": (
        "models/calling/modes.py",
        '        if hasattr(module, "training")\n',
        "",
    ),
    "refusals: exported programs refuse eval": (
        "models/calling/modes.py",
        "except NotImplementedError:",
        "except ZeroDivisionError:",
    ),
    "refusals: modules around an exported program stay in training": (
        "models/calling/modes.py",
        "            part.training = training\n",
        "            pass\n",
    ),
    "refusals: compiled layers called detached": (
        "layers/choosing.py",
        "    if sealed(model.module):",
        "    if False:",
    ),
    "refusals: gradcam recommends what is refused": (
        "models/calling/alternatives.py",
        'return "lime or occlusion" if found is None else "integrated-gradients"',
        'return "integrated-gradients"',
    ),
    "refusals: rules recommend what is refused": (
        "methods/lrp.py",
        'found, details["completeness_gap"], score, other)',
        'found, details["completeness_gap"], score)',
    ),
    "refusals: modules are asked for their length": (
        "layers/recording.py",
        "if network is not None else ()",
        "if network else ()",
    ),
    "refusals: functions told to use features": (
        "models/calling/failures.py",
        "    if model.module is None:\n        return",
        "    if False:\n        return",
    ),
    "refusals: changed weights said to have no decoder": (
        "methods/lmac.py",
        "if model.name in built_in:",
        "if False:",
    ),
    "refusals: a broken plug-in ends the discovery": (
        "registry.py",
        "except (Exception, SystemExit) as error:",
        "except ZeroDivisionError as error:",
    ),
    "refusals: half of our modules on the second call": (
        "registry.py",
        "self._discovered = False  # the next",
        "pass  # the next",
    ),
    "refusals: a mended module is a second entry": (
        "registry.py",
        "self._doubtful |= set(self._specs) - before",
        "pass",
    ),
    "refusals: none as Python writes it": (
        "options.py",
        'text.lower() in ("none", "null")',
        'text == "null"',
    ),
    "refusals: headerless samples": (
        "audio.py",
        "if isinstance(error, TypeError):",
        "if isinstance(error, ZeroDivisionError):",
    ),
    "refusals: every thread silences for itself": (
        "audio.py",
        "if not self._users and self._kept >= 0:",
        "if self._kept >= 0:",
    ),
    "pictures: names as mathematics": (
        "render/picture.py",
        "parse_math=False",
        "parse_math=True",
    ),
    "pictures: boxes for characters without a font": (
        "render/lettering.py",
        'if c == " " or _family(c) is not None)',
        ")",
    ),
    "pictures: Arabic letters in reverse": (
        "render/lettering.py",
        "version[:2] < _SHAPED",
        "False",
    ),
    "lrp: half precision in the backward pass": (
        "backward/relevance.py",
        "return values.float() if values.dtype in HALF else values",
        "return values",
    ),
    "lrp: rounding called compiled code": (
        "backward/completeness.py",
        "if not ledger.strangers and halves:",
        "if False:",
    ),
}
