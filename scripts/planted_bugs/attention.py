"""Bugs in the methods on attention."""

from __future__ import annotations

BUGS = {
    "attention: negative products count": (
        "methods/attention_relevance.py",
        ".relu_().mean(dim=1)",
        ".mean(dim=1)",
    ),
    "attention: heads are averaged before negative products are cut": (
        "methods/attention_relevance.py",
        ".relu_().mean(dim=1)",
        ".mean(dim=1).relu_()",
    ),
    "attention: the gradient is left out": (
        "methods/attention_relevance.py",
        "by_window(slope, windows) * by_window(weights, windows)",
        "by_window(weights, windows)",
    ),
    "attention: relevance goes from the first layer to the last": (
        "methods/attention_relevance.py",
        "sorted(means, reverse=True)",
        "sorted(means)",
    ),
    "attention: every token is relevant to itself": (
        "methods/attention_relevance.py",
        "relevance - shares, shares",
        "relevance, shares",
    ),
    "attention: rollout without the residual": (
        "methods/attention_rollout.py",
        "rolled = (rolled + torch.einsum(",
        "rolled = (0 * rolled + torch.einsum(",
    ),
    "attention: rollout from the first layer to the last": (
        "methods/attention_rollout.py",
        "found.weights.pop()",
        "found.weights.pop(0)",
    ),
    "attention: the output is always read from all tokens": (
        "methods/attention.py",
        "(size > _NO_GRADIENT * size.amax(dim=1, keepdim=True))",
        "(size >= 0)",
    ),
    "attention: fused attention is not seen": (
        "methods/attention.py",
        "if func in _FUSED:",
        "if False:",
    ),
    "attention: the implementation is not put back": (
        "methods/attention.py",
        "choose(own)",
        "pass",
    ),
    "attention: a hidden implementation is not switched": (
        "methods/attention.py",
        'choose("eager")',
        "pass",
    ),
    "attention: layers over parts of the tokens are accepted": (
        "methods/attention.py",
        "apart = weights.ndim > 3 and weights.shape[0] != windows",
        "apart = False",
    ),
    "refusal: guided-backprop does not name the activation": (
        "methods/guided.py",
        "other if mode.others else",
        "other if False else",
    ),
}
