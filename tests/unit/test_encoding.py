"""Sounds encoded, and orders drawn, while the user interrupts."""

from __future__ import annotations

import signal
from collections.abc import Callable
from io import BytesIO
from itertools import islice
from threading import Thread
from typing import Any

import numpy as np
import pytest

from earwitness.evaluation import orders
from earwitness.render import encoding

CODES = np.arange(-4000, 4000, dtype=np.int32)
WAVE = (CODES / 8000).astype(np.float32)
ENCODERS = [
    pytest.param(lambda: encoding.encode_flac(CODES, 16000, 16), id="flac"),
    pytest.param(lambda: encoding.encode_vorbis(WAVE, 16000, 0.5), id="vorbis"),
]
FLAC = encoding.encode_flac(CODES, 16000, 16)
DECODED = pytest.param(lambda: encoding.decode(FLAC), id="decode")


class Interrupted(BytesIO):
    """Memory in whose every use Ctrl-C is pressed."""

    def write(self, data: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return super().write(data)  # type: ignore[arg-type]

    def readinto(self, data: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return super().readinto(data)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("work", [*ENCODERS, DECODED])
def test_ctrl_c_during_a_callback_stops(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(encoding, "BytesIO", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("work", ENCODERS)
def test_a_waiting_interrupt_costs_no_sample(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], bytes]
) -> None:
    whole = len(work())
    made: list[Interrupted] = []
    monkeypatch.setattr(encoding, "BytesIO", lambda: made.append(Interrupted()) or made[0])
    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(made[0].getvalue()) == whole


def test_ctrl_c_costs_no_random_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(islice(orders._Phases((5, 6), 0), 2))
    draw, phases = orders._random_phases, orders._Phases((5, 6), 0)

    def interrupted(*given: Any) -> Any:
        found = draw(*given)
        signal.raise_signal(signal.SIGINT)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(orders, "_random_phases", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(iter(phases))
    np.testing.assert_array_equal(list(islice(phases, 2)), whole)


def test_threads_encode_too() -> None:
    found: list[np.ndarray] = []
    thread = Thread(
        target=lambda: found.append(encoding.decode(encoding.encode_flac(CODES, 16000, 24)))
    )
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found[0] * 2**23, CODES)
