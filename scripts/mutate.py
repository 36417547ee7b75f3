"""Plant one-line bugs in a copy of the source and report which ones no test notices.

``python scripts/mutate.py [NAME...]`` runs the tests of the mathematics once unharmed (a red
baseline is refused), then once per bug. A bug that survives is a test that is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ["tests/reference", "tests/contract/test_methods.py", "tests/unit"]
LEFT_OUT = ["tests/unit/test_train.py", "tests/unit/test_command.py"]
# name: (file, what stands there, what is put there)
BUGS: dict[str, tuple[str, str, str]] = {
    "sign: input-x-gradient": ("methods/gradients.py", "Map(gradient[0])", "Map(-gradient[0])"),
    "sign: saliency keeps it": ("methods/gradients.py", "gradient[0].abs()", "gradient[0]"),
    "sign: grad-cam without relu": (
        "methods/gradcam.py",
        "return summed.relu() if",
        "return summed if",
    ),
    "sign: guided backprop lets negative gradients pass": (
        "methods/guided.py",
        "gradients[0].clamp(min=0) * (result > 0)",
        "gradients[0] * (result > 0)",
    ),
    "rule: relus called as methods are not guided": (
        "methods/guided.py",
        "torch.nn.functional.relu, Tensor.relu}",
        "torch.nn.functional.relu}",
    ),
    "rule: relus in place are not guided": (
        "methods/guided.py",
        "if func not in _RELU and func not in _RELU_IN_PLACE:",
        "if func not in _RELU:",
    ),
    "rule: deep-shap uses the plain slope at the input": (
        "methods/deep_shap.py",
        "there + place * (here - there)",
        "here + place * (here - here)",
    ),
    "rule: deep-shap forgets the ratio": (
        "methods/deep_shap.py",
        "upstream * ratio, slopes[0]",
        "slopes[0], slopes[0]",
    ),
    "rule: deep-shap does not see products": (
        "methods/deep_shap.py",
        "plain in _MANY or (plain in _PRODUCTS and len(varying) == 2)",
        "plain in _MANY",
    ),
    "sign: gradient-shap from the input to the background": (
        "methods/gradient_shap.py",
        "(probe.magnitude - quiet) * gradients",
        "(quiet - probe.magnitude) * gradients",
    ),
    "seed: one noise for all passes of smoothgrad": (
        "methods/noise.py",
        "torch.randn(2, *probe.shape, generator=probe.generator)",
        "torch.randn(2, *probe.shape, generator=torch.Generator())",
    ),
    "normalisation: smoothgrad sums": (
        "methods/smoothgrad.py",
        "Map((total / samples).abs()",
        "Map(total.abs()",
    ),
    "sign: contrast reversed": (
        "models/model.py",
        "scale[:, target.index] - scale[:, target.versus_index]",
        "scale[:, target.versus_index] - scale[:, target.index]",
    ),
    "axis: grad-cam swaps time and frequency": (
        "methods/gradcam.py",
        "for axis in (axes.freq_axis, axes.time_axis)",
        "for axis in (axes.time_axis, axes.freq_axis)",
    ),
    "axis: calibration swaps them": (
        "models/axes.py",
        "LayerAxes(plus_batch[0], plus_batch[1]",
        "LayerAxes(plus_batch[1], plus_batch[0]",
    ),
    "axis: pictures upside down": ("picture.py", "pixels[::-1]", "pixels"),
    "axis: time runs backwards in grad-cam": (
        "methods/gradcam.py",
        "knots, values = knots[order], values[..., order]",
        "knots = knots[order]",
    ),
    "seed: probe ignores it": ("probe.py", "manual_seed(self.seed)", "manual_seed(0)"),
    "seed: random is not seeded": (
        "methods/controls.py",
        "torch.randn(probe.shape, generator=probe.generator)",
        "torch.randn(probe.shape)",
    ),
    "target: always the first": (
        "models/model.py",
        "return outputs[:, target.index]",
        "return outputs[:, 0]",
    ),
    "target: versus forgotten": (
        "models/model.py",
        "if target.versus_index is None:\n            return",
        "if True:\n            return",
    ),
    "target: softmax twice": (
        "models/model.py",
        "else outputs.softmax(dim=-1)",
        "else outputs.softmax(dim=-1).softmax(dim=-1)",
    ),
    "target: sigmoid for one of many": (
        "models/model.py",
        'if self.task == "multi-label" else outputs.softmax',
        "if True else outputs.softmax",
    ),
    "complement: evidence and remainder swapped": (
        "render.py",
        "return evidence, plane",
        "evidence, gains = plane.synthesise((1 - gains) * spectrum, samples), 1 - gains\n"
        "    return evidence, plane",
    ),
    "complement: the plane's remainder is its evidence": (
        "metrics/trust.py",
        "torch.cat([gains, 1 - gains])",
        "torch.cat([gains, gains])",
    ),
    "complement: sides swapped in the card": (
        "metrics/trust.py",
        "Outcome(Pair(plane[k], heard[k]), Pair(plane[count + k], heard[count + k]))",
        "Outcome(Pair(plane[count + k], heard[count + k]), Pair(plane[k], heard[k]))",
    ),
    "normalisation: half the path": (
        "methods/integrated_gradients.py",
        "total += torch",
        "total += 0.5 * torch",
    ),
    "normalisation: uniform weights": (
        "methods/integrated_gradients.py",
        "torch.from_numpy(weights) * place.cosh()",
        "torch.from_numpy(weights)",
    ),
    "normalisation: grad-cam sums weights": (
        "methods/gradcam.py",
        "gradient.mean(dim=places, keepdim=True)",
        "gradient.amax(dim=places, keepdim=True)",
    ),
    "normalisation: synthesis window": (
        "plane/stft.py",
        "spectrum * window.sum()",
        "spectrum * self.n_fft",
    ),
    "sign: occlusion": (
        "methods/estimators/occlusion.py",
        "weights = scores[0] - scores[2:]",
        "weights = scores[2:] - scores[0]",
    ),
    "sign: shapley against the sum": (
        "methods/estimators/kernel_shap.py",
        "offset = scores - none - last * total",
        "offset = scores - none + last * total",
    ),
    "axis: bands run downwards": (
        "methods/pieces/decomposition.py",
        "grid = self._rows.T @ grid",
        "grid = self._rows.flip(1).T @ grid",
    ),
    "axis: segments run backwards": (
        "methods/pieces/decomposition.py",
        "*self._sizes) @ self._columns",
        "*self._sizes) @ self._columns.flip(1)",
    ),
    "pieces: edges of two widths": (
        "methods/pieces/edges.py",
        "torch.minimum(room[:-1], room[1:])",
        "torch.maximum(room[:-1], room[1:])",
    ),
    "pieces: hard edges": (
        "methods/pieces/time.py",
        "max(plane.n_fft / 2, 2 * plane.hop) / plane.rate",
        "0.0",
    ),
    "pieces: regions leak": ("methods/pieces/decomposition.py", "hard / 2 + (", "hard / 2.1 + ("),
    "pieces: what stems leave over is lost": (
        "methods/pieces/ratios.py",
        "planes, names = torch.cat([planes, rest[None]])",
        "planes, names = torch.cat([planes, 0 * rest[None]])",
    ),
    "pieces: nmf without a rest": (
        "methods/pieces/nmf.py",
        "torch.maximum(model, magnitude).clamp",
        "model.clamp",
    ),
    "pieces: nmf updates swapped": (
        "methods/pieces/nmf.py",
        "(w @ h + floor) @ h.T) / (h.sum(dim=1)",
        "(w @ h + floor) @ h.T) / (h.mean(dim=1)",
    ),
    "pieces: harmonic is percussive": (
        "methods/pieces/harmonic_percussive.py",
        "size=(1, long)",
        "size=(long, 1)",
    ),
    "pieces: erb": ("methods/pieces/bands.py", "_ERB_SLOPE = 0.00437", "_ERB_SLOPE = 0.0437"),
    "pieces: the first segment is dead": (
        "methods/pieces/decomposition.py",
        "peaks.flatten() > _NOTHING)[:, 0]",
        "peaks.flatten() > _NOTHING)[1:, 0]",
    ),
    "game: the model hears the input whatever is drawn": (
        "methods/estimators/game.py",
        "gains = self._pieces.mix(self._full(some))",
        "gains = self._pieces.mix(self._full(torch.ones_like(some)))",
    ),
    "game: the last draws are lost": (
        "methods/estimators/game.py",
        "range(0, len(fresh), chunk)",
        "range(0, len(fresh) - chunk + 1, chunk)",
    ),
    "game: draws are mixed up": (
        "methods/estimators/game.py",
        "asked = switches[[first[key] for key in fresh]]",
        "asked = switches[[first[key] for key in fresh[::-1]]]",
    ),
    "complement: pieces that are off are heard": (
        "methods/estimators/game.py",
        "index_copy(1, self.live.to(switches.device), switches)",
        "index_copy(1, self.live.to(switches.device), 1 - switches)",
    ),
    "seed: draws are not seeded": (
        "methods/estimators/designs.py",
        "torch.randperm(len(matrix) - 1, generator=generator)",
        "torch.randperm(len(matrix) - 1)",
    ),
    "design: no signs": (
        "methods/estimators/designs.py",
        "matrix[order][:, columns] * signs) > 0",
        "matrix[order][:, columns] * 1) > 0",
    ),
    "design: no opposites": (
        "methods/estimators/designs.py",
        "torch.stack([half, ~half], dim=1)",
        "torch.stack([half, half.roll(1, 0)], dim=1)",
    ),
    "normalisation: kernel ignored": (
        "methods/estimators/lime.py",
        "torch.exp(-((1 - share.sqrt()) ** 2) / width**2)",
        "torch.ones_like(share)",
    ),
    "normalisation: ridge unscaled": (
        "methods/estimators/regression.py",
        "ridge / total",
        "ridge",
    ),
    "normalisation: the tilt of pairs is forgotten": (
        "methods/estimators/lime.py",
        "weights = level.weights + share * change",
        "weights = level.weights + 0 * change",
    ),
    "normalisation: shapley's kernel": (
        "methods/estimators/kernel_shap.py",
        "return (players - 1) / (size * (players - size)).double()",
        "return (players - 1) / size.double()",
    ),
    "normalisation: coalitions are not reweighed": (
        "methods/estimators/kernel_shap.py",
        "return shapley_kernel(players, size) / _chances(players)[size - 1]",
        "return torch.ones_like(size).double()",
    ),
    "normalisation: rise sums": (
        "methods/estimators/rise.py",
        "on / on.sum(dim=0).clamp(min=1)",
        "on / len(on)",
    ),
    "error: not scaled up": (
        "methods/estimators/regression.py",
        "pairs = pairs * (len(pairs) / free) ** 0.5",
        "pairs = pairs * (len(pairs) / free) ** -2",
    ),
    "error: draws instead of pairs claim too little": (
        "methods/estimators/regression.py",
        "(noise / (whole - noise)) ** 0.5",
        "noise / (whole - noise)",
    ),
    "stop: never": (
        "methods/estimators/lime.py",
        "if estimate.error <= sampling.tolerance:",
        "if estimate.error < 0:",
    ),
    "fill: quieter than the clip": (
        "methods/fills/noise_floor.py",
        "math.sqrt(-2 * math.log(1 - _SHARE))",
        "math.sqrt(-2 * math.log(_SHARE))",
    ),
    "fill: only the last of several": (
        "methods/estimators/game.py",
        "torch.stack(values).mean(dim=0)",
        "torch.stack(values)[-1]",
    ),
    "pieces: sounds of the weakest": (
        "render.py",
        "key=lambda piece: -abs(weights[piece])",
        "key=lambda piece: abs(weights[piece])",
    ),
    "pieces: everything else is everything": (
        "render.py",
        "1 - switches.sum(dim=0, keepdim=True)",
        "0 * switches.sum(dim=0, keepdim=True) + 1",
    ),
    "normalisation: energy is magnitude": (
        "methods/controls.py",
        "probe.magnitude**2",
        "probe.magnitude",
    ),
    "mask: negative attribution kept": (
        "mask.py",
        "positive = int((levels > 0).sum())",
        "positive = len(levels)",
    ),
    "mask: smallest kept": ("mask.py", "values >= levels[::-1][last]", "values <= levels[last]"),
    "mask: energy without the square": (
        "mask.py",
        "np.asarray(gains, np.float64) ** 2 * energy",
        "gains * energy",
    ),
    "mask: full counts as good": (
        "mask.py",
        'return "full" if low >= 1 - 1e-6 else "constant"',
        "return None",
    ),
    "control: not the same gains": (
        "metrics/trust.py",
        "np.sort(gains, axis=None)",
        "np.sort(gains, axis=None) ** 2 * 0.5",
    ),
    "control: energy upside down": (
        "metrics/trust.py",
        "order_by(mask.gains, magnitude)",
        "order_by(mask.gains, -magnitude)",
    ),
    "control: random is rough": (
        "metrics/trust.py",
        "power * np.exp(1j * np.angle(phases))",
        "np.abs(phases) * np.exp(1j * np.angle(phases))",
    ),
    "trace: training mode not restored": ("models/model.py", "module.training = training", "pass"),
    "plane: tail is lost": (
        "plane/stft.py",
        "math.ceil((samples + self.n_fft // 2) / self.hop)",
        "math.ceil(samples / self.hop)",
    ),
    "plane: mel scale": ("plane/mel.py", "math.log(6.4) / 27.0", "math.log(6.4) / 26.0"),
    "plane: saliency by gain": (
        "probe.py",
        "spectrum = magnitude * self._phase",
        "spectrum = magnitude * self.spectrum",
    ),
    "length: windows are summed": ("models/model.py", ".mean(dim=0)", ".sum(dim=0)"),
    "figures: calibration": ("metrics/calibration.py", "np.abs(gap).sum()", "np.abs(gap.sum())"),
    "figures: si-sdr": ("metrics/localisation.py", "rest = found - part", "rest = found - wanted"),
    "figures: mass": ("metrics/localisation.py", "positive[truth]", "positive[~truth]"),
    "page: axis": ("report/page.py", "100 * (value - low)", "100 * (value - low / 2)"),
}


def tests_pass(folder: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", *TESTS]
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
        if not tests_pass(copy):
            sys.exit("the tests fail without any bug; mend that first")
        survivors = []
        for number, (name, (file, old, new)) in enumerate(bugs.items(), start=1):
            path = copy / "src" / "earwitness" / file
            text = path.read_text(encoding="utf-8")
            if old not in text:
                sys.exit(f"{name}: the line to change is gone from {file}; mend this script")
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
            caught = not tests_pass(copy)
            path.write_text(text, encoding="utf-8")
            print(f"{number}/{len(bugs)} {'caught' if caught else 'SURVIVED'}  {name}", flush=True)
            survivors += [] if caught else [name]
    print(f"{len(bugs) - len(survivors)} of {len(bugs)} caught")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
