"""``earwitness report``: the page of saved results once more, or one page of several folders."""

from __future__ import annotations

import click

from earwitness.cli.options import counted, place, say
from earwitness.cli.results import Verb, emit


@click.command(cls=Verb)
@click.argument("folders", nargs=-1, required=True, type=place, metavar="FOLDER...")
@click.option(
    "-o", "--output", type=place, metavar="PAGE.html",
    help="The page to write.  [default: that of the folder, or earwitness-report.html for several]",
)  # fmt: skip
@click.option("--title", default="", metavar="TEXT", help="Heading of a page that is given.")
def report(folders: tuple[str, ...], output: str | None, title: str) -> int:
    """Write the page of saved explanations again, or one page of several folders.

    Nothing is computed. A sound that was explained in several folders, by other methods perhaps,
    is shown once with all its explanations.
    """
    from pathlib import Path

    from earwitness.collecting.joined import explanations_in, write_joined
    from earwitness.collecting.rebuilt import rebuild
    from earwitness.errors import ParameterError

    places = list(dict.fromkeys(Path(folder) for folder in folders))
    failed: list[str] = []
    if output is None and len(places) == 1 and not title:
        page = rebuild(places[0], on_missing=failed.append)
    else:
        target = Path(output or "earwitness-report.html")
        if target.suffix.lower() not in (".html", ".htm"):
            raise ParameterError(f"a page is a file with the ending .html, got {target}")
        entries = [one for folder in places for one in explanations_in(folder)]
        page = write_joined(target, entries, title=title, on_missing=failed.append)
    for line in failed:
        say(f"earwitness: {line}")
    if failed:
        say(f"earwitness: the page is without {counted(len(failed), 'explanation')}")
    emit(str(page))
    return 1 if failed else 0
