# %% [markdown]
# # A long recording
#
# Four minutes of rain, in which a baby cries five times. The default model hears five seconds at a time; `scan` reads a
# recording of any length in blocks, finds the events, and explains the strongest.

# %%
import numpy as np
import soundfile

import earwitness
from earwitness.signals import crying_baby, place, rain

model = earwitness.load_model("esc10")
rng = np.random.default_rng(1)
SECONDS, STARTS = 240.0, (21.0, 67.5, 110.0, 168.0, 214.0)
wave = 0.15 * rain(SECONDS, model.rate, rng)
for start in STARTS:
    wave += place(crying_baby(4.0, model.rate, rng), start, SECONDS, model.rate)
soundfile.write("night.flac", wave, model.rate)
model

# %%
found = earwitness.scan(
    model, "night.flac", output="night", target="crying_baby", top=2, method="lmac", trust="light"
)
found

# %%
import pandas

events = pandas.DataFrame(found.events)[["label", "start", "end", "score"]]
events.round(2)

# %% [markdown]
# The scores of all windows are in a table. The lines below the curve are where the cries are in truth.

# %%
import matplotlib.pyplot as plt

scores = pandas.read_csv("night/night/scores.csv")
figure, axes = plt.subplots(figsize=(10, 2.5), layout="constrained")
axes.step(scores["start"], scores["crying_baby"], where="post", label="crying_baby")
for start in STARTS:
    axes.hlines(-0.05, start, start + 4, colors="tab:orange", linewidth=5)
axes.set(xlabel="time (s)", ylabel="probability", ylim=(-0.1, 1.05))
axes.legend(loc="center right")

# %%
missed = [s for s in STARTS if not ((events["start"] < s + 4) & (events["end"] > s)).any()]
false = [e for e in found.events if not any(e["start"] < s + 4 and e["end"] > s for s in STARTS)]
print(f"{len(STARTS) - len(missed)} of {len(STARTS)} cries found, {len(false)} events without one")

# %% [markdown]
# The strongest two are explained, each in its place in the recording. `night/index.html` is a page to listen at.

# %%
explained = earwitness.Explanations.load("night")
explained

# %%
explained[0]
