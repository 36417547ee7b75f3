"""Bugs in the training of CNN14."""

from __future__ import annotations

BUGS = {
    "cnn14: trained on the compact front end": (
        "models/zoo/checkpoint.py",
        'if self.architecture == "cnn14":\n            return cnn14.LogPowerMel()',
        'if self.architecture == "cnn15":\n            return cnn14.LogPowerMel()',
    ),
    "cnn14: stripes of full scale": (
        "train/classifier.py",
        "silence_stripes(warped, generator, silence)",
        "silence_stripes(warped, generator, 0.0)",
    ),
    "cnn14: full scale behind a shorter sound": (
        "train/augmentation.py",
        "missing, value=silence)",
        "missing)",
    ),
    "cnn14: nothing is taken from published weights": (
        "train/classifier.py",
        "        start_from(network, start)\n",
        "",
    ),
    "cnn14: the average does not start from published weights": (
        "train/classifier.py",
        "average.load_state_dict(network.state_dict())",
        "pass",
    ),
    "cnn14: weights of another width are skipped": (
        "models/zoo/cnn14.py",
        "if name not in state or state[name].shape != value.shape:",
        "if name not in state:",
    ),
    "cnn14: a training from other weights is the same": (
        "train/classifier.py",
        '"" if start is None else digest_of([start])',
        '""',
    ),
    "cnn14: ten epochs between checkpoints": (
        "train/classifier.py",
        '"cnn14": 1}',
        '"cnn14": 10}',
    ),
    "cnn14: a folder of an earlier version is another training": (
        "train/classifier.py",
        'recipe = {"front_end": LOG_MEL, "architecture": "compact", **stored["recipe"]}',
        'recipe = stored["recipe"]',
    ),
    "cnn14: settings of the compact classifier": (
        "cli/train.py",
        'CNN14_SETTINGS if architecture == "cnn14" else Settings()',
        "Settings()",
    ),
    "cnn14: a halving too many": (
        "models/zoo/checkpoint.py",
        'len(self.widths) - (self.architecture == "cnn14")',
        "len(self.widths)",
    ),
    "cnn14: memory without the moments": (
        "train/classifier.py",
        "optimiser = 4 * 5 * weights",
        "optimiser = 4 * 3 * weights",
    ),
}
