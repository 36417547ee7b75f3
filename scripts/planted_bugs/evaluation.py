"""Bugs in ``evaluation``."""

from __future__ import annotations

BUGS = {
    "curve: evidence and remainder swapped": (
        "evaluation/curve.py",
        "for outputs in (sides.evidence, sides.remainder):",
        "for outputs in (sides.remainder, sides.evidence):",
    ),
    "curve: one mask too large": (
        "evaluation/curve.py",
        "(values >= one)",
        "(values >= 0.99 * one)",
    ),
    "curve: negative attribution counts": (
        "evaluation/curve.py",
        "values = storable(attribution).astype(np.float64)",
        "values = np.abs(storable(attribution).astype(np.float64))",
    ),
    "curve: on the masked spectrogram": (
        "evaluation/curve.py",
        'routes=("audio",), undefined',
        'routes=("spectrogram",), undefined',
    ),
    "curve: the random masks are all of the last area": (
        "evaluation/curve.py",
        "for gains in loudest())",
        "for gains in list(loudest())[-1:] * len(AREAS))",
    ),
    "curve: the quietest cells": (
        "evaluation/curve.py",
        "yield orders.by_energy(first)",
        "yield 1 - orders.by_energy(1 - first)[::-1, ::-1]",
    ),
    "curve: controls of another target": (
        "subject.py",
        "self._controls[probe.target] = found",
        "self._controls[probe.target] = next(iter(self._controls.values()), found)",
    ),
    "curve: controls for every method": (
        "subject.py",
        "if probe.target not in self._controls:",
        "if True:",
    ),
    "curve: all masks at once": (
        "evaluation/curve.py",
        "_scored(probe, ((values >= one).astype(np.float32) for one in least), whole)",
        "_scored(probe, [(values >= one).astype(np.float32) for one in least], whole)",
    ),
    "curve: one silence takes its batch": (
        "evaluation/passes.py",
        "if len(inputs) == 1:\n            return undefined[None]",
        "if True:\n            return undefined.expand(len(inputs), *undefined.shape)",
    ),
    "curve: not loaded": (
        "store.py",
        'facts.get("curve"))',
        "None)",
    ),
    "curve: not part of the key": (
        "jobs/resuming.py",
        'not in ("method", "options")]',
        'not in ("method", "options", "curve")]',
    ),
    "curve: for every card": (
        "cli/explain.py",
        'trust == "full" if curve is None else curve',
        "True if curve is None else curve",
    ),
    "complement: the remainder is the evidence": (
        "evaluation/passes.py",
        "waves = torch.cat([evidence, probe.wave - evidence])",
        "waves = torch.cat([evidence, evidence])",
    ),
    "complement: sides swapped in the card": (
        "evaluation/trust.py",
        "[Outcome(Pair(*row[:2]), Pair(*row[2:])) for row in rows]",
        "[Outcome(Pair(*row[2:]), Pair(*row[:2])) for row in rows]",
    ),
    "passes: equal masks get each other's answers": (
        "evaluation/passes.py",
        "blake2b(one.data).digest()",
        'blake2b(b"").digest()',
    ),
    "passes: routes swapped": (
        "evaluation/passes.py",
        '{"spectrogram": masked, "audio": modulus(plane.analyse(waves))}',
        '{"audio": masked, "spectrogram": modulus(plane.analyse(waves))}',
    ),
    "passes: the papers' scale forgotten": (
        "evaluation/passes.py",
        "domain, scale=plane.n_fft / 2)",
        "domain, scale=1.0)",
    ),
    "passes: the remainder is kept as the sound": (
        "evaluation/passes.py",
        "kept.append(waves[0].cpu() if sounds",
        "kept.append(waves[1].cpu() if sounds",
    ),
    "cases: the curves swapped": (
        "evaluation/cases.py",
        'fields[f"insertion{ending}"] = curve[f"{kind}_evidence"]',
        'fields[f"insertion{ending}"] = curve[f"{kind}_remainder"]',
    ),
    "cases: odds of a probability": (
        "evaluation/cases.py",
        "return outputs[:, index] - others.logsumexp(dim=1)",
        "return outputs.softmax(dim=1)[:, index].float().logit(eps=1e-7)",
    ),
    "cases: the first class always": (
        "evaluation/cases.py",
        "probabilities(model, outputs)[:, target.index]",
        "probabilities(model, outputs)[:, 0]",
    ),
    "control: not the same gains": (
        "evaluation/orders.py",
        "np.sort(gains, axis=None)",
        "np.sort(gains, axis=None) ** 2 * 0.5",
    ),
    "control: energy upside down": (
        "evaluation/orders.py",
        "return _placed(np.sort(gains, axis=None), self._by_loudness, gains.shape)",
        "return _placed(np.sort(gains, axis=None)[::-1], self._by_loudness, gains.shape)",
    ),
    "control: random is rough": (
        "evaluation/orders.py",
        "amplitudes: NDArray[np.floating] = np.abs(fft.rfft2(centred))",
        "amplitudes: NDArray[np.floating] = np.ones_like(np.abs(fft.rfft2(centred)))",
    ),
    "speed: scrambled weights pass for the model's own": (
        "evaluation/scrambling.py",
        "model.optimise = False",
        "model.optimise = True",
    ),
    "compat: one softmax": (
        "evaluation/published.py",
        'softmax(case[f"all_{side}"], axis=-1)',
        'case[f"all_{side}"]',
    ),
    "compat: constant masks as they are": (
        "evaluation/published.py",
        "np.where(varies,",
        "np.where(True,",
    ),
    "compat: a tolerance": (
        "evaluation/published.py",
        "(inside > p)",
        "(inside > p + 1e-6)",
    ),
    "sanity: statistics are kept": (
        "evaluation/scrambling.py",
        'name.startswith("running_")',
        "False",
    ),
    "sanity: weights are not put back": (
        "evaluation/scrambling.py",
        "tensor.copy_(old)",
        "pass",
    ),
    "sanity: from the input up": (
        "evaluation/scrambling.py",
        "for block in reversed(blocks)",
        "for block in blocks",
    ),
    "sanity: cascading is independent": (
        "evaluation/scrambling.py",
        "blocks[: number + 1] if order",
        "blocks[number : number + 1] if order",
    ),
    "stability: one seed": (
        "benchmark/sanity/disturbed.py",
        "explain(wave, seed + k)",
        "explain(wave, seed)",
    ),
    "stability: noise in power": (
        "benchmark/sanity/disturbed.py",
        "10 ** (decibels / 20)",
        "10 ** (decibels / 10)",
    ),
    "passes: nothing is remembered": (
        "evaluation/passes.py",
        "if (routes, name) not in known and",
        "if",
    ),
    "passes: answers of another mask": (
        "evaluation/passes.py",
        "zip(some, each, kept, strict=True)",
        "zip(some[::-1], each, kept, strict=True)",
    ),
    "metrics: answers of the first frames": (
        "evaluation/cases.py",
        "over(chances, target.frames)",
        "over(chances, (0, 5) if target.frames else None)",
    ),
    "sign: evidence for a low value judged as for a high one": (
        "evaluation/trust.py",
        "lost = [sign * (whole - one) for one in self.remainder]",
        "lost = [whole - one for one in self.remainder]",
    ),
    "effect: only what the evidence adds": (
        "evaluation/trust.py",
        "return [(a + b) / 2 for a, b in zip(gained, lost, strict=True)]",
        "return gained",
    ),
    "effect: the background is ignored": (
        "evaluation/trust.py",
        "outputs = probe.model(probe.sound(torch.stack(some)))",
        "outputs = probe.model(probe.with_background(None).sound(torch.stack(some)))",
    ),
    "effect: a background for silence": (
        "pipeline.py",
        'absent = with_backgrounds(probe, found.details.get("background", AUTO))',
        'absent = with_backgrounds(probe, "silence")',
    ),
    "effect: the declared range is ignored": (
        "evaluation/trust.py",
        'limits = probe.model.range if probe.target.kind == "value" else None',
        "limits = None",
    ),
    "effect: a distance of nothing is a full range": (
        "evaluation/trust.py",
        "return distance if distance >= _SMALL * abs(score) else abs(score)",
        "return distance",
    ),
    "verdict: the best control counts": (
        "evaluation/verdict.py",
        "if share < MODERATE or limited:",
        "if share < MODERATE:",
    ),
    "verdict: a control that does the opposite reads as doing the same": (
        "evaluation/verdict.py",
        'card.sign * reached, "it"',
        'reached, "it"',
    ),
    "verdict: silence is no control": (
        "evaluation/verdict.py",
        'if name != "silence":',
        "if True:",
    ),
    "verdict: a small effect is evidence": (
        "evaluation/verdict.py",
        "    if share < WEAK:",
        "    if False:",
    ),
    "verdict: missing sound counts as a tie with silence": (
        "evaluation/verdict.py",
        'if ties == ["silence"] and "background" in ahead and mask.energy < _SILENT:',
        "if False:",
    ),
    "verdict: evidence that is not sufficient is strong": (
        "evaluation/verdict.py",
        "limited=bool(ties) or alone",
        "limited=bool(ties)",
    ),
    "trust: a light card is a full one": (
        "evaluation/trust.py",
        '"light": ("audio",)',
        '"light": BOTH',
    ),
    "control: antithetic orders are equal": (
        "evaluation/orders.py",
        "(one, one[::-1])",
        "(one, one)",
    ),
    "control: the silence of another length": (
        "evaluation/trust.py",
        "if probe.samples not in known:",
        "if not known:",
    ),
    "method: gains are rounded to 4 bits": (
        "masks/rounding.py",
        "_STEPS = 2**10",
        "_STEPS = 2**4",
    ),
    "method: gains are not rounded": (
        "methods/registry.py",
        "if self.gives_gains else found",
        "if False else found",
    ),
    "control: random order of 8 bits": (
        "evaluation/orders.py",
        "_CODES = 2**16 - 1",
        "_CODES = 2**8 - 1",
    ),
    "control: every draw is the first": (
        "evaluation/orders.py",
        "yield self._drawn[number]",
        "yield self._drawn[0]",
    ),
    "course: logits for probabilities": (
        "subject.py",
        "reported_values(model, self.outputs.unsqueeze(0), target)[0]",
        "self.outputs[target.index]",
    ),
    "course: windows begin with the sound": (
        "subject.py",
        "starts = [start / model.rate for start, _ in windows]",
        "starts = [0.0 for _ in windows]",
    ),
    "verdict: a small lead is strong": (
        "evaluation/verdict.py",
        'if grade == "strong" and lead < MODERATE:',
        "if False:",
    ),
    "verdict: a tiny lead is moderate": (
        "evaluation/verdict.py",
        'if grade == "moderate" and lead < WEAK else grade',
        "if False else grade",
    ),
}
