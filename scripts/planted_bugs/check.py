"""Bugs in ``checking``: faults of models that go unseen, and faults that are none."""

from __future__ import annotations

BUGS = {
    "check: a softmax declared as logits passes": (
        "checking/outputs.py",
        'if kind == "probabilities that sum to one":\n            return "broken"',
        'if kind == "probabilities that sum to one":\n            return "ok"',
    ),
    "check: dropout with one seed": (
        "checking/outputs.py",
        "for seed in (1, 2, 1):",
        "for seed in (1, 1, 1):",
    ),
    "check: training mode passes": (
        "checking/outputs.py",
        "    if left:\n",
        "    if False:\n",
    ),
    "check: a batch that couples passes": (
        "checking/outputs.py",
        "unchecked(model).settle(wave)",
        "unchecked(model)",
    ),
    "check: the function that breaks is ours": (
        "checking/gradients.py",
        "            return None\n        return f",
        '            return "here"\n        return f',
    ),
    "check: no_grad is not seen": (
        "checking/gradients.py",
        'name if torch.is_grad_enabled() else "torch.no_grad"',
        "name",
    ),
    "check: zero gradients pass": (
        "checking/gradients.py",
        "    if not bool(gradient.any()):",
        "    if False:",
    ),
    "check: permuted labels pass": (
        "checking/labelled.py",
        "linear_sum_assignment(-counts)\n    best =",
        "(np.arange(len(counts)),) * 2\n    best =",
    ),
    "check: another order fits chance": (
        "checking/labelled.py",
        "    told = best > max(at_random)",
        "    told = True",
    ),
    "check: other rates are not tried": (
        "checking/labelled.py",
        "samples = read_audio(clip, rate=rate or model.rate).samples",
        "samples = read_audio(clip, rate=model.rate).samples",
    ),
    "check: other scales are not tried": (
        "checking/labelled.py",
        "wave = scale * torch",
        "wave = 1.0 * torch",
    ),
    "check: one that fails ends the others": (
        "checking/report.py",
        "except Exception as error:  # of this check",
        "except ZeroDivisionError as error:  # of this check",
    ),
    "check: tokens that make no grid end it": (
        "layers/finding.py",
        "except RuntimeError:  # of torch",
        "except ZeroDivisionError:  # of torch",
    ),
    "check: a stated rate is not read": (
        "checking/lengths.py",
        "    if outer:\n",
        "    if False:\n",
    ),
    "check: a method that is off is recommended": (
        "checking/methods.py",
        "if first is not None and abs(first.gap or 0.0) <= _GAP:",
        "if first is not None:",
    ),
    "check: broken and exit code 0": (
        "cli/check.py",
        "return 1 if report.broken else 0",
        "return 0",
    ),
    "check: faults: other rates are tried only where no labels look permuted": (
        "checking/labelled.py",
        "    if len(np.unique(truth)) > 1:",
        '    if findings[0].grade == "ok":',
    ),
    "check: faults: the rate is blamed for permuted labels": (
        "checking/labelled.py",
        'heard if heard.facts["accuracy"] > order',
        "heard if 2 > order",
    ),
    "check: faults: unreadable files are wrong": (
        "checking/labelled.py",
        "if answer >= 0]",
        "]",
    ),
    "check: faults: the command names a file that cannot be read": (
        "checking/report.py",
        "_command(model, read, first",
        "_command(model, clips, first",
    ),
    "check: slopes: a path under no_grad is not missed": (
        "checking/gradients.py",
        "if watch.broken and (gap :=",
        "if False and (gap :=",
    ),
    "check: slopes: whatever is detached breaks": (
        "checking/gradients.py",
        "if gap <= max(_GAP * size, _FLOOR * float(outputs.abs().max())):",
        "if False:",
    ),
    "check: slopes: no sound with silence is tried": (
        "checking/gradients.py",
        "    half[:, half.shape[1] // 2 :] = 0\n",
        "",
    ),
    "check: slopes: saturated outputs are broken": (
        "checking/gradients.py",
        "if not (watch.broken or watch.steps) and",
        "if False and",
    ),
    "check: modes: dropout as a function is not seen": (
        "checking/outputs.py",
        'return "self.training" in inspect.getsource(kind.forward)',
        "return False",
    ),
    "check: modes: layers with dropout inside are not seen": (
        "checking/outputs.py",
        "        return part.dropout > 0\n",
        "        return False\n",
    ),
    "check: modes: any recurrent layer drops out": (
        "checking/outputs.py",
        "        return part.dropout > 0\n",
        "        return True\n",
    ),
    "check: modes: only batch norms have statistics": (
        "checking/outputs.py",
        "        return part.track_running_stats",
        "        return False",
    ),
    "check: modes: TorchScript is not seen": (
        "checking/outputs.py",
        'reads = "self.training" in getattr(part, "code", "")',
        "reads = False",
    ),
    "check: modes: TorchScript recurrent layers are not seen": (
        "checking/outputs.py",
        'return float(getattr(part, "dropout", 0)) > 0',
        "return False",
    ),
    "check: modes: shares that sum to 100 pass": (
        "checking/outputs.py",
        "    if float(every.min()) >= 0 and off",
        "    if False and off",
    ),
    "check: modes: rounding passes for an answer": (
        "checking/outputs.py",
        "rtol=_ALIKE, atol=alike",
        "rtol=0, atol=0",
    ),
    "check: modes: small outputs pass for rounding": (
        "checking/outputs.py",
        "alike = _ALIKE * float(found[0].abs().max())",
        "alike = 1e-6",
    ),
    "check: modes: a log-sigmoid passes": (
        "checking/outputs.py",
        'if kind == "values up to zero" and',
        "if False and",
    ),
    "check: one length: a network of one length ends the check": (
        "checking/lengths.py",
        "    if not taken:\n",
        "    if True:\n",
    ),
    "check: one length: every length above the shortest is promised": (
        "checking/lengths.py",
        "high if high < max(tried[-1], seconds) else None",
        "None",
    ),
    "check: one length: the command leaves them out": (
        "checking/report.py",
        "in {**declare, **found}.items():",
        "in declare.items():",
    ),
    "check: one length: a rate inside is that of the sounds": (
        "checking/lengths.py",
        "inner += [(name, one) for name, one in part.named_modules() if name]",
        "outer += [(name, one) for name, one in part.named_modules() if name]",
    ),
    "check: one length: any fs is a rate": (
        "checking/lengths.py",
        '"samplerate")',
        '"samplerate", "sr", "fs")',
    ),
    "check: twice a softmax passes": (
        "checking/outputs.py",
        "and _softmax_twice(found)",
        "and False",
    ),
    "check: one softmax counts for two": (
        "checking/outputs.py",
        "return min(float(one.min()) for one in inner) >= -_ROUNDED and sure > _CERTAIN",
        "return sure > _CERTAIN",
    ),
    "check: an unsure model applies a softmax twice": (
        "checking/outputs.py",
        "return min(float(one.min()) for one in inner) >= -_ROUNDED and sure > _CERTAIN",
        "return min(float(one.min()) for one in inner) >= -_ROUNDED",
    ),
    "check: labels of a table are not read": (
        "checking/labelled.py",
        "table.get(whole, whole.parent.name)",
        "whole.parent.name",
    ),
}
