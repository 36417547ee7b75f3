"""``earwitness bench``: cost, localisation, sanity, grids, published tables, a page of L2I."""

from __future__ import annotations

from pathlib import Path

import click

from earwitness.cli.degradations import degradations
from earwitness.cli.l2i_page import l2i_page
from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, SEED, Number, place, say, whole
from earwitness.cli.paper_grids import LMAC_GRIDS, PAK_GRIDS
from earwitness.cli.published import lmac, pak
from earwitness.cli.randomisation import randomisation
from earwitness.cli.results import Verb, Verbs, emit
from earwitness.cli.roar import roar

_SEED = click.option("--seed", type=SEED, default=0, show_default=True)
_SILENT = click.option("--no-listening", is_flag=True, help="Omit the players.")


class _Benchmarks(Verbs):
    """Benchmarks by name; a name that ends in .toml is the file of a grid."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0].endswith(".toml"):
            return "GRID.toml", grid, args
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise click.UsageError(
                f"bench takes one of {', '.join(self.commands)}, or a grid in a .toml file; got "
                f"{args[0]!r}",
                ctx,
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Benchmarks,
    subcommand_metavar="speed|localisation|randomisation|roar|speech-degradations|l2i-page|pak|"
    "lmac|pak-clean|...|lmac-mixture|...|GRID.toml ...",
)
def bench() -> None:
    """Benchmark explanations: their cost, localisation and sanity, or a grid of your own.

    pak and lmac show what published tables measured, from their numbers; pak-clean, pak-white,
    pak-room, pak-horse, lmac-in-domain, lmac-mixture, lmac-white-noise and lmac-speech run them
    again.

    GRID.toml names models, sounds, methods, masks and metrics; see the guide. An interrupted grid
    resumes when the command is repeated with the same arguments.
    """


for one in (l2i_page, degradations, randomisation, roar, pak, lmac, *PAK_GRIDS, *LMAC_GRIDS):
    bench.add_command(one)


@bench.command()
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option(
    "--seconds", type=Number(0.05, 3600), default=5.0, show_default=True,
    help="Length of the sound.",
)  # fmt: skip
@click.option(
    "--evaluations", type=whole(2), default=1000, show_default=True,
    help="Evaluations of a perturbation method.",
)  # fmt: skip
@click.option(
    "--large-evaluations", type=whole(0), default=64, show_default=True,
    help="The same on CNN14 with random weights; 0 omits it.",
)  # fmt: skip
@click.option(
    "--steps", type=whole(1), default=50, show_default=True,
    help="Steps of integrated-gradients and samples of smoothgrad.",
)  # fmt: skip
@click.option(
    "--repeats", type=whole(1), default=5, show_default=True,
    help="Alternating repetitions of method and floor.",
)  # fmt: skip
@click.option(
    "--threads", type=whole(0), default=0, show_default=True,
    help="Threads of torch; 0 for its default.",
)  # fmt: skip
@_SEED
@click.option("--no-packages", is_flag=True, help="Omit Captum, shap and lime.")
@click.option("--no-memory", is_flag=True, help="Omit the peak memory.")
@click.option(
    "--command", "commands", multiple=True, metavar="METHOD",
    help="Measure the whole command explain with this method, in multiples of one classification "
    "per sound; may be given several times.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=place, metavar="FILE", help="Also write the table to this file."
)
def speed(
    model: str,
    seconds: float,
    evaluations: int,
    large_evaluations: int,
    steps: int,
    repeats: int,
    threads: int,
    seed: int,
    no_packages: bool,
    no_memory: bool,
    commands: tuple[str, ...],
    output: str | None,
) -> int:
    """Measure the cost of explanations in multiples of the model's own forward passes.

    The table is Markdown. Run nothing else meanwhile; method and floor alternate.
    """
    from earwitness.benchmark.speed.command import command_cost, cost_lines
    from earwitness.benchmark.speed.rows import Settings, measure, table
    from earwitness.files import write_text

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
        packages=not no_packages,
        memory=not no_memory,
    )
    rows, peaks = measure(settings, on_row=lambda row: say(f"{row.work}, {row.model}: done"))
    costs = [command_cost(model, method, seed=seed) for method in commands]
    text = table(rows, peaks, settings)
    if costs:
        text += "\n".join(cost_lines(costs)) + "\n"
    emit(text, nl=False)
    if output is not None:
        write_text(Path(output), text)
    return 0


@bench.command()
@click.option(
    "--data", type=place, metavar="DIR", default="data", show_default=True,
    help="A folder that holds esc10 (in the layout of ESC-50) and fsdd.",
)  # fmt: skip
@click.option(
    "--clips", type=whole(2), default=64, show_default=True,
    help="Mixtures at each level, and recordings with each planted sound.",
)  # fmt: skip
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="Only this method; may be given several times.",
)  # fmt: skip
@click.option(
    "--sounds", multiple=True, type=click.Choice(["shortcuts", "digits", "esc10"]),
    help="Only these sounds; may be given several times.",
)  # fmt: skip
@click.option(
    "--fold", type=click.IntRange(1, 4), default=4, show_default=True,
    help="The fold of ESC-10 that is explained; use 1 to 3 for development.",
)  # fmt: skip
@_SEED
@_SILENT
@click.option(
    "-o", "--output", type=place, metavar="DIR", default="earwitness-localisation",
    show_default=True, help="Folder of the results.",
)  # fmt: skip
def localisation(
    data: str,
    clips: int,
    methods: tuple[str, ...],
    sounds: tuple[str, ...],
    fold: int,
    seed: int,
    no_listening: bool,
    output: str,
) -> int:
    """Measure localisation on mixtures with a known source.

    An interrupted run resumes when the command is repeated with the same arguments.
    """
    from earwitness.benchmark.localisation.grid import (
        OPTIONS,
        SOUNDS,
        localisation_grid,
        reliance_table,
    )
    from earwitness.cli.grids import run
    from earwitness.files import write_text

    grid = localisation_grid(
        Path(data),
        sounds=[name for name in SOUNDS if name in sounds or not sounds],
        methods=methods or tuple(OPTIONS),
        clips=clips,
        fold=fold,
        seeds=(seed,),
    )
    folder = Path(output)
    code = run(grid, folder, listen=not no_listening)
    if code == 0 and any(part.model.startswith("shortcut") for part in grid.parts):
        text = reliance_table(folder, Path(data), fold)
        write_text(folder / "shortcuts.md", text)
        say(f"{folder / 'shortcuts.md'}")
    return code


@click.command(cls=Verb)
@click.argument("file", metavar="GRID.toml")
@_SILENT
@click.option(
    "-o",
    "--output",
    type=place,
    metavar="DIR",
    help="Folder of the results; earwitness-NAME by default.",
)
def grid(file: str, no_listening: bool, output: str | None) -> int:
    """Run the grid of a TOML file."""
    from earwitness.benchmark.grid import read_grid
    from earwitness.cli.grids import run

    found = read_grid(Path(file))
    return run(found, Path(output or f"earwitness-{found.name}"), listen=not no_listening)
