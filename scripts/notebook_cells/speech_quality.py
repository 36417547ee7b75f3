# %% [markdown]
# # What lowers a speech-quality score?
#
# DistillMOS estimates the quality of speech from 1 to 5. A voice gets a burst of noise between 2.0 and 2.3 s; the score falls.
# Can the score alone show where the burst is? The voice is synthesised (an infant's cries, which the model does not take for good speech, so both scores are low).

# %%
import numpy as np

import earwitness
from earwitness.signals import crying_baby, place

model = earwitness.load_model("distillmos")
rng = np.random.default_rng(0)
voice = crying_baby(5.0, model.rate, rng)
burst = place(0.3 * rng.standard_normal(round(0.3 * model.rate)), 2.0, 5.0, model.rate)
clean = earwitness.Audio(voice.astype(np.float32), model.rate, "voice")
noisy = earwitness.Audio((voice + burst).astype(np.float32), model.rate, "voice with a burst")
model

# %%
for sound in (clean, noisy):
    print(f"{sound.name}: {earwitness.predict(model, sound)['outputs']['MOS']:.2f}")

# %% [markdown]
# `occlusion` removes half a second at a time and looks how the score changes. `direction="down"` asks for what lowers it. What is removed is replaced by the mean of the sound, the default for a score.

# %%
why = earwitness.explain(
    model,
    noisy,
    "occlusion",
    pieces="time",
    segments=10,
    direction="down",
    trust="light",
)
why

# %%
import pandas

pieces = pandas.DataFrame([(one.name, one.weight) for one in why.pieces], columns=["piece", "MOS"])
pieces.sort_values("MOS", ascending=False).head(4).round(3)

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
for one, what in zip(axes, ("attribution", "mask"), strict=True):
    figure.colorbar(why.plot(one, what), ax=one, label=what)
    one.axvspan(2.0, 2.3, ymax=0.04, color="tab:orange")  # where the burst is

# %% [markdown]
# The remainder has silence in the place of the burst. To this model a gap is a defect of its own, so it scores hardly better than the
# burst, which is why the verdict asks for caution; with the mean of the sound in its place the score rises by the weight of the piece.

# %%
strongest = max(why.pieces, key=lambda one: one.weight)
print(f"strongest piece: {strongest.name}; the mask keeps {why.mask.area:.0%} of the area")
print(
    f"with the burst {earwitness.predict(model, noisy)['outputs']['MOS']:.2f}, remainder "
    f"{earwitness.predict(model, why.remainder)['outputs']['MOS']:.2f}, voice alone "
    f"{earwitness.predict(model, clean)['outputs']['MOS']:.2f}"
)
