"""Audio classifiers of transformers, and zero-shot classification by CLAP."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import EarwitnessError, ModelError, ParameterError, reason
from earwitness.models.adapters.extractors import FRONT_ENDS, longest_seconds
from earwitness.models.adapters.registry import quiet_loggers, register
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap

_FEWEST_FRAMES = 4  # of a convolutional encoder
_AGREE = 1e-4  # largest difference between front end and extractor
_TRIED = 1.3  # s of the noise that both are tried on
_PART = 0.65  # of the longest sound; the rest is padded
_TASKS = {"multi_label_classification": "multi-label", "regression": "regression"}


@register(
    "hf",
    place="OWNER/NAME",
    summary="an audio classifier of Hugging Face, or a folder of one; CLAP with labels of your own",
    needs=("transformers",),
    extra="hf",
)
def from_hugging_face(
    place: str, facts: dict[str, Any], *, template: str = "This is a sound of {}."
) -> Model:
    """Load a model by name or from a folder; labels, rate, lengths and task are its own.

    Parameters
    ----------
    template : str
        Sentence that a label stands in, for zero-shot classification.
    """
    import transformers

    name = f"hf:{place}"
    if place.startswith((".", "/", "~")) and not os.path.isdir(place):
        raise ModelError(f"{name}: no such folder")
    if "sample_rate" in facts:
        raise ParameterError(f"{name}: the sampling rate is that of its feature extractor")
    network: nn.Module
    with _quiet(), _in_one_line(name):
        config = transformers.AutoConfig.from_pretrained(place)
        extractors: Any = transformers.AutoFeatureExtractor
        extractor = extractors.from_pretrained(place)
        if config.model_type == "clap":
            network = _zero_shot(name, place, facts.get("labels"), template)
            known: dict[str, Any] = {}
        else:
            network, known = _classifier(name, place, config)
        rate = int(extractor.sampling_rate)
        own = _shortest(config, extractor, rate), longest_seconds(extractor)
        front_end = _front_end(extractor, rate)
    known |= {"sample_rate": rate, "name": os.path.basename(place.rstrip("/\\"))} | facts
    known["lengths"] = _limits(name, *own, *facts.get("lengths", (None, None)))
    if front_end is not None:
        return wrap(network.eval(), features=front_end, **known)
    if isinstance(network, ZeroShot):
        raise ModelError(f"{name}: its {type(extractor).__name__} computes other features here")
    model = wrap(_whole(network.eval(), extractor, rate), **known)
    model.notes = (
        f"{type(extractor).__name__} is not known as a differentiable front end: a black box",
    )
    return model


@contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """Turn the errors of transformers, which are of many kinds, into one line."""
    try:
        yield
    except EarwitnessError:
        raise
    except Exception as error:  # safetensors, pickle and the check of settings have their own
        raise ModelError(f"{name}: cannot be loaded: {reason(error)}") from error


def _limits(
    name: str, own_least: float | None, own_most: float | None,
    shortest: float | None, longest: float | None,
) -> tuple[float | None, float | None]:  # fmt: skip
    """Return the lengths in seconds: those given, and its own for what was not given."""
    if own_most is not None and longest is not None and longest > own_most:
        raise ParameterError(
            f"{name}: its feature extractor reads {own_most:g} s and no more, "
            f"got longest={longest:g}"
        )
    return shortest or own_least, longest or own_most


def _classifier(name: str, place: str, config: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Return a classifier, and its labels and task."""
    import transformers

    kind = transformers.AutoModelForAudioClassification
    network, info = kind.from_pretrained(
        place, output_loading_info=True, ignore_mismatched_sizes=True
    )
    wrong = sorted(info["missing_keys"]) + [key for key, *_ in info["mismatched_keys"]]
    if wrong:
        kinds = getattr(config, "architectures", None) or ["model without a head"]
        raise ModelError(
            f"{name}: has no trained classifier ({wrong[0]} is missing or of another size): it is "
            f"saved as {kinds[0]}; load another task with transformers, and give it to "
            "earwitness.wrap"
        )
    known: dict[str, Any] = {"labels": config.id2label}
    task = _TASKS.get(config.problem_type or "", "single-label")
    known |= {"task": task, "output": "scores" if task == "regression" else "logits"}
    return network, known


def _shortest(config: Any, extractor: Any, rate: int) -> float | None:
    """Return the least length in seconds: some frames of the encoder, or one window."""
    kernels, strides = getattr(config, "conv_kernel", None), getattr(config, "conv_stride", None)
    if kernels is None or strides is None:
        return 400 / rate if type(extractor).__name__ == "ASTFeatureExtractor" else None
    samples = _FEWEST_FRAMES * int(getattr(config, "squeeze_factor", 1))
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples / rate


def _front_end(extractor: Any, rate: int) -> nn.Module | None:
    """Return the differentiable front end of an extractor, if there is one that agrees with it."""
    make = FRONT_ENDS.get(type(extractor).__name__)
    if make is None:
        return None
    front_end = make(extractor)
    longest = longest_seconds(extractor) or _TRIED
    samples = round(min(_TRIED, _PART * longest) * rate)
    noise = 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = front_end(noise)[0]
    wanted = _extracted(extractor, noise[0].numpy(), rate)
    wanted = wanted[next(iter(wanted))][0]
    same = found.shape == wanted.shape and float((found - wanted).abs().max()) <= _AGREE
    return front_end if same else None


def _extracted(extractor: Any, wave: Any, rate: int) -> dict[str, Any]:
    with _quiet():
        return dict(extractor(wave, sampling_rate=rate, return_tensors="pt"))


def _whole(network: nn.Module, extractor: Any, rate: int) -> Any:
    """Return extractor and network as a function on numpy arrays."""

    def evaluate(waves: Any) -> Any:
        outputs = []
        for wave in waves:
            with torch.no_grad():
                outputs.append(network(**_extracted(extractor, wave, rate)).logits[0])
        return torch.stack(outputs).float().numpy()

    return evaluate


class ZeroShot(nn.Module):
    """CLAP's audio encoder against the embeddings of labels, as logits.

    Parameters
    ----------
    model : ClapModel
    text : Tensor, shape (label, dimension)
        Of unit length.
    """

    text: Tensor

    def __init__(self, model: Any, text: Tensor) -> None:
        super().__init__()
        self.audio_model, self.projection = model.audio_model, model.audio_projection
        self.scale = float(model.logit_scale_a.exp())
        self.register_buffer("text", text)

    def forward(self, input_features: Tensor) -> Tensor:
        """Map features (batch, channel, frame, mel) to logits (batch, label)."""
        longer = torch.ones(
            len(input_features), 1, dtype=torch.bool, device=input_features.device
        )  # what the extractor says of a single sound
        pooled = self.audio_model(input_features=input_features, is_longer=longer)[1]
        audio = nn.functional.normalize(self.projection(pooled), dim=-1)
        logits: Tensor = self.scale * audio @ self.text.T
        return logits


def _zero_shot(name: str, place: str, labels: Any, template: str) -> ZeroShot:
    import transformers

    if not labels or len(labels) < 2:
        raise ModelError(
            f"{name}: classifies by labels of your own; give two or more, as in "
            f"{name}?labels=dog,rain"
        )
    if "{}" not in template:
        raise ParameterError(f"template has {{}} where the label stands, got {template!r}")
    kind: Any = transformers.ClapModel
    model = kind.from_pretrained(place).eval()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(place)
    names = labels.values() if isinstance(labels, dict) else labels
    sentences = [template.replace("{}", str(one)) for one in names]
    tokens = tokenizer(sentences, padding=True, return_tensors="pt")
    with torch.no_grad():
        pooled = model.text_model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )[1]
        text = nn.functional.normalize(model.text_projection(pooled), dim=-1)
    if len(text.unique(dim=0)) < len(text):
        raise ModelError(
            f"{name}: some labels have the same embedding, and so the same score; the files of its "
            "tokenizer (vocab.json, merges.txt or tokenizer.json) are missing, or do not know them"
        )
    return ZeroShot(model, text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing, for a while."""
    import transformers

    logging: Any = transformers.utils.logging
    level = logging.get_verbosity()
    bar = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    state = np.random.get_state()  # noqa: NPY002 - CLAP's extractor draws
    try:
        with quiet_loggers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
