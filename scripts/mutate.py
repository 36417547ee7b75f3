"""Plant one-line bugs in a copy of the source and report which ones no test notices.

``python scripts/mutate.py [NAME...]`` runs the tests of the mathematics once unharmed (a red
baseline is refused), then once per bug: first those nearest to the file, and all others only if
these notice nothing. A bug that survives is a test that is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from planted_bugs import BUGS

ROOT = Path(__file__).parent.parent
TESTS = ["tests/reference", "tests/contract/test_methods.py", "tests/contract/test_metrics.py"]
TESTS += ["tests/unit"]
LEFT_OUT = [f"tests/unit/test_{name}.py" for name in ("train", "command", "command_files")]
_RULES = [f"tests/reference/test_{name}.py" for name in ("relevance", "captum", "methods")]
_RULES += [f"tests/reference/test_{name}.py" for name in ("rectifiers", "norms")]
_CAM = ["tests/unit/test_gradcam_layer.py", "tests/reference/test_methods.py"]
_PAGE = ["tests/unit/test_l2i_page.py"]
_IBA = ["tests/reference/test_iba.py"]
_PIECES = ["tests/reference/test_perturbation.py", "tests/unit/test_pieces.py"]
_BACKGROUND = ["tests/unit/test_background.py"]
_ESTIMATORS = ["tests/reference/test_estimators.py", *_PIECES]
_ZOO = ["tests/unit/test_models.py", "tests/unit/test_zoo.py"]
_FAST = ["tests/unit/test_prepare.py", "tests/unit/test_mixtures.py"]
_ASKED = ["tests/unit/test_passes.py", "tests/unit/test_figures.py"]
_METRICS = ["tests/contract/test_metrics.py", "tests/reference/test_metrics.py"]
_RESUME = ["tests/unit/test_resume.py"]
_FOLDERS = ["tests/unit/test_explain_resume.py"]
_BENCH = ["tests/unit/test_tables.py", "tests/unit/test_benchmark.py", *_RESUME]
_LMAC = [
    "tests/unit/test_activations.py",
    "tests/unit/test_decoder.py",
    "tests/reference/test_lmac.py",
    "tests/reference/test_cutting.py",
]
_LMAC += [
    f"tests/unit/test_{name}.py"
    for name in ("train_lmac", "train_resume", "contamination", "sized", "refined")
]
_LMAC += _RESUME
_L2I = ["tests/reference/test_l2i.py"]
_L2I += [f"tests/unit/test_{name}.py" for name in ("dictionary", "components", "strongest")]
_L2I += ["tests/unit/test_train_l2i.py", "tests/unit/test_train_unfit.py"]
_LEARNED = [f"tests/reference/test_{name}.py" for name in ("flint", "piq")]
_LEARNED += ["tests/unit/test_train_learned.py", "tests/unit/test_train_unfit.py"]
# the longest beginning of a file's path that is here says which tests are nearest
NEAREST: dict[str, list[str]] = {
    "benchmark/": _BENCH,
    "benchmark/speed/floor.py": ["tests/unit/test_speed.py"],
    "benchmark/speed/rows.py": ["tests/unit/test_speed.py"],
    "benchmark/reruns.py": ["tests/unit/test_named_metrics.py"],
    "benchmark/cells.py": [*_BENCH, "tests/unit/test_named_metrics.py"],
    "benchmark/published/": ["tests/unit/test_published.py"],
    "data/": ["tests/unit/test_sounds.py"],
    "masks/": ["tests/unit/test_masks.py"],
    "masks/measure.py": ["tests/unit/test_masks.py", *_ASKED],
    "methods/": ["tests/reference/test_methods.py", "tests/contract/test_methods.py"],
    "methods/deep_shap.py": _RULES,
    "perturbation/estimators/": _ESTIMATORS,
    "perturbation/background/": [*_BACKGROUND, *_PIECES],
    "perturbation/baseline.py": _BACKGROUND,
    "pipeline.py": [*_BACKGROUND, "tests/unit/test_refined.py"],
    "steps.py": [*_BACKGROUND, *_FAST],
    "methods/guided.py": _RULES,
    "methods/lrp.py": _RULES,
    "methods/lmac.py": _LMAC,
    "decoders/objective.py": _LMAC,
    "methods/optimised_mask.py": _LMAC,
    "perturbation/perturb.py": _PIECES,
    "perturbation/pieces/": ["tests/unit/test_ultrasound.py", *_PIECES],
    "backward/": _RULES,
    "backward/following.py": _CAM,
    "methods/gradcam.py": _CAM,
    "methods/iba.py": _IBA,
    "layers/bottleneck.py": _IBA,
    "layers/placing.py": [*_CAM, *_IBA],
    "layers/choosing.py": _CAM,
    "layers/influence.py": [*_CAM, *_LMAC],
    "backward/unfold.py": ["tests/reference/test_unfold.py", *_RULES],
    "samples.py": ["tests/unit/test_hostile.py", "tests/unit/test_ultrasound.py"],
    "weights.py": [
        *_LEARNED,
        *(f"tests/unit/test_{name}.py" for name in ("cnn14", "hostile")),
    ],
    "render/policy.py": ["tests/unit/test_report.py"],
    "audio.py": [
        "tests/unit/test_hostile.py",
        "tests/unit/test_audio.py",
        "tests/unit/test_ultrasound.py",
        *_FOLDERS,
    ],
    "render/players.py": ["tests/unit/test_ultrasound.py", "tests/unit/test_figures.py"],
    "render/labels.py": ["tests/unit/test_figures.py"],
    "evaluation/notes.py": [*_BACKGROUND, "tests/unit/test_ultrasound.py", *_RULES],
    "metrics/": _METRICS,
    "evaluation/cases.py": _ASKED,
    "evaluation/orders.py": ["tests/unit/test_masks.py", "tests/unit/test_benchmark.py"],
    "evaluation/published.py": ["tests/reference/test_published.py", *_METRICS],
    "benchmark/sanity/disturbed.py": ["tests/unit/test_sanity.py"],
    "evaluation/scrambling.py": ["tests/unit/test_sanity.py"],
    "jobs/": ["tests/unit/test_jobs.py", *_FOLDERS],
    "files.py": ["tests/unit/test_hostile.py", *_FOLDERS],
    "cli/": ["tests/unit/test_hostile.py", *_FOLDERS],
    "cli/run.py": ["tests/unit/test_refined.py", "tests/unit/test_hostile.py", *_FOLDERS],
    "cli/l2i_cases.py": _PAGE,
    "cli/l2i_page.py": _PAGE,
    "data/sets/": ["tests/unit/test_data_sets.py"],
    "cli/data.py": ["tests/unit/test_data_sets.py"],
    "data/collection.py": ["tests/unit/test_train.py"],
    "benchmark/engine.py": [*_FOLDERS, *_BENCH],
    "options.py": ["tests/unit/test_options.py"],
    "plane/knots.py": ["tests/unit/test_decoder.py", "tests/unit/test_axes.py"],
    "plane/windows.py": [f"tests/unit/test_{name}.py" for name in ("targets", "decoder", "models")],
    "report/": ["tests/unit/test_report.py", *_FOLDERS],
    "report/desk/": ["tests/browser"],
    "report/packing.py": ["tests/unit/test_depth.py", "tests/unit/test_packing.py"],
    "store.py": ["tests/unit/test_explanation.py", "tests/unit/test_component_table.py"],
    "naming.py": ["tests/unit/test_component_table.py"],
    "jobs/components.py": ["tests/unit/test_overview.py"],
    "cli/components.py": ["tests/unit/test_overview.py", "tests/unit/test_overview_files.py"],
    "jobs/resuming.py": [*_FOLDERS, "tests/unit/test_component_table.py"],
    "report/components.py": ["tests/unit/test_component_curves.py"],
    "evaluation/passes.py": _ASKED,
    "metrics/ranking.py": ["tests/unit/test_ranking.py"],
    "metrics/sanity.py": ["tests/unit/test_sanity.py"],
    "evaluation/trust.py": [
        f"tests/unit/test_{name}.py" for name in ("verdict", "explanation", "targets", "passes")
    ],
    "evaluation/verdict.py": ["tests/unit/test_verdict.py"],
    "mixing.py": _FAST,
    "models/": ["tests/unit/test_declared.py", *_ZOO],
    "models/batching.py": ["tests/unit/test_batching.py"],
    "models/target.py": ["tests/unit/test_targets.py", "tests/unit/test_models.py"],
    "layers/axes.py": ["tests/unit/test_axes.py"],
    "models/zoo/cnn14.py": ["tests/unit/test_cnn14.py"],
    "decoders/slim.py": _LMAC,
    "plane/cutting.py": _LMAC,
    "matching.py": ["tests/unit/test_matching.py"],
    "decoders/folder.py": _LMAC,
    "decoders/trained.py": [*_RESUME, *_LMAC, *_L2I, *_LEARNED],
    "decoders/dictionary.py": _L2I,
    "decoders/components.py": _L2I,
    "decoders/interpreter.py": _L2I,
    "methods/l2i.py": _L2I,
    "methods/flint.py": _LEARNED,
    "methods/piq.py": _LEARNED,
    "decoders/flint.py": _LEARNED,
    "decoders/piq.py": _LEARNED,
    "train/interpreters/flint.py": _LEARNED,
    "train/interpreters/piq.py": _LEARNED,
    "train/loop.py": [*_LMAC, *_L2I, *_LEARNED],
    "cli/training.py": _LEARNED,
    "train/interpreters/": _L2I,
    "metrics/agreement.py": _L2I,
    "models/prepare.py": _FAST,
    "models/fingerprint.py": ["tests/unit/test_sanity.py", *_RESUME, *_FAST, *_LMAC],
    "models/registry.py": [*_RESUME, *_ZOO, "tests/unit/test_adapters.py"],
    "models/adapters/": [
        f"tests/unit/test_{name}.py" for name in ("adapters", "onnx", "tflite", "compiled_files")
    ],
    "models/adapters/huggingface.py": ["tests/unit/test_huggingface.py"],
    "models/adapters/extractors.py": ["tests/unit/test_huggingface.py"],
    "checking/": ["tests/unit/test_check.py"],
    "cli/check.py": ["tests/unit/test_check.py"],
    "models/calling/": ["tests/unit/test_reading.py", "tests/unit/test_models.py"],
    "train/classifier.py": ["tests/unit/test_train.py", *_RESUME, *_FOLDERS],
    "train/progress.py": [*_RESUME, *_LMAC],
    "models/frontend.py": _FAST,
    "layers/finding.py": _LMAC,
    "decoders/published.py": _LMAC,
    "layers/activations.py": _LMAC,
    "plane/": ["tests/unit/test_plane.py"],
    "plane/observed.py": ["tests/unit/test_declared.py", "tests/unit/test_plane.py"],
    "plane/domains.py": ["tests/unit/test_masks.py"],
    "probe.py": [*_FAST, "tests/reference/test_methods.py"],
    "train/": _LMAC,
    "render/evidence.py": ["tests/unit/test_explanation.py"],
}


def nearest(file: str) -> list[str]:
    """Return the tests to run first for a bug in a file."""
    fits = [start for start in NEAREST if file.startswith(start)]
    return NEAREST[max(fits, key=len)] if fits else []


def tests_pass(folder: Path, tests: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", *tests]
    command += [f"--deselect={name}" for name in LEFT_OUT]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1, 2):
        sys.exit(f"the tests could not be run:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main() -> None:
    wanted = sys.argv[1:]
    bugs = {n: bug for n, bug in BUGS.items() if not wanted or any(w in n for w in wanted)}
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        skip = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", "earwitness-*")
        shutil.copytree(ROOT, copy, ignore=skip)
        if not tests_pass(copy, TESTS):
            sys.exit("the tests fail without any bug; mend that first")
        survivors = []
        for number, (name, (file, old, new)) in enumerate(bugs.items(), start=1):
            path = copy / "src" / "earwitness" / file
            text = path.read_text(encoding="utf-8")
            if old not in text:
                sys.exit(f"{name}: the line to change is gone from {file}; mend this script")
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
            first = nearest(file)
            caught = bool(first) and not tests_pass(copy, first)
            caught = caught or not tests_pass(copy, TESTS)
            path.write_text(text, encoding="utf-8")
            print(f"{number}/{len(bugs)} {'caught' if caught else 'SURVIVED'}  {name}", flush=True)
            survivors += [] if caught else [name]
    print(f"{len(bugs) - len(survivors)} of {len(bugs)} caught")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
