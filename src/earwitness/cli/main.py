"""The command ``earwitness``. Heavy libraries are imported only when a subcommand runs."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import Any

import click

_VERBS = {
    "explain": ("explain", "Explain a model's outputs for sounds, as an HTML report with files."),
    "compare": ("compare", "Compare a model's scores for two recordings of the same words."),
    "check": ("check", "Check a new model: what is wrong with it, and which methods apply."),
    "scan": ("scan", "Find events in long recordings, and explain the strongest."),
    "report": ("report", "Write the page of saved results again, or one page of several."),
    "predict": ("predict", "Print a model's outputs for sounds."),
    "methods": ("listing", "List the explanation methods and their options."),
    "masks": ("listing", "List the rules for --keep, which turn attributions into masks."),
    "metrics": ("listing", "List the metrics."),
    "models": ("listing", "List the built-in models, and the kinds of models that can be loaded."),
    "evaluate": ("evaluate", "Compare methods for a model on a folder of sounds."),
    "components": ("components", "Show which components of an interpreter matter for each class."),
    "demo": ("demo", "Explain a synthesised scene with known sources."),
    "bench": (
        "bench",
        "Benchmark cost, localisation, or a grid of your own.",
    ),
    "data": ("data", "List data sets, get them, and check them."),
    "train": ("train", "Train a classifier, or a decoder that explains one, on your own sounds."),
}


class _LazyGroup(click.Group):
    """A group that lists its subcommands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"earwitness.cli.{_VERBS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            from earwitness.registry import unknown

            raise click.UsageError(str(unknown("verb", args[0], _VERBS)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in _VERBS.items()])


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from earwitness import __version__

        click.echo(f"earwitness {__version__}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
def group() -> None:
    """Hear the evidence behind an audio model's decision."""


def _forget_output() -> None:
    """Lead standard output to nowhere, so that what is left in its buffer fails no more."""
    with suppress(OSError, ValueError, AttributeError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; exit code 0 if everything succeeded, 1 if a part did, 2 if nothing did."""
    from earwitness.cli.options import say, unexpected
    from earwitness.errors import EarwitnessError
    from earwitness.jobs.allocator import keep_memory

    keep_memory()
    try:
        code = group(arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        code = 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        say(f"earwitness: {error.format_message()}{hint}")
        code = 2
    except EarwitnessError as error:
        say(f"earwitness: {error}")
        code = 2
    except (KeyboardInterrupt, click.Abort):
        say("earwitness: stopped")
        code = 2
    except BrokenPipeError:
        _forget_output()
        code = 1
    except OSError as error:  # a full disk, say
        nameless = "" if isinstance(error, FileNotFoundError) else "standard output: "
        place = f"{error.filename}: " if error.filename else nameless
        say(f"earwitness: {place}{error.strerror or error}")
        _forget_output()
        code = 2
    except Exception as error:
        say(f"earwitness: {unexpected(error)}")
        code = 2
    sys.exit(code or 0)
