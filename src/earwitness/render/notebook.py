"""Players for a notebook cell."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

from earwitness.render.players import expansion_text, players
from earwitness.types import Audio


def players_html(title: str, sounds: Mapping[str, Audio]) -> str:
    """Return HTML with a title and a loudness-matched player for each sound."""
    rows = []
    for name, player in zip(sounds, players(list(sounds.values())), strict=True):
        data = base64.b64encode(player.data).decode("ascii")
        label = f"{name} {expansion_text(player.expansion)}".strip()
        rows.append(
            f'<div><div style="display:inline-block;width:6em">{html.escape(label)}</div>'
            f'<audio controls src="data:{player.kind};base64,{data}"></audio></div>'
        )
    return f"<div><p>{html.escape(title)}</p>{''.join(rows)}</div>"
