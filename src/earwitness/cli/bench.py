"""``earwitness bench``: figures about earwitness itself, and about explanations."""

from __future__ import annotations

from pathlib import Path

import click

from earwitness.cli.options import say

_WHAT = ("localisation",)


@click.command()
@click.argument("what", metavar="WHAT")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--data", metavar="DIR", default="data", show_default=True,
    help="localisation: a folder with esc10 (as ESC-50 is shipped) and fsdd in it.",
)  # fmt: skip
@click.option(
    "--clips", type=click.IntRange(min=2), default=64, show_default=True,
    help="localisation: mixtures at each level, and recordings with each planted sound.",
)  # fmt: skip
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="localisation: leave out all other methods; may be given several times.",
)  # fmt: skip
@click.option(
    "--sounds", multiple=True, type=click.Choice(["shortcuts", "digits", "esc10"]),
    help="localisation: leave out all other sounds; may be given several times.",
)  # fmt: skip
@click.option(
    "--fold", type=click.IntRange(1, 4), default=4, show_default=True,
    help="localisation: the fold of ESC-10 that is explained; try things on 1 to 3.",
)  # fmt: skip
@click.option("--no-listening", is_flag=True, help="A grid: make no players.")
@click.option("-o", "--output", metavar="PLACE", help="A grid: the folder of its results.")
def bench(
    what: str,
    seed: int,
    data: str,
    clips: int,
    methods: tuple[str, ...],
    sounds: tuple[str, ...],
    fold: int,
    no_listening: bool,
    output: str | None,
) -> int:
    """Measure. WHAT is localisation, or a grid of one's own in a file that ends in .toml.

    localisation: do explanations find the true source, where it is known?

    A run that was stopped or killed goes on when called again with the same words.
    """
    from earwitness.benchmark.grid import read_grid
    from earwitness.cli.grids import run

    if what == "localisation":
        from earwitness.benchmark.localisation import OPTIONS, SOUNDS, localisation_grid

        grid = localisation_grid(
            Path(data),
            sounds=[name for name in SOUNDS if name in sounds or not sounds],
            methods=methods or tuple(OPTIONS),
            clips=clips,
            fold=fold,
            seeds=(seed,),
        )
    elif what.endswith(".toml"):
        grid = read_grid(Path(what))
    else:
        raise click.UsageError(
            f"bench wants one of {', '.join(_WHAT)}, or a grid in a .toml file; got {what!r}"
        )
    say(f"{sum(len(part.clips) for part in grid.parts)} sounds, {len(grid.methods)} methods")
    return run(grid, Path(output or f"earwitness-{grid.name}"), listen=not no_listening)
