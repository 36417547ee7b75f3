"""HTML for a notebook cell: pictures, players and tables that are read on light and on dark.

Text has the colour of the notebook, nothing has a background of its own, and pictures are
transparent with grey letters.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from earwitness.render.players import expansion_text, players
from earwitness.types import Audio

_STYLE = (
    "<style>.earwitness audio{color-scheme:light;height:2.2em;vertical-align:middle}"
    ".earwitness img{max-width:100%;background:transparent}"
    ".earwitness .name{display:inline-block;width:8em}"
    "@media (prefers-color-scheme:dark){.earwitness audio{color-scheme:dark}}</style>"
)


def cell_html(
    title: str, lines: Sequence[str], picture: bytes, sounds: Mapping[str, Audio], about: str
) -> str:
    """Return HTML with a title, lines below it, a picture, and loudness-matched players.

    Parameters
    ----------
    title : str
    lines : sequence of str
    picture : bytes
        WebP.
    sounds : mapping of str to Audio
        By what they are called.
    about : str
        What the picture shows, for those who do not see it.
    """
    rows = []
    for name, player in zip(sounds, players(list(sounds.values())), strict=True):
        label = f"{name} {expansion_text(player.expansion)}".strip()
        rows.append(
            f'<div><span class="name">{html.escape(label)}</span>'
            f'<audio controls src="{_uri(player.kind, player.data)}"></audio></div>'
        )
    said = "".join(f"<div>{html.escape(line)}</div>" for line in lines if line)
    image = f'<img alt="{html.escape(about)}" src="{_uri("image/webp", picture)}">'
    return _framed(f"<p><b>{html.escape(title)}</b></p>{said}{image}{''.join(rows)}")


def table_html(
    title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], lines: Sequence[str]
) -> str:
    """Return HTML with a title, a table of some columns, and lines below it."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(one[name])}</td>" for name in columns) + "</tr>"
        for one in rows
    )
    below = "".join(f"<div>{html.escape(text)}</div>" for text in lines)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return _framed(f"<p><b>{html.escape(title)}</b></p>{table}{below}")


def _framed(inner: str) -> str:
    return f'<div class="earwitness">{_STYLE}{inner}</div>'


def _cell(value: Any) -> str:
    if value is None:
        return "\u2013"
    return html.escape(f"{value:.3g}" if isinstance(value, float) else str(value))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
