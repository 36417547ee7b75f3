"""Metrics against outside implementations, and against closed forms on tiny cases."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from earwitness.errors import NotApplicableError, UnknownNameError
from earwitness.evaluation.published import lmac, pak
from earwitness.metrics.conciseness import complexity, energy, sparseness
from earwitness.metrics.curves import area_under, nested_gains
from earwitness.metrics.localisation import map_fields, relevance_mass, roc_auc, si_sdr, true_cells
from earwitness.metrics.registry import METRICS, register
from earwitness.metrics.similarity import spearman, ssim
from earwitness.metrics.sound import clicks, level
from tests.reference import slow_metrics

SHAPE = (65, 118)


def some_maps() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    soft = rng.random((3, *SHAPE)).astype(np.float32)
    soft[:, 0, 0] = 1  # Quantus divides by the largest
    return {
        "soft": soft,
        "binary": (soft > 0.95).astype(np.float32),
        "one cell": np.eye(1, soft[0].size, 77, dtype=np.float32).reshape(1, *SHAPE),
        "signed": rng.standard_normal((3, *SHAPE)).astype(np.float32),
        "faint": 1e-5 * rng.standard_normal((3, *SHAPE)).astype(np.float32),
    }


@pytest.mark.parametrize("kind", some_maps())
@pytest.mark.parametrize(("name", "ours"), [("Sparseness", sparseness), ("Complexity", complexity)])
def test_conciseness_agrees_with_quantus(kind: str, name: str, ours: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quantus

        values = some_maps()[kind]
        theirs = getattr(quantus, name)(disable_warnings=True)(
            model=None,
            x_batch=np.zeros((len(values), 1, *SHAPE)),
            y_batch=np.zeros(len(values), int),
            a_batch=values[:, None].astype(np.float64),
        )
    np.testing.assert_allclose(ours(values), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(23, 37), (6, 20), (9, 4), (2, 9), (1, 5)], ids=str)
def test_ssim_is_that_of_a_slow_version_also_on_small_planes(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    one = rng.standard_normal(shape)
    others = np.stack([one + 0.3 * rng.standard_normal(shape), -one, np.zeros(shape), one])
    wanted = [slow_metrics.ssim(one, other) for other in others]
    np.testing.assert_allclose(ssim(one, others), wanted, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ssim(one, others)[3], 1.0, atol=1e-12)


def test_ssim_of_some_frames_is_the_mean_over_windows_around_them() -> None:
    rng = np.random.default_rng(2)
    one, others = rng.standard_normal((9, 24)), rng.standard_normal((2, 9, 24))
    frames = np.zeros(24, bool)
    frames[[0, 5, 6, 15, 23]] = True
    largest = [abs(one).max(), *abs(others).max(axis=(1, 2))]
    for k, other in enumerate(others):
        total = []
        for centre in (5, 6, 15):  # no window is centred in the first or the last frame
            near = slice(centre - 3, centre + 4)
            parts = one[:, near] / largest[0], other[:, near] / largest[k + 1]
            total.append(slow_metrics.ssim_unscaled(*parts))
        np.testing.assert_allclose(ssim(one, others, frames)[k], np.mean(total), rtol=1e-9)
    assert np.isnan(ssim(one, others, np.zeros(24, bool))).all()


def test_ssim_ignores_scale_and_type() -> None:
    one, other = np.random.default_rng(1).random((2, 23, 37)).astype(np.float32)
    wanted = slow_metrics.ssim(one, other)
    found = ssim(7 * one, np.stack([other, 1e-6 * other]))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    # two flat pictures: 2 a b + c over a^2 + b^2 + c, with c = 1e-4
    flat = ssim(np.zeros((9, 9)), np.ones((1, 9, 9)))
    np.testing.assert_allclose(flat, 1e-4 / (1 + 1e-4), rtol=1e-9)


def test_spearman_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    one, others = rng.random((23, 37)).round(1), rng.random((4, 23, 37)).round(1)
    wanted = [spearmanr(one.ravel(), other.ravel()).statistic for other in others]
    np.testing.assert_allclose(spearman(one, others), wanted, rtol=0, atol=1e-12)
    assert np.isnan(spearman(one, np.ones((1, 23, 37)))).all()


def test_auc_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth, maps = rng.random((23, 37)) < 0.2, rng.random((4, 23, 37)).round(1)
    wanted = [roc_auc_score(truth.ravel(), one.ravel()) for one in maps]
    np.testing.assert_allclose(roc_auc(maps, truth), wanted, rtol=0, atol=1e-12)


TRUTH = np.array([[True, False], [True, False]])
ONE = np.array([[[3.0, 1.0], [-5.0, 0.0]]])  # 3 and -5 are true
MASK = np.array([[[1.0, 0.5], [0.5, 0.0]]])
TONE = np.array([1.0, 0.0, 1.0, 0.0])
SHARES = np.array([[0.02, 0.05, 0.3]])
SLOPE = np.arange(63.0).reshape(7, 9)
# what every metric must give for one small case, worked out by hand
CLOSED: dict[str, tuple[tuple[Any, ...], float]] = {
    "faithfulness": ((0.8, np.array([0.3])), 0.5),
    "faithfulness-logit": ((2.0, np.array([-1.0])), 3.0),
    "log-odds": ((2.0, np.array([-1.0])), 3.0),
    "average-increase": ((0.8, np.array([0.802])), 100.0),
    "average-drop": ((0.8, np.array([0.2])), 75.0),
    "average-gain": ((0.6, np.array([0.7])), 25.0),
    "fidelity": ((np.array([0.1, 0.9]), np.array([[0.4, 0.6]])), 1.0),
    "top-fidelity": ((np.array([0.1, 0.9, 0, 0]), np.array([[0.4, 0.2, 0.3, 0.1]])), 1.0),
    # sizes 2, 5 and 30 %: weights 3, 28 and 25 of 56
    "average-increase-sizes": ((0.5, np.array([[0.1, 0.4, 0.6]]), SHARES), 100 * 25 / 56),
    "average-drop-sizes": ((0.5, np.array([[0.1, 0.4, 0.6]]), SHARES), (3 * 80 + 28 * 20) / 56),
    "faithfulness-sizes": ((0.5, np.array([[0.5, 0.3, 0.1]]), SHARES), (28 * 0.2 + 25 * 0.4) / 56),
    "insertion": ((np.array([[0.0, 1.0, 1.0]]), np.array([[0.0, 0.2, 1.0]])), 0.9),
    "deletion": ((np.array([[1.0, 0.5, 0.0]]), np.array([[0.0, 0.2, 1.0]])), 0.35),
    "insertion-score": ((np.array([[1.0, 3.0, 3.0]]), np.array([[0.0, 0.5, 1.0]])), 2.5),
    "deletion-score": ((np.array([[3.0, 1.0, -1.0]]), np.array([[0.0, 0.5, 1.0]])), 1.0),
    # pairs: |1 - .5| twice, |1 - 0|, |.5 - .5|, |.5 - 0| twice: 2 * 3 / (2 * 4 * 2)
    "sparseness": ((MASK,), 3 / 8),
    "sparseness-map": ((-MASK,), 3 / 8),
    "complexity": ((MASK,), 0.5 * math.log(2) + 0.5 * math.log(4)),
    "complexity-map": ((-MASK,), 0.5 * math.log(2) + 0.5 * math.log(4)),
    "complexity-relative": ((MASK,), 0.75),
    "complexity-map-relative": ((-MASK,), 0.75),
    "area": ((MASK,), 0.5),
    "effective-area": ((MASK,), 4 / 6),  # 1, a half, a half, 0
    "effective-area-audio": ((np.array([[[0.5, 0.5], [0.0, 0.0]]]),), 0.5),
    "energy": ((MASK, np.array([[2.0, 2.0], [0.0, 1.0]])), 5 / 9),
    "relevance-mass": ((ONE, TRUTH), 0.75),
    "relevance-rank": ((ONE, TRUTH), 0.5),
    "pointing-game": ((ONE, TRUTH), 1.0),
    # positive parts 3 and 0 of true cells, 1 and 0 of others: 3 beats both, 0 ties with one
    "roc-auc": ((ONE, TRUTH), 0.625),
    "relevance-mass-time": ((np.array([[3.0, 1.0]]), np.array([True, False])), 0.75),
    "relevance-rank-time": ((np.array([[3.0, 1.0]]), np.array([True, False])), 1.0),
    "pointing-game-time": ((np.array([[3.0, 3.0]]), np.array([True, False])), 0.5),
    "roc-auc-time": ((np.array([[3.0, 3.0]]), np.array([True, False])), 0.5),
    "relevance-mass-frequency": ((np.array([[4.0, 0.0]]), np.array([False, True])), 0.0),
    "relevance-rank-frequency": ((np.array([[4.0, 0.0]]), np.array([False, True])), 0.0),
    "pointing-game-frequency": ((np.array([[4.0, 0.0]]), np.array([False, True])), 0.0),
    "roc-auc-frequency": ((np.array([[4.0, 0.0]]), np.array([False, True])), 0.0),
    "si-sdr-source": ((np.array([[7, 0.7, 7, 0.7]]), TONE), 20.0),
    "si-sdr-input": ((np.array([[7, 0.7, 7, 0.7]]), TONE), 20.0),
    "level": ((np.array([[0.1, 0.0, 0.1, 0.0]]), TONE), -20.0),
    "clicks": ((np.eye(1, 800, 400), np.zeros(800), 8000), 10.0),
    "stability-seed": ((SLOPE, 2 * SLOPE[None]), 1.0),
    "stability-noise": ((SLOPE, -SLOPE[None]), -1.0),
    "stability-encoding": ((SLOPE, SLOPE[None] ** 3), 1.0),
    "transfer": ((np.array([0.9]), np.array([0.2])), 0.7),
    "sanity-spearman": ((SLOPE, -SLOPE[None]), 1.0),
    "sanity-ssim": ((SLOPE, -3 * SLOPE[None]), 1.0),
}


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        # -1 and -2 are tied at zero, so that half of the second place is true
        ("relevance-rank", [3.0, -1.0, -2.0], 0.75),
        # 3 beats the other cell, -2 ties with it
        ("roc-auc", [3.0, -1.0, -2.0], 0.75),
        # nothing is positive: two of three cells are true
        ("pointing-game", [-3.0, -1.0, -2.0], 2 / 3),
        ("roc-auc", [-3.0, -1.0, -2.0], 0.5),
    ],
)
def test_negative_attribution_ranks_as_zero(name: str, values: list[float], wanted: float) -> None:
    truth = np.array([True, False, True])
    for suffix in ("", "-time", "-frequency"):
        (found,) = METRICS.get(name + suffix).function(np.array([values]), truth)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", [metric.name for metric in METRICS.all()])
def test_closed_form_of_a_tiny_case(name: str) -> None:
    if name == "stoi":
        pytest.skip("a perceptual model has no closed form; its identity is tested below")
    given, wanted = CLOSED[name]
    (value,) = METRICS.get(name).function(*given)
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-12)


def test_a_gain_counts_only_above_the_tolerance() -> None:
    for name in ("average-increase", "average-gain"):
        metric = METRICS.get(name)
        sure = 1 - 1e-7
        # rounding between two routes, and a rise just below and just above a thousandth
        values = metric.function(0.5, np.array([0.5 + 1e-6, 0.50099, 0.50101]))
        assert (values > 0).tolist() == [False, False, True]
        np.testing.assert_array_equal(metric.function(sure, np.array([1.0])), [0.0])
        assert metric.function(0.5, np.array([0.5001]), tolerance=1e-5) > 0
        assert metric.options == {"tolerance": 1e-3}


def test_options_are_passed_on_and_checked() -> None:
    case = {"p_input": 0.5, "p_evidence": np.array([0.5001])}
    assert METRICS.get("average-increase").of(case) == 0
    assert METRICS.get("average-increase").of(case, tolerance=1e-5) == 100
    with pytest.raises(UnknownNameError, match="did you mean 'tolerance'"):
        METRICS.get("average-increase").of(case, tolerence=1e-5)
    with pytest.raises(UnknownNameError, match="known: none"):
        METRICS.get("average-drop").of(case, tolerance=1e-5)


def test_figures_of_nothing() -> None:
    zeros = np.zeros((1, 3, 4))
    np.testing.assert_array_equal(sparseness(zeros), [0.0])
    np.testing.assert_array_equal(complexity(zeros), [np.nan])
    np.testing.assert_array_equal(energy(zeros, np.zeros((3, 4))), [0.0])
    assert np.isnan(si_sdr(np.ones((1, 4)), np.zeros(4))).all()
    assert si_sdr(np.zeros((1, 4)), TONE) < -1000
    assert level(np.zeros((1, 4)), TONE) == -np.inf
    assert np.isnan(level(np.zeros((1, 4)), np.zeros(4))).all()
    assert relevance_mass(-np.ones((1, 2, 2)), TRUTH) == 0.0
    assert np.isnan(roc_auc(ONE, np.ones((2, 2), bool))).all()
    drop = METRICS.get("average-drop").function
    np.testing.assert_array_equal(drop(0.0, np.array([0.3])), [0.0])


def test_a_model_that_says_the_same_of_everything_is_not_faithful_by_chance() -> None:
    same = np.full(4, 0.25)
    assert METRICS.get("fidelity").function(same, same[None]) == 0.0


def test_nested_masks() -> None:
    values = np.array([[5.0, 1.0, 1.0], [-2.0, 3.0, 0.0]])
    gains, shares = nested_gains(values, 4)
    np.testing.assert_array_equal(gains[0], np.zeros((2, 3)))
    np.testing.assert_array_equal(gains[1], [[1, 0, 0], [0, 1, 0]])
    # the third and fourth cell are equal, and come together
    np.testing.assert_array_equal(gains[2], [[1, 1, 1], [0, 1, 0]])
    np.testing.assert_array_equal(gains[3], np.ones((2, 3)))
    np.testing.assert_allclose(shares, [0, 2 / 6, 4 / 6, 1])
    # a map that orders nothing: a straight line from silence to the input
    flat, steps = nested_gains(np.ones((2, 3)), 4)
    np.testing.assert_array_equal(steps, [0, 1, 1, 1])
    np.testing.assert_allclose(area_under(flat.mean(axis=(1, 2))[None], steps[None]), [0.5])


def test_maps_over_time_and_frequency_sum_what_is_positive() -> None:
    fields = map_fields(ONE)  # 3, 1 over -5, 0
    np.testing.assert_array_equal(fields["maps_time"], [[3, 1]])
    np.testing.assert_array_equal(fields["maps_frequency"], [[4, 0]])


def test_true_cells_go_by_energy() -> None:
    source, rest = np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 2.0], [2.0, 0.0]])
    found = true_cells(source, rest)
    np.testing.assert_array_equal(found["truth"], [[True, False], [False, True]])
    np.testing.assert_array_equal(found["truth_time"], [True, False])  # 9 to 8, 1 to 4
    np.testing.assert_array_equal(found["truth_frequency"], [True, False])  # 9 to 8, 1 to 4


def test_clicks_of_known_sounds() -> None:
    rate = 16000
    time = np.arange(rate) / rate
    tone = np.sin(2 * np.pi * 440 * time)
    noise = 0.3 * np.random.default_rng(0).standard_normal(rate)
    clicked = tone.copy()
    clicked[[2000, 2002, 8000, 12000]] += 0.8  # two of them so close that they sound as one
    sounds = np.stack([tone, noise, clicked, 1e-3 * tone])
    np.testing.assert_array_equal(clicks(sounds, tone, rate), [0, 0, 3, 0])
    # those the input has itself do not count
    assert clicks(clicked[None], clicked, rate) == 0
    cut = np.where(time < 0.5003, tone, 0)
    assert clicks(cut[None], tone, rate) == 1


def published_case() -> dict[str, Any]:
    gains = np.stack([np.full((2, 4), 0.5), np.eye(2, 4)]).astype(np.float32)
    return {
        "all_input": np.array([0.4, 0.25, 0.35]),
        "all_evidence": np.array([[0.4 + 1e-9, 0.25, 0.35], [0.02, 0.9, 0.08]]),
        "all_remainder": np.array([[0.1, 0.8, 0.1], [0.3, 0.4, 0.3]]),
        "gains": gains,
    }


def test_pak_and_teryokhina_as_published() -> None:
    found = pak(published_case())
    wanted = {
        "FF": [0.3, 0.1],
        "AI": [100, 0],  # a rise of 1e-9 counts
        "AD": [0, 100 * 0.38 / (0.4 + 1e-6)],
        "AG": [100 * 1e-9 / (0.6 + 1e-6), 0],
        "FidIn": [1, 0],
        "SPS": [0, 0.75],  # a constant mask gets 0 and 0, and the latter is the best there is
        "COMP": [0, math.log(2)],
    }
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-15, err_msg=name)


def test_lmac_as_published() -> None:
    case = published_case()
    found = lmac(case)

    def twice(p: list[float]) -> float:
        return math.exp(p[0]) / sum(math.exp(one) for one in p)

    before, after = twice([0.4, 0.25, 0.35]), twice([0.02, 0.9, 0.08])
    np.testing.assert_allclose(
        found["AD"], [0, 100 * (before - after) / (before + 1e-10)], rtol=1e-9, atol=1e-6
    )
    assert (found["AI"] == [100, 0]).all()
    np.testing.assert_allclose(found["AG"], [100 * 1e-9 / 0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(found["FF"], [0.3, 0.1])
    np.testing.assert_allclose(found["COMP"], [math.log(8), math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(found["SPS"], [0, 0.75], atol=1e-6)


def test_the_double_softmax_hides_a_drop() -> None:
    # fifty classes: 0.40 to 0.02 is a drop of 95 %, and published as some 31 %
    def answers(p: float) -> np.ndarray:
        return np.array([p] + [(1 - p) / 49] * 49)

    case = {
        "all_input": answers(0.4),
        "all_evidence": answers(0.02)[None],
        "all_remainder": answers(0.02)[None],
        "gains": np.eye(2)[None],
    }
    assert 31 < lmac(case)["AD"][0] < 32
    np.testing.assert_allclose(pak(case)["AD"], 95.0, rtol=1e-4)
    np.testing.assert_allclose(METRICS.get("average-drop").function(0.4, np.array([0.02])), 95.0)


def test_speech_scores_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystoi", None)
    with pytest.raises(NotApplicableError, match=r"pip install 'earwitness\[speech\]'"):
        METRICS.get("stoi").function(np.zeros((1, 16000)), np.zeros(16000), 16000)


def test_speech_scores_rank_noise() -> None:
    pytest.importorskip("pystoi")
    rng = np.random.default_rng(0)
    time = np.arange(3 * 16000) / 16000
    voice = np.sin(2 * np.pi * 200 * time) * (1 + np.sin(2 * np.pi * 4 * time))
    voice += 0.5 * rng.standard_normal(len(time)) * (1 + np.cos(2 * np.pi * 3 * time))
    noise = 2 * rng.standard_normal(len(time))
    sounds = np.stack([voice, voice + noise, noise])
    truth, chance, falsehood = METRICS.get("stoi").function(sounds, voice, 16000)
    np.testing.assert_allclose(truth, 1.0, atol=1e-4)
    assert truth > chance > falsehood


def test_a_metric_of_unknown_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="'loudness', which is not a field"):

        @register("new", summary="none", family="sound", direction=None)
        def new(loudness: Any) -> Any:
            return loudness
