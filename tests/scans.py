"""A recording with sounds planted at known times, models that measure them, and the command."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.command import run

RATE = 8000
# windows of 1 s; a label for each of two tones, at half of full scale for 0.2 s or more
MODEL = """
import torch
import earwitness

class Tones(torch.nn.Module):
    def forward(self, waves):
        spectrum = torch.fft.rfft(waves).abs() / waves.shape[-1]
        half = spectrum.shape[-1] // 2
        return torch.stack([spectrum[:, :half].amax(1), spectrum[:, half:].amax(1)], 1) * 100 - 5

def make():
    return earwitness.wrap(Tones(), sample_rate=8000, labels=["low", "high"], task="multi-label",
                           lengths=(1.0, 1.0), name="tones", output="logits")

def blind():
    net = Tones()
    return earwitness.wrap(lambda waves: net(torch.as_tensor(waves)).numpy(), sample_rate=8000,
                           labels=["low", "high"], task="multi-label", lengths=(1.0, 1.0),
                           output="logits")

def single():
    return earwitness.wrap(Tones(), sample_rate=8000, labels=["low", "high"], lengths=(1.0, 1.0))

def level():
    class Level(torch.nn.Module):
        def forward(self, waves):
            return waves.square().mean(1, keepdim=True).sqrt()
    return earwitness.wrap(Level(), sample_rate=8000, labels=["level"], output="scores",
                           lengths=(0.5, 1.0))
"""
BURSTS = ((5.1, 0.8, 500.0), (12.6, 0.3, 3000.0))  # start, length, Hz


def tones(
    seconds: float, rate: int = RATE, bursts: tuple[tuple[float, ...], ...] = BURSTS
) -> NDArray[Any]:
    times = np.arange(round(seconds * rate)) / rate
    sound = 0.001 * np.random.default_rng(0).standard_normal(len(times))
    for start, length, pitch in bursts:
        inside = (times >= start) & (times < start + length)
        sound[inside] += 0.5 * np.sin(2 * np.pi * pitch * times[inside])
    return sound.astype(np.float32)


def scan(
    capsys: pytest.CaptureFixture[str], *words: str, model: str = "make"
) -> tuple[int, list[dict[str, object]], str]:
    common = ["--model", f"python:model.py:{model}", "--json", "--trust", "none"]
    code, out, err = run(capsys, "scan", *words, *common)
    return code, [json.loads(line) for line in out.splitlines()], err


def spans(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(row["label"], row["start"], row["end"]) for row in rows]


# 5.1 to 5.9 s lies in the windows from 4.5, 5.0 and 5.5 s on; 12.6 to 12.9 s in those from 12.0
# and 12.5 s on
TRUTH = [("low", 4.5, 6.5), ("high", 12.0, 13.5)]
