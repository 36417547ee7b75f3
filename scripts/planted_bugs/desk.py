"""Bugs in the desk: the pictures, controls and keys of the report in a browser."""

from __future__ import annotations

_DESK = "report/desk/"

BUGS = {
    "desk: nearly certain is certain": (
        "report/sections.py",
        "if 99.9 < share < 100:",
        "if 99.9 < share < 99.9:",
    ),
    "desk: a name becomes markup": (
        _DESK + "desk.js",
        'part("name").textContent = clip.name;',
        'part("name").innerHTML = clip.name;',
    ),
    "desk: the read-out takes the neighbouring bin": (
        _DESK + "axes.js",
        "Math.round(f * size / clip.rate)",
        "Math.round(f * size / clip.rate) + 4",
    ),
    "desk: a click seeks in the whole sound, not in the picture": (
        _DESK + "axes.js",
        "window.t0 + time * (x - box.x) / box.width",
        "window.t0 + time * x / box.width",
    ),
    "desk: remainder shows the evidence": (
        _DESK + "raster.js",
        "remainder: gain => 1 - gain",
        "remainder: gain => gain",
    ),
    "desk: switching begins at zero": (
        _DESK + "transport_bar.js",
        "  if (desk.loaded) transport.choose(name);\n",
        "  if (desk.loaded) transport.choose(name);\n  seekTo(0);\n",
    ),
    "desk: the dial's sizes are of the next code": (
        _DESK + "dial.js",
        "let code = Math.max(1, cuts[percentage])",
        "let code = Math.max(1, cuts[percentage]) + 1",
    ),
    "desk: the dial changes nothing": (
        _DESK + "listen.js",
        'if (kind === "dial") desk.gains = dialGains(codes, explanation.map.cuts, value);',
        'if (kind === "dial") desk.gains = desk.own;',
    ),
    "desk: the answer is about what was asked": (
        _DESK + "figures.js",
        "strong(decision.label), `, ${value}.`]",
        "strong(one.label), `, ${value}.`]",
    ),
    "desk: what lowers a value is said to be its value": (
        _DESK + "figures.js",
        'if (one.direction === "down") return',
        "if (false) return",
    ),
    "desk: the table writes a score unlike the desk": (
        "report/sections.py",
        "plain = 1e-3 <= abs(value) < 1e5",
        "plain = 1e-3 <= abs(value) < 1e3",
    ),
    "desk: verdicts are sorted by the alphabet": (
        "report/row.html",
        '"ungraded", "degenerate", "none", "weak", "moderate", "strong"',
        '"degenerate", "moderate", "none", "strong", "ungraded", "weak"',
    ),
    "desk: small maps keep the axis that they had": (
        _DESK + "desk.js",
        'one.refresh(); drawMultiples(part("multiples"), one); };',
        "one.refresh(); };",
    ),
    "desk: columns of a light card are empty": (
        _DESK + "figures.js",
        "rows.some(row => row[k] !== figure(null))",
        "true",
    ),
    "desk: the verdict is of every mask": (
        _DESK + "listen.js",
        'words.hidden = kind === "own"',
        "words.hidden = true",
    ),
    "desk: a card says it has the files of the folder": (
        _DESK + "saves.js",
        '  copy.querySelector(".beside")?.remove();\n',
        "",
    ),
    "desk: keys work in text fields": (
        _DESK + "keys.js",
        "input:not([type=range]",
        "input:not([type=search], [type=range]",
    ),
    "desk: space on a button also plays": (
        _DESK + "keys.js",
        "if (!pressed && act.toggle",
        "if (act.toggle",
    ),
    "desk: numbers are sorted as text": (
        _DESK + "table.js",
        "const numbers = [...keys.values()].every",
        "const numbers = false && [...keys.values()].every",
    ),
    "desk: the next sound is that of the file, not of the table": (
        _DESK + "table.js",
        "const visible = () => [...body.rows]",
        "const visible = () => rows",
    ),
    "desk: every button of a group is a tab stop": (
        _DESK + "controls.js",
        "button.tabIndex = button === chosen ? 0 : -1;",
        "button.tabIndex = 0;",
    ),
    "desk: half a second is a whole one": (
        _DESK + "transport_bar.js",
        "Math.min(length, t0 + 0.5)",
        "Math.min(length, t0 + 1)",
    ),
    "desk: the loop stays after Escape": (
        _DESK + "transport_bar.js",
        "  if (!selection && desk.loop) setLoop(null);\n",
        "",
    ),
    "desk: a card has the links of the folder": (
        _DESK + "saves.js",
        "{ ...clip, original: null,",
        "{ ...clip,",
    ),
    "desk: weak cells of a region do not count": (
        _DESK + "regions.js",
        "total += values[code]; blocks[block] += values[code];",
        "total += values[code]; if (code >= cut) blocks[block] += values[code];",
    ),
    "desk: the strongest region is the first one": (
        _DESK + "regions.js",
        "found.sort((a, b) => b.sum - a.sum)",
        "found",
    ),
    "desk: a piece is switched elsewhere": (
        _DESK + "pieces.js",
        "pieces.indices[bin * desk.clip.plane.frames + frame]",
        "pieces.indices[frame * desk.clip.plane.bins + bin]",
    ),
    "desk: the glossary stays": (
        _DESK + "glossary.js",
        'if (event.key === "Escape" && owner)',
        'if (event.key === "Escap" && owner)',
    ),
    "desk: a page without sound offers players": (
        _DESK + "transport_bar.js",
        "node.hidden = !heard;",
        "node.hidden = false;",
    ),
    "desk: another mask's scores for the method's own": (
        _DESK + "dial.js",
        'if (kept.kind === "own" && trust) {',
        "if (false) {",
    ),
    "desk: a new sound keeps the former speed": (
        _DESK + "desk.js",
        '  transport.speed(Number(part("speed").value));\n',
        "",
    ),
    "desk: a former choice of explanation ends after a later one": (
        _DESK + "desk.js",
        "mine.closed || mine.choice !== choice;",
        "mine.closed;",
    ),
    "desk: strokes are counted that are gone": (
        _DESK + "brush.js",
        "brush.strokes.length = 0; showStrokes();",
        "brush.strokes.length = 0;",
    ),
    "desk: an original that cannot be sought is offered": (
        _DESK + "original.js",
        "if (seekable.length && seekable.end(seekable.length - 1) > 0) return;",
        "return;",
    ),
    "desk: a label turns the text after it": (
        _DESK + "figures.js",
        'el("strong", {}, apart(text))',
        'el("strong", {}, text)',
    ),
    "desk: a long label widens the small maps": (
        _DESK + "desk.css",
        ".small :is(.method, .grade) { white-space: nowrap;",
        ".small .method { white-space: nowrap;",
    ),
    "desk: a card of its own counts the others": (
        _DESK + "saves.js",
        '  copy.querySelector(".count").textContent = "1 sound";\n',
        "",
    ),
    "desk: an erased stroke is saved": (
        _DESK + "places.js",
        'stroke.mode === "keep" && kept(stroke)',
        'stroke.mode === "keep"',
    ),
    "desk: a switch shows a place before the loop": (
        _DESK + "transport.js",
        "if (!loop || (offset < loop[0] && at < loop[1]))",
        "if (!loop || at < loop[1])",
    ),
    "desk: patterns are means of bands": (
        "report/components.py",
        "[patterns[:, low:high].max(axis=1) for low, high in bands]",
        "[patterns[:, low:high].mean(axis=1) for low, high in bands]",
    ),
    "desk: activations are the first of a step": (
        "report/components.py",
        "np.maximum.reduceat(activations, starts, axis=1)",
        "activations[:, starts]",
    ),
    "desk: a sound that cannot be shown is sorted like one": (
        "report/desk/table.js",
        "makeSortable(table, sounds, missing);",
        "makeSortable(table, rows);",
    ),
    "desk: a step leads to a sound that cannot be shown": (
        "report/desk/table.js",
        "filter(row => isSound(row) && !row.hidden)",
        "filter(row => !row.hidden)",
    ),
    "desk: training sounds that were not found are not counted": (
        "report/desk/components.js",
        "filter(part => !part.link).length : 0",
        "filter(part => !part).length : 0",
    ),
    "desk: relevance has no sign": (
        _DESK + "components.js",
        'against ? "\\u2212" : "+"',
        '"+"',
    ),
    "desk: the patterns of components are mixed up": (
        _DESK + "components.js",
        "`peak at ${hertz(one.peak)}`",
        "`peak at ${hertz(held.rows[0].peak)}`",
    ),
    "desk: all components but one are heard": (
        _DESK + "pieces.js",
        "only === null || k === only",
        "only === null || k !== only",
    ),
    "desk: a component is not heard at once": (
        _DESK + "listen.js",
        "if (now) await loadSounds(); else desk.sound();",
        "desk.sound();",
    ),
    "desk: the dial leaves a component marked as heard": (
        _DESK + "listen.js",
        "  desk.components.show();\n",
        "",
    ),
    "desk: a training sound plays over the transport": (
        _DESK + "components.js",
        "    transport?.pause();\n    stopPlayers(players);\n",
        "    stopPlayers(players);\n",
    ),
    "desk: training sounds play over each other": (
        _DESK + "components.js",
        "    transport?.pause();\n    stopPlayers(players);\n",
        "    transport?.pause();\n",
    ),
    "desk: the transport plays over a training sound": (
        _DESK + "transport_bar.js",
        "  if (playing) desk.components?.stop();\n",
        "",
    ),
    "desk: the score over time is of the whole sound": (
        _DESK + "course.js",
        "COURSE.width * (t - desk.view.window.t0) / (desk.view.window.t1 - desk.view.window.t0)",
        "COURSE.width * t / (desk.clip.samples / desk.clip.rate)",
    ),
    "desk: windows are joined": (
        _DESK + "course.js",
        '${k && !apart ? "L" : "M"}',
        '${k ? "L" : "M"}',
    ),
    "desk: the span is said of the whole sound": (
        _DESK + "figures.js",
        "const who = one.span ?",
        "const who = false ?",
    ),
}
