"""Bugs in ``models/packaged``: models whose weights other packages bring."""

from __future__ import annotations

BUGS = {
    "packaged: a name without a place is no model": (
        "models/adapters/registry.py",
        "if name in known and not known[name].place:",
        "if False:",
    ),
    "packaged: what installs a package is not said": (
        "models/adapters/registry.py",
        "given = dict.fromkeys(self.packages.get(one, extra) for one in self.missing)",
        "given = dict.fromkeys(extra for one in self.missing)",
    ),
    "packaged: a place behind a single model is ignored": (
        "models/adapters/registry.py",
        "if place and not self.place:",
        "if False:",
    ),
    "packaged: what stands in for a package stays": (
        "models/packaged/reading.py",
        "            del sys.modules[unused]",
        "            pass",
    ),
    "packaged: a package that works is replaced": (
        "models/packaged/reading.py",
        "        stub = False\n",
        "        stub = True\n        sys.modules[unused] = ModuleType(unused)\n",
    ),
    "silero: frames lack the samples before them": (
        "models/packaged/silero.py",
        "padded = nn.functional.pad(waves, (_CONTEXT, missing))",
        "padded = nn.functional.pad(waves, (0, missing + _CONTEXT))",
    ),
    "silero: ends are not reflected": (
        "models/packaged/silero.py",
        "ends = frames[..., -_CONTEXT - 1 : -1].flip(-1)",
        "ends = frames[..., -_CONTEXT:].flip(-1)",
    ),
    "silero: the root of silence has no gradient": (
        "models/packaged/silero.py",
        "power.clamp(min=_LEAST_POWER).sqrt()",
        "power.sqrt()",
    ),
    "silero: every frame begins without a state": (
        "models/packaged/silero.py",
        "speech, state = self._session.run(None, given)",
        "speech, _ = self._session.run(None, given)",
    ),
    "basic-pitch: contours are a third of a semitone high": (
        "models/packaged/basic_pitch.py",
        "(np.arange(_KEYS * _PER_SEMITONE) - 1)",
        "(np.arange(_KEYS * _PER_SEMITONE) - 0)",
    ),
    "basic-pitch: notes and onsets are exchanged": (
        "models/packaged/basic_pitch.py",
        '{"note": ":1", "onset": ":2",',
        '{"note": ":2", "onset": ":1",',
    ),
    "basic-pitch: octaves begin at A": (
        "models/packaged/basic_pitch.py",
        "{one // 12 - 1}",
        "{(one + 3) // 12 - 1}",
    ),
    "dnsmos: signal and background are exchanged": (
        "models/packaged/dnsmos.py",
        "[both, signal, background, rated]",
        "[both, background, signal, rated]",
    ),
    "dnsmos: the polynomials of the usual score for personalised ones": (
        "models/packaged/dnsmos.py",
        "_PERSONALISED if personalised else _USUAL",
        "_USUAL",
    ),
    "dnsmos: bands relative to full scale": (
        "models/packaged/dnsmos.py",
        "(power.clamp(min=_LEAST_POWER) / loudest)",
        "power.clamp(min=_LEAST_POWER)",
    ),
    "dnsmos: short sounds are padded with silence": (
        "models/packaged/dnsmos.py",
        'pad="repeat"',
        'pad="end"',
    ),
    "distillmos: the level counts": (
        "models/packaged/distillmos.py",
        "waves = waves / (waves.abs().amax(dim=1, keepdim=True) + _LEAST_PEAK)",
        "waves = waves * 1.0",
    ),
    "distillmos: gradients of silence are undefined": (
        "models/packaged/distillmos.py",
        ".clamp(min=_LEAST_POWER)\n        return",
        "\n        return",
    ),
}
