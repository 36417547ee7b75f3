"""``earwitness bench pak`` and ``lmac``: published tables, and what their numbers show."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from earwitness.cli.results import Verb, emit

_PUBLISHED = click.option(
    "--published", is_flag=True, required=True, expose_value=False,
    help="Use the published tables; nothing is run.",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON line per row.")


@click.command(cls=Verb)
@_PUBLISHED
@_JSON
def pak(as_json: bool) -> int:
    """Show which masks Pak and Teryokhina (2025) chose, and what the choices rest on.

    From the 280 published rows: the mask chosen for each front end, scenario and method, the mask
    under the rule as the paper's text states it, and the share of constant masks. One JSON line per
    choice.
    """
    from earwitness.benchmark.published.pak import choices, read_rows, table

    found = choices(read_rows())
    if not as_json:
        emit(table(found), nl=False)
        return 0
    for one in found:
        emit(json.dumps({**asdict(one), "changes": one.changes}))
    return 0


@click.command(cls=Verb)
@_PUBLISHED
@_JSON
def lmac(as_json: bool) -> int:
    """Show what L-MAC's published tables (Paissan et al. 2024) measured.

    From the 110 published rows: in-domain figures against those on mixtures, and the cap of the
    average drop under two softmaxes.
    """
    from earwitness.benchmark.published.lmac import findings, read_rows, table

    found = findings(read_rows())
    if not as_json:
        emit(table(found), nl=False)
        return 0
    for one in found:
        emit(json.dumps(one.facts()))
    return 0
