"""Long commands at the terminal: how they are stopped, and what they say while they run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from earwitness.cli.options import say

_EVERY = 60.0  # s between two lines of progress where there is no terminal


@contextmanager
def stoppable() -> Iterator[None]:
    """Treat a request to end, or a terminal that is closed, like Ctrl-C.

    A hang-up that is ignored already (``nohup``) stays ignored.
    """
    kinds = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {kind: signal.getsignal(kind) for kind in kinds}
    for kind, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(kind, signal.default_int_handler)
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def line_a_minute(text: Callable[[], str]) -> Iterator[None]:
    """Print a line on the progress every minute."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_EVERY):
            say(text())

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
