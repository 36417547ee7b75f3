"""``earwitness demo``: explanations of a synthesised scene, compared with its known sources."""

from __future__ import annotations

import click

from earwitness.cli.options import SEED, place
from earwitness.cli.results import Verb


@click.command(cls=Verb)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option(
    "-o", "--output", default="earwitness-demo", show_default=True, type=place, metavar="DIR",
    help="Folder for the report and its files.",
)  # fmt: skip
def demo(seed: int, overwrite: bool, output: str) -> int:
    """Explain a synthesised scene with known sources: a baby crying in the rain.

    The built-in model gives both classes a high score. The report states the agreement of each
    explanation with the true source.
    """
    from earwitness.cli.scene import explain_scene

    return explain_scene(seed, output, overwrite)
