"""``earwitness.explain``: one sound, or many, by one method or several."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, overload

from earwitness.collecting.explanations import Explanations
from earwitness.collecting.finishing import finish_sound
from earwitness.collecting.requests import requests_for
from earwitness.collecting.sounds import Sound, is_single, on_disk, read_sounds
from earwitness.collecting.watching import watching
from earwitness.errors import OutputError, ParameterError
from earwitness.explanation import Explanation
from earwitness.files import held, reachable
from earwitness.jobs.explaining import Task, explain_task, lost_task, reason
from earwitness.jobs.pool import ModelName, run
from earwitness.jobs.resuming import difference, key_of
from earwitness.jobs.targets import check_target, each_target, parts_of
from earwitness.models.fingerprint import fingerprint
from earwitness.models.model import Model
from earwitness.pipeline import Tick, check_request, count_passes, explain_subject, loaded
from earwitness.pipeline import explain as explain_one
from earwitness.report.folder import ReportFolder
from earwitness.subject import Clip, Subject, open_subject
from earwitness.types import Audio, Direction, Pool, Request, Trust

_LOG = logging.getLogger("earwitness")
_LONG, _SHORT = "use --overwrite, or choose another place with -o", "say overwrite=True, or choose "
_ENTRIES = "another folder"


@dataclass(frozen=True)
class Item:
    """One sound of a collection that is kept in memory, and everything to explain about it."""

    number: int
    clip: Path | Audio
    requests: tuple[Request, ...]

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.clip.name if isinstance(self.clip, Audio) else str(self.clip)


@dataclass(frozen=True)
class Kept:
    """What became of one request: an explanation, or a line that says why there is none."""

    number: int
    request: Request
    explanation: Explanation | None
    line: str = ""
    share: float = 1.0


@overload
def explain(
    model: Model | str, clip: Audio, method: str = ..., *, column: None = ..., **settings: Any
) -> Explanation: ...
@overload
def explain(model: Model | str, clip: Any, method: str = ..., **settings: Any) -> Any: ...
@overload
def explain(
    model: Model | str, clip: Any, method: Sequence[str], **settings: Any
) -> Explanations: ...
def explain(
    model: Model | str,
    clip: Clip | Iterable[Clip],
    method: str | Sequence[str] = "integrated-gradients",
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    span: tuple[float, float] | None = None,
    direction: Direction = "up",
    keep: str | None = None,
    start: float | None = None,
    end: float | None = None,
    seed: int = 0,
    trust: Trust = "full",
    curve: bool = False,
    names: str | os.PathLike[str] | None = None,
    pool: Pool | None = None,
    column: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    progress: bool | None = None,
    on_passes: Tick | None = None,
    **options: Any,
) -> Explanation | Explanations:
    """Explain what a model made of a sound, or of many.

    Parameters
    ----------
    model : Model or str
        What ``wrap`` or ``load_model`` returned, or a name for the latter.
    clip : path, Audio, (samples, rate) or mapping; or several
        Samples of shape (time,), (time, channel) or (channel, time), full scale ±1; rate in Hz. A
        mapping has ``array`` and ``sampling_rate``. Several: a folder, a list of sounds and
        folders, or a pandas DataFrame with a column of paths.
    method : str or sequence of str
        Of ``list_methods()``.
    target, versus : label or index, optional
        The output to explain, and the one to compare it with; the decided class by default.
        ``above:0.5`` of several sounds explains every label above this probability.
    span : (float, float), optional
        The seconds to explain the outputs of, for a model with an output for every frame.
    direction : {"up", "down"}
        Explain what raises the value of a regression, or what lowers it.
    keep : str
        How much the mask keeps: a share of the positive attribution (``80%``), of the area
        (``area:10%``) or of the energy (``energy:50%``), any other rule of ``list_masks()``
        (``top:5%``, ``minmax``, ``threshold:0.5+``), or a mask that was drawn
        (``file:mask.json``); ``,smooth:1.5`` and ``,floor:-30dB`` may follow. By default ``80%``,
        or the gains as they are of a method that gives gains.
    start, end : float, optional
        The part of the sound to explain, in seconds.
    seed : int
        Seed of everything drawn at random.
    trust : {"full", "light", "none"}
        How much the trust card scores: 25 forward passes in full, 7 for a light one;
        more with a background other than silence.
    curve : bool
        Whether to compute the score at a dozen sizes of the mask, with controls
        (``explanation.curve``): 72 forward passes.
    names : path, optional
        A CSV table with the columns ``component`` (numbers as they are shown, from 1 on) and
        ``name``: your own names of the components of a method that has some (``l2i``).
    pool : {"mean", "max", "topk"}, optional
        How outputs for the windows of a long sound become one: their mean, the largest, or the
        mean of the three largest, of which only the windows that decided are explained.
    column : str, optional
        The column of a DataFrame that has the paths; found by its content.
    folder : path, optional
        Where results are saved as they are made, with a page. What is there already, of the same
        model, sounds and options, is not made again. Results are read from there when they are
        asked for, so that memory does not grow with the number of sounds.
    overwrite : bool
        Whether to remove the results of an earlier run in ``folder``.
    jobs : int >= 1
        Processes for several sounds; the model must have been loaded by its name.
    progress : bool, optional
        Whether to show the progress for several sounds; by default at a terminal or in a notebook.
    on_passes : callable, optional
        Called with the number of forward passes after every batch, with ``jobs=1``.
    **options
        Options of the method; of several, each takes those that it has.

    Returns
    -------
    Explanation or Explanations
        The latter for several sounds or a sequence of methods. A sound that fails among several is
        a line in ``failures``.

    Raises
    ------
    EarwitnessError
        In one of its kinds, with one line that says what to do.

    Examples
    --------
    >>> import earwitness
    >>> from earwitness.signals import scene
    >>> found = earwitness.explain("esc10", scene(32000).mixture, "lmac", trust="none")
    >>> found.mask.area < 0.5
    True
    >>> both = earwitness.explain("esc10", [scene(32000, seed).mixture for seed in (1, 2)], "lmac")
    >>> len(both)
    2
    """
    single = isinstance(method, str) and column is None and is_single(clip)
    common = Request(
        target=target, versus=versus, span=span, direction=direction, keep=keep, start=start,
        end=end, seed=seed, trust=trust, curve=curve,
        names=None if names is None else os.fspath(names), pool=pool,
    )  # fmt: skip
    if single and folder is None:
        one: Any = clip
        return explain_one(
            model, one, str(method), target=target, versus=versus, span=span, direction=direction,
            keep=keep, start=start, end=end, seed=seed, trust=trust, curve=curve, names=names,
            pool=pool, on_passes=on_passes, **options,
        )  # fmt: skip
    if not isinstance(method, Iterable):
        raise ParameterError(f"method is a name of list_methods(), or several; got {method!r}")
    methods = (method,) if isinstance(method, str) else tuple(dict.fromkeys(method))
    requests = requests_for(methods, options, common)
    for request in requests:
        check_request(request)
    if not isinstance(jobs, int) or jobs < 1:
        raise ParameterError(f"jobs is a number of processes from 1 on, got {jobs!r}")
    model = loaded(model)
    check_target(model, requests[0])
    root = None if folder is None else reachable(folder, OutputError)
    run_of = _Run(model, requests, jobs, progress, on_passes)
    sounds = read_sounds(clip, column, run_of.fail)
    found = run_of.kept(sounds) if root is None else run_of.saved(sounds, root, overwrite)
    if single:
        if not len(found):
            raise OutputError(found.failures[0])
        return found[0]
    return found


class _Run:
    """One call for several sounds."""

    def __init__(
        self, model: Model, requests: tuple[Request, ...], jobs: int, progress: bool | None,
        on_passes: Tick | None,
    ) -> None:  # fmt: skip
        self.model, self.requests, self.jobs = model, requests, jobs
        self.progress, self.on_passes = progress, on_passes
        self.failures: list[str] = []
        self.named: ModelName | None = None
        if jobs > 1:
            if not model.loaded:
                raise ParameterError(
                    f"jobs={jobs}: every process loads the model by its name, and {model.name} was "
                    "wrapped; give a name, such as python:FILE.py:FUNCTION, or jobs=1"
                )
            self.named = ModelName(model.loaded, str(model.device))
            if fingerprint(self.named.load()) != fingerprint(model):
                raise ParameterError(
                    f"jobs={jobs}: every process loads the model by its name, and the weights of "
                    f"{model.name} are not those of {model.loaded}; save it first, or jobs=1"
                )

    def fail(self, line: str) -> None:
        """Keep why there is no explanation, and tell it."""
        self.failures.append(line)
        _LOG.warning("%s", line)

    def kept(self, sounds: Sequence[Sound]) -> Explanations:
        """Return explanations that are kept in memory."""
        items = [Item(number, one.clip, self.requests) for number, one in enumerate(sounds)]
        made: dict[tuple[int, str], list[Explanation]] = defaultdict(list)
        with watching(self._passes(len(items)), self.progress) as tell:
            reached = 0.0
            for one in self._run(explain_item, items, lost_item):
                reached += one.share * count_passes(one.request)
                tell(reached, sounds[one.number].name)
                if one.explanation is None:
                    self.fail(one.line)
                else:
                    made[one.number, one.request.method].append(one.explanation)
        order = [(item.number, request.method) for item in items for request in self.requests]
        return Explanations((one for key in order for one in made[key]), self.failures)

    def saved(self, sounds: Sequence[Sound], root: Path, overwrite: bool) -> Explanations:
        """Return explanations that lie in a folder, made now or before."""
        key = key_of(self.model, self.requests, ())
        report = ReportFolder(root, overwrite=overwrite, key=key, difference=difference)
        with held(root):
            try:
                report.prepare()
                files = [on_disk(one, root) for one in sounds]
                clips = {Path(one.clip): one.root for one in files if isinstance(one.clip, Path)}
                parts = [part for one in self.requests for part in parts_of(self.model, one)]
                places = dict(zip(clips, report.expect(clips, parts), strict=True))
            except OutputError as error:
                raise OutputError(str(error).replace(_LONG, _SHORT + _ENTRIES)) from None
            shown = report.shown()
            tasks = [
                Task(clip, place, self.requests, (), report.parts(place), place in shown)
                for clip, place in places.items()
            ]
            made: dict[Path, list[Path]] = defaultdict(list)
            new = self._save(tasks, root, made)
            if not report.explained:
                report.discard()
            elif new or not report.complete:
                report.finish(self.model, on_missing=self.fail)
        found = (one for file in files for one in made.get(Path(str(file.clip)), ()))
        return Explanations(found, self.failures)

    def _save(self, tasks: list[Task], root: Path, made: dict[Path, list[Path]]) -> bool:
        """Explain what is not there yet; return whether anything was made."""
        new, reached = False, 0.0
        work = partial(explain_task, finish=partial(finish_sound, root, ""))
        passes = {one.method: count_passes(one) for one in self.requests}
        with watching(self._passes(len(tasks)), self.progress) as tell:
            for one in self._run(work, tasks, lost_task):
                reached += one.share * passes[one.method]
                tell(reached, one.clip.name)
                if one.folder is None:
                    self.fail(one.lines[0])
                else:
                    made[one.clip].append(one.folder)
                    new = new or one.made
        return new

    def _passes(self, sounds: int) -> float:
        return float(sum(map(count_passes, self.requests)) * sounds)

    def _run(self, work: Any, items: list[Any], lost: Any) -> Iterator[Any]:
        model = self.model if self.named is None else self.named
        some = run(work, items, model, workers=self.jobs, on_passes=self.on_passes, lost=lost)
        with closing(some) as found:
            yield from found


def lost_item(item: Item, reason: str) -> list[Kept]:
    """Return what became of the requests of a sound whose worker ended."""
    line = f"{item.name}: {reason}"
    return [Kept(item.number, request, None, line) for request in item.requests]


def explain_item(model: Model, item: Item, on_passes: Tick) -> Iterator[Kept]:
    """Yield what became of every request of a sound, without saving anything."""

    @cache
    def subject() -> Subject:
        first = item.requests[0]  # they differ in method and options only
        return open_subject(
            model, item.clip, start=first.start, end=first.end, seed=first.seed, pool=first.pool
        )

    for request in item.requests:
        share = 1.0
        try:
            several = each_target(model, subject, request)
            share = 1 / len(several)
        except Exception as error:
            yield Kept(item.number, request, None, reason(item.name, request, error))
            continue
        for _part, one in several:
            try:
                found = explain_subject(subject(), one, on_passes=on_passes)
            except Exception as error:
                yield Kept(item.number, request, None, reason(item.name, request, error), share)
            else:
                yield Kept(item.number, request, found, share=share)
