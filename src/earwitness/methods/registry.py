"""The registry of explanation methods: a decorator that records the properties of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earwitness.errors import ParameterError
from earwitness.masks.rounding import storable_gains
from earwitness.options import Option, options_of
from earwitness.options import check as check_value
from earwitness.perturbation.background.registry import read_backgrounds
from earwitness.registry import Registry, unknown
from earwitness.types import Map

if TYPE_CHECKING:
    from earwitness.probe import Probe


@dataclass(frozen=True)
class Method:
    """A registered method and its properties.

    Attributes
    ----------
    name, summary, paper : str
    limits : str
        What the map does not show, as a noun phrase.
    function : callable
        ``function(probe, **options) -> Map``.
    declared : mapping of str to Option
        Its options by name: the keyword-only parameters of ``function``.
    signed : bool
        Whether negative values count against the target.
    complete : str
        What the values sum to (completeness), in words; empty if they sum to nothing in
        particular. A complete method reports its ``completeness_gap``.
    needs_gradients : bool
    random : bool
        Whether it draws at random with its default options, so that the map varies with the seed.
        What was drawn in fact is known from the probe (``Probe.drew``).
    linear : bool
        Whether the map of a contrast is the difference of the maps of its two targets.
    layerwise : bool
        Whether the map depends on the network's layers, and not only on the function that they
        compute.
    time_only : bool
        Whether it cuts the sound so that the map does not resolve frequency.
    control : bool
        Whether it ignores the model and serves as a reference for comparison.
    gives_gains : bool
        Whether its values are gains in [0, 1], used as the mask by default.
    sized : bool
        Whether its option ``size`` is the share of cells to keep: ``--keep area:10%`` sets it.
    own : tuple of str
        Options that another method of the same run, which has an option of that name, does not
        share with it: ``--set steps=64`` is then the other's, ``--set lmac.steps=10`` its own.
    needs_attention : bool
        Whether it reads the attention of a transformer.
    needs_frames : bool
        Whether it needs a score that is a sum over frames.
    needs_training : bool
        Whether it needs a decoder trained for the model.
    published : bool
        Whether it repeats a published pipeline, defects included, for ``explain --compat``: it is
        not listed.
    cost : int or callable
        Number of forward passes (a backward pass counts as two), or a function of the options.
    check : callable
        Raises ``ParameterError`` for options that contradict one another.
    """

    name: str
    summary: str
    paper: str
    limits: str
    function: Callable[..., Map]
    declared: Mapping[str, Option]
    signed: bool
    complete: str
    needs_gradients: bool
    random: bool
    linear: bool
    layerwise: bool
    time_only: bool
    control: bool
    gives_gains: bool
    sized: bool
    own: tuple[str, ...]
    needs_attention: bool
    needs_frames: bool
    needs_training: bool
    published: bool
    cost: int | Callable[[Mapping[str, Any]], int]
    check: Callable[[Mapping[str, Any]], None]

    def passes(self, options: Mapping[str, Any]) -> int:
        """Return the approximate number of forward passes for these options."""
        return self.cost if isinstance(self.cost, int) else self.cost(options)

    def map(self, probe: Probe, options: Mapping[str, Any]) -> Map:
        """Return the map of the target of a probe; gains are rounded to multiples of 1/1024.

        Parameters
        ----------
        probe : Probe
        options : mapping
            As ``settle`` returns them.
        """
        found = self.function(probe, **options)
        return replace(found, values=storable_gains(found.values)) if self.gives_gains else found

    @property
    def keep(self) -> str:
        """Default rule that turns the values into a mask."""
        return "gains" if self.gives_gains else "80%"

    @property
    def options(self) -> dict[str, Any]:
        """Name and default of every option."""
        return {name: option.default for name, option in self.declared.items()}

    def settle(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options: defaults updated by the given ones, which are checked.

        Raises
        ------
        UnknownNameError
            If it has no such option.
        ParameterError
            If a value is not valid, or options contradict one another.
        """
        settled, values = self.options, {}
        for name, value in given.items():
            if name not in settled and FORMER.get(name) in settled:
                warnings.warn(
                    f"option {name} is called {FORMER[name]} now; the old name works in this "
                    "version only",
                    FutureWarning,
                    stacklevel=4,
                )
                name = FORMER[name]
            if name not in settled:
                raise unknown(f"option of {self.name}", name, settled)
            values[name] = value
        try:
            for name, value in values.items():
                settled[name] = check_value(self.declared[name], value)
            self.check(settled)
        except ParameterError as error:
            raise ParameterError(f"{self.name}: {error}") from None
        return settled


FORMER = {"fill": "background", "parts": "components"}  # old option name: current name


class Methods(Registry[Method]):
    """Methods by name; repetitions of published pipelines are found, but not listed."""

    def all(self) -> list[Method]:
        """Return the methods that are listed, in order of their names."""
        return [one for one in super().all() if not one.published]

    def published(self) -> list[Method]:
        """Return the repetitions of published pipelines, in order of their names."""
        return [one for one in super().all() if one.published]


METHODS = Methods("method", "earwitness.methods", "earwitness.methods")


def register(
    name: str,
    *,
    summary: str,
    limits: str,
    paper: str = "",
    signed: bool = False,
    complete: str = "",
    needs_gradients: bool = False,
    random: bool = False,
    linear: bool = False,
    layerwise: bool = False,
    time_only: bool = False,
    control: bool = False,
    gives_gains: bool = False,
    sized: bool = False,
    own: tuple[str, ...] = (),
    needs_attention: bool = False,
    needs_frames: bool = False,
    needs_training: bool = False,
    published: bool = False,
    cost: int | Callable[[Mapping[str, Any]], int],
    check: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> Callable[[Callable[..., Map]], Callable[..., Map]]:
    """Return a decorator that registers ``function(probe, *, options) -> Map`` as a method."""

    def add(function: Callable[..., Map]) -> Callable[..., Map]:
        spec = Method(
            name=name,
            summary=summary,
            paper=paper,
            limits=limits,
            function=function,
            declared=options_of(function),
            signed=signed,
            complete=complete,
            needs_gradients=needs_gradients,
            random=random,
            linear=linear,
            layerwise=layerwise,
            time_only=time_only,
            control=control,
            gives_gains=gives_gains,
            sized=sized,
            own=own,
            needs_attention=needs_attention,
            needs_frames=needs_frames,
            needs_training=needs_training,
            published=published,
            cost=cost,
            check=check,
        )
        METHODS.add(spec)
        return function

    return add


def named_files(options: Mapping[str, Any]) -> list[Path]:
    """Return the files and folders that options name: sounds, stems, a trained explainer."""
    named = [options.get(name) for name in ("stems", "decoder", "interpreter", "data")]
    backgrounds = read_backgrounds(options.get("background", "silence"))
    found = [Path(one) for one in named if one]
    return found + [one for one in backgrounds if isinstance(one, Path)]
