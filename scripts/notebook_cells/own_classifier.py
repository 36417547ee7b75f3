# %% [markdown]
# # My own classifier: what does it really listen to?
#
# A small network learns to tell a *whistle*, a *knock* and *nothing* but noise. All whistles were recorded beside a machine that hums at 400 Hz, as
# happens with real data. The network is right on every training sound. Is it right for the right reason?

# %%
import numpy as np
import torch
from torch import nn

import earwitness
from earwitness.plane.stft import Plane
from earwitness.signals import place

RATE = 16000


def sound(label, rng, hum):
    """Return two seconds of a whistle, of knocks or of nothing in faint noise, with or without the hum."""
    time = np.arange(RATE // 2) / RATE
    if label == "whistle":
        phase = 2 * np.pi * np.cumsum(2500 + 600 * np.sin(2 * np.pi * 3 * time)) / RATE
        event = 0.03 * np.sin(phase) * np.hanning(len(time))
    elif label == "nothing":
        event = np.zeros(len(time))
    else:
        event = 0.4 * np.exp(-60 * (time % 0.125)) * rng.standard_normal(len(time))
    wave = place(event, rng.uniform(0.1, 1.4), 2.0, RATE) + 0.005 * rng.standard_normal(2 * RATE)
    whole = np.arange(2 * RATE) / RATE
    return (wave + hum * 0.1 * np.sin(2 * np.pi * 400 * whole)).astype(np.float32)


rng = np.random.default_rng(0)
labels = ["nothing", "knock", "whistle"]
waves = np.stack([sound(labels[k % 3], rng, hum=k % 3 == 2) for k in range(90)])
truth = torch.arange(90) % 3


# %%
class Front(nn.Module):
    plane = Plane(RATE, 512, 256)

    def forward(self, magnitude):
        return torch.log1p(100 * magnitude).unsqueeze(1)


torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 8, 5, stride=2, padding=2),
    nn.ReLU(),
    nn.Conv2d(8, 16, 5, stride=2, padding=2),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d((16, 1)),
    nn.Flatten(),
    nn.Linear(256, 3),
)
features = Front()
inputs = features(Front.plane.analyse(torch.from_numpy(waves)).abs())
optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
for _ in range(60):
    optimiser.zero_grad()
    loss = nn.functional.cross_entropy(network(inputs), truth)
    loss.backward()
    optimiser.step()
accuracy = (network(inputs).argmax(dim=1) == truth).float().mean()
print(f"right on {accuracy:.0%} of the training sounds")

# %% [markdown]
# `wrap` says what goes in and what comes out; nothing else of the network need be known.

# %%
model = earwitness.wrap(
    network.eval(), sample_rate=RATE, labels=labels, output="logits", features=features, name="mine"
)
model

# %%
whistle = earwitness.Audio(sound("whistle", rng, hum=1), RATE, "whistle beside the machine")
why = earwitness.explain(model, whistle, "integrated-gradients")
why

# %% [markdown]
# The attribution has a line along 400 Hz: the hum, which is no part of a whistle. The verdict is weak because the hum
# is also the loudest sound: keeping the loudest cells does as well. In your own axes, with a logarithmic axis of
# frequency:

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
for one, what in zip(axes, ("attribution", "evidence"), strict=True):
    figure.colorbar(why.plot(one, what, scale="log"), ax=one, label=what)

# %% [markdown]
# How much of the positive attribution lies within one bin of 400 Hz? And what does the network say of a whistle without the hum, and of nothing but
# the hum?

# %%
positive = np.maximum(why.attribution.values, 0)
near = np.abs(why.attribution.freqs - 400) < 40
print(f"{positive[near].sum() / positive.sum():.0%} of it lies at 400 Hz")
tests = [
    earwitness.Audio(sound(label, rng, hum), RATE, f"{label}, {'hum' if hum else 'no hum'}")
    for label in labels
    for hum in (0, 1)
]
for one in tests:
    answer = earwitness.predict(model, one)
    print(f"{one.name}: {answer['label']} ({answer['probability']:.2f})")

# %% [markdown]
# All of them at once, by two methods, as a table:

# %%
many = earwitness.explain(model, tests, ["integrated-gradients", "energy"], progress=False)
many.to_frame()[["path", "method", "target", "output", "verdict", "effect"]].round(2)

# %%
many
