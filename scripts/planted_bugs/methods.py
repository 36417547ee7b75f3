"""Bugs in ``methods``."""

from __future__ import annotations

BUGS = {
    "refined: the area asked for does not reach the decoder": (
        "pipeline.py",
        'settled["size"] = share_of(request.keep)',
        'settled["size"] = 0.0',
    ),
    "refined: steps lower the score": (
        "methods/lmac.py",
        "probe.differentiate(faith(weights, kept, left, start), change)",
        "-probe.differentiate(faith(weights, kept, left, start), change)",
    ),
    "refined: the remainder is the evidence": (
        "methods/lmac.py",
        "torch.cat([evidence, probe.wave - evidence])",
        "torch.cat([probe.wave - evidence, evidence])",
    ),
    "refined: a value for every cell": (
        "methods/lmac.py",
        "_CELLS = (4, 2)",
        "_CELLS = (1, 1)",
    ),
    "refined: steps of a path are taken for gradient steps": (
        "collecting/requests.py",
        "if name in names and not (name in unshared and name in others):",
        "if name in names:",
    ),
    "refined: an option of one method goes to all": (
        "collecting/requests.py",
        'elif dotted.get(given, ("",))[0] == method:',
        "elif given in dotted and dotted[given][1] in names:",
    ),
    "sign: input-x-gradient": (
        "methods/gradients.py",
        "Map(gradient[0])",
        "Map(-gradient[0])",
    ),
    "sign: saliency keeps it": (
        "methods/gradients.py",
        "gradient[0].abs()",
        "gradient[0]",
    ),
    "sign: grad-cam without relu": (
        "methods/gradcam.py",
        "per_cell(weights * activation, axes).relu()",
        "per_cell(weights * activation, axes)",
    ),
    "sign: guided backprop lets negative gradients pass": (
        "methods/guided.py",
        "gradients[0].clamp(min=0) * (result > 0)",
        "gradients[0] * (result > 0)",
    ),
    "rule: relus called as methods are not guided": (
        "backward/calls.py",
        'if call.name == "relu":\n        return True',
        'if call.name == "relu":\n        return call.title == "torch.nn.functional.relu"',
    ),
    "rule: deep-shap uses the plain slope at the input": (
        "backward/mean_slope.py",
        "[a + place * _change(a, b) for",
        "[b + 0 * place * _change(a, b) for",
    ),
    "rule: deep-shap forgets the ratio": (
        "backward/mean_slope.py",
        "gradients[0] * ratio, slopes[0]",
        "slopes[0], slopes[0]",
    ),
    "sign: gradient-shap from the input to the background": (
        "methods/gradient_shap.py",
        "(probe.magnitude - quiet) * torch.cat",
        "(quiet - probe.magnitude) * torch.cat",
    ),
    "normalisation: smoothgrad sums": (
        "methods/smoothgrad.py",
        "[1 / samples] * samples",
        "[1.0] * samples",
    ),
    "axis: grad-cam swaps time and frequency": (
        "layers/placing.py",
        "for axis in (axes.freq_axis, axes.time_axis)",
        "for axis in (axes.time_axis, axes.freq_axis)",
    ),
    "axis: time runs backwards in grad-cam": (
        "plane/knots.py",
        "values[..., order]",
        "values[..., order.flip(0)]",
    ),
    "seed: random is not seeded": (
        "methods/controls.py",
        "torch.randn(probe.shape, generator=probe.generator)",
        "torch.randn(probe.shape)",
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
    "normalisation: energy is magnitude": (
        "methods/controls.py",
        "probe.magnitude**2",
        "probe.magnitude",
    ),
    "rule: the background's own values are not used": (
        "methods/deep_shap.py",
        "self.seen.append((call.name, [one.detach().clone() for one in call.inputs]))",
        "self.seen.append((call.name, [one.detach() * 0 for one in call.inputs]))",
    ),
    "rule: gamma favours the wrong side": (
        "backward/relevance.py",
        "zip(signs, weights[::order], strict=True):\n                    extra",
        "zip(signs, weights[::-order], strict=True):\n                    extra",
    ),
    "rule: gamma forgets negative inputs": (
        "backward/relevance.py",
        "values.clamp(max=0))",
        "values.clamp(max=0) * 0)",
    ),
    "rule: gamma leaves the bias alone": (
        "backward/relevance.py",
        "whole = result + rule.gamma * (favoured + offset.clamp(**bound))",
        "whole = result + rule.gamma * favoured",
    ),
    "sign: epsilon makes a layer's result smaller": (
        "backward/relevance.py",
        "stable = whole + sign * least",
        "stable = whole - sign * least",
    ),
    "normalisation: epsilon is absolute": (
        "backward/relevance.py",
        "least = rule.epsilon * result.square().mean().sqrt()",
        "least = rule.epsilon * torch.ones(())",
    ),
    "rule: shared biases go by value, not by size": (
        "backward/relevance.py",
        "values.sign() * _backward(layer, values, layer.weights.abs(), rest)",
        "_backward(layer, values, layer.weights.abs(), rest)",
    ),
    "rule: biases are never shared": (
        "backward/relevance.py",
        "elif rule.share_biases:",
        "elif False:",
    ),
    "rule: the last bias is shared too": (
        "backward/relevance.py",
        "elif rule.share_biases:",
        "if rule.share_biases:",
    ),
    "rule: a batch norm without its scale": (
        "methods/lrp.py",
        "weights=layer.weights * scale.reshape(along)",
        "weights=layer.weights",
    ),
    "rule: a batch norm without its shift": (
        "methods/lrp.py",
        '- given["running_mean"]) * scale',
        "- 0) * scale",
    ),
    "rule: the gate takes what the signal should": (
        "methods/lrp.py",
        "if gates == [True, False]:",
        "if gates == [False, True]:",
    ),
    "normalisation: factors get all, twice": (
        "methods/lrp.py",
        "return 0.5 * (",
        "return 1.0 * (",
    ),
    "rule: a divisor gets relevance": (
        "methods/lrp.py",
        "call.function(call.inputs[0], call.inputs[1].detach())",
        "call.function(*call.inputs)",
    ),
    "rule: functions of one number pass on their slope": (
        "backward/relevance.py",
        "return None, None, (gradients[0] * ratio).to(given.dtype)",
        "return None, None, (gradients[0] * slope).to(given.dtype)",
    ),
    "rule: a tensor written over is still taken for the layer's": (
        "methods/lrp.py",
        "known.pop(first, None)",
        "pass",
    ),
    "lmac: any model will do": (
        "methods/lmac.py",
        "    explainer.require(model)\n",
        "",
    ),
    "optimised-mask: gains are made as large as possible": (
        "methods/optimised_mask.py",
        "+ extent(weights, gains)",
        "- extent(weights, gains)",
    ),
    "optimised-mask: what lowers a value is what raises it": (
        "methods/optimised_mask.py",
        "sign=target.sign",
        "sign=1",
    ),
}
