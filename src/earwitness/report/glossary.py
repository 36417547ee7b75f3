"""The words of the page, explained where they are used."""

from __future__ import annotations

GLOSSARY = {
    "evidence": "the part of the sound that the mask keeps; with the remainder it is the input",
    "remainder": "the part of the sound that the mask removes",
    "attribution": "how much each time and frequency raises (orange) or lowers (blue) the score",
    "mask": "gains from 0 to 1 that multiply the spectrogram",
    "keep": "how much the mask keeps, in percent of the positive attribution",
    "area": "mean gain of the mask: the share of time and frequency that is kept",
    "effective area, audio": "how much of time and frequency the evidence fills as it is heard",
    "energy": "share of the input's energy that is kept",
    "audio score": "the model's score of the sound itself, as it is heard",
    "spectrogram score": "the model's score of the masked spectrogram, without resynthesis",
    "control": "a mask of the same size that knows nothing of the model, for comparison",
    "verdict": "how far evidence and remainder support the explanation, beside the controls",
    "effect": "how much of the score the evidence accounts for",
    "degenerate": "a mask that keeps everything or nothing, and so does not say where",
    "trust card": "the model's scores of evidence and remainder, beside those of controls",
    "random control": "a mask of the same gains in random places",
    "energy control": "a mask of the same gains on the loudest cells, which needs no model",
    "completeness gap": "what the sum of the attribution lacks of what it should add up to",
    "original": "the file itself, at its own rate; the model's input was made of it",
    "true source": "the sound that is known to be in the mixture",
    "outline": "the edge of what is kept: where the gain is a half or more",
    "common dB": "0 dB is the loudest cell of all sounds on the page, so that levels compare",
    "relevance": "a component's part of the score, divided by the largest part; negative: against",
    "aligned": "recording B on the time axis of this one, so that both switch at one position",
    "hybrid": "this recording with the cells of its own mask replaced by those of recording B",
    "pieces": "parts of the sound that the method switched on and off",
}
