"""Write ``docs/methods.md`` from the registry: ``python scripts/method_pages.py``."""

from __future__ import annotations

import inspect
from pathlib import Path

from earwitness.methods.registry import METHODS, Method

PAGE = Path(__file__).parent.parent / "docs" / "methods.md"


def page() -> str:
    """Return the reference page of all methods."""
    parts = [
        "# Methods",
        "Written by `python scripts/method_pages.py` from the methods themselves. "
        "What each can and cannot tell is in the [guide](guide.md).",
    ]
    return "\n\n".join([*parts, *(entry(method) for method in METHODS.all())]) + "\n"


def entry(method: Method) -> str:
    """Return the part about one method."""
    text = inspect.getdoc(method.function) or ""
    facts = [
        "signed" if method.signed else "not signed",
        "adds up to a change of score" if method.complete else "does not add up",
        "needs gradients" if method.needs_gradients else "works on black boxes",
        f"about {method.passes(method.options)} forward passes (a backward counts two)",
    ]
    if method.control:
        facts[2:] = ["a control: never looks at the model"]
    lines = [
        f"## `{method.name}`",
        f"{method.summary[0].upper()}{method.summary[1:]}.",
        f"*{'; '.join(facts)}.*",
    ]
    if method.paper:
        lines.append(f"Paper: {method.paper}.")
    body, _, parameters = text.partition("\n\nParameters\n----------\n")
    lines.append(body.replace("``", "`"))
    if method.options:
        defaults = ", ".join(f"{key}={value!r}" for key, value in method.options.items())
        lines.append(f"Options, by default `{defaults}`{':' if parameters else '.'}")
    if parameters:
        lines.append("```text\n" + parameters + "\n```")
    return "\n\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
