"""The demo: explanations of a scene, compared with its true sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from earwitness.audio import write_audio
from earwitness.cli.options import DEFAULT_MODEL, say
from earwitness.cli.results import emit
from earwitness.evaluation.verdict import sentence
from earwitness.explanation import Explanation
from earwitness.files import held
from earwitness.metrics.localisation import relevance_mass, si_sdr, true_cells
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.pipeline import explain_subject
from earwitness.report.folder import ReportFolder
from earwitness.signals import Scene, scene
from earwitness.subject import open_subject
from earwitness.types import Audio, Request

METHODS = ("lmac", "l2i", "integrated-gradients", "gradcam", "lime", "energy")


def explain_scene(seed: int, output: str, overwrite: bool) -> int:
    """Explain every source of the scene with every method, and write the report."""
    model = load_model(DEFAULT_MODEL)
    made = scene(model.rate, seed)
    folder = ReportFolder(Path(output), overwrite=overwrite)
    with held(folder.root):
        folder.prepare()
        try:
            _explain(model, made, folder, seed)
            say(f"report: {folder.finish(model)}")
        finally:
            folder.discard()
    return 0


def _explain(model: Model, made: Scene, folder: ReportFolder, seed: int) -> None:
    sounds = folder.root / "sounds"
    sounds.mkdir(exist_ok=True)
    mixture = sounds / "baby_in_the_rain.wav"
    write_audio(mixture, made.mixture)
    for name, source in made.sources.items():
        write_audio(sounds / f"{name}.wav", source)
    subject = open_subject(model, mixture, seed=seed)
    jobs = [(label, method) for label in made.sources for method in METHODS]
    for label, method in track(jobs, "explaining", console=Console(stderr=True), transient=True):
        request = Request(method, target=label, seed=seed, curve=True)
        found = explain_subject(subject, request)
        found = against_truth(found, model, made.sources, label, f"sounds/{label}.wav")
        folder.add(found, f"{method}-{label}")
        truth = found.attribution.details["truth"]
        emit(str(found))
        emit(
            f"  {truth['mass']:.0%} of the positive attribution lies in cells of the true {label}; "
            f"SI-SDR to the true source: evidence {truth['si_sdr_evidence']:+.1f} dB, "
            f"input {truth['si_sdr_input']:+.1f} dB"
        )
        emit(f"  {sentence(found.verdict)}")


def against_truth(
    found: Explanation, model: Model, sources: Mapping[str, Audio], label: str, file: str
) -> Explanation:
    """Add the agreement with the true source to the details of an explanation.

    Parameters
    ----------
    sources : mapping of label to Audio
        They sum to the sound.
    label : str
        Of the true source.
    file : str
        Of the true source, relative to the folder of the page.
    """
    plane = model.plane
    levels = {
        name: plane.analyse(torch.from_numpy(source.samples)[None])[0].abs().numpy()
        for name, source in sources.items()
    }
    rest = np.sum([level for name, level in levels.items() if name != label], axis=0)
    cells = true_cells(levels[label], rest)["truth"]
    both = np.stack([found.evidence.samples, found.input.samples])
    evidence, mixture = si_sdr(both, sources[label].samples).tolist()
    truth: dict[str, Any] = {
        "file": file,
        "mass": float(relevance_mass(found.attribution.values[None], cells)[0]),
        "area": float(cells.mean()),
        "si_sdr_evidence": evidence,
        "si_sdr_input": mixture,
    }
    details = {**found.attribution.details, "truth": truth}
    return replace(found, attribution=replace(found.attribution, details=details))
