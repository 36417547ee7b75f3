"""Forty explanations whose value is known, and the grade that each gets.

``python scripts/verdicts.py`` prints the grade of every case and ends with status 1 if fewer than
38 agree with the truth, or if a useless explanation is graded strong or moderate. Sounds and models
are made here: a detector scores the magnitude in its band, so it is known which cells matter.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import earwitness
from earwitness.evaluation.verdict import sentence
from earwitness.explanation import Explanation
from earwitness.methods.registry import register
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.types import Map

RATE, SECONDS = 16000, 2.0
FEWEST = 38  # cases of 40 whose grade must agree with the truth
BANDS = {"low": (300.0, 700.0), "mid": (1800.0, 2200.0), "high": (5000.0, 6000.0)}
GOOD, SOME, BAD = {"strong", "moderate"}, {"strong", "moderate", "weak"}, {"none", "degenerate"}
FLAWED = {"weak", *BAD}
Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """An explanation to make, and the grades that would be true of it."""

    kind: str
    name: str
    make: Callable[[], Explanation]
    true: set[str]


class Detector(nn.Module):
    """Logits of the bands: the mean over time of the compressed magnitude in each."""

    def __init__(self, gain: float = 8.0, offsets: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
        super().__init__()
        self.gain = gain
        freqs = torch.linspace(0, RATE / 2, 257)
        inside = [(freqs >= low) & (freqs <= high) for low, high in BANDS.values()]
        self.register_buffer("bands", torch.stack(inside).float())
        self.register_buffer("window", torch.hann_window(512))
        self.register_buffer("offsets", torch.tensor(offsets))

    def forward(self, waves: Tensor) -> Tensor:
        spectrum = torch.stft(waves, 512, 160, window=self.window, return_complex=True)
        power = spectrum.real**2 + spectrum.imag**2
        level = (self.bands @ torch.sqrt(power + 1e-10)) / self.bands.sum(1)[:, None]
        return self.offsets + self.gain * torch.log1p(level).mean(dim=-1)


class Function(nn.Module):
    """A score computed from a waveform (batch, samples) by a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, waves: Tensor) -> Tensor:
        return self.function(waves)[:, None]


def mixture(seed: int = 0, **levels: float) -> Wave:
    """Return noise with a burst in each named band: low early, mid in the middle, high late."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    sound = 0.002 * np.random.default_rng(seed).standard_normal(len(time))
    for number, (name, (low, high)) in enumerate(BANDS.items()):
        on = (time > 0.2 + 0.6 * number) & (time < 0.6 + 0.6 * number)
        sound += levels.get(name, 0.0) * np.sin(np.pi * (low + high) * time) * on
    return sound.astype(np.float32)


def detector(**facts: Any) -> Model:
    return earwitness.wrap(Detector(**facts), sample_rate=RATE, labels=list(BANDS))


def score(function: Callable[[Tensor], Tensor], **facts: Any) -> Model:
    return earwitness.wrap(
        Function(function), sample_rate=RATE, output="scores", labels=["score"], **facts
    )


def quality(waves: Tensor) -> Tensor:
    """Return 1 to 5 by the share of frames that hold sound."""
    power = waves.unfold(-1, 400, 160).square().mean(dim=-1)
    return 1 + 4 * (power / (power + 1e-4)).mean(dim=-1)


def noisiness(waves: Tensor) -> Tensor:
    """Return 5 to 1 by the level above 3 kHz."""
    spectrum = torch.fft.rfft(waves).abs()[:, 6000:].square().mean(dim=-1)
    return 5 - 4 * spectrum / (spectrum + 20)


def explained(model: Model, sound: Wave, method: str = "integrated-gradients", **facts: Any) -> Any:
    return earwitness.explain(model, (sound, RATE), method, **facts)


GIVEN: dict[str, Callable[[Probe], NDArray[np.floating]]] = {}


@register("given", summary="a map made by hand", limits="anything", cost=0)
def given(probe: Probe, *, which: str = "") -> Map:
    """Return the map of this name."""
    return Map(torch.from_numpy(np.ascontiguousarray(GIVEN[which](probe), np.float32)))


def with_map(
    model: Model, sound: Wave, which: str, values: Callable[[Probe], Any], **facts: Any
) -> Explanation:
    """Explain by a map made by hand."""
    GIVEN[which] = values
    return explained(model, sound, "given", which=which, **facts)


def band(name: str, start: float, end: float) -> Callable[[Probe], NDArray[np.floating]]:
    """Return a map that is the magnitude in a band, a little wider than it, in a span of time."""

    def values(probe: Probe) -> NDArray[np.floating]:
        low, high = BANDS[name]
        freqs, times = probe.freqs.numpy(), np.asarray(probe.times)
        inside = ((freqs > low - 60) & (freqs < high + 60))[:, None]
        inside = inside & ((times >= start) & (times <= end))
        return probe.magnitude.numpy() * inside

    return values


def moved(method: str, change: Callable[[Any], Any], model: Model, **facts: Any) -> Any:
    """Return a map that a method makes, changed."""

    def values(probe: Probe) -> NDArray[np.floating]:
        sound = probe.wave.numpy()
        found = explained(model, sound, method, trust="none", **facts)
        return change(found.attribution.values)

    return values


def silent_gap(sound: Wave) -> Wave:
    """Return the sound with half a second of silence."""
    found = sound.copy()
    found[RATE // 2 : RATE] = 0
    return found


def right() -> Iterator[Case]:
    """Maps that lie on what the model responds to, which is not the loudest sound."""
    sound = mixture(low=0.5, mid=0.15)
    ask = {"target": "mid"}
    for method in ("integrated-gradients", "occlusion", "lime", "kernel-shap", "input-x-gradient"):
        yield Case(
            "right", f"soft band by {method}",
            lambda method=method: explained(detector(gain=20.0), sound, method, **ask), GOOD,
        )  # fmt: skip
    yield Case(
        "right", "one class against another",
        lambda: explained(detector(), sound, target="mid", versus="low"), GOOD,
    )  # fmt: skip
    yield Case(
        "right", "the true cells by hand",
        lambda: with_map(detector(gain=20.0), sound, "true", band("mid", 0.75, 1.25), **ask), GOOD,
    )  # fmt: skip
    hiss = mixture(low=0.5, high=0.1)
    yield Case(
        "right", "hiss that lowers a score",
        lambda: explained(
            score(noisiness, range=(1, 5)), hiss, "input-x-gradient", direction="down"
        ), GOOD,
    )  # fmt: skip
    yield Case(
        "right", "the source is the loudest sound",
        lambda: explained(detector(gain=20.0), mixture(mid=0.5, low=0.02), **ask), SOME,
    )  # fmt: skip
    yield Case(
        "right", "a value without a declared range",
        lambda: explained(score(lambda x: Detector()(x)[:, 1]), sound), GOOD,
    )  # fmt: skip


def useless() -> Iterator[Case]:
    """Maps that do not depend on what the model responds to."""
    sound = mixture(low=0.5, mid=0.15)
    model, ask = detector(gain=20.0), {"target": "mid"}
    for method in ("random", "energy", "all-ones", "all-zeros"):
        yield Case(
            "useless", f"{method} on a soft source",
            lambda method=method: explained(model, sound, method, **ask), FLAWED,
        )  # fmt: skip
    changes: dict[str, Callable[[Any], Any]] = {
        "moved by half the sound": lambda v: np.roll(v, v.shape[1] // 2, axis=1),
        "upside down": lambda v: v[::-1],
        "an octave higher": lambda v: np.roll(v, 64, axis=0),
        "of opposite sign": lambda v: -v,
    }
    for name, change in changes.items():
        yield Case(
            "useless", f"the right map {name}",
            lambda name=name, change=change: with_map(
                model, sound, name, moved("integrated-gradients", change, model, **ask), **ask
            ), FLAWED,
        )  # fmt: skip
    yield Case(
        "useless", "the map of another class",
        lambda: with_map(
            model, sound, "other", moved("integrated-gradients", np.copy, model, target="low"),
            **ask,
        ), FLAWED,
    )  # fmt: skip
    yield Case(
        "useless", "another seed's noise",
        lambda: with_map(
            model, sound, "noise",
            lambda probe: np.random.default_rng(3).random(probe.shape), **ask,
        ), FLAWED,
    )  # fmt: skip


def adversarial() -> Iterator[Case]:
    """Useless maps that score well by one figure, and models of which nothing can be explained."""
    sound = mixture(low=0.5, mid=0.15)
    ask = {"target": "mid"}
    sure = detector(gain=0.01, offsets=(0.0, 9.0, 0.0))
    for method in ("integrated-gradients", "lime"):
        yield Case(
            "adversarial", f"a class that is certain whatever sounds, by {method}",
            lambda method=method: explained(sure, sound, method, **ask), BAD,
        )  # fmt: skip
    everything = {"keep": "area:99%"}
    yield Case(
        "adversarial", "a mask that keeps nearly everything",
        lambda: explained(detector(gain=20.0), sound, "random", **ask, **everything), FLAWED,
    )  # fmt: skip
    yield Case(
        "adversarial", "all but the source, at 97 % of the area",
        lambda: with_map(
            detector(gain=20.0), sound, "rest",
            lambda probe: 1.0 - (band("mid", 0.75, 1.25)(probe) > 0), keep="area:90%", **ask,
        ), FLAWED,
    )  # fmt: skip
    yield Case(
        "adversarial", "loudness, for a model of loudness",
        lambda: explained(score(lambda x: x.square().mean(dim=1)), sound, "energy"), FLAWED,
    )  # fmt: skip
    yield Case(
        "adversarial", "one cell of the source",
        lambda: with_map(
            detector(gain=20.0), sound, "one", band("mid", 1.0, 1.0), keep="area:0.01%", **ask
        ), FLAWED,
    )  # fmt: skip
    yield Case(
        "adversarial", "the loud source for a model of the soft one",
        lambda: with_map(detector(gain=20.0), sound, "loud", band("low", 0.1, 0.7), **ask), BAD,
    )  # fmt: skip
    yield Case(
        "adversarial", "random cells for a model of stationary noise",
        lambda: explained(
            score(lambda x: x.abs().mean(dim=1)),
            0.1 * np.random.default_rng(1).standard_normal(RATE).astype(np.float32), "random",
        ), FLAWED,
    )  # fmt: skip


def tiny() -> Iterator[Case]:
    """Right maps of something that hardly matters."""
    sound = mixture(low=0.5, mid=0.15)

    def weak(share: float) -> Callable[[Tensor], Tensor]:
        return lambda waves: 4.974 + share * Detector()(waves)[:, 1]

    for limits in (None, (1, 5)):
        for method in ("integrated-gradients", "lime"):
            yield Case(
                "tiny", f"0.01 of 4.98, range {limits}, by {method}",
                lambda limits=limits, method=method: explained(
                    score(weak(0.01), range=limits), sound, method
                ), BAD,
            )  # fmt: skip
    yield Case(
        "tiny", "a class of probability 0.01",
        lambda: explained(detector(gain=20.0, offsets=(9.0, 0.0, 0.0)), sound, target="high"), BAD,
    )  # fmt: skip
    yield Case(
        "tiny", "a band that holds noise only",
        lambda: explained(detector(gain=8.0), sound, target="high"), BAD,
    )  # fmt: skip


def confounded() -> Iterator[Case]:
    """Silence is the cause, the background or the default of the model."""
    sound = 0.1 * np.random.default_rng(0).standard_normal(int(RATE * SECONDS))
    gap = silent_gap(sound.astype(np.float32))
    model = score(quality, range=(1, 5))
    for background, true in (("silence", BAD), ("noise-floor", BAD), ("mean", GOOD)):
        yield Case(
            "silence", f"a dropout, background {background}",
            lambda background=background: explained(
                model, gap, "lime", direction="down", background=background
            ), true,
        )  # fmt: skip
    quiet = detector(gain=20.0, offsets=(0.0, 3.0, 0.0))
    for method in ("lime", "integrated-gradients"):
        yield Case(
            "silence", f"the class that silence has, by {method}",
            lambda method=method: explained(quiet, mixture(), method, target="mid"), BAD,
        )  # fmt: skip
    yield Case(
        "silence", "a loud sound that lowers a score, by its loudest cells",
        lambda: explained(model, gap, "energy", direction="down"), FLAWED,
    )  # fmt: skip


def main() -> int:
    """Grade all cases and return the exit status."""
    torch.set_num_threads(1)
    agree: Counter[bool] = Counter()
    flattered = 0
    for case in (one for kind in (right, useless, adversarial, tiny, confounded) for one in kind()):
        found = case.make().verdict
        grade = "not graded" if found is None else found.grade
        same = grade in case.true
        agree[same] += 1
        flattered += not same and case.kind != "right" and grade in GOOD
        print(
            f"{'agrees ' if same else 'DIFFERS'}  {case.kind:<11}  {case.name}: {sentence(found)}"
        )
    print(f"{agree[True]} of {agree.total()} agree; {flattered} useless ones strong or moderate")
    return int(agree[True] < FEWEST or flattered > 0)


if __name__ == "__main__":
    sys.exit(main())
