"""One worker: a process that loads the model once, works on an item at a time and sends results.

It uses one thread. It ends when its parent closes the connection, asks it to stop, or ends itself,
however that happens.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any, Protocol, TypeVar

import torch
from threadpoolctl import threadpool_limits

from earwitness.errors import EarwitnessError
from earwitness.jobs.allocator import keep_memory
from earwitness.models.model import Model
from earwitness.models.registry import load_model

Item = TypeVar("Item")
Result = TypeVar("Result")
Tick = Callable[[int], None]
Work = Callable[[Model, Item, Tick], Iterator[Result]]
_PATIENCE = 10.0  # s that a worker has to clean up when it is asked to stop
_HINTS = {"SIGKILL": ", perhaps for want of memory", "SIGSEGV": ", a crash in compiled code"}


class WorkerError(EarwitnessError):
    """A worker process ended, and with it the work on an item."""


class Source(Protocol):
    """Where workers get the model from; it can be pickled."""

    def load(self) -> Model:
        """Return the model."""


@dataclass(frozen=True)
class ModelName:
    """How a worker loads the model: as ``load_model`` takes it."""

    name: str
    device: str = "cpu"

    def load(self) -> Model:
        """Return the model."""
        return load_model(self.name, device=self.device)


@dataclass(frozen=True)
class Message:
    """What a worker sends: that it is ready, the results of an item, or an error.

    Attributes
    ----------
    results : list or None
        None if it has loaded the model and waits for the first item.
    error : Exception or None
        What the work or the loading raised; the worker ends then.
    """

    results: list[Any] | None = None
    error: Exception | None = None


class Worker:
    """A worker as its parent sees it.

    Parameters
    ----------
    model : Source

    Attributes
    ----------
    connection : Connection
        Readable when there is a message, or when the worker has ended.
    ready : bool
        Whether it has loaded the model.
    item : int or None
        The number of the item that it works on.
    """

    def __init__(self, model: Source) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.ready = False
        self.item: int | None = None
        self._process = context.Process(target=_serve, args=(theirs, model))
        with _no_interrupts():
            self._process.start()
        theirs.close()  # so that the end of the worker ends the connection

    @property
    def sentinel(self) -> int:
        """What ``multiprocessing.connection.wait`` takes to wait for its end."""
        return self._process.sentinel

    def begin(self, number: int, work: Work[Any, Any], item: Any) -> None:
        """Give it an item; ``receive`` says if it has ended instead."""
        self.item = number
        with suppress(OSError):
            self.connection.send((work, item))

    def receive(self) -> Message | None:
        """Return its next message, None if there is none yet.

        Raises
        ------
        WorkerError
            If it has ended; the text says how.
        """
        gone = not self._process.is_alive()  # before the look for a last message
        try:
            if self.connection.poll():
                message: Message = self.connection.recv()
                return message
        except (EOFError, OSError):
            gone = True
        if not gone:
            return None
        self.end()
        raise WorkerError(_how(self._process.exitcode))

    @property
    def crashed(self) -> bool:
        """Whether it was ended by a signal, and not by its own code."""
        return (self._process.exitcode or 0) < 0

    def stop(self) -> None:
        """Ask it to stop at once; it cleans up what it was writing."""
        if self.item is not None or not self.ready:
            with suppress(OSError):
                self._process.terminate()
        self.connection.close()

    def end(self) -> None:
        """Wait until it has ended, and kill it if that takes long."""
        self._process.join(_PATIENCE)
        self.kill()

    def kill(self) -> None:
        """End it if it has not."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


def _serve(connection: Connection, named: ModelName) -> None:
    """Work on items until there are no more, or until it is asked to stop."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _work_through(connection, named)
        except Exception as error:
            connection.send(Message(error=_plain(error)))


def _work_through(connection: Connection, named: ModelName) -> None:
    torch.set_num_threads(1)
    keep_memory()
    model = named.load()
    threadpool_limits(1)
    connection.send(Message())
    while True:
        try:
            work, item = connection.recv()
        except EOFError:
            return
        connection.send(Message(list(work(model, item, _nothing))))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _nothing(_count: int) -> None:
    """Ignore the number of passes."""


def _plain(error: Exception) -> Exception:
    """Return an error that can be sent, with the lines that it comes from as a note."""
    trace = "".join(traceback.format_exception(error))
    try:
        found: Exception = pickle.loads(pickle.dumps(error))
    except Exception:
        found = RuntimeError(f"{type(error).__name__}: {error}")
    found.add_note(f"in a worker:\n{trace}")
    return found


def _how(code: int | None) -> str:
    """Return how a process ended, in words."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return name + _HINTS.get(name, "")


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Let processes that start meanwhile never get Ctrl-C: their parent stops them."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    resource_tracker.ensure_running()  # whose start would end the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
