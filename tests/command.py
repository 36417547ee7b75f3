"""The command in process, and the model it is called with."""

from __future__ import annotations

import pytest

from earwitness.cli.main import main

# a model that is quick and needs no training, from a file as users have them
MODEL = """
import torch
import earwitness

class Bands(torch.nn.Module):
    def forward(self, waves):
        power = torch.fft.rfft(waves, 4096).abs().pow(2)
        return torch.stack([power[:, :500].mean(1), power[:, 500:].mean(1)], 1).log1p()

def make():
    return earwitness.wrap(Bands(), sample_rate=16000, labels=["low", "high"], name="bands")

def broken():
    class Broken(torch.nn.Module):
        def forward(self, waves):
            raise ValueError("five seconds only")
    return earwitness.wrap(Broken(), sample_rate=16000, labels=["low", "high"])

def chatty():
    class Chatty(Bands):
        def forward(self, waves):
            print("thinking ...")
            return super().forward(waves)
    return earwitness.wrap(Chatty(), sample_rate=16000, labels=["low", "high"])

def layered():
    class Mean(torch.nn.Module):
        def forward(self, maps):
            return maps.mean(2)
    conv = torch.nn.Conv1d(1, 4, 200, stride=100)
    net = torch.nn.Sequential(conv, torch.nn.ReLU(), Mean(), torch.nn.Linear(4, 2))
    return earwitness.wrap(net, features=lambda w: w[:, None], sample_rate=16000)

def several():
    class Several(torch.nn.Module):
        def forward(self, waves):
            return waves.abs().mean(1, keepdim=True) * torch.tensor([[2.0, 1.0, 4.0, 3.0]])
    return earwitness.wrap(Several(), sample_rate=16000, labels=list("abcd"), output="scores")

def quality():
    class First(torch.nn.Module):
        def forward(self, waves):
            return Bands()(waves)[:, :1]
    return earwitness.wrap(First(), sample_rate=16000, labels=["mos"], output="scores")
"""


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def explain(
    capsys: pytest.CaptureFixture[str], *words: str, model: str = "make"
) -> tuple[int, str, str]:
    common = ["--model", f"python:model.py:{model}", "--method", "input-x-gradient"]
    return run(capsys, "explain", *words, *common)
