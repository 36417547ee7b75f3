"""Thirteen models of other libraries, each loaded or wrapped in at most five lines.

Every function returns what ``earwitness.explain`` takes; files, folders and networks are yours.
"""

from __future__ import annotations

from earwitness import load_model, wrap


def silero_vad():
    return load_model("silero-vad")


def silero_vad_onnx():
    return load_model("silero-vad:onnx")


def basic_pitch():
    return load_model("basic-pitch")


def distillmos():
    return load_model("distillmos")


def dnsmos():
    return load_model("dnsmos")


def wav2vec2(folder):
    return load_model(f"hf:{folder}")


def audio_spectrogram_transformer(folder):
    return load_model(f"hf:{folder}")


def clap(folder):
    return load_model(f"hf:{folder}", labels=["dog", "rain"])


def onnx_file(file):  # of DNSMOS: one opinion score for each of signal, background and both
    labels = ["signal", "background", "both"]
    return load_model(f"onnx:{file}", rate=16000, output="scores", labels=labels, pad="repeat")


def tflite_file(file):  # of Basic Pitch: 88 notes in every frame
    notes = {"rate": 22050, "select": "StatefulPartitionedCall:1", "per_frame": True}
    return load_model(f"tflite:{file}", output="probabilities", task="multi-label", **notes)


def torchscript_file(file):
    return load_model(f"torchscript:{file}", rate=16000, labels=["low", "high"])


def sklearn_pipeline(file, features):
    return load_model(f"sklearn:{file}", rate=16000, features=features, trust_code=True)


def speaker_embedding(network, voice):
    return wrap(network, sample_rate=16000, reference=voice)
