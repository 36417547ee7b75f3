"""``earwitness train flint``: train attributes that explain a classifier and can be decoded."""

from __future__ import annotations

from typing import Any

import click

from earwitness.cli.options import Number, whole
from earwitness.cli.results import Verb
from earwitness.cli.training import (
    changed_settings,
    explained_options,
    loop_options,
    train_explainer,
)


@click.command(cls=Verb)
@explained_options("Layer whose activations the attribute network takes")
@click.option("--attributes", type=whole(1), help="Number of attributes.")
@click.option("--reconstruction", type=Number(0), help="Weight of the error of reconstruction.")
@click.option("--fidelity", type=Number(0), help="Weight of the fidelity to the model's outputs.")
@click.option(
    "--conciseness", type=Number(0), help="Weight of the entropy of a sound's attributes."
)
@click.option("--diversity", type=Number(0), help="Weight of the entropy of their mean over a "
              "batch.")  # fmt: skip
@click.option("--sparsity", type=Number(0), help="Weight of the mean attribute.")
@loop_options("interpreter")
def flint(**given: Any) -> int:
    """Train FLINT: attributes of a sound that give the decision, and decode to the sound.

    FOLDER holds sounds of any kind, in sub-folders or not; a tenth of them is used for validation.
    If it holds a CSV table with columns filename, category and fold (the layout of ESC-50), folds
    can be chosen. An interrupted training resumes when the command is repeated with the same
    arguments. Explain with: earwitness explain SOUND --method flint --set interpreter=DIR
    """
    from earwitness.train.interpreters.flint import FlintSettings, train_flint

    settings = changed_settings(FlintSettings(), given, "attributes")
    return train_explainer(train_flint, settings, given, "interpreter")
