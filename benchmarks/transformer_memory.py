"""Time and memory of methods on a transformer of the size of AST-base, for ten seconds of sound.

Each method runs in a process of its own: ``python benchmarks/transformer_memory.py [METHOD...]``.
Weights are random; nothing is downloaded. Memory is the peak of the whole process.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time

METHODS = ("gradcam", "attention-relevance", "attention-rollout")


def save(folder: str) -> None:
    """Save a model of random weights."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(0)
    ASTForAudioClassification(ASTConfig(num_labels=527)).save_pretrained(folder)
    ASTFeatureExtractor().save_pretrained(folder)


def measure(folder: str, method: str) -> None:
    """Explain ten seconds of noise by one method and print seconds, passes and peak memory."""
    import numpy as np

    import earwitness

    model = earwitness.load_model(f"hf:{folder}")
    wave = 0.1 * np.random.default_rng(0).standard_normal(10 * model.rate).astype(np.float32)
    passes: list[int] = []
    began = time.perf_counter()
    found = earwitness.explain(
        model, (wave, model.rate), method, trust="none", on_passes=passes.append
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    facts = {
        key: one for key, one in found.attribution.details.items() if isinstance(one, str | int)
    }
    print(f"{method}: {peak:.2f} GB, {seconds:.0f} s, {sum(passes)} passes, {facts}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--save"]:
        save(sys.argv[2])
    elif sys.argv[1:2] == ["--one"]:
        measure(*sys.argv[2:])
    else:
        with tempfile.TemporaryDirectory() as place:
            subprocess.run([sys.executable, __file__, "--save", place], check=True)
            for name in sys.argv[1:] or METHODS:
                subprocess.run([sys.executable, __file__, "--one", place, name], check=True)
