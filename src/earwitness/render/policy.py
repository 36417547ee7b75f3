"""What a page may load and run: what it holds, and the sounds beside it."""

from __future__ import annotations

import base64
from hashlib import sha256


def content_policy(script: str = "", *, beside: bool = False) -> str:
    """Return the content security policy of a page with one script, as in CSP level 3.

    Nothing is fetched over a network, and no other script runs, also none that a name of a file, a
    model or a class brings into the page.

    Parameters
    ----------
    script : str
        The text of the script element; none may run if empty.
    beside : bool
        Whether files beside the page may be loaded as scripts.

    Examples
    --------
    >>> content_policy("").split("; ")[:2]
    ["default-src 'none'", "script-src 'none'"]
    """
    found = "'none'"
    if script:
        digest = base64.b64encode(sha256(script.encode("utf-8")).digest()).decode("ascii")
        found = f"'sha256-{digest}'" + " 'self' file:" * beside
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {found}",
            "style-src 'unsafe-inline'",  # positions and pictures are in attributes
            "img-src data:",
            "media-src data: 'self' file:",  # the original, beside a page opened from disk
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
