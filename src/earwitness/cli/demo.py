"""``earwitness demo``: a scene whose truth is known, explained and held against it."""

from __future__ import annotations

import click


@click.command()
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option(
    "-o", "--output", default="earwitness-demo", show_default=True, metavar="DIR",
    help="Folder for the report and its files.",
)  # fmt: skip
def demo(seed: int, overwrite: bool, output: str) -> int:
    """Explain a synthesised scene: a baby cries in the rain, and the built-in model hears both.

    The sounds are made by this program, so the true sources are at hand: the report says how close
    each explanation comes to them.
    """
    from earwitness.cli.scene import explain_scene

    return explain_scene(seed, output, overwrite)
