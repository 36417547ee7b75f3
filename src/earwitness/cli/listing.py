"""``earwitness methods``, ``masks``, ``metrics`` and ``models``: lists of registered entries."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from earwitness.cli.results import Verb, emit

if TYPE_CHECKING:
    from earwitness.models.adapters.registry import Adapter
    from earwitness.options import Option


@click.command(cls=Verb)
@click.argument("names", nargs=-1, metavar="[METHOD]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per method.")
def methods(names: tuple[str, ...], as_json: bool) -> int:
    """List the explanation methods, or describe the options of those named."""
    from earwitness.methods.registry import METHODS

    for method in [METHODS.get(name) for name in names] or METHODS.all():
        facts: dict[str, Any] = {
            "name": method.name,
            "summary": method.summary,
            "paper": method.paper,
            "signed": method.signed,
            "limits": method.limits,
            "adds_up_to": method.complete or None,
            "needs_gradients": method.needs_gradients,
            "needs_attention": method.needs_attention,
            "needs_frames": method.needs_frames,
            "needs_training": method.needs_training,
            "random": method.random,
            "linear": method.linear,
            "layerwise": method.layerwise,
            "time_only": method.time_only,
            "gives_gains": method.gives_gains,
            "control": method.control,
            "options": method.options,
            "declared": {name: option_facts(one) for name, one in method.declared.items()},
        }
        if as_json:
            emit(json.dumps(facts))
            continue
        options = "" if names else ", ".join(map(option_text, method.declared.values()))
        emit(f"{method.name:22}{method.summary}{f'  [{options}]' if options else ''}")
        for option in method.declared.values() if names else ():
            emit(f"  {option_text(option)}\n      {option.description}")
    return 0


def option_text(option: Option) -> str:
    """Return an option as ``--set`` takes it, with its range."""
    valid = f" ({option.constraint})" if option.constraint else ""
    return f"{option.name}={option.default}{valid}"


def option_facts(option: Option) -> dict[str, Any]:
    """Return the facts about an option as plain JSON values."""
    return {
        "type": option.type.__name__,
        "low": option.low,
        "high": option.high,
        "low_open": option.low_open,
        "high_open": option.high_open,
        "choices": list(option.choices),
        "description": option.description,
    }


@click.command(cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="One JSON line per rule.")
def masks(as_json: bool) -> int:
    """List the rules for --keep, which turn attributions into masks.

    + takes the positive part first (minmax+, top:5%+); ,smooth:CELLS blurs the edges and
    ,floor:-LEVELdB keeps what is removed at that level, as in 80%,smooth:1.5,floor:-30dB.
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
            emit(json.dumps(facts))
            continue
        kind = "soft" if rule.soft else "binary"
        emit(f"{rule.name:12} {rule.example:15} {kind:7} {rule.summary}")
    return 0


@click.command(cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="One JSON line per metric.")
def metrics(as_json: bool) -> int:
    """List the metrics."""
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
                "declared": {name: option_facts(one) for name, one in metric.declared.items()},
            }
            emit(json.dumps(facts))
            continue
        way = f"  [{metric.direction} is better]" if metric.direction else ""
        emit(f"{metric.name:27}{metric.family:14}{metric.summary}{way}")
    return 0


@click.command(cls=Verb)
@click.argument("names", nargs=-1, metavar="[KIND]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per model and kind.")
def models(names: tuple[str, ...], as_json: bool) -> int:
    """List the built-in models, those of other packages, and the kinds of files, KIND:FILE.

    Options of a kind are given with --model-set OPTION=VALUE; those of the kinds named are
    described.
    """
    from earwitness.models.adapters.registry import ADAPTERS, find_adapter
    from earwitness.models.registry import list_models

    chosen = [(find_adapter(name) or (ADAPTERS.get(name.partition(":")[0]),))[0] for name in names]
    lines = [(one.usage, _adapter_lines(one, as_json, bool(names))) for one in chosen]
    if not names:
        lines = [(one.usage, _adapter_lines(one, as_json, False)) for one in ADAPTERS.all()]
        for model in list_models():
            facts = {"name": model.name, "summary": model.summary, "licence": model.licence}
            text = json.dumps(facts) if as_json else f"{model.name:22} {model.summary}"
            lines.append((model.name, [text]))
        lines.sort(key=lambda pair: pair[0])
    for _, some in lines:
        for line in some:
            emit(line)
    return 0


def _adapter_lines(one: Adapter, as_json: bool, described: bool) -> list[str]:
    """Return one adapter as lines, with its options if they are to be described."""
    if as_json:
        return [json.dumps(_adapter_facts(one))]
    lacking = f"  [{one.install}]" if one.missing else ""
    needs = f"  [with {', '.join(one.needs)}]" if one.needs and not lacking else ""
    lines = [f"{one.usage:22} {one.summary}{lacking or needs}"]
    for option in one.declared.values() if described else ():
        valid = f" ({option.constraint})" if option.constraint else ""
        default = "" if option.default is None else str(option.default)
        lines.append(f"  {option.name}={default}{valid}\n      {option.description}")
    return lines


def _adapter_facts(one: Adapter) -> dict[str, Any]:
    return {
        "name": one.usage,
        "kind": one.name,
        "summary": one.summary,
        "needs": list(one.needs),
        "installed": not one.missing,
        "extra": one.extra,
        "install": one.install,
        "options": {name: option.default for name, option in one.declared.items()},
        "declared": {name: option_facts(option) for name, option in one.declared.items()},
    }
