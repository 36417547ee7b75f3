"""Bugs in other parts."""

from __future__ import annotations

BUGS = {
    "report: notes of the first explanation only": (
        "report/clip.py",
        '"notes": [note for note in one.notes if not _common(note, saved)],',
        '"notes": [],',
    ),
    "background: the mean is silent in digital silence": (
        "perturbation/background/steady.py",
        "torch.where(probe.magnitude > 0, probe.phase, tone) * level",
        "probe.phase * level",
    ),
    "background: the median is the lower of the middle two": (
        "perturbation/background/median.py",
        "quantile(0.5, dim=1, keepdim=True)",
        'quantile(0.5, dim=1, keepdim=True, interpolation="lower")',
    ),
    "axis: pictures upside down": (
        "render/picture.py",
        "pixels[::-1]",
        "pixels",
    ),
    "seed: probe ignores it": (
        "probe.py",
        "manual_seed(self.seed)",
        "manual_seed(0)",
    ),
    "complement: evidence and remainder swapped": (
        "render/evidence.py",
        "return evidence, wave - evidence",
        "return wave - evidence, evidence",
    ),
    "normalisation: synthesis window": (
        "plane/stft.py",
        "(window * window.sum())",
        "(window * self.n_fft)",
    ),
    "plane: hops overlap at the wrong place": (
        "plane/stft.py",
        "total[:, place : place + count] += part",
        "total[:, several - 1 - place : several - 1 - place + count] += part",
    ),
    "plane: the weight of the overlap is that of one window": (
        "plane/stft.py",
        "window.square()[None, None]",
        "window[None, None]",
    ),
    "plane: modulus without the imaginary part": (
        "plane/stft.py",
        "(squares[..., 0] + squares[..., 1])",
        "(squares[..., 0] + squares[..., 0])",
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
    "mask: dB of power is dB of magnitude": (
        "plane/domains.py",
        "level = 10 * (magnitude**2)",
        "level = 20 * (magnitude**2)",
    ),
    "mask: dB without its floor": (
        "plane/domains.py",
        "+ FLOOR_DB) / 20)",
        ") / 20)",
    ),
    "mask: log1p without expm1": (
        "plane/domains.py",
        "magnitude.log1p()).expm1()",
        "magnitude.log1p())",
    ),
    "plane: tail is lost": (
        "plane/stft.py",
        "math.ceil((samples + self.n_fft // 2) / self.hop)",
        "math.ceil(samples / self.hop)",
    ),
    "plane: mel scale": (
        "plane/mel.py",
        "math.log(6.4) / 27.0",
        "math.log(6.4) / 26.0",
    ),
    "plane: saliency by gain": (
        "probe.py",
        "spectrum = magnitude * self.phase",
        "spectrum = magnitude * self.spectrum",
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
    "mixing: the floor is left out of the bands": (
        "mixing.py",
        "change = magnitude if floor is None else magnitude - floor",
        "change = magnitude",
    ),
    "mixing: any background has the input's phase": (
        "probe.py",
        "and same_phase(self.background, self.spectrum)",
        "",
    ),
    "gradient: the floor is forgotten": (
        "probe.py",
        "factor = 1.0 if of_magnitude else self.magnitude - floor",
        "factor = 1.0 if of_magnitude else self.magnitude",
    ),
    "mixing: background forgotten": (
        "mixing.py",
        "change = spectrum - other",
        "change = spectrum",
    ),
    "steps: the weight of a step left out is lost": (
        "steps.py",
        "one, self._waiting, 0.0",
        "one, self._weights[first + row], 0.0",
    ),
    "steps: a path that is not finite is walked to its end": (
        "steps.py",
        "if self._last is None or len(self.skipped) >",
        "if self._done == len(self._weights) and len(self.skipped) >",
    ),
    "gradient: weights out of step": (
        "steps.py",
        "self._done += len(found)",
        "self._done += 0",
    ),
    "gradient: gain and magnitude confused": (
        "probe.py",
        "total = back[0] * factor",
        "total = back[0]",
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
    "sounds: the quietest part": (
        "data/mixtures.py",
        "np.argmax(total",
        "np.argmin(total",
    ),
    "sounds: test takes are learnt": (
        "data/digits.py",
        "< TEST_TAKES) == test",
        "< TEST_TAKES) != test",
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
    "store: gains are never kept": (
        "store.py",
        'if "gains" in extras or not _is_rule(explanation):',
        'if "gains" in extras:',
    ),
    "store: values are cut, not rounded": (
        "masks/rounding.py",
        "(bits + np.uint32(1 << (dropped - 1)))",
        "bits",
    ),
    "jobs: a failure ends the sound": (
        "jobs/explaining.py",
        "                continue\n",
        "                return\n",
    ),
    "jobs: workers outlive their parent": (
        "jobs/workers.py",
        "os._exit(1)",
        "pass",
    ),
    "jobs: an interrupted sound has no section": (
        "jobs/explaining.py",
        "        if made:\n            finish(",
        "        if len(saved) == len(task.requests):\n            finish(",
    ),
    "audio: bands are channels": (
        "audio.py",
        "if samples.ndim == 2 and max(samples.shape) > _MOST_CHANNELS < min(samples.shape):",
        "if False:",
    ),
    "audio: rate before samples": (
        "audio.py",
        "if samples.ndim == 0 and given_rate.ndim:",
        "if False:",
    ),
    "audio: tensors with gradients": (
        "audio.py",
        "given = given.detach().cpu()",
        "given = given.cpu()",
    ),
    "audio: half precision": (
        "audio.py",
        "given = given.float() if given.is_floating_point() else given",
        "pass",
    ),
    "audio: skipped in silence": (
        "clips.py",
        "if others:\n        text",
        "if False:\n        text",
    ),
    "audio: milliseconds are too short at any rate": (
        "samples.py",
        "_SHORTEST_SECONDS * min(self.given, _HIGHEST_RATE) / self.given",
        "_SHORTEST_SECONDS",
    ),
    "players: ultrasound is resampled away": (
        "render/players.py",
        "return EXPANSION",
        "return 1",
    ),
    "players: high rates only": (
        "render/players.py",
        "else _MOSTLY",
        "else 2.0",
    ),
    "players: faint calls are lost": (
        "render/players.py",
        "_PRESENT = 1e-4",
        "_PRESENT = 1e-2",
    ),
    "players: label of the expansion": (
        "render/players.py",
        'if factor > 1 else ""',
        'if factor > 10 else ""',
    ),
    "players: pieces at another speed": (
        "render/players.py",
        "return [_player(sound, gain_db, 0.0, factor) for sound in sounds]",
        "return [_player(sound, gain_db, 0.0, 1) for sound in sounds]",
    ),
    "notes: edges are bands": (
        "evaluation/notes.py",
        "(inner if inner.shape[1] else magnitude)",
        "magnitude",
    ),
    "notes: share below the end": (
        "evaluation/notes.py",
        "size[loud[-1] + 1 :].sum()",
        "size[: loud[-1] + 1].sum()",
    ),
    "notes: bandwidth is not said": (
        "evaluation/notes.py",
        "if share < _LEAST_SHARE:",
        "if True:",
    ),
    "labels: count from the part": (
        "render/labels.py",
        "start, end = start + offset, end + offset",
        "pass",
    ),
    "report: sub-folders are dropped": (
        "report/folder.py",
        "inner = clip.relative_to(below) if below else Path(clip.name)",
        "inner = Path(clip.name)",
    ),
    "report: a sound lies in another's folder": (
        "report/folder.py",
        "if str(here) in self._above or lines & self._taken:",
        "if str(here) in self._taken:",
    ),
    "report: heading without sub-folders": (
        "report/clip.py",
        "(Path(os.path.relpath(place, root)).parent / Path(first.clip).name).as_posix()",
        "Path(first.clip).name",
    ),
}
