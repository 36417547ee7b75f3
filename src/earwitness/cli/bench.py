"""``earwitness bench``: figures about earwitness itself, and about what explains best."""

from __future__ import annotations

from pathlib import Path

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, say

_WHAT = ("speed", "localisation")


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
@click.option("--no-listening", is_flag=True, help="localisation and grids: make no players.")
@click.option(
    "-o", "--output", metavar="PLACE",
    help="speed: also write the table to this file. localisation and grids: the results' folder.",
)  # fmt: skip
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
    data: str,
    clips: int,
    methods: tuple[str, ...],
    sounds: tuple[str, ...],
    fold: int,
    no_listening: bool,
    output: str | None,
) -> int:
    """Measure. WHAT is speed, localisation, or a grid of one's own in a file that ends in .toml.

    speed: what explaining costs, beside what the model itself costs. The table is Markdown. Nothing
    else should be running; ratios are taken turn by turn.

    localisation: do explanations find the true source, where it is known? It goes on where it was
    when called again with the same words, as every grid does.
    """
    if what == "localisation":
        return _localise(Path(data), clips, methods, sounds, fold, seed, output, not no_listening)
    if what.endswith(".toml"):
        return _run_grid(Path(what), output, not no_listening)
    if what not in _WHAT:
        raise click.UsageError(
            f"bench wants one of {', '.join(_WHAT)}, or a grid in a .toml file; got {what!r}"
        )
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


def _localise(
    data: Path,
    clips: int,
    methods: tuple[str, ...],
    sounds: tuple[str, ...],
    fold: int,
    seed: int,
    output: str | None,
    listen: bool,
) -> int:
    from earwitness.benchmark.localisation import OPTIONS, SOUNDS, localisation_grid, reliance_table
    from earwitness.cli.grids import run

    grid = localisation_grid(
        data,
        sounds=[name for name in SOUNDS if name in sounds or not sounds],
        methods=methods or tuple(OPTIONS),
        clips=clips,
        fold=fold,
        seeds=(seed,),
    )
    folder = Path(output or "earwitness-localisation")
    code = run(grid, folder, listen=listen)
    if code == 0 and any(part.model.startswith("shortcut") for part in grid.parts):
        text = reliance_table(folder, data, fold)
        (folder / "shortcuts.md").write_text(text, encoding="utf-8")
        say(f"{folder / 'shortcuts.md'}")
    return code


def _run_grid(path: Path, output: str | None, listen: bool) -> int:
    from earwitness.benchmark.grid import read_grid
    from earwitness.cli.grids import run

    grid = read_grid(path)
    return run(grid, Path(output or f"earwitness-{grid.name}"), listen=listen)
