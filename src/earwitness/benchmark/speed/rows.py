"""Cost of explanations, in multiples of the model's own passes.

The floor is the model's own forward passes (and backward passes) on as many inputs of the same
kind, in eager torch, at the fastest batch size. Inputs are features if the model is evaluated on
magnitudes, and waveforms otherwise.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.benchmark.speed.floor import (
    BATCHES,
    Floor,
    Row,
    Work,
    in_turns,
    seconds_of,
    threads_of,
)
from earwitness.benchmark.speed.memory import peak_of
from earwitness.decoders.folder import Explainer
from earwitness.decoders.slim import Decoder, default_widths
from earwitness.errors import NotApplicableError
from earwitness.layers.finding import find_layers
from earwitness.methods.registry import METHODS
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.adapters.torch import WaveModel
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.models.zoo.cnn14 import CNN14, cnn14_model
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.plane.stft import modulus
from earwitness.probe import Probe
from earwitness.provenance import stamp

_LARGE_BATCH = 8  # most inputs at a time for CNN14; limits memory
_LARGE_CLASSES = 50  # as for ESC-50
_AROUND = 10  # repetitions of a single pass, to exceed the resolution of the clock
_PACKAGES = ("captum", "shap", "lime")


@dataclass(frozen=True)
class Settings:
    """Settings of the measurement.

    Attributes
    ----------
    model : str
        Name, as for ``load_model``.
    seconds : float
        Length of the sound.
    evaluations, large_evaluations : int
        Evaluations of a perturbation method, on the model and on CNN14.
    steps : int
        Gradients of integrated-gradients and smoothgrad.
    repeats : int
        Alternating repetitions of work and floor.
    threads : int
        0 for torch's default.
    seed : int
        Seed of the sound and of CNN14's random weights.
    large, packages, memory : bool
        Whether to measure CNN14, other packages, and the peak memory.
    """

    model: str = "esc10"
    seconds: float = 5.0
    evaluations: int = 1000
    large_evaluations: int = 64
    steps: int = 50
    repeats: int = 5
    threads: int = 0
    seed: int = 0
    large: bool = True
    packages: bool = True
    memory: bool = True


def measure(
    settings: Settings, on_row: Callable[[Row], None] | None = None
) -> tuple[list[Row], dict[int, float]]:
    """Measure all rows, and call ``on_row`` with each as it is done.

    Returns
    -------
    list of Row
    dict of int to float
        Peak memory in MB of a whole process, by the number of evaluations.
    """
    with threads_of(settings.threads):
        rows = []
        for row in _rows(settings):
            rows.append(row)
            if on_row is not None:
                on_row(row)
    peaks = {}
    if settings.memory:
        counts = [max(2, round(share * settings.evaluations)) for share in (0.2, 1, 4)]
        peaks = {count: peak_memory(settings, count) for count in counts}
    return rows, peaks


def _rows(settings: Settings) -> Iterator[Row]:
    model = load_model(settings.model)
    with model.undisturbed():
        probe = _probe(model, settings)
        floor, gradients = _floors(model, probe)
        count = settings.evaluations
        bar = 0.65 if model.frontend is not None else None
        yield _perturbation(probe, floor, count, settings.repeats, bar)
        if settings.packages:
            yield from _other_packages(model, probe, floor, gradients, settings)
        yield from _gradient_rows(probe, gradients, settings)
        if isinstance(model, SpectralModel):
            yield _decoder_row(probe, settings.repeats, 1.6)
    if isinstance(model, SpectralModel):
        on_waves = _through_waveform(model)
        with on_waves.undisturbed():
            yield _waveform_row(_probe(on_waves, settings), count, settings.repeats)
    if settings.large:
        network = _large_network(settings.seed)
        large = cnn14_model(network, labels=[str(k) for k in range(_LARGE_CLASSES)])
        with large.undisturbed():
            probe = _probe(large, settings)
            floor, _ = _floors(large, probe, gradients=False, most=_LARGE_BATCH)
            few = max(2, settings.repeats // 2)
            yield _perturbation(probe, floor, settings.large_evaluations, few, 0.9)
            yield _decoder_row(probe, few, 1.15)


def _probe(model: Model, settings: Settings) -> Probe:
    generator = torch.Generator().manual_seed(settings.seed)
    wave = 0.1 * torch.randn(round(settings.seconds * model.rate), generator=generator)
    with torch.no_grad():
        outputs = model(wave.unsqueeze(0))[0]
    return Probe(model, wave, make_target(model, outputs), seed=settings.seed)


def _large_network(seed: int) -> CNN14:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return CNN14(_LARGE_CLASSES)


def _inputs(model: Model, probe: Probe) -> tuple[Callable[[Tensor], Any], Tensor]:
    """Return the network or model, and a batch of its inputs: features or waveforms."""
    levels = torch.linspace(0.1, 1, max(BATCHES))
    with torch.no_grad():
        if isinstance(model, SpectralModel):
            masked = levels[:, None, None] * probe.magnitude
            features = torch.cat([model.frontend(one.unsqueeze(0)) for one in masked])
            return model.module, features.to(model.dtype)
        return model, levels[:, None] * probe.wave


def _floors(
    model: Model, probe: Probe, *, gradients: bool = True, most: int = max(BATCHES)
) -> tuple[Floor, Floor | None]:
    """Return the floors without and with a backward pass, in batches of at most ``most``."""
    evaluate, inputs = _inputs(model, probe)
    inputs = inputs[:most]

    def forward(some: Tensor) -> None:
        with torch.no_grad():
            evaluate(some)

    def both(some: Tensor) -> None:
        leaf = some.detach().requires_grad_()
        with torch.enable_grad():
            torch.autograd.grad(evaluate(leaf)[:, probe.target.index].sum(), leaf)

    backward = Floor(both, inputs) if gradients and model.differentiable else None
    return Floor(forward, inputs), backward


def _decoder_row(probe: Probe, repeats: int, bar: float) -> Row:
    """Measure a map by L-MAC against one classification, both from the waveform.

    The decoder is untrained, which does not affect its speed.
    """
    model = probe.model
    layers = find_layers(model, samples=probe.samples)
    widths = default_widths(layers)
    decoder = Decoder(layers, model.plane, widths, sized=True, guided=True).eval()
    explainer = Explainer(decoder, layers, widths, model.plane, {}, model.name)
    waves = probe.wave.unsqueeze(0)

    def classify(count: int) -> None:
        with torch.no_grad():
            for _ in range(count):
                model(waves)

    def explain() -> None:
        with torch.no_grad():
            for _ in range(_AROUND):
                magnitude = modulus(model.plane.analyse(waves)[0])
                explainer.gains(model, magnitude, probe.wave, probe.target.index)

    explain()
    note = "floor: classifications, one at a time; finding the layers, once per training, left out"
    return in_turns("lmac", model.name, _AROUND, classify, explain, repeats, bar, note)


def _perturbation(probe: Probe, floor: Floor, count: int, repeats: int, bar: float | None) -> Row:
    evaluations = _lime(probe, count)  # fills the caches of the model before the measurement
    return _row("lime", probe, evaluations, floor, lambda: _lime(probe, count), repeats, bar)


def _lime(probe: Probe, count: int) -> int:
    """Run LIME with all its samples, and return the number of evaluations."""
    found = METHODS.get("lime").function(probe, samples=count, tolerance=0.0)
    return int(found.details["evaluations"])


def _gradient_rows(probe: Probe, floor: Floor | None, settings: Settings) -> Iterator[Row]:
    if floor is None:
        return
    for name, option in (("integrated-gradients", "steps"), ("smoothgrad", "samples")):
        method = METHODS.get(name).function

        work = partial(method, probe, **{option: settings.steps})
        work()
        yield _row(name, probe, settings.steps, floor, work, settings.repeats, 1.05)
    gradcam = METHODS.get("gradcam").function
    try:
        once = seconds_of(lambda: gradcam(probe))
    except NotApplicableError:
        return
    note = f"finding its layer's axes, once per model, took {once:.2f} s and is left out"

    def several() -> None:
        for _ in range(_AROUND):
            gradcam(probe)

    yield _row("gradcam", probe, _AROUND, floor, several, settings.repeats, 1.3, note, single=True)


class _OnWaves(nn.Module):
    """A model on magnitudes as a module on waveforms."""

    def __init__(self, model: SpectralModel) -> None:
        super().__init__()
        self.network = model.module
        self.features = model.frontend
        self.plane = model.plane

    def forward(self, waves: Tensor) -> Tensor:
        outputs: Tensor = self.network(self.features(self.plane.analyse(waves).abs()))
        return outputs


def _through_waveform(model: SpectralModel) -> WaveModel:
    return WaveModel(
        module=_OnWaves(model).eval(),
        name=f"{model.name} on waveforms",
        rate=model.rate,
        labels=model.labels,
        output=model.output,
        task=model.task,
        lengths=(
            model.shortest and model.shortest / model.rate,
            model.longest and model.longest / model.rate,
        ),
    )


def _waveform_row(probe: Probe, count: int, repeats: int) -> Row:
    """Measure a model on waveforms; its floor includes the transforms that masking requires."""
    floor, _ = _floors(probe.model, probe, gradients=False)
    levels = torch.linspace(0.1, 1, max(BATCHES))[:, None, None]

    def transform(some: Tensor) -> None:
        with torch.no_grad():
            probe.model.plane.synthesise(some * probe.spectrum, probe.samples)

    transforms = Floor(transform, levels)

    def together(count: int) -> None:
        floor.run(count)
        transforms.run(count)

    evaluations = _lime(probe, count)
    note = "floor: forward passes on waveforms plus as many inverse transforms"
    return in_turns(
        "lime",
        probe.model.name,
        evaluations,
        together,
        lambda: _lime(probe, count),
        repeats,
        1.05,
        note,
    )


def _other_packages(
    model: Model, probe: Probe, floor: Floor, gradients: Floor | None, settings: Settings
) -> Iterator[Row]:
    from earwitness.benchmark.speed.packages import packages

    if not isinstance(model, SpectralModel) or gradients is None:
        return
    pieces = cut(probe, "grid", Sizes())
    labels = pieces.mix(torch.eye(len(pieces))).argmax(dim=0)
    for name, differentiates, work in packages(
        model, probe, labels, (floor.batch, gradients.batch)
    ):
        count = settings.steps if differentiates else settings.evaluations
        own = gradients if differentiates else floor
        work(2)
        yield _row(name, probe, count, own, partial(work, count), settings.repeats, None)


def _row(
    work_name: str,
    probe: Probe,
    count: int,
    floor: Floor,
    work: Work,
    repeats: int,
    bar: float | None,
    note: str = "",
    *,
    single: bool = False,
) -> Row:
    def alone(count: int) -> None:
        for _ in range(count):
            floor.evaluate(floor.inputs[:1])

    run = alone if single else floor.run
    kept = f"floor in batches of {1 if single else floor.batch}"
    note = f"{kept}; {note}" if note else kept
    return in_turns(work_name, probe.model.name, count, run, work, repeats, bar, note)


_LIME = """
from earwitness.benchmark.speed.rows import Settings, run_lime
run_lime(Settings(model={model!r}, seconds={seconds}, seed={seed}), {count})
"""


def run_lime(settings: Settings, count: int) -> None:
    """Explain once with ``lime``."""
    model = load_model(settings.model)
    with model.undisturbed():
        _lime(_probe(model, settings), count)


def peak_memory(settings: Settings, count: int) -> float:
    """Return the peak memory in MB of a process that explains with ``lime``."""
    return peak_of(
        _LIME.format(
            model=settings.model, seconds=settings.seconds, seed=settings.seed, count=count
        )
    )


def table(rows: list[Row], peaks: dict[int, float], settings: Settings) -> str:
    """Return the figures as a page of Markdown."""
    threads = settings.threads or torch.get_num_threads()
    lines = [
        "# Speed and memory, measured",
        "",
        "Made by `earwitness bench speed`. The floor is the model's own passes on as many inputs,",
        "in eager torch at the fastest batch size. Work and floor alternate; the ratio is the",
        "median over the repetitions.",
        "",
        f"{stamp(*_PACKAGES)}; {platform.machine()}, {threads} threads; seed {settings.seed};",
        f"{settings.seconds:g} s of sound; {settings.repeats} repetitions.",
        "",
        "| work | model | evaluations | floor | taken | ratio | bar | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bar = "" if row.bar is None else f"{row.bar:g}"
        met = "" if row.bar is None else ", met" if row.ratio <= row.bar else ", **missed**"
        lines.append(
            f"| {row.work} | {row.model} | {row.count} | {row.floor:.3f} s | {row.taken:.3f} s | "
            f"{row.ratio:.2f} | {bar}{met} | {row.note} |"
        )
    if peaks:
        lines += ["", "| evaluations of lime | peak memory of the process |", "|---|---|"]
        lines += [f"| {count} | {peak:.0f} MB |" for count, peak in peaks.items()]
    return "\n".join(lines) + "\n"
