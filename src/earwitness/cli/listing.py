"""``earwitness methods`` and ``earwitness models``: what there is."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON line per method.")
def methods(as_json: bool) -> int:
    """List the explanation methods and their facts."""
    from earwitness.pipeline import list_methods

    for method in list_methods():
        facts: dict[str, Any] = {
            "name": method.name,
            "summary": method.summary,
            "paper": method.paper,
            "signed": method.signed,
            "limits": method.limits,
            "adds_up_to": method.complete or None,
            "needs_gradients": method.needs_gradients,
            "control": method.control,
            "options": method.options,
        }
        if as_json:
            click.echo(json.dumps(facts))
            continue
        options = " ".join(f"{key}={value}" for key, value in method.options.items())
        click.echo(f"{method.name:22}{method.summary}{f'  [{options}]' if options else ''}")
    return 0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON line per model.")
def models(as_json: bool) -> int:
    """List the built-in models and their facts."""
    from earwitness.models.registry import list_models

    for model in list_models():
        if as_json:
            facts = {"name": model.name, "summary": model.summary, "licence": model.licence}
            click.echo(json.dumps(facts))
        else:
            click.echo(f"{model.name:22}{model.summary}")
    return 0
