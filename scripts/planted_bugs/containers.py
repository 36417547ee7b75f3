"""Bugs in what is said of files that hold more, or less, than their headers say."""

from __future__ import annotations

BUGS = {
    "containers: the length of a stream is believed": (
        "containers.py",
        "size + 1 < promised < _UNFINISHED",
        "size + 1 < promised < 0xFFFFFFFF",
    ),
    "containers: padding counts as sound": (
        "containers.py",
        "size + 1 < promised",
        "size < promised",
    ),
    "containers: joined Ogg files are one": (
        "containers.py",
        "count += first and not starts",
        "count = 1",
    ),
    "containers: low rates have long frames": (
        "containers.py",
        "1152 if version == 3 else 576",
        "1152",
    ),
    "containers: tags of an MP3 hold frames": (
        "containers.py",
        'if data[at : at + 3] == b"ID3"',
        'if data[at : at + 3] == b"no"',
    ),
    "containers: an estimate is a promise": (
        "containers.py",
        "return size > 0 and not _says_length(data, at)",
        "return False",
    ),
    "containers: what an MP3 leaves out is not said": (
        "audio.py",
        "(text := not_decoded(path, whole))",
        '(text := "")',
    ),
    "containers: what a part leaves out is said": (
        "audio.py",
        "(end is None or end > whole) and (text",
        "(text",
    ),
    "containers: an empty header is no reason": (
        "audio.py",
        "if not count and (size",
        "if count and (size",
    ),
    "containers: a tag costs a block": (
        "stream.py",
        "count = min(_BLOCK, self._frames - at)",
        "count = _BLOCK",
    ),
    "containers: a stream leaves out without a word": (
        "stream.py",
        'self.not_decoded = "" if self.seconds is None else not_decoded(self.path, self.seconds)',
        'self.not_decoded = ""',
    ),
}
