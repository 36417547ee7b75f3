"""``earwitness train piq``: train codes of classes that are decoded to masks."""

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
@explained_options("Layer whose activations are quantised")
@click.option("--codes", type=whole(1), help="Codes for each class.")
@click.option("--width", type=whole(1), help="Length of a code.")
@click.option("--loud", type=Number(0, 1), help="Share of the largest log magnitude above which a "
              "cell is to be kept.")  # fmt: skip
@click.option("--reconstruction", type=Number(0), help="Weight of the error of the mask.")
@click.option("--fidelity", type=Number(0), help="Weight of the masked sound's cross entropy; the "
              "published implementation has 0.")  # fmt: skip
@click.option("--codebook", type=Number(0), help="Weight of the codes' distance to activations.")
@click.option("--commitment", type=Number(0), help="Weight of the activations' distance to codes.")
@loop_options("interpreter")
def piq(**given: Any) -> int:
    """Train PIQ: activations quantised by codes of the decided class, and decoded to a mask.

    FOLDER holds sounds of any kind, in sub-folders or not; a tenth of them is used for validation.
    If it holds a CSV table with columns filename, category and fold (the layout of ESC-50), folds
    can be chosen. An interrupted training resumes when the command is repeated with the same
    arguments. Explain with: earwitness explain SOUND --method piq --set interpreter=DIR
    """
    from earwitness.train.interpreters.piq import PiqSettings, train_piq

    settings = changed_settings(PiqSettings(), given, "codes", "width", "loud")
    return train_explainer(train_piq, settings, given, "interpreter")
