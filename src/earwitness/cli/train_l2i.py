"""``earwitness train l2i``: train an interpreter that explains a classifier by components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, SEED, Number, place, say, whole
from earwitness.cli.results import Verb, emit
from earwitness.cli.training import contaminated, folds_of, progress, readable, sounds_of


@click.command(cls=Verb)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option("--data", required=True, type=place, metavar="FOLDER",
              help="Sounds; labels are not needed.  See below.")  # fmt: skip
@click.option("--folds", metavar="N,N", help="Folds to train on, if there is a table of folds.")
@click.option("--valid-folds", metavar="N,N", help="Folds to validate on.")
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="Layer whose activations Psi takes; default: automatic.")  # fmt: skip
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
@click.option("--heard", type=Number(0), help="Weight of what the filter does to the model, in the "
              "last epochs; 0: the paper's loss.")  # fmt: skip
@click.option("--contaminate", "kinds", multiple=True, metavar="KIND",
              help="mixture, white, pink or a folder of sounds; may be given several times; none "
              "for no contamination.")  # fmt: skip
@click.option("--snr", type=Number(), nargs=2, metavar="DB DB",
              help="Range of SNRs of contaminations.")  # fmt: skip
@click.option("--epochs", type=whole(1), help="Passes over the sounds for Psi and Theta.")
@click.option("--batch", type=whole(2), help="Sounds per batch.")
@click.option("--crop", type=Number(0.1, 3600), help="Length of the crops in seconds.")
@click.option("--rate", type=Number(0, above=True), help="Peak learning rate.")
@click.option("--patience", type=whole(0),
              help="Stop after so many epochs without progress; 0: never.")  # fmt: skip
@click.option("--amp", is_flag=True, help="Mixed precision in bfloat16.")
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("-o", "--output", required=True, type=place, metavar="DIR",
              help="Folder for the interpreter.")  # fmt: skip
def l2i(
    model: str,
    data: str,
    folds: str | None,
    valid_folds: str | None,
    layers: tuple[str, ...],
    noise: str | None,
    device: str,
    output: str,
    **given: Any,
) -> int:
    """Train an interpreter: a dictionary of spectral patterns, and which of them matter.

    FOLDER holds sounds of any kind, in sub-folders or not; a tenth of them is used for validation.
    If it holds a CSV table with columns filename, category and fold (the layout of ESC-50), folds
    can be chosen. An interrupted training resumes when the command is repeated with the same
    arguments. Explain with: earwitness explain SOUND --method l2i --set interpreter=DIR
    """
    from earwitness.audio import find_clips
    from earwitness.models.registry import load_model
    from earwitness.train.interpreters.l2i import train_l2i
    from earwitness.train.progress import Workers

    workers, device = Workers.here(device)
    settings = l2i_settings({**given, "noise": given["noise_components"] if noise else 0})
    learn, held_out = sounds_of(Path(data), folds_of(folds), folds_of(valid_folds), settings.seed)
    noises = readable(find_clips([noise])) if noise else []
    explained = load_model(model, device=device)
    first = workers.rank == 0
    if first:
        say(f"{len(learn)} sounds to train on, {len(held_out)} to validate on")

    def on_pass(group: str, number: int, error: float) -> None:
        if first:
            say(f"dictionary, {group}, pass {number}: relative error {error:.4f}")

    with progress("training", settings.epochs, shown=first) as on_epoch:
        found = train_l2i(explained, learn, held_out, settings, Path(output), layers=layers,
                          noise=noises, workers=workers, on_pass=on_pass,
                          on_epoch=on_epoch)  # fmt: skip
    if first:
        best = found.facts["validation"]
        emit(", ".join(f"{name} {value:.3g}" for name, value in best.items()))
        emit(f"interpreter: {output}")
    return 0


def l2i_settings(given: dict[str, Any]) -> Any:
    """Return the default settings, updated by the given options."""
    from dataclasses import replace

    from earwitness.train.interpreters.settings import InterpreterSettings

    settings = InterpreterSettings()
    wanted = {name: value for name, value in given.items() if value is not None}
    weights: dict[str, Any] = {
        name: wanted[name] for name in ("reconstruction", "sparsity", "heard") if name in wanted
    }
    if "fidelity" in wanted:
        weights |= {"late": wanted["fidelity"], "early": wanted["fidelity"] / 2}
    names = ("components", "per_class", "noise", "divergence", "passes", "seed")
    learnt = {name: wanted[name] for name in names if name in wanted}
    if "dictionary_sparsity" in wanted:
        learnt["sparsity"] = wanted["dictionary_sparsity"]
    plain = {name: wanted[name] for name in ("epochs", "batch", "crop", "rate", "patience", "seed")
             if name in wanted}  # fmt: skip
    return replace(
        settings,
        weights=replace(settings.weights, **weights),
        dictionary=replace(settings.dictionary, **learnt),
        contamination=contaminated(settings.contamination, wanted),
        mixed_precision=wanted["amp"],
        **plain,
    )
