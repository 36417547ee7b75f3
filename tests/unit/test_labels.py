"""The strongest regions of a map, as labels for sound editors."""

from __future__ import annotations

import numpy as np

from earwitness.render.labels import region_labels
from earwitness.types import Attribution, FloatArray, Mask

FREQS, TIMES = 100 * np.arange(40, dtype=np.float32), 0.5 * np.arange(60, dtype=np.float32)


def labels(values: FloatArray, kept: FloatArray | None = None, offset: float = 0.0) -> list[str]:
    gains = (values > 0 if kept is None else kept).astype(np.float32)
    mask = Mask(gains, "80%", float(gains.mean()), 1.0)
    return region_labels(Attribution(values, FREQS, TIMES), mask, "dog", offset).splitlines()


def test_regions_are_boxes_in_order_of_time_with_their_share() -> None:
    values = np.zeros((40, 60), np.float32)
    values[30:33, 4:8] = 1.0  # early and high: 12 of 40
    values[2:4, 20:34] = 1.0  # late and low: 28 of 40
    values[10, 50] = -5.0
    assert labels(values, offset=100.0) == [
        "101.750000\t103.750000\tdog 30%", "\\\t3000.00\t3200.00",
        "109.750000\t116.750000\tdog 70%", "\\\t200.00\t300.00",
    ]  # fmt: skip


def test_no_label_ends_after_the_sound() -> None:
    values = np.zeros((40, 60), np.float32)
    values[30:33, 50:] = 1.0
    mask = Mask((values > 0).astype(np.float32), "80%", 0.0, 1.0)
    found = region_labels(Attribution(values, FREQS, TIMES), mask, "dog", 100.0, 29.6)
    assert found.splitlines()[0] == "124.750000\t129.600000\tdog 100%"


def test_cells_that_touch_at_a_corner_are_one_region() -> None:
    values = np.zeros((40, 60), np.float32)
    values[5, 10] = values[6, 11] = values[5, 12] = 1.0
    assert labels(values) == ["4.750000\t6.250000\tdog 100%", "\\\t500.00\t600.00"]


def test_the_twelve_strongest_of_many_are_listed_and_none_below_one_percent() -> None:
    values = np.zeros((40, 60), np.float32)
    values[::4, ::4] = np.linspace(1, 2, 150, dtype=np.float32).reshape(10, 15)
    assert labels(values) == []  # none has 1 %
    values[0, 0:53:4] += 100
    lines = labels(values)
    assert len(lines) == 2 * 12
    assert [line.split("\t")[2] for line in lines[::2]] == ["dog 6%"] * 12  # 101 of 1,625
    starts = [float(line.split("\t")[0]) for line in lines[::2]]
    assert starts == [2 * column - 0.25 for column in range(2, 14)]


def test_the_share_is_of_the_whole_positive_map_also_outside_the_mask() -> None:
    values = np.zeros((40, 60), np.float32)
    values[1, 1], values[1, 20], values[1, 2] = 3.0, 1.0, -9.0
    kept = np.zeros_like(values)
    kept[1, 1:3] = 1
    assert labels(values, kept) == ["0.250000\t1.250000\tdog 75%", "\\\t100.00\t100.00"]


def test_nothing_kept_and_nothing_positive_have_no_labels() -> None:
    values = np.ones((40, 60), np.float32)
    assert labels(values, np.zeros_like(values)) == []
    assert labels(-values, np.ones_like(values)) == []
