"""Write the reference pages from the registries: ``python scripts/reference_pages.py``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from earwitness.masks.registry import MASKS, Rule
from earwitness.methods.registry import METHODS, Method
from earwitness.metrics.registry import FIELDS, METRICS, Metric
from earwitness.options import Option

DOCS = Path(__file__).parent.parent / "docs"
BY = "Written by `python scripts/reference_pages.py` from the {} themselves."
# the method to try first by the kind of model, with the reason; as in the README
FIRST = {
    "integrated-gradients": (
        "any torch network",
        "the values add up to the change of the score from silence, and a note says how far they "
        "are off; nothing about the network's layers matters",
    ),
    "lrp": (
        "a convolutional network",
        "finds the true source best, or nearly, in [mixtures](localisation.md); refuses networks "
        "that it cannot follow",
    ),
    "lime": (
        "a function that gives no gradients",
        "needs outputs only; every piece of the sound has a weight with an interval, and is heard",
    ),
    "occlusion": (
        "a function, and little time",
        "removes one piece after the other: the plainest reading, and about 160 passes",
    ),
    "lmac": (
        "the built-in model, or one with a [trained decoder](lmac.md)",
        "one pass; soft masks without hard edges, made for listening",
    ),
}
CONTROLS = (
    "They say nothing about the model. A map that is no better than these at the same size has "
    "shown nothing."
)
FAMILIES = ("faithfulness", "conciseness", "localisation", "stability", "sanity", "sound")


def methods_page() -> str:
    """Return the reference page of all methods."""
    intro = [
        BY.format("methods") + " Each entry says what the method computes, what it does not show, "
        "its cost and its source."
    ]
    rows = [f"| {when} | [`{name}`](#{name}) | {why} |" for name, (when, why) in FIRST.items()]
    table = "| the model | begin with | because |\n|---|---|---|\n" + "\n".join(rows)
    listed = [method for method in METHODS.all() if method.name not in FIRST]
    return joined(
        "# Methods", *intro,
        "## To begin with", table, *(method_entry(METHODS.get(name)) for name in FIRST),
        "## Others", *(method_entry(method) for method in listed if not method.control),
        "## Controls", CONTROLS, *(method_entry(method) for method in listed if method.control),
    )  # fmt: skip


def masks_page() -> str:
    """Return the reference page of all rules for masks."""
    intro = [
        BY.format("rules") + " How to choose one is in the [guide](guide.md).",
        "`--keep` (`keep=` in Python) takes any of these. A `+` after it takes the positive part "
        "of the map first, where that makes a difference. After commas, `smooth:1.5` blurs the "
        "edges by so many bins and frames, and `floor:-30dB` leaves what is removed at that "
        "level: `80%,smooth:1.5,floor:-30dB`.",
        "Gains multiply the linear magnitude. The domains `log1p` and `dB` are there to repeat "
        "published figures: `earwitness.plane.domains`.",
    ]
    return joined("# Masks", *intro, *(mask_entry(rule) for rule in MASKS.all()))


def metrics_page() -> str:
    """Return the reference page of all metrics, family by family."""
    fields = [f"| `{name}` | {kind} | `{shape}` | {text} |" for name, (kind, shape, text) in
              FIELDS.items()]  # fmt: skip
    intro = [
        BY.format("metrics") + " How to read them is in the [guide](guide.md).",
        "A metric is a function of the fields of a case and returns one value for each mask or "
        "map. Metrics of the model's outputs are computed twice: on the masked spectrogram "
        "(`spectrogram`) and on the resynthesised sound (`audio`).",
    ]
    parts: list[str] = []
    done: set[object] = set()  # a module may define metrics of two families; its text comes once
    for family in FAMILIES:
        own = [metric for metric in METRICS.all() if metric.family == family]
        modules = dict.fromkeys(inspect.getmodule(metric.function) for metric in own)
        texts = [prose(inspect.getdoc(module) or "") for module in modules if module not in done]
        done.update(modules)
        parts += [f"## {family.capitalize()}", *texts, *(metric_entry(metric) for metric in own)]
    table = "| field | kind | shape | |\n|---|---|---|---|\n" + "\n".join(fields)
    return joined("# Metrics", *intro, *parts, "## Fields of a case", table)


PAGES: dict[str, Callable[[], str]] = {
    "methods.md": methods_page,
    "masks.md": masks_page,
    "metrics.md": metrics_page,
}


def method_entry(method: Method) -> str:
    """Return the part about one method."""
    facts = [
        "signed" if method.signed else "not signed",
        f"adds up to {method.complete}" if method.complete else "does not add up",
        "needs a trained decoder"
        if method.needs_training
        else "needs gradients"
        if method.needs_gradients
        else "works on black boxes",
        *(["needs a transformer"] if method.needs_attention else []),
        *(["needs a score that is a sum over frames"] if method.needs_frames else []),
        *(["depends on the layers, not only on their function"] if method.layerwise else []),
        *(["draws at random"] if method.random else []),
        f"about {method.passes(method.options)} forward passes (a backward counts two)",
    ]
    if method.control:
        facts[2:] = ["a control: does not evaluate the model"]
    return entry(f"### `{method.name}`", method, facts, method.declared)


def mask_entry(rule: Rule) -> str:
    """Return the part about one rule."""
    facts = [f"written `{rule.example}`", "soft" if rule.soft else "binary"]
    if rule.signed:
        facts.append("`+` for the positive part")
    return entry(f"## `{rule.name}`", rule, facts, {})


def metric_entry(metric: Metric) -> str:
    """Return the part about one metric."""
    low, high = metric.range
    span = f"from {low:g} to {high:g}" if math.isfinite(high) else "without bounds"
    span = f"from {low:g} on" if math.isfinite(low) and not math.isfinite(high) else span
    facts = [
        f"{metric.direction} is better" if metric.direction else "neither high nor low is better",
        f"{span} {metric.unit}".strip(),
        "needs " + ", ".join(f"`{field}`" for field in metric.given.values()),
    ]
    return entry(f"### `{metric.name}`", metric, facts, metric.declared)


def entry(
    title: str, spec: Method | Rule | Metric, facts: list[str], options: Mapping[str, Option]
) -> str:
    """Return what all entries have: title, summary, facts, paper, text and options."""
    lines = [title, f"{spec.summary[0].upper()}{spec.summary[1:]}.", f"*{'; '.join(facts)}.*"]
    if isinstance(spec, Method):
        lines.append(f"Does not show: {spec.limits}.")
    if spec.paper:
        lines.append(f"Paper: {spec.paper}.")
    text = (inspect.getdoc(spec.function) or "").partition("\n\nExamples\n--------\n")[0]
    body = text.partition("\n\nParameters\n----------\n")[0]
    lines.append(body.replace("``", "`"))
    if options:
        head = "| option | type and range | default | meaning |\n|---|---|---|---|\n"
        lines.append(head + "\n".join(option_row(option) for option in options.values()))
    return "\n\n".join(lines)


def option_row(option: Option) -> str:
    """Return an option as a row of a table."""
    default = f"`{option.default}`" if option.default != "" else ""
    meaning = option.description.replace("``", "`").replace("|", "\\|")
    return f"| `{option.name}` | {option.kind} | {default} | {meaning} |"


def prose(text: str) -> str:
    """Return a module's text as Markdown."""
    return text.replace("\n\nConventions\n-----------\n", "\n\n**Conventions.** ").replace(
        "``", "`"
    )


def joined(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
