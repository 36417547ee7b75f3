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
    "sign: occlusion": ("methods/occlusion.py", "scores[0] - scores[1:]", "scores[1:] - scores[0]"),
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
        "[1 / count] * count",
        "[1.0] * count",
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
    "axis: pieces transposed": (
        "methods/pieces.py",
        "row[:, None] * wanted + column[None, :]",
        "row.flip(0)[:, None] * wanted + column[None, :]",
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
    "seed: lime is not seeded": (
        "methods/lime.py",
        "torch.rand(int(samples), pieces, generator=probe.generator)",
        "torch.rand(int(samples), pieces)",
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
    "complement: lime counts the pieces that are off": (
        "methods/lime.py",
        "probe.mixed_scores(labels, switches)",
        "probe.mixed_scores(labels, 1 - switches)",
    ),
    "normalisation: half the path": (
        "methods/integrated_gradients.py",
        "weights.tolist()",
        "(0.5 * weights).tolist()",
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
    "normalisation: kernel ignored": (
        "methods/lime.py",
        "torch.exp(-((1 - share.sqrt()) ** 2) / width**2)",
        "torch.ones_like(share)",
    ),
    "normalisation: ridge unscaled": ("methods/lime.py", "ridge / total", "ridge"),
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
    "speed: norm folded without its mean": (
        "models/fusion.py",
        "bias.double() - mean.double()",
        "bias.double()",
    ),
    "speed: norm folded without its epsilon": (
        "models/fusion.py",
        "(variance.double() + epsilon)",
        "(variance.double() + 100 * epsilon)",
    ),
    "speed: a relu that is not there": (
        "models/fusion.py",
        '"relu" if call.relu else "none"',
        '"relu"',
    ),
    "speed: stale filters": (
        "models/fusion.py",
        "known is None or not known.fresh()",
        "known is None",
    ),
    "speed: filters of another norm": (
        "models/fusion.py",
        "parts = (call.weight, call.bias, *(call.norm or ()))",
        "parts = (call.weight, call.bias)",
    ),
    "speed: what is used twice is bent": (
        "models/fusion.py",
        "return self.convolve(replace(held.call, relu=True))",
        "held.call = replace(held.call, relu=True)\n                    return held.run()",
    ),
    "speed: norms in training mode are folded": (
        "models/fusion.py",
        "is not held or training or",
        "is not held or",
    ),
    "speed: calls that are watched are hidden": (
        "models/fast.py",
        "and torch._C._len_torch_function_stack() == 0",
        "",
    ),
    "speed: never checked": ("models/fast.py", "and agree(found, plain)", ""),
    "speed: given up after a change of weights": (
        "models/fast.py",
        "for _ in range(2):",
        "for _ in range(1):",
    ),
    "speed: fused although slower": ("models/fast.py", "fused < _PAYS * plain", "fused > 0"),
    "speed: tolerance": ("models/fast.py", "OUTPUT_TOLERANCE = 1e-4", "OUTPUT_TOLERANCE = 1e-3"),
    "speed: the floor passes fewer inputs": (
        "benchmark/speed.py",
        "while done < count:",
        "while done < count - 1:",
    ),
    "speed: mean ratio of sums": (
        "benchmark/speed.py",
        "median(taken / least for least, taken in pairs)",
        "median(least / taken for least, taken in pairs)",
    ),
    "mixing: the rank of pieces in a frame": (
        "mixing.py",
        ".long().cumsum(dim=0)",
        ".long()",
    ),
    "mixing: owners of the wrong frame": (
        "mixing.py",
        "switches[:, None, pieces]",
        "switches[:, None, pieces.flip(0)]",
    ),
    "mixing: pieces that touch share a sound": (
        "mixing.py",
        "plane.n_fft // plane.hop + 2",
        "1",
    ),
    "mixing: the tail of a piece is lost": (
        "mixing.py",
        "last * plane.hop + reach + 1",
        "last * plane.hop",
    ),
    "mixing: what no piece holds is kept": (
        "mixing.py",
        "whole = wave - plane.synthesise((left * change)",
        "whole = wave - 0 * plane.synthesise((left * change)",
    ),
    "mixing: background forgotten": ("mixing.py", "change = spectrum - other", "change = spectrum"),
    "gradient: weights out of step": (
        "probe.py",
        "done += len(found)\n        if is_linear",
        "done += 0\n        if is_linear",
    ),
    "gradient: gain and magnitude confused": (
        "probe.py",
        "total = back[0] if of_magnitude else back[0] * self.magnitude",
        "total = back[0]",
    ),
    "trace: parameters stay frozen": ("models/model.py", "one.requires_grad_(True)", "pass"),
    "cnn14: one more pooling": (
        "models/cnn14.py",
        "pool = 2 if number < len(widths) else 1",
        "pool = 2",
    ),
    "cnn14: mean without maximum": (
        "models/cnn14.py",
        "over_time.amax(dim=2) + over_time.mean(dim=2)",
        "2 * over_time.mean(dim=2)",
    ),
    "cnn14: time and frequency swapped": (
        "models/cnn14.py",
        "maps.mean(dim=3)",
        "maps.mean(dim=2)",
    ),
    "cnn14: level of the features": (
        "models/cnn14.py",
        "self.window = _N_FFT / 2",
        "self.window = 1.0",
    ),
    "cnn14: own filters over the file's": (
        "models/cnn14.py",
        "frontend.filters.copy_(filters)",
        "pass",
    ),
    "cnn14: files are unpickled": ("models/cnn14.py", "weights_only=True", "weights_only=False"),
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
