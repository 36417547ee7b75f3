from __future__ import annotations

import numpy as np
import pytest
import torch

from earwitness.methods.pieces import grid
from earwitness.plane.mel import hz_to_mel
from earwitness.probe import Probe
from tests.toys import spectral


def probe(samples: int) -> Probe:
    model = spectral()
    return Probe(model, torch.zeros(samples), model.target(torch.zeros(2), 0))


@pytest.mark.parametrize(("segments", "bands"), [(1, 1), (5, 3), (12, 8)])
def test_every_cell_is_in_the_piece_of_its_time_and_its_mel(segments: int, bands: int) -> None:
    where = probe(24000)
    labels = grid(where, segments, bands).numpy()
    column = np.minimum(where.times.numpy() / 1.5 * segments, segments - 1).astype(int)
    mel = hz_to_mel(where.freqs.double()).numpy()
    row = np.minimum(mel / mel[-1] * bands, bands - 1).astype(int)
    wanted = row[:, None] * segments + column[None, :]
    assert (labels == wanted).mean() > 0.98  # cells on an edge may fall to either side
    assert set(np.unique(labels)) == set(range(segments * bands))


def test_there_are_four_segments_a_second_up_to_twenty() -> None:
    assert int(grid(probe(16000), 0, 1).max()) + 1 == 4
    assert int(grid(probe(160000), 0, 1).max()) + 1 == 20


def test_small_planes_have_fewer_pieces_and_no_empty_one() -> None:
    labels = grid(probe(801), 40, 200).numpy()
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
