"""``earwitness bench speech-degradations``: whether what lowers a score of quality is found."""

from __future__ import annotations

from pathlib import Path

import click

from earwitness.cli.options import SEED, Number, place, say, whole
from earwitness.cli.results import Verb

_KINDS = (
    *("burst", "quiet-burst", "hum", "packet-loss", "clipping"),
    *("band-limiting", "reverberation"),
)


@click.command("speech-degradations", cls=Verb)
@click.option("--model", "models", multiple=True, required=True,
              help="A model of speech quality (nisqa:FILE); may be given several times.",
              )  # fmt: skip
@click.option("--data", multiple=True, required=True, type=place, metavar="PATH",
              help="Clean speech: a file or a folder; may be given several times.")  # fmt: skip
@click.option("--target", "targets", multiple=True, metavar="OUTPUT",
              help="An output to explain; may be given several times.  [default: the first]",
              )  # fmt: skip
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS),
              help="Only this degradation; may be given several times.")  # fmt: skip
@click.option("--method", "methods", multiple=True, metavar="NAME",
              help="Only this method; may be given several times.")  # fmt: skip
@click.option("--clips", type=whole(2), default=64, show_default=True,
              help="Excerpts with each degradation.")  # fmt: skip
@click.option("--seconds", type=Number(1.5, 60), default=4.0, show_default=True,
              help="Length of an excerpt.")  # fmt: skip
@click.option("--from", "since", type=Number(0), default=0.0, show_default=True,
              help="Take excerpts from this second of each file on.")  # fmt: skip
@click.option("--until", type=Number(0, above=True), help="And up to this one.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("-o", "--output", type=place, metavar="DIR", default="earwitness-degradations",
              show_default=True, help="Folder of the results.")  # fmt: skip
def degradations(
    models: tuple[str, ...],
    data: tuple[str, ...],
    targets: tuple[str, ...],
    kinds: tuple[str, ...],
    methods: tuple[str, ...],
    clips: int,
    seconds: float,
    since: float,
    until: float | None,
    seed: int,
    output: str,
) -> int:
    """Measure localisation of degradations in clean speech, at a known time and band.

    Each excerpt is degraded in every way, and what lowers the score of the model is explained. An
    interrupted run resumes when the command is repeated with the same arguments.
    """
    from earwitness.benchmark.degradations.measure import measure_degraded
    from earwitness.benchmark.degradations.plan import degradation_plan
    from earwitness.benchmark.degradations.summary import write_summary
    from earwitness.benchmark.engine import run
    from earwitness.benchmark.ledger import Line
    from earwitness.cli.grids import progress, resumable

    plan = degradation_plan(
        models, data, targets=targets, kinds=kinds or _KINDS, methods=methods, clips=clips,
        seconds=seconds, since=since, until=until, seed=seed,
    )  # fmt: skip
    folder = Path(output)

    def work() -> list[Line]:
        with progress("measuring") as (start, step):
            return run(plan, folder, measure_degraded, on_start=start, on_clip=step)

    lines = resumable(folder, work)
    if lines is None:
        return 1
    for text in dict.fromkeys(str(line["failed"]) for line in lines if "failed" in line):
        say(f"earwitness: {text}")
    for path in write_summary(folder, lines):
        say(str(path))
    return 2 if all(line["method"] is None for line in lines) else 0
