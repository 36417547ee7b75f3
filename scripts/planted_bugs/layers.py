"""Bugs in ``layers``."""

from __future__ import annotations

BUGS = {
    "iba: a layer that cannot take noise is not named": (
        "methods/iba.py",
        "except ModelError as error:",
        "except ZeroDivisionError as error:",
    ),
    "layers: parametrized ones are none": (
        "layers/recording.py",
        'if one != "parametrizations"]',
        "]",
    ),
    "layers: what is read in time and in frequency is exchanged": (
        "layers/placing.py",
        "span=span, band=band",
        "span=band, band=span",
    ),
    "layers: the other end of an axis is tried": (
        "layers/placing.py",
        "ones if upper else ones.flip(0)",
        "ones.flip(0) if upper else ones",
    ),
    "layers: autocast is not seen": (
        "layers/axes.py",
        "if tensor.dtype in _HALF:",
        "if model.dtype in _HALF:",
    ),
    "layers: bands that are not read have the nearest value": (
        "layers/placing.py",
        " * _within(freqs, axes.band).to(one)[:, None]",
        "",
    ),
    "layers: times that are not read have the nearest value": (
        "layers/placing.py",
        " * _within(at, axes.span).to(one)",
        "",
    ),
    "layers: a leak is a band that is read": (
        "layers/placing.py",
        "_UNREAD = 2e-2",
        "_UNREAD = 2e-4",
    ),
    "layers: a band that is hardly read is not": (
        "layers/placing.py",
        "_UNREAD = 2e-2",
        "_UNREAD = 2e-1",
    ),
    "deep-shap: masked scores differ": (
        "backward/mean_slope.py",
        "torch.where(start == end, torch.zeros_like(end), end - start)",
        "end - start",
    ),
    "axis: calibration swaps them": (
        "layers/axes.py",
        "places[0], places[1], torch",
        "places[1], places[0], torch",
    ),
    "lmac: layers that run backwards are read as they are": (
        "layers/finding.py",
        "output = output.flip(self.flips) if self.flips else output",
        "output = output + 0",
    ),
    "lmac: time and frequency exchanged": (
        "layers/finding.py",
        "[self.freq_axis, self.time_axis]",
        "[self.time_axis, self.freq_axis]",
    ),
    "lmac: the first layer of a resolution": (
        "layers/finding.py",
        "last = {sizes[layer.name]: layer for layer in layers}",
        "last = {sizes[layer.name]: layer for layer in reversed(layers)}",
    ),
    "lmac: the conditioning is not centred over classes": (
        "layers/activations.py",
        'if model.task == "single-label":',
        "if False:",
    ),
    "lmac: the conditioning is not normalised": (
        "layers/activations.py",
        "return slopes / slopes.square().mean(dim=1, keepdim=True).sqrt().clamp(min=_LEAST)",
        "return slopes",
    ),
    "lmac: the finest layer is read too": (
        "layers/finding.py",
        "fine[:-1][-_MOST_LAYERS:]",
        "fine[-_MOST_LAYERS:]",
    ),
    "lmac: layers that lead nowhere are read": (
        "layers/finding.py",
        "if one.connected}",
        "}",
    ),
    "cam: heads that lead elsewhere are taken": (
        "layers/choosing.py",
        "for name, one in once.items() if one.effective}",
        "for name, one in once.items()}",
    ),
    "cam: layers of one channel are preferred": (
        "layers/choosing.py",
        "FEW_CHANNELS = 8",
        "FEW_CHANNELS = 1",
    ),
    "cam: the search is silent": (
        "layers/axes.py",
        "number += 1\n            tick(1)",
        "number += 1",
    ),
    "cam: a map of loudness is not noted": (
        "methods/gradcam.py",
        "_ELSEWHERE = 0.2",
        "_ELSEWHERE = 1.0",
    ),
    "cam: a named head of another output gives an empty map": (
        "methods/gradcam.py",
        "if layer and not bool(gradient.any()):",
        "if False:",
    ),
    "lmac: no slope is no number": (
        "layers/activations.py",
        ".nan_to_num(0.0, 0.0, 0.0)",
        "",
    ),
    "lmac: the conditioning vanishes at certainty": (
        "layers/activations.py",
        'log_odds(model, outputs) if model.output == "probabilities" else outputs',
        "outputs",
    ),
    "lmac: what follows writes over the maps": (
        "layers/activations.py",
        "output.detach().clone()",
        "output.detach()",
    ),
    "lmac: the conditioning is of another output": (
        "layers/activations.py",
        "device=values.device), target]",
        "device=values.device), target - 1]",
    ),
    "lmac: the conditioning is of outputs per frame": (
        "layers/finding.py",
        "one.channels > outputs and",
        "True and",
    ),
    "lmac: named outputs of a layer become plain": (
        "layers/recording.py",
        'if hasattr(output, "_replace"):',
        "if False:",
    ),
    "iba: the noise's power is its deviation": (
        "layers/bottleneck.py",
        "(noise.square() + (keep",
        "(noise + (keep",
    ),
    "iba: keep is the share of the noise": (
        "layers/bottleneck.py",
        "keep * maps + (1 - keep) * noise",
        "(1 - keep) * maps + keep * noise",
    ),
    "iba: the mean of the noise is left out": (
        "layers/bottleneck.py",
        "noise = one.mean[..., None] + one.divisor",
        "noise = one.divisor",
    ),
    "iba: the deviation between sounds does not count": (
        "layers/bottleneck.py",
        "self._square + square + step.square() * self._count * count / total",
        "self._square + square",
    ),
    "iba: constant features count": (
        "layers/bottleneck.py",
        "(self.deviation > _CONSTANT * self._usual)",
        "(self.deviation >= 0)",
    ),
    "iba: windows are exchanged": (
        "layers/bottleneck.py",
        "self.keep.repeat_interleave(len(maps) // len(self.keep), dim=0)",
        "self.keep.repeat(len(maps) // len(self.keep), 1, 1, 1)",
    ),
    "iba: edges fade": (
        "layers/bottleneck.py",
        'mode="replicate"',
        'mode="constant"',
    ),
    "iba: a layout is not restored": (
        "layers/placing.py",
        "ordered.permute([order.index(axis) for axis in range(cells.ndim)])",
        "ordered.permute(order)",
    ),
    "iba: a search that has not settled has no note": (
        "methods/iba.py",
        "if change < _SETTLED:",
        "if change < 4 * _SETTLED:",
    ),
    "iba: every search is unsettled": (
        "methods/iba.py",
        "change = abs(after - before) / before if before else 0.0",
        "change = 1.0",
    ),
    "iba: nats are called bits": (
        "methods/iba.py",
        ".sum(dim=1) / math.log(2)",
        ".sum(dim=1)",
    ),
    "iba: draws add up": (
        "methods/iba.py",
        "search.distances(logits, count) / samples",
        "search.distances(logits, count)",
    ),
    "iba: other weights have the statistics of the first": (
        "methods/iba.py",
        '"" if model.module is None else digest(model.module)',
        '""',
    ),
    "iba: another front end has the statistics of the first": (
        "methods/iba.py",
        "known = _KNOWN.of(model)",
        "known = _KNOWN.__dict__",
    ),
    "iba: trials of a batch count in the statistics": (
        "methods/iba.py",
        "model.settle(waves)  #",
        "pass  #",
    ),
    "iba: a layer without effect is explained": (
        "methods/iba.py",
        "if not reached and",
        "if False and",
    ),
    "iba: nothing is switched off for the statistics": (
        "methods/iba.py",
        "generator=probe.generator).round()",
        "generator=probe.generator).ceil()",
    ),
    "place: what the model does not read is given attribution": (
        "layers/placing.py",
        "start + length if start + length < samples else math.inf",
        "math.inf",
    ),
    "place: what is before the window is given attribution": (
        "layers/placing.py",
        "(times >= start / rate) & (times <= end / rate)",
        "times <= end / rate",
    ),
    "axis: a change of level is taken for a place": (
        "layers/axes.py",
        "if self._same:",
        "if True:",
    ),
    "axis: two channels are an axis of frequency": (
        "layers/axes.py",
        "fewest = 2 if len(by_freq) > 2 else 3",
        "fewest = 2",
    ),
    "axis: two rows are none": (
        "layers/axes.py",
        "fewest = 2 if len(by_freq) > 2 else 3",
        "fewest = 3",
    ),
    "axis: rows that respond in groups are channels": (
        "layers/positions.py",
        "runs <= len(live) / _RUN",
        "False",
    ),
    "axis: rows of wide fields lie where their fields do": (
        "layers/positions.py",
        "return self._stretched(found, at) if self.wide() else found",
        "return found",
    ),
    "axis: wide fields are stretched to ends that the layer does not hear": (
        "layers/positions.py",
        "_STRETCH = (0.3, 3.0)",
        "_STRETCH = (0.0, np.inf)",
    ),
    "axis: the highest bands are taken for the lowest": (
        "layers/axes.py",
        "for one in end_bands(mels)]",
        "for one in end_bands(mels).flip(0)]",
    ),
    "tokens: all times of one frequency are never consecutive": (
        "layers/tokens.py",
        "return sizes if self.freq_major else sizes[::-1]",
        "return sizes[::-1]",
    ),
    "tokens: special tokens are cells": (
        "layers/tokens.py",
        "product(range(_SPECIAL + 1), repeat=2)",
        "[(0, 0)]",
    ),
    "tokens: special tokens are searched at the beginning only": (
        "layers/tokens.py",
        "product(range(_SPECIAL + 1), repeat=2)",
        "[(one, 0) for one in range(_SPECIAL + 1)]",
    ),
    "tokens: the map begins at the special ones": (
        "layers/tokens.py",
        "values.narrow(self.axis, self.start,",
        "values.narrow(self.axis, 0,",
    ),
    "cam: after the last attention only the class token counts": (
        "layers/choosing.py",
        "and wide(name, axes) and reached(name, axes)",
        "and wide(name, axes)",
    ),
}
