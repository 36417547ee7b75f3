"""Bugs in the script of the report: transforms, masks, the transport, what is saved."""

from __future__ import annotations

BUGS = {
    "desk: odd radices are conjugated": (
        "report/desk/fft.js",
        "sumRe += re[r] * rootRe[at] - im[r] * rootIm[at];",
        "sumRe += re[r] * rootRe[at] + im[r] * rootIm[at];",
    ),
    "desk: large chirps lose their digits": (
        "report/desk/fft.js",
        "((k * k) % (2 * n)) / n",
        "((k * k) % n) / n",
    ),
    "desk: the window is symmetric": (
        "report/desk/stft.js",
        "0.5 * Math.cos(2 * Math.PI * k / length)",
        "0.5 * Math.cos(2 * Math.PI * k / (length - 1))",
    ),
    "desk: frames begin where they should be centred": (
        "report/desk/stft.js",
        "const start = frame * hop - length / 2;\n    for (let k = 0; k < length",
        "const start = frame * hop;\n    for (let k = 0; k < length",
    ),
    "desk: overlap-add is not weighted": (
        "report/desk/stft.js",
        "total[k] / weight[k]",
        "total[k] / 1.5",
    ),
    "desk: silent frames have no weight": (
        "report/desk/stft.js",
        "for (let k = from; k < to; k++) weight",
        "if (!silent) for (let k = from; k < to; k++) weight",
    ),
    "desk: gains are read frame by frame": (
        "report/desk/stft.js",
        "g = frame; bin < bins; bin++, at++, g += frames",
        "g = frame * bins; bin < bins; bin++, at++, g++",
    ),
    "desk: signs of steps are lost": (
        "report/desk/unpack.js",
        "value & 1 ? -((value + 1) >> 1) : value >> 1",
        "value >> 1",
    ),
    "desk: differences are summed once": (
        "report/desk/unpack.js",
        "up2: 2",
        "up2: 1",
    ),
    "desk: bits are read from the lowest": (
        "report/desk/unpack.js",
        "(7 - (at & 7))",
        "(at & 7)",
    ),
    "desk: sounds are resampled to the device": (
        "report/desk/unpack.js",
        "new OfflineAudioContext(1, 1, 44100)",
        "new OfflineAudioContext(1, 1, 48000)",
    ),
    "desk: the dial keeps negative cells": (
        "report/desk/gains.js",
        "codes[k] >= least && codes[k] < POSITIVE_CODES",
        "codes[k] >= least",
    ),
    "desk: soft masks are half as loud": (
        "report/desk/gains.js",
        "FULL_GAIN = 4096",
        "FULL_GAIN = 8192",
    ),
    "desk: codes of a learned mask are those of the next gain": (
        "report/desk/gains.js",
        "codes[k] = byGain[gains[k]];",
        "codes[k] = byGain[gains[k] + 1];",
    ),
    "desk: gains that do not give the codes give them": (
        "report/packing.py",
        "    given = np.array_equal(by_gain[gains], codes)",
        "    given = True",
    ),
    "desk: gains of learned masks are inexact on the page": (
        "report/packing.py",
        "_GAINS = 4096",
        "_GAINS = 4095",
    ),
    "desk: faint evidence in 16 bits": (
        "report/packing.py",
        "    return max(own, min(_bits(max(worst)), _MOST_FOR_DIAL))",
        "    return 16",
    ),
    "desk: a dial's faint evidence in 16 bits": (
        "report/packing.py",
        "if held[kept_ones].sum() > 0:",
        "if held[kept_ones].sum() < 0:",
    ),
    "desk: strokes erase in any order": (
        "report/desk/strokes.js",
        "for (const stroke of strokes) {",
        "for (const stroke of [...strokes].sort((a, b) => (a.mode < b.mode ? 1 : -1))) {",
    ),
    "desk: harmonics are not bands of equal width": (
        "report/desk/strokes.js",
        "nearestRange(centre - width / 2, centre + width / 2,",
        "nearestRange(centre - number * width / 2, centre + number * width / 2,",
    ),
    "desk: the level has no gate": (
        "report/desk/loudness.js",
        "one > least",
        "one > 0",
    ),
    "desk: sounds may clip": (
        "report/desk/loudness.js",
        "    wanted = Math.min(wanted, ",
        "    Math.min(wanted, ",
    ),
    "desk: linear interpolation": (
        "report/desk/resample.js",
        "SINC_ZEROS = 24",
        "SINC_ZEROS = 1",
    ),
    "desk: high sounds fold down": (
        "report/desk/resample.js",
        "Math.min(from, to, 2 * limit) / from",
        "1",
    ),
    "desk: a switch begins at zero": (
        "report/desk/transport.js",
        "voice ? framesOf(voice.secondsAt(first))",
        "voice ? 0",
    ),
    "desk: a switch is a little late": (
        "report/desk/transport.js",
        "framesOf(voice.secondsAt(first))",
        "framesOf(voice.secondsAt(first - 64))",
    ),
    "desk: a switch has a gap": (
        "report/desk/transport.js",
        "linearRampToValueAtTime(0, when + FADE_SECONDS);",
        "setValueAtTime(0, when);",
    ),
    "desk: fades overlap": (
        "report/desk/transport.js",
        "if (voice) first = Math.max(first, voice.first",
        "if (false) first = Math.max(first, voice.first",
    ),
    "desk: sounds are not level-matched": (
        "report/desk/transport.js",
        "    return levels[name];",
        "    return levels.input;",
    ),
    "desk: a replaced sound goes on": (
        "report/desk/transport.js",
        "heard.delete(name); buffers.delete(name); levels = null;",
        "levels = null;",
    ),
    "desk: a loop drifts": (
        "report/desk/transport.js",
        "const long = loop[1] - loop[0];",
        "const long = loop[1] - loop[0] + 1;",
    ),
    "desk: ultrasound is not slowed": (
        "report/desk/transport.js",
        "speed / (carrier === null ? expansion : 1)",
        "speed",
    ),
    "desk: heterodyned sounds are slowed": (
        "report/desk/transport.js",
        "speed / (carrier === null ? expansion : 1)",
        "speed / expansion",
    ),
    "desk: the end is not noticed": (
        "report/desk/transport.js",
        "{ rest = length; voice = null; transport.onchange(); }",
        "{ rest = 0; }",
    ),
    "desk: pieces keep their stored level": (
        "report/desk/unpack.js",
        "rate).map(value => value * scale);\n}\n\n/**\n * Return the samples of a sound.",
        "rate);\n}\n\n/**\n * Return the samples of a sound.",
    ),
    "desk: a saved mask begins with what is kept": (
        "report/desk/exports.js",
        "let kept = false, run = 0;",
        "let kept = gains[0] > 0.5, run = 0;",
    ),
    "desk: the WAV file says another length": (
        "report/desk/exports.js",
        "word(54, size)",
        "word(54, size / 4)",
    ),
    "desk: regions end before their last cell": (
        "report/desk/places.js",
        "end: (box.right + half)",
        "end: (box.right - half)",
    ),
    "desk: regions count from the part": (
        "report/desk/places.js",
        "samples / rate) + offset, end",
        "samples / rate), end",
    ),
    "desk: corners do not touch": (
        "report/desk/places.js",
        "if (!seen[next] && gains[next] > 0.5)",
        "if (!seen[next] && gains[next] > 0.5 && (b === bin || f === frame))",
    ),
    "desk: a method that is not there is the first": (
        "report/desk/api.js",
        "if (!explanation) {\n    const known",
        "if (false) {\n    const known",
    ),
    "desk: the last sound is remembered for all": (
        "report/desk/api.js",
        "if (lastDecoded?.n !== n) {",
        "if (!lastDecoded) {",
    ),
    "desk: a missing file is waited for": (
        "report/desk/payloads.js",
        "script.onerror = fail;",
        "",
    ),
}  # fmt: skip
