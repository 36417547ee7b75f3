"""``earwitness train l2i``: train an interpreter that explains a classifier by components."""

from __future__ import annotations

from typing import Any

import click

from earwitness.cli.options import Number, place, say, whole
from earwitness.cli.results import Verb
from earwitness.cli.training import (
    changed_settings,
    explained_options,
    loop_options,
    readable,
    train_explainer,
)


@click.command(cls=Verb)
@explained_options("Layer whose activations Psi takes")
@click.option("--components", type=whole(0), help="Patterns learnt on all sounds.")
@click.option("--per-class", type=whole(0), help="Patterns learnt on the sounds of each class, as "
              "the model decides.")  # fmt: skip
@click.option("--noise", type=place, metavar="FOLDER", help="Noises, for patterns of noise.")
@click.option("--noise-components", type=whole(1), default=5, show_default=True,
              help="Patterns learnt on noises.")  # fmt: skip
@click.option("--divergence", type=click.Choice(["euclidean", "kl"]), help="What the dictionary "
              "minimises.")  # fmt: skip
@click.option("--dictionary-sparsity", type=Number(0), help="L1 penalty of the dictionary.")
@click.option("--passes", type=whole(1), help="Passes over the sounds for the dictionary, at most.")
@click.option("--reconstruction", type=Number(0), help="Weight of the error of reconstruction.")
@click.option("--fidelity", type=Number(0), help="Weight of the fidelity in the last epochs; half "
              "of it before.")  # fmt: skip
@click.option("--sparsity", type=Number(0), help="Weight of the mean activation.")
@click.option("--faithfulness", type=Number(0), help="Weight of what the filter does to the model, "
              "in the last epochs; 0: the paper's loss.")  # fmt: skip
@loop_options("interpreter")
def l2i(**given: Any) -> int:
    """Train an interpreter: a dictionary of spectral patterns, and which of them matter.

    FOLDER holds sounds of any kind, in sub-folders or not; a tenth of them is used for validation.
    If it holds a CSV table with columns filename, category and fold (the layout of ESC-50), folds
    can be chosen. An interrupted training resumes when the command is repeated with the same
    arguments. Explain with: earwitness explain SOUND --method l2i --set interpreter=DIR
    """
    from functools import partial

    from earwitness.clips import find_clips
    from earwitness.train.interpreters.l2i import train_l2i

    noise = given["noise"]
    settings = l2i_settings({**given, "noise": given["noise_components"] if noise else 0})
    noises = readable(find_clips([noise])) if noise else []

    def on_pass(group: str, number: int, error: float) -> None:
        say(f"dictionary, {group}, pass {number}: relative error {error:.4f}")

    train = partial(train_l2i, noise=noises, on_pass=on_pass)
    return train_explainer(train, settings, given, "interpreter")


def l2i_settings(given: dict[str, Any]) -> Any:
    """Return the default settings, updated by the given options."""
    from dataclasses import replace

    from earwitness.train.interpreters.settings import InterpreterSettings

    settings = changed_settings(InterpreterSettings(), given)
    wanted = {name: value for name, value in given.items() if value is not None}
    if "fidelity" in wanted:
        late = wanted["fidelity"]
        weights = replace(settings.weights, late=late, early=late / 2)
        settings = replace(settings, weights=weights)
    names = ("components", "per_class", "noise", "divergence", "passes", "seed")
    learnt = {name: wanted[name] for name in names if name in wanted}
    if "dictionary_sparsity" in wanted:
        learnt["sparsity"] = wanted["dictionary_sparsity"]
    return replace(settings, dictionary=replace(settings.dictionary, **learnt))
