"""``earwitness bench randomisation``: whether explanations depend on the trained weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, SEED, place, say, whole
from earwitness.cli.results import Verb, emit

_ORDERS = ("cascading", "independent")
F = TypeVar("F", bound=Callable[..., int])


def method_options(default: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Return a decorator that adds the options ``--method`` and ``--set`` of several methods."""

    def add(command: F) -> F:
        settings = click.option(
            "--set", "settings", multiple=True, metavar="METHOD.OPTION=VALUE",
            help="Option of a method, such as lime.samples=200.",
        )  # fmt: skip
        names = click.option(
            "--method", "methods", multiple=True, required=not default, default=default or None,
            show_default=bool(default), metavar="NAME",
            help="Method to test; may be given several times.",
        )  # fmt: skip
        return names(settings(command))

    return add


@click.command(cls=Verb)
@click.argument("folder", type=place, metavar="FOLDER")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@method_options()
@click.option("--order", "orders", multiple=True, type=click.Choice(_ORDERS), default=_ORDERS,
              show_default=True, help="Each block with those before it, or alone.")  # fmt: skip
@click.option("--seed", "seeds", type=SEED, multiple=True, default=(0, 1, 2), show_default=True,
              help="Of the scrambling; may be given several times.")  # fmt: skip
@click.option("--fold", type=whole(0), help="Only this fold of a labelled folder.")
@click.option("--clips", type=whole(1), help="So many sounds, of all classes alike.  "
              "[default: all]")  # fmt: skip
@click.option("--pictures", type=whole(0), default=2, show_default=True,
              help="Sounds of which the page shows the maps.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per order and method.")
@click.option("-o", "--output", type=place, metavar="DIR", default="earwitness-randomisation",
              show_default=True, help="Folder of the results.")  # fmt: skip
def randomisation(
    folder: str,
    model: str,
    methods: tuple[str, ...],
    settings: tuple[str, ...],
    orders: tuple[Any, ...],
    seeds: tuple[int, ...],
    fold: int | None,
    clips: int | None,
    pictures: int,
    device: str,
    as_json: bool,
    output: str,
) -> int:
    """Test whether explanations depend on the trained weights (model randomisation test).

    The weights of the network are scrambled block by block, from the logits to the input, and the
    maps are compared with those of the trained network; those of Grad-CAM are always beside. A
    method that never looks at the model is named. An interrupted run resumes when
    the command is repeated with the same arguments.
    """
    from earwitness.benchmark.engine import run
    from earwitness.benchmark.grid import Part, choose
    from earwitness.benchmark.ledger import Line
    from earwitness.benchmark.sanity.measure import measure_randomised
    from earwitness.benchmark.sanity.page import write_results
    from earwitness.benchmark.sanity.plan import Plan, clips_of
    from earwitness.benchmark.sanity.summary import markdown
    from earwitness.cli.grids import progress, resumable
    from earwitness.models.registry import load_model

    options = method_settings(methods, settings)
    found = load_model(model, device=device)
    part = Part(model, lambda _: found, clips_of(Path(folder), fold=fold, most=clips))
    plan = Plan(
        parts=(part,),
        methods=tuple(choose(name, **options.get(name, {})) for name in dict.fromkeys(methods)),
        orders=tuple(dict.fromkeys(orders)),
        seeds=tuple(dict.fromkeys(seeds)),
        pictures=pictures,
    )
    place = Path(output)

    def work() -> list[Line]:
        with progress("measuring") as (start, step):
            return run(plan, place, measure_randomised, on_start=start, on_clip=step)

    lines = resumable(place, work)
    if lines is None:
        return 1
    for text in dict.fromkeys(str(line["failed"]) for line in lines if "failed" in line):
        say(f"earwitness: {text}")
    rows, files = write_results(place, lines)
    for row in rows:
        if as_json:
            emit(json.dumps(row.facts(), allow_nan=False))
    if not as_json:
        emit(markdown(rows), nl=False)
    for path in files:
        say(str(path))
    return 0 if any(row.figures for row in rows) else 2


def method_settings(
    methods: tuple[str, ...], settings: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Read ``METHOD.OPTION=VALUE`` pairs of ``--set``: the options of every method by its name."""
    from earwitness.methods.registry import METHODS
    from earwitness.options import read_value

    found: dict[str, dict[str, Any]] = {}
    for text in settings:
        name, sign, value = text.partition("=")
        method, dot, option = name.partition(".")
        if not (sign and dot and method and option):
            raise click.UsageError(f"--set takes METHOD.OPTION=VALUE, got {text!r}")
        if method not in methods:
            raise click.UsageError(f"--set: {method} is not one of the methods")
        option, declared = option.replace("-", "_"), METHODS.get(method).declared
        found.setdefault(method, {})[option] = (
            read_value(value, declared[option]) if option in declared else value
        )
    return found
