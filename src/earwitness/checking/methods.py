"""Which methods apply to a model, with the time and memory that one explanation takes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from earwitness.errors import EarwitnessError
from earwitness.methods.registry import METHODS, Method
from earwitness.models.target import make_target
from earwitness.probe import Probe
from earwitness.subject import Subject

_FEW = {"steps": 4, "samples": 40, "iterations": 4, "draws": 4, "masks": 40}
_WHOLE = ("integrated-gradients",)  # tried with all its steps: its gap decides what is recommended
_TIMED = 8  # inputs in the batch whose time is that of a pass
_POLL = 0.005  # s between two looks at the memory
_GAP = 0.05  # share of the change of score; a larger completeness gap is no recommendation


@dataclass(frozen=True)
class Trial:
    """A method that was tried on a model.

    Attributes
    ----------
    name : str
    reason : str
        Why it does not apply; empty if it does.
    seconds : float or None
        Estimate for one explanation with default options.
    megabytes : float or None
        Memory that it took beyond what the process had; None where that cannot be measured.
    gap : float or None
        Completeness gap of a method that promises a sum.
    """

    name: str
    reason: str = ""
    seconds: float | None = None
    megabytes: float | None = None
    gap: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "method": self.name,
            "applies": not self.reason,
            "reason": self.reason,
            "seconds": self.seconds,
            "megabytes": self.megabytes,
            "completeness_gap": self.gap,
        }


def try_methods(subject: Subject) -> list[Trial]:
    """Try every method without training on a sound, with few steps, and scale up its time."""
    methods = [one for one in METHODS.all() if not one.control and not one.needs_training]
    _ = subject.outputs
    passing = _pass_seconds(subject)
    return [_try(subject, method, passing) for method in methods]


def _pass_seconds(subject: Subject) -> float:
    """Return the seconds of one of several forward passes."""
    batch = subject.wave.expand(_TIMED, -1)
    times = []
    with subject.model.undisturbed(), torch.no_grad():
        for _ in range(2):
            began = time.perf_counter()
            subject.model(batch)
            times.append(time.perf_counter() - began)
    return min(times) / _TIMED


def _try(subject: Subject, method: Method, passing: float) -> Trial:
    model = subject.model
    few = {
        name: min(_FEW[name], option.default or _FEW[name])
        for name, option in method.declared.items()
        if name in _FEW and option.type is int and method.name not in _WHOLE
    }
    try:
        settled = method.settle(few)
        with torch.inference_mode(False), model.undisturbed():
            target = make_target(model, subject.outputs, seconds=subject.audio.seconds)
            probe = Probe(model, subject.wave, target)
            began = time.perf_counter()
            with _memory() as used:
                found = method.map(probe, settled)
            took = time.perf_counter() - began
    except EarwitnessError as error:
        return Trial(method.name, str(error))
    except Exception as error:  # of one method; the others are still to come
        return Trial(method.name, f"unexpected {type(error).__name__}: {error}")
    if not bool(torch.isfinite(found.values).all()):
        return Trial(method.name, "its map is not finite")
    left = max(method.passes(method.options) - method.passes(settled), 0)
    gap = found.details.get("completeness_gap")
    return Trial(method.name, "", took + left * passing, used.get("peak"), gap)


def recommended(trials: list[Trial]) -> tuple[str, str]:
    """Return the method to begin with, and the reason."""
    applying = {one.name: one for one in trials if not one.reason}
    first = applying.get("integrated-gradients")
    if first is not None and abs(first.gap or 0.0) <= _GAP:
        return first.name, "its values add up to the change of the score, which is checked"
    if "lime" in applying:
        why = "it needs no gradients, and its pieces can be heard one by one"
        if first is not None:
            why = f"integrated-gradients is off by {abs(first.gap or 0.0):.0%} here; {why}"
        return "lime", why
    return (next(iter(applying)), "the first that applies") if applying else ("", "")


@contextmanager
def _memory() -> Iterator[dict[str, float]]:
    """Measure the most memory that is taken meanwhile, in MB, where the system tells."""
    used: dict[str, float] = {}
    place = Path("/proc/self/statm")
    if not place.exists():
        yield used
        return
    page = os.sysconf("SC_PAGE_SIZE") / 1e6

    def now() -> float:
        return int(place.read_text().split()[1]) * page

    before, ended = now(), threading.Event()
    used["peak"] = 0.0

    def look() -> None:
        while not ended.wait(_POLL):
            used["peak"] = max(used["peak"], now() - before)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield used
    finally:
        ended.set()
        thread.join()
        used["peak"] = max(used["peak"], now() - before)


def plain_table(trials: list[Trial]) -> list[Mapping[str, Any]]:
    """Return trials as plain JSON values, those that apply first, the quickest first."""
    order = sorted(trials, key=lambda one: (bool(one.reason), one.seconds or 0.0))
    return [one.plain() for one in order]
