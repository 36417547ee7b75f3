"""Estimators and pipelines of scikit-learn on features: black boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.errors import ModelError, reason
from earwitness.files import digest_of
from earwitness.models.adapters.python import made_by
from earwitness.models.adapters.registry import need_rate, register
from earwitness.models.adapters.torchscript import need_trust
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap

_WAYS = (("predict_proba", "probabilities"), ("decision_function", "logits"), ("predict", "scores"))

_PAIR = 2  # classes, of which there is one pair


@register(
    "sklearn",
    place="FILE.joblib",
    summary="a scikit-learn estimator or pipeline on features; the file is a program",
    suffixes=(".joblib", ".pkl"),
)
def from_sklearn(
    file: str, facts: dict[str, Any], *, trust_code: bool = False, features: str | None = None
) -> Model:
    """Load an estimator; labels are its classes, outputs its probabilities if it has any.

    Parameters
    ----------
    trust_code : bool
        That code in the file may run; joblib unpickles it.
    features : str
        FILE.py:FUNCTION, from waveforms, an array (batch, samples), to features (batch, feature).
        By default the estimator takes the waveforms.
    """
    import joblib
    from sklearn.base import ClusterMixin  # takes a while to import

    name, path = f"sklearn:{file}", Path(file)
    need_rate(facts, name)
    if not path.is_file():
        raise ModelError(f"{name}: no such file")
    need_trust(name, trust_code)
    try:
        estimator = joblib.load(path)
    except Exception as error:  # of any kind, from a file that may hold anything
        raise ModelError(f"{name}: cannot be loaded: {reason(error)}") from error
    way = next(((one, kind) for one, kind in _WAYS if hasattr(estimator, one)), None)
    if way is None:
        raise ModelError(f"{name}: holds {type(estimator).__name__}, which predicts nothing")
    method, output = way
    last = getattr(estimator, "steps", [(None, estimator)])[-1][1]
    kind, classes = type(last).__name__, getattr(estimator, "classes_", None)
    if isinstance(last, ClusterMixin):
        raise ModelError(f"{name}: {kind} gives numbers of clusters and no scores")
    if classes is not None and any(np.ndim(one) for one in classes):
        raise ModelError(f"{name}: {kind} has several targets; save an estimator for each")
    pairs = method == "decision_function" and getattr(last, "decision_function_shape", "") == "ovo"
    if pairs and classes is not None and len(classes) > _PAIR:
        raise ModelError(
            f"{name}: {kind} gives a value for each pair of classes; set "
            "decision_function_shape='ovr' and save it again"
        )
    if method == "decision_function" and classes is None:
        output = "scores"  # of one class, as of an IsolationForest
    if method == "predict" and hasattr(estimator, "classes_"):
        raise ModelError(
            f"{name}: {type(estimator).__name__} gives decisions and no scores; train one with "
            "predict_proba or decision_function (an SVC with probability=True)"
        )
    known = {"output": output, **facts}
    if hasattr(estimator, "classes_"):
        known.setdefault("labels", [str(one) for one in estimator.classes_])
    compute = _features(features, name)
    predict = getattr(estimator, method)

    def evaluate(waves: Any) -> Any:
        found = np.asarray(predict(compute(waves)))
        if output == "logits" and found.ndim == 1:  # of two classes
            return np.stack([-found / 2, found / 2], axis=1)
        return found

    model = wrap(evaluate, name=path.stem, **known)
    files = [path] if features is None else [path, Path(features.rpartition(":")[0])]
    model.source = digest_of(files)
    return model


def _features(place: str | None, name: str) -> Callable[[Any], Any]:
    """Return the function that computes features; that of waveforms themselves by default."""
    if place is None:
        return lambda waves: waves
    file, colon, function = place.rpartition(":")
    if not colon or not Path(file).is_file():
        raise ModelError(f"{name}: features are FILE.py:FUNCTION, got {place}")
    return made_by(name, Path(file), function)
