"""Bugs in scans of long recordings: streams, windows, events, and what goes on after a kill."""

from __future__ import annotations

_ROOM = "recordings/"

BUGS = {
    "scan: a clip stays that of earlier thresholds": (
        "recordings/explaining.py",
        "    _save_clip(task)  # other",
        "    if not (task.folder / CLIP).is_file():\n        _save_clip(task)  # other",
    ),
    "scan: the page keeps the method before": (
        "recordings/explaining.py",
        "    write_section(task.root, [(folder, one)], name=task.name)",
        "    if there is None:\n        write_section(task.root, [(folder, one)], name=task.name)",
    ),
    "scan: a folder has the name of another label's": (
        "jobs/targets.py",
        "while names[index].lower() in taken:",
        "while False:",
    ),
    "scan: the resampler starts without a lead": ("stream.py", "_LEAD = 0.25", "_LEAD = 0.0"),
    "scan: a stretch starts at the frame below": (
        "stream.py",
        "part, skip = block[skip:]",
        "part, skip = block[max(0, skip - 1) :]",
    ),
    "scan: the resampler's tail is lost": (
        "stream.py",
        "if stream is not None:\n            yield",
        "if False:\n            yield",
    ),
    "scan: NaN reaches the model": (
        "stream.py",
        "return np.where(finite, block, np.float32(0))",
        "return block",
    ),
    "scan: a truncated file is whole": (
        "stream.py",
        "self.cut_off = short or is_cut_off(self.path)",
        "self.cut_off = False",
    ),
    "scan: the end of a recording is in no window": (
        _ROOM + "windows.py",
        "    if end > done:",
        "    if end > done and False:",
    ),
    "scan: windows begin late after a kill": (
        _ROOM + "windows.py",
        "return max(0, first - 1) * cut.hop",
        "return first * cut.hop",
    ),
    "scan: bad samples join events": (
        _ROOM + "events.py",
        "if near and not np.isnan(scores[runs[-1].last : first]).any():",
        "if near:",
    ),
    "scan: an edited table is written over": (
        _ROOM + "tables.py",
        "        self.keep(path)\n",
        "",
    ),
    "scan: an edited table goes with an overwritten scan": (
        _ROOM + "folder.py",
        "                self.tables.keep(self.root / name)\n",
        "                pass\n",
    ),
    "scan: every table counts as edited": (
        _ROOM + "tables.py",
        "or _digest(path.read_bytes()) == written",
        "or False",
    ),
    "scan: other line ends are an edit": (
        _ROOM + "tables.py",
        'data.replace(b"\\r\\n", b"\\n")',
        "data",
    ),
    "scan: tables are forgotten": (
        _ROOM + "folder.py",
        'self.tables.written.update(facts.get("tables", {}))',
        "",
    ),
    "scan: one threshold": (_ROOM + "events.py", "scores >= off, [False]", "scores >= on, [False]"),
    "scan: events that touch are apart": (_ROOM + "events.py", "< hop - 1e-9\n", "< -1\n"),
    "scan: an event ends where its last window begins": (
        _ROOM + "events.py",
        "starts[run.first], ends[run.last], float",
        "starts[run.first], starts[run.last], float",
    ),
    "scan: the first window is the strongest": (
        _ROOM + "events.py",
        "peak = first + int(np.argmax(scores[first:after]))",
        "peak = first",
    ),
    "scan: high values of a regression are low": (
        _ROOM + "events.py",
        'sign = 1 if rule.direction == "up" else -1',
        'sign = -1 if rule.direction == "up" else 1',
    ),
    "scan: silence is an event": (
        _ROOM + "scoring.py",
        "return FINE if samples.any() else SILENT",
        "return FINE",
    ),
    "scan: windows with NaN are scored": (
        _ROOM + "scoring.py",
        "values[np.array(states) == FAULTY] = np.nan",
        "pass",
    ),
    "scan: a kill loses everything": (
        _ROOM + "scoring.py",
        "    done -= done % batch\n",
        "    done = 0\n",
    ),
    "scan: half a row stays": (
        _ROOM + "scoring.py",
        "            os.truncate(path, done * sizes[name])",
        "            pass",
    ),
    "scan: another hop goes on": (
        _ROOM + "folder.py",
        'if there["cut"][name] != value:',
        "if False:",
    ),
    "scan: a changed recording goes on": (
        _ROOM + "folder.py",
        'if there["digest"] != digest and',
        "if False and",
    ),
    "scan: equal names share a folder": (
        _ROOM + "folder.py",
        "while there.lower() in taken or",
        "while",
    ),
    "scan: files given by name lose their recorder": (
        _ROOM + "folder.py",
        "if count[name.lower()] > 1:",
        "if False:",
    ),
    "scan: the weakest events are explained": (
        _ROOM + "scanning.py",
        "ranked[event.index].append((-sign",
        "ranked[event.index].append((sign",
    ),
    "scan: another window is explained": (
        _ROOM + "explaining.py",
        "start = task.cut.start(task.event.peak, task.samples)",
        "start = task.cut.start(task.event.peak + 1, task.samples)",
    ),
    "scan: the first label is explained": (
        _ROOM + "explaining.py",
        "target=task.event.index",
        "target=0",
    ),
    "scan: explanations are made again": (
        _ROOM + "explaining.py",
        "there = finished(folder, ())",
        "there = None",
    ),
    "scan: a click opens nothing": (
        "report/desk/timeline.js",
        "if (over?.anchor) location.hash",
        "if (false) location.hash",
    ),
    "scan: events lie a window late on the timeline": (
        "report/desk/timeline.js",
        "left: x(event.start), top",
        "left: x(event.start + 1), top",
    ),
    "scan: the timeline leaves the recording": (
        "report/desk/timeline.js",
        "start = Math.min(Math.max(0, t0 + (t1 - t0 - size) / 2), all - size)",
        "start = t0 + (t1 - t0 - size) / 2",
    ),
    "scan: the table of events makes the page long": (
        "report/desk/desk.css",
        ".events { position: relative; ",
        ".events { ",
    ),
    "scan: the MP3 decoder writes to the terminal": (
        "stream.py",
        "        with quiet_decoder(self.path):\n            opened",
        "        if True:\n            opened",
    ),
    "scan: the length of the training does not count": (
        _ROOM + "windows.py",
        "or model.trained_seconds is not None:",
        "or False:",
    ),
    "scan: JSON lines have NaN": (
        _ROOM + "tables.py",
        "[None if value != value else float(",
        "[None if False else float(",
    ),
    "scan: JSON lines of another label": (
        _ROOM + "tables.py",
        "dict(zip(labels, cells",
        "dict(zip(labels, cells[::-1]",
    ),
    "scan: JSON lines stay after --overwrite": (
        _ROOM + "folder.py",
        "*(SCORES_CSV, SCORES_JSONL,",
        "*(SCORES_CSV,",
    ),
    "predict: pool does nothing": (
        "models/calling/windowed.py",
        "replace(model.lengths, pool=pool)",
        "replace(model.lengths)",
    ),
}
