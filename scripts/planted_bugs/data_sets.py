"""Bugs in how data sets are obtained, checked and read."""

from __future__ import annotations

BUGS = {
    "data sets: a download always starts again": (
        "data/sets/download.py",
        'headers["Range"] = f"bytes={start}-"',
        "pass",
    ),
    "data sets: the rest of another version is appended": (
        "data/sets/download.py",
        'headers["If-Range"] = tag',
        'headers["If-Nothing"] = tag',
    ),
    "data sets: the whole is appended to a part": (
        "data/sets/download.py",
        "start = start if response.status == 206 else 0",
        "start = start",
    ),
    "data sets: a connection that ended is taken for the end": (
        "data/sets/download.py",
        "if length is not None and arrived",
        "if length is None and arrived",
    ),
    "data sets: digests are not compared": (
        "data/sets/download.py",
        "if found == wanted else",
        "if found else",
    ),
    "data sets: a damaged part is not downloaded again": (
        "data/sets/download.py",
        "if wrong and resumed",
        "if wrong and not resumed",
    ),
    "data sets: a local archive is not compared": (
        "data/sets/install.py",
        "elif wrong := mismatch(path, remote):",
        "elif wrong := '':",
    ),
    "data sets: an archive without a digest is not read to its end": (
        "data/sets/install.py",
        "            examine(path)\n",
        "",
    ),
    "data sets: an unverified digest counts as verified": (
        "data/sets/install.py",
        '"verified": remote.digest is not None',
        '"verified": True',
    ),
    "data sets: a flipped byte on disk is not noticed": (
        "data/sets/install.py",
        "elif digest(path) != wanted:",
        "elif not digest(path):",
    ),
    "data sets: paths outside of the folder": (
        "data/sets/install.py",
        'if name.startswith("/") or ".." in name.split("/"):',
        'if name.startswith("/"):',
    ),
    "data sets: all of ESC-50 is ESC-10": (
        "data/sets/esc50.py",
        'if row.get("esc10") == "True"',
        'if row.get("esc10")',
    ),
    "data sets: votes of annotators who did not judge": (
        "data/sets/sonyc_ust.py",
        ' if row[column] in ("0", "1")]',
        "]",
    ),
    "data sets: the agreed labels are one vote among others": (
        "data/sets/sonyc_ust.py",
        "for row in agreed or rows",
        "for row in rows",
    ),
    "data sets: test and training takes of digits in one fold": (
        "data/sets/fsdd.py",
        "((1, True), (2, False))",
        "((1, True), (1, False))",
    ),
    "data sets: downloads without asking": (
        "cli/data.py",
        "source is None and not yes",
        "source is None and yes",
    ),
}
