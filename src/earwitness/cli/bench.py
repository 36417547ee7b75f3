"""``earwitness bench``: figures about earwitness itself."""

from __future__ import annotations

from pathlib import Path

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, say

_WHAT = ("speed",)


@click.command()
@click.argument("what", metavar="WHAT")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option(
    "--seconds", type=click.FloatRange(min=0.05), default=5.0, show_default=True,
    help="Length of the sound.",
)  # fmt: skip
@click.option(
    "--evaluations", type=click.IntRange(min=2), default=1000, show_default=True,
    help="Of a perturbation method.",
)  # fmt: skip
@click.option(
    "--large-evaluations", type=click.IntRange(min=0), default=64, show_default=True,
    help="The same on CNN14 with random weights; 0 leaves it out.",
)  # fmt: skip
@click.option(
    "--steps", type=click.IntRange(min=1), default=50, show_default=True,
    help="Of integrated-gradients and smoothgrad.",
)  # fmt: skip
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True,
    help="Turns of work and floor.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(min=0), default=0, show_default=True,
    help="0 for torch's own choice.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--no-rivals", is_flag=True, help="Leave out Captum, shap and lime.")
@click.option("--no-memory", is_flag=True, help="Leave out the peak of memory.")
@click.option("-o", "--output", metavar="FILE", help="Also write the table to this file.")
def bench(
    what: str,
    model: str,
    seconds: float,
    evaluations: int,
    large_evaluations: int,
    steps: int,
    repeats: int,
    threads: int,
    seed: int,
    no_rivals: bool,
    no_memory: bool,
    output: str | None,
) -> int:
    """Measure. WHAT is speed: what explaining costs, beside what the model itself costs.

    The table is Markdown. Nothing else should be running; ratios are taken turn by turn.
    """
    if what not in _WHAT:
        raise click.UsageError(f"bench wants one of {', '.join(_WHAT)}; got {what!r}")
    from earwitness.benchmark.speed import Settings, measure, table
    from earwitness.errors import OutputError

    settings = Settings(
        model=model,
        seconds=seconds,
        evaluations=evaluations,
        large_evaluations=large_evaluations,
        steps=steps,
        repeats=repeats,
        threads=threads,
        seed=seed,
        large=large_evaluations > 0,
        rivals=not no_rivals,
        memory=not no_memory,
    )
    rows, peaks = measure(settings, on_row=lambda row: say(f"{row.work}, {row.model}: done"))
    text = table(rows, peaks, settings)
    click.echo(text, nl=False)
    if output is not None:
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{output}: cannot be written ({error.strerror})") from error
    return 0
