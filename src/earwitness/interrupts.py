"""Short work that Ctrl-C must not leave half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Let signals such as Ctrl-C wait for the end of the context; in the main thread only."""
    handlers = {}
    came: list[int] = []
    try:
        if threading.current_thread() is threading.main_thread():  # where Python handles signals
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                kind = getattr(signal, name, None)  # no SIGHUP on Windows
                if kind is not None and callable(handler := signal.getsignal(kind)):
                    handlers[kind] = handler
                    signal.signal(kind, lambda number, _frame: came.append(number))
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)
        for number in came:
            signal.raise_signal(number)
