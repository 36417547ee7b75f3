"""Bugs in the desk: the pictures, controls and keys of the report in a browser."""

from __future__ import annotations

_DESK = "report/desk/"

BUGS = {
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
}
