"""Dictionaries of spectral patterns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.decomposition import NMF, non_negative_factorization

from earwitness.decoders.dictionary import (
    Array,
    DictionarySettings,
    batches,
    fit_activations,
    frames_of,
    learn_patterns,
    log_magnitude,
    peak_freqs,
    relative_error,
    unit_columns,
)
from earwitness.errors import ParameterError
from earwitness.train.contamination import Sounds
from earwitness.train.interpreters.dictionary import learn_dictionary
from tests.toys import RATE, REGIONS, TOY_PLANE
from tests.training import coarse

EXACT = DictionarySettings(components=3, sparsity=0.0, passes=40, tolerance=1e-6, batch=256)


def planted(seed: int = 0, frames: int = 600) -> tuple[Array, Array]:
    """Return three patterns (freq, component) and sparse mixtures of them (freq, frame)."""
    rng = np.random.default_rng(seed)
    bins = np.arange(40)[:, None]
    patterns = np.exp(-0.5 * ((bins - np.array([8, 18, 30])) / np.array([2, 3, 4])) ** 2)
    activations = rng.gamma(0.5, 1.0, (3, frames)) * (rng.random((3, frames)) < 0.6)
    return patterns.astype(np.float32), (patterns @ activations).astype(np.float32)


@pytest.mark.parametrize("divergence", ["euclidean", "kl"])
def test_planted_patterns_are_found(divergence: str) -> None:
    patterns, values = planted()
    settings = DictionarySettings(**{**EXACT.__dict__, "divergence": divergence})
    found = list(learn_patterns(([values.T] for _ in range(40)), 3, settings))
    last, error = found[-1]
    np.testing.assert_allclose(np.linalg.norm(last, axis=0), 1.0, rtol=1e-5)
    truth = patterns / np.linalg.norm(patterns, axis=0)
    alike = (truth.T @ last).max(axis=1)
    np.testing.assert_allclose(alike, 1.0, atol=0.02)
    assert error < 0.01
    assert error < 0.2 * found[0][1]  # and the passes led there


def test_the_error_on_other_sounds_is_nearly_that_of_a_full_factorisation() -> None:
    rng = np.random.default_rng(1)
    noise = rng.gamma(2.0, 0.05, (40, 1200)).astype(np.float32)
    values = planted(0, 600)[1] + noise[:, :600]
    others = planted(5, 600)[1] + noise[:, 600:]
    *_, (found, _) = learn_patterns(([values.T] for _ in range(40)), 3, EXACT)
    whole = NMF(3, init="nndsvda", max_iter=2000, tol=1e-6).fit(values.T).components_.T
    errors = []
    for patterns in (found, whole):
        fitted, _, _ = non_negative_factorization(
            others.T, H=np.ascontiguousarray(patterns.T, dtype=np.float32), n_components=3,
            update_H=False, max_iter=2000,
        )  # fmt: skip
        errors.append(((others - patterns @ fitted.T) ** 2).sum())
    assert errors[0] < 1.03 * errors[1]


def test_activations_are_those_of_least_squares_with_the_patterns_fixed() -> None:
    patterns, values = planted(2, 30)
    values = values + 0.1 * np.random.default_rng(3).random(values.shape).astype(np.float32)
    found = fit_activations(values, patterns, EXACT)
    wanted = np.stack([nnls(patterns.astype(float), column)[0] for column in values.T], axis=1)
    np.testing.assert_allclose(found, wanted, atol=0.01)
    theirs, _, _ = non_negative_factorization(
        values.T, H=np.ascontiguousarray(patterns.T), n_components=3, update_H=False, tol=1e-6,
        max_iter=2000,
    )  # fmt: skip
    np.testing.assert_allclose(found, theirs.T, atol=0.01)


def test_activations_of_the_divergence_satisfy_its_conditions() -> None:
    patterns, values = planted(2, 30)
    values += 0.05
    settings = DictionarySettings(**{**EXACT.__dict__, "divergence": "kl"})
    found = fit_activations(values, patterns, settings).astype(float)
    ratio = values / (patterns @ found)
    # the derivative of sum v log(v / wh) - v + wh is zero where h is positive
    slope = patterns.sum(axis=0)[:, None] - patterns.T @ ratio
    np.testing.assert_allclose(slope[found > 0.05], 0.0, atol=0.1)


def test_columns_are_scaled_and_their_activations_inversely() -> None:
    rng = np.random.default_rng(0)
    patterns, activations = rng.random((9, 4)), rng.random((4, 7))
    patterns[:, 2] = 0
    one, other = unit_columns(patterns, activations)
    np.testing.assert_allclose(np.linalg.norm(one, axis=0), 1.0, rtol=1e-6)
    assert one.shape == (9, 3)  # a column of zeros would be a flat pattern that nobody can name
    assert other is not None
    np.testing.assert_allclose(one @ other, patterns @ activations, rtol=1e-5)


def test_a_penalty_makes_activations_sparse() -> None:
    rng = np.random.default_rng(4)
    values = planted(0, 600)[1] + rng.gamma(1.0, 0.1, (40, 600)).astype(np.float32)
    zeros = []
    for sparsity in (0.0, 0.02):
        settings = DictionarySettings(**{**EXACT.__dict__, "sparsity": sparsity, "passes": 10})
        *_, (patterns, _) = learn_patterns(([values.T] for _ in range(10)), 6, settings)
        fitted = fit_activations(values, patterns, settings)
        zeros.append(float((fitted < 1e-3 * fitted.max()).mean()))
    assert zeros[1] > zeros[0] + 0.05


def test_batches_hold_all_frames_once_and_no_more_than_their_size() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.random((n, 3)).astype(np.float32) for n in (5, 17, 2, 9, 3)]
    parts[2][:] = 0  # silence
    found = list(batches(iter(parts), 8))
    assert [len(one) for one in found] == [8, 8, 8, 8]  # the last 2 of 34 frames are too few
    wanted = np.concatenate([parts[k] for k in (0, 1, 3, 4)])[:32]
    np.testing.assert_array_equal(np.concatenate(found), wanted)
    assert [len(one) for one in batches(iter([parts[0][:3]]), 8)] == [3]


def test_frames_are_read_as_they_are_needed() -> None:
    given = []

    def frames() -> object:
        for k in range(100):
            given.append(k)
            yield np.ones((10, 3), np.float32)

    some = batches(frames(), 20)
    next(some)
    assert given == [0, 1]


def test_learning_is_seeded_and_refuses_what_it_cannot_learn_from() -> None:
    values = planted()[1]
    first, second = (
        list(learn_patterns(([values.T] for _ in range(2)), 3, EXACT))[-1] for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    with pytest.raises(ParameterError, match="2 frames are too few to learn 3 patterns"):
        list(learn_patterns([[values.T[:2] + 1]], 3, EXACT))
    with pytest.raises(ParameterError, match="sounds are silent"):
        list(learn_patterns([[np.zeros((9, 40), np.float32)]], 3, EXACT))
    harsh = DictionarySettings(**{**EXACT.__dict__, "sparsity": 10.0})
    with pytest.raises(ParameterError, match="a sparsity of 10 leaves no pattern"):
        list(learn_patterns(([values.T] for _ in range(9)), 3, harsh))
    with pytest.raises(ParameterError, match="divergence is euclidean or kl, got 'itakura'"):
        DictionarySettings(divergence="itakura")
    with pytest.raises(ParameterError, match="sparsity must be 0 or more, got -1"):
        DictionarySettings(sparsity=-1)
    with pytest.raises(ParameterError, match="needs components"):
        DictionarySettings(components=0, per_class=0)


def test_values_are_logarithms_of_a_plain_transform_of_sounds_of_peak_one() -> None:
    rng = np.random.default_rng(0)
    wave = 0.03 * rng.standard_normal(2000)
    waves = torch.from_numpy(np.stack([wave, 7 * wave])).float()
    found = log_magnitude(TOY_PLANE.analyse(waves).abs(), waves, TOY_PLANE).numpy()
    frame, n = 5, TOY_PLANE.n_fft
    start = frame * TOY_PLANE.hop - n // 2
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    spectrum = np.abs(np.fft.rfft(window * wave[start : start + n] / np.abs(wave).max()))
    np.testing.assert_allclose(found[0, :, frame], np.log1p(spectrum), atol=1e-4)
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)  # the level does not matter
    np.testing.assert_array_equal(frames_of(torch.from_numpy(found))[frame], found[0, :, frame])


def test_errors_and_peaks_by_hand() -> None:
    values = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)
    patterns, activations = np.eye(2, dtype=np.float32), np.diag([3.0, 2.0]).astype(np.float32)
    assert relative_error(values, patterns, activations) == 4 / 25
    assert relative_error(0 * values, patterns, 0 * activations) == 0.0
    peaks = torch.zeros(TOY_PLANE.bins, 2)
    peaks[16, 0] = peaks[100, 1] = 1.0
    assert peak_freqs(peaks, TOY_PLANE).tolist() == [1000.0, 6250.0]


def test_patterns_of_classes_and_of_noise(sounds: list[Path]) -> None:
    model = coarse()
    settings = DictionarySettings(components=2, per_class=1, noise=1, passes=8, batch=1024,
                                  sparsity=0.0)  # fmt: skip
    told: list[tuple[str, int]] = []
    dictionary, groups = learn_dictionary(
        model, Sounds(sounds[:12], RATE), settings, 24000, noise=sounds[12:13],
        on_pass=lambda group, number, _error: told.append((group, number)),
    )  # fmt: skip
    assert groups == (("all sounds", 2), ("high", 1), ("low", 1), ("noise", 1))
    assert dictionary.shape == (model.plane.bins, 5)
    freqs, power = model.plane.freqs(), dictionary.square()
    for k, own, other in ((2, 0, 1), (3, 1, 0), (4, 0, 1)):
        inside, outside = (
            float(power[(freqs >= low) & (freqs <= high), k].sum())
            for _, _, low, high in (REGIONS[own], REGIONS[other])
        )
        assert inside > 0.5
        assert outside < 0.1
    assert told[0] == ("all sounds", 1)
    assert {group for group, _ in told} == {"all sounds", "high", "low", "noise"}
    with pytest.raises(ParameterError, match="patterns of noise need a folder"):
        learn_dictionary(model, Sounds(sounds[:12], RATE), settings, 24000)


def test_patterns_that_a_penalty_leaves_out_are_not_counted(
    sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fewer(_passes: object, count: int, _settings: object) -> Iterator[tuple[Array, float]]:
        yield np.eye(TOY_PLANE.bins, count, dtype=np.float32), 0.5
        yield np.eye(TOY_PLANE.bins, count - 1, dtype=np.float32), 0.4

    monkeypatch.setattr("earwitness.train.interpreters.dictionary.learn_patterns", fewer)
    settings = DictionarySettings(components=5, per_class=2)
    dictionary, groups = learn_dictionary(coarse(), Sounds(sounds[:12], RATE), settings, 24000)
    assert groups == (("all sounds", 4), ("high", 1), ("low", 1))
    assert dictionary.shape == (TOY_PLANE.bins, 6)
