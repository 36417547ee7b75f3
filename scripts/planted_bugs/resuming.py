"""Bugs in what resumes, and in what keeps folders safe."""

from __future__ import annotations

BUGS = {
    "resume: finished explanations are made again": (
        "jobs/explaining.py", "one = finished(folder, task.files)", "one = None"
    ),
    "resume: pieces lose their players": (
        "jobs/explaining.py", "and not task.shown:", "and False:"
    ),
    "resume: a setting does not count": (
        "jobs/resuming.py",
        'not in ("method", "options")]',
        'not in ("method", "options", "trust")]',
    ),
    "resume: the model does not count": (
        "jobs/resuming.py", "    if other:\n", "    if False:\n"
    ),
    "resume: options do not count": (
        "jobs/resuming.py", "if known[\"options\"].get(name) != value:", "if False:"
    ),
    "resume: a changed sound does not count": (
        "report/folder.py", "!= digest and self._explained(place)", "!= digest and False"
    ),
    "resume: methods of earlier runs are forgotten": (
        "report/folder.py", "[*self._parts, *parts]", "[*parts]"
    ),
    "resume: a finished page is written again": (
        "cli/run.py", "if self.made or not self.folder.complete:", "if True:"
    ),
    "resume: a failed run leaves no record": (
        "report/folder.py",
        "if [path.name for path in self.root.iterdir()] == [RECORD]:",
        "if True:",
    ),
    "safety: a record may name anything": (
        "report/record.py", "inside = [is_inside(whole, name) for name in names]", "inside = []"
    ),
    "safety: links lead out": (
        "report/record.py", "and (root / name).resolve().is_relative_to(root)", ""
    ),
    "safety: files without an explanation are removed": (
        "report/folder.py", "for part in parts if is_ours(place / part)]\n            files",
        "for part in parts]\n            files",
    ),
    "safety: earlier results are lost when nothing can be explained": (
        "report/folder.py",
        "        if self._earlier and not self.explained:\n",
        "        if False:\n",
    ),
    "safety: what a killed run set aside is lost": (
        "report/folder.py",
        "if self._earlier and not self._any_explained():",
        "if False:",
    ),
    "safety: a killed run's results are replaced by those before": (
        "report/folder.py",
        "if self._earlier and not self._any_explained():",
        "if self._earlier:",
    ),
    "safety: what a scan that scored nothing set aside is lost": (
        "recordings/folder.py",
        "if self._earlier and not self._any_scored():",
        "if self._earlier and not path.is_file():",
    ),
    "safety: what was replaced stays": (
        "report/folder.py",
        "            self._earlier.drop()\n        except",
        "            pass\n        except",
    ),
    "safety: a scan of nothing replaces one": (
        "recordings/scanning.py",
        "            folder.discard()\n",
        "",
    ),
    "safety: any page is replaced": (
        "report/record.py", "if os.path.lexists(page) and not _is_page(page):",
        "if False:",
    ),
    "safety: a result that cannot be read costs the page": (
        "report/page.py", "except OutputError as error:", "except ZeroDivisionError as error:"
    ),
    "safety: what was killed stays": (
        "files.py", "            sweep(folder)\n", "            pass\n"
    ),
    "safety: others' hidden files are swept": (
        "files.py", r'r"\..+\.[0-9a-f]{8}\.partial"', r'r"\..+\.partial"'
    ),
    "safety: two runs share a folder": ("files.py", "fcntl.flock(place, ", "int("),
    "safety: the empty path is the current folder": (
        "files.py", "    if not os.fspath(place):\n", "    if False:\n"
    ),
    "safety: a typo locks a grid": (
        "benchmark/engine.py", "if different and lines.exists() and read_lines(lines):",
        "if different:",
    ),
    "safety: a hang-up ends without a page": (
        "cli/stopping.py", '("SIGTERM", "SIGHUP")', '("SIGTERM",)'
    ),
    "estimate: every sound is as long as the first": (
        "cli/estimate.py", "sum(max(one, least) for one in lengths.values() if one)",
        "len(lengths) * audio.seconds",
    ),
    "audio: the time of writing is in the file": (
        "audio.py",
"    with open(path, \"wb\") as file:\n        file.write(wav_bytes(audio.samples, audio.rate))\n",
        "    soundfile.write(path, audio.samples, audio.rate, format=\"WAV\", subtype=\"FLOAT\")\n",
    ),
    "train: a finished training is refused": (
        "train/classifier.py", "    if there != json.loads", "    if True or there != json.loads"
    ),
    "above: a label at the threshold counts": (
        "jobs/targets.py", "if values[index] > threshold]", "if values[index] >= 0]"
    ),
    "above: the smallest comes first": (
        "jobs/targets.py", "key=lambda index: -values[index]", "key=lambda index: values[index]"
    ),
    "above: the span does not count": (
        "jobs/targets.py", "span=request.span, seconds", "seconds"
    ),
    "above: folders of alike labels are one": (
        "jobs/targets.py", "if count[name.lower()] > 1", "if False"
    ),
    "above: a sound without a label is a failure": (
        "jobs/explaining.py", "empty = isinstance(error, NoLabelError)", "empty = False"
    ),
    "above: a label of that name is no target": (
        "jobs/targets.py", " or text in model.labels:", ":"
    ),
}  # fmt: skip
