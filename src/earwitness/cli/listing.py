"""``earwitness methods``, ``masks``, ``metrics`` and ``models``: what there is."""

from __future__ import annotations

import json
import math
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
            "needs_training": method.needs_training,
            "gives_gains": method.gives_gains,
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
@click.option("--json", "as_json", is_flag=True, help="One JSON line per rule.")
def masks(as_json: bool) -> int:
    """List the rules that make masks of explanations, as --keep spells them.

    + takes the positive part first (minmax+, top:5%+); ,smooth:CELLS blurs the edges and
    ,floor:-LEVELdB leaves what is removed that loud, as in 80%,smooth:1.5,floor:-30dB.
    """
    from earwitness.masks.registry import list_masks

    for rule in list_masks():
        if as_json:
            facts = {
                "name": rule.name,
                "example": rule.example,
                "summary": rule.summary,
                "paper": rule.paper,
                "soft": rule.soft,
                "amount": rule.amount,
                "signed": rule.signed,
            }
            click.echo(json.dumps(facts))
            continue
        kind = "soft" if rule.soft else "binary"
        click.echo(f"{rule.name:12} {rule.example:15} {kind:7} {rule.summary}")
    return 0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON line per metric.")
def metrics(as_json: bool) -> int:
    """List the metrics and their facts."""
    from earwitness.metrics.registry import list_metrics

    for metric in list_metrics():
        if as_json:
            low, high = (bound if math.isfinite(bound) else None for bound in metric.range)
            facts = {
                "name": metric.name,
                "family": metric.family,
                "summary": metric.summary,
                "paper": metric.paper,
                "direction": metric.direction,
                "low": low,
                "high": high,
                "unit": metric.unit,
                "needs": metric.needs,
                "fields": list(metric.given.values()),
                "options": metric.options,
            }
            click.echo(json.dumps(facts))
            continue
        way = f"  [{metric.direction} is better]" if metric.direction else ""
        click.echo(f"{metric.name:27}{metric.family:14}{metric.summary}{way}")
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
