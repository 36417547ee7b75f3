"""Bugs in ``train``."""

from __future__ import annotations

BUGS = {
    "train: a sound that cannot be read is trained on": (
        "cli/train.py",
        "if item.path not in bad]",
        "]",
    ),
    "train: the range of SNRs is swapped": (
        "cli/training.py",
        'wanted["low"], wanted["high"] = given["snr"]',
        'wanted["high"], wanted["low"] = given["snr"]',
    ),
    "train: none is a folder of contaminations": (
        "cli/training.py",
        '() if given["kinds"] == ("none",) else given["kinds"]',
        'given["kinds"]',
    ),
    "lmac: evidence and remainder exchanged": (
        "train/explaining.py",
        "torch.cat([gains, 1 - gains])",
        "torch.cat([1 - gains, gains])",
    ),
    "sized: evidence and remainder exchanged as sound": (
        "train/explaining.py",
        "torch.cat([kept, spectrum - kept])",
        "torch.cat([spectrum - kept, kept])",
    ),
    "sized: evidence is not resynthesised": (
        "train/explaining.py",
        "kept = model.plane.analyse(evidence)",
        "kept = gains * spectrum",
    ),
    "sized: no batch is cut": (
        "train/lmac.py",
        "or done % 2 == 0",
        "or done >= 0",
    ),
    "sized: cut from the first batch on": (
        "train/lmac.py",
        "done < self._first_steps() or ",
        "",
    ),
    "sized: shares are uniform": (
        "train/lmac.py",
        "share = (low + (high - low) * torch.rand(count, generator=generator)).exp()",
        "share = 0.03 + 0.27 * torch.rand(count, generator=generator)",
    ),
    "sized: the first sound is the source of everything": (
        "train/explaining.py",
        "torch.where(of_other[:, None, None], batch.spectrum[mixed] - first, first)",
        "first",
    ),
    "sized: a sound alone is its own source": (
        "train/explaining.py",
        "((waves - clean).abs().amax(dim=1) > 0).nonzero()",
        "((waves - clean).abs().amax(dim=1) >= 0).nonzero()",
    ),
    "sized: validated with the first sound as source": (
        "train/validation.py",
        "source = true_source(model, waves, clean, batch)",
        "source = model.plane.analyse(clean)",
    ),
    "sized: gradients of any length": (
        "train/loop.py",
        "if self.settings.clip:",
        "if self.settings.clip < 0:",
    ),
    "lmac: guidance everywhere": (
        "train/explaining.py",
        ">= weights.alike",
        ">= -2.0",
    ),
    "lmac: the label is the second best output": (
        "train/explaining.py",
        "order.gather(1, rank[:, None])",
        "order.flip(1).gather(1, rank[:, None])",
    ),
    "lmac: levels are those of amplitudes": (
        "train/contamination.py",
        "10 ** (-level / 20)",
        "10 ** (-level / 10)",
    ),
    "lmac: a sound is mixed with itself": (
        "train/contamination.py",
        "torch.randint(1, len(self.sounds), (1,), generator=generator)",
        "torch.zeros(1)",
    ),
    "lmac: a resumed optimiser has forgotten": (
        "train/progress.py",
        "training.optimiser.load_state_dict({",
        "dict({",
    ),
    "lmac: the last epoch and not the best": (
        "train/progress.py",
        "return self.since_best() == 0",
        "return True",
    ),
    "lmac: processes go their own ways": (
        "train/progress.py",
        "return DistributedDataParallel(network, broadcast_buffers=False)",
        "return network",
    ),
    "lmac: every epoch has the same chance": (
        "train/loop.py",
        "self.settings.seed * 1_000_003 + number",
        "self.settings.seed * 1_000_003",
    ),
    "classifier: a training is known by the number of its sounds": (
        "train/classifier.py",
        "blake2b(waves.numpy().data, digest_size=8)",
        "blake2b(str(waves.shape).encode(), digest_size=8)",
    ),
    "classifier: other labels go on": (
        "train/classifier.py",
        "    found.update(labels.numpy().data)\n",
        "",
    ),
    "lmac: sounds are known by their names": (
        "train/loop.py",
        '"sounds": digest_of(loop.sounds.paths),',
        '"sounds": [path.name for path in loop.sounds.paths],',
    ),
    "lmac: contaminations are known by their folder": (
        "train/loop.py",
        "digest_of(loop.contaminator.paths)",
        '""',
    ),
    "lmac: a training goes on with another model": (
        "train/progress.py",
        'changed(there.get("model"), here["model"])',
        '""',
    ),
    "lmac: outputs are taken as declared": (
        "train/loop.py",
        "outputs_for(self.model, first.to(self.model.device), batches=True)",
        "pass",
    ),
}
