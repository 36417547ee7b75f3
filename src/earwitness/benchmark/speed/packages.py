"""Other packages on the same model, pieces and sound, if they are installed.

They explain the features and not the plane. They are used for this comparison only.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.models.adapters.spectral import SpectralModel
from earwitness.probe import Probe

Package = tuple[str, bool, Callable[[int], None]]


def packages(
    model: SpectralModel, probe: Probe, labels: Tensor, batches: tuple[int, int]
) -> Iterator[Package]:
    """Yield name, whether it differentiates, and a function that runs it for a number of passes.

    Parameters
    ----------
    labels : Tensor, shape (freq, frame), int64
        Pieces on the plane; a band belongs to the piece at the bin of its
        largest filter weight.
    batches : (int, int)
        Batch sizes of forward passes and of gradients: those of the floor.
    """
    with torch.no_grad():
        features = model.frontend(probe.magnitude.unsqueeze(0)).to(model.dtype)
    pieces = _on_features(model, features, labels)
    for make in (_captum, _shap, _lime):
        try:
            yield from make(model, probe, features, pieces, batches)
        except ImportError:
            continue


def _on_features(model: SpectralModel, features: Tensor, labels: Tensor) -> Tensor:
    """Return pieces (band, frame), numbered without gaps."""
    bands = features.shape[-2]
    filters = getattr(model.frontend, "filters", None)
    if filters is None or filters.shape[0] != bands:
        rows = torch.linspace(0, len(labels) - 1, bands).round().long()
    else:
        rows = filters.argmax(dim=1)
    numbered: Tensor = torch.unique(labels[rows], return_inverse=True)[1]
    return numbered


def _captum(
    model: SpectralModel,
    probe: Probe,
    features: Tensor,
    pieces: Tensor,
    batches: tuple[int, int],
) -> Iterator[Package]:
    attr = importlib.import_module("captum.attr")
    target, mask = probe.target.index, pieces.expand_as(features)

    def gradients(count: int) -> None:
        method = attr.IntegratedGradients(model.module)
        method.attribute(features, target=target, n_steps=count, internal_batch_size=batches[1])

    def smooth(count: int) -> None:
        method = attr.NoiseTunnel(attr.Saliency(model.module))
        method.attribute(
            features, target=target, nt_samples=count, nt_samples_batch_size=batches[1]
        )

    def perturb(kind: str) -> Callable[[int], None]:
        def run(count: int) -> None:
            with torch.no_grad():
                getattr(attr, kind)(model.module).attribute(
                    features, target=target, feature_mask=mask, n_samples=count,
                    perturbations_per_eval=batches[0],
                )  # fmt: skip

        return run

    yield "Captum IntegratedGradients", True, gradients
    yield "Captum NoiseTunnel of Saliency", True, smooth
    yield "Captum Lime", False, perturb("Lime")
    yield "Captum KernelShap", False, perturb("KernelShap")


def _evaluator(
    model: SpectralModel, probe: Probe, size: int
) -> Callable[[Tensor], np.ndarray[Any, Any]]:
    def evaluate(inputs: Tensor) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            outputs = [model.module(some) for some in inputs.split(size)]
        result: np.ndarray[Any, Any] = torch.cat(outputs)[:, probe.target.index].numpy()
        return result

    return evaluate


def _shap(
    model: SpectralModel,
    probe: Probe,
    features: Tensor,
    pieces: Tensor,
    batches: tuple[int, int],
) -> Iterator[Package]:
    shap = importlib.import_module("shap")
    evaluate, count_pieces = _evaluator(model, probe, batches[0]), int(pieces.max()) + 1

    def score(switches: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        rows = torch.from_numpy(switches).to(features).split(batches[0])
        return np.concatenate([evaluate(row[:, pieces][:, None] * features) for row in rows])

    def run(count: int) -> None:
        background = np.zeros((1, count_pieces))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            explainer = shap.KernelExplainer(score, background)
            explainer.shap_values(np.ones((1, count_pieces)), nsamples=count, silent=True, l1_reg=0)

    yield "shap KernelExplainer", False, run


def _lime(
    model: SpectralModel,
    probe: Probe,
    features: Tensor,
    pieces: Tensor,
    batches: tuple[int, int],
) -> Iterator[Package]:
    lime_image = importlib.import_module("lime.lime_image")
    evaluate = _evaluator(model, probe, batches[0])
    picture = features[0, 0].double().numpy()

    def score(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        inputs = torch.from_numpy(np.asarray(images)[..., 0]).to(features)[:, None]
        return evaluate(inputs)[:, None]

    def run(count: int) -> None:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            lime_image.LimeImageExplainer(random_state=0).explain_instance(
                np.stack([picture] * 3, axis=-1), score, top_labels=1, hide_color=0,
                num_samples=count, batch_size=batches[0],
                segmentation_fn=lambda _: pieces.numpy(),
            )  # fmt: skip

    yield "lime LimeImageExplainer", False, run
