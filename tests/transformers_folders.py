"""Small random models that transformers itself saves, with their feature extractors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    ASTFeatureExtractor,
    ClapFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

_ENCODER = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "conv_dim": (8, 8, 8), "conv_kernel": (10, 4, 4), "conv_stride": (5, 8, 8),
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 12,
    "num_feat_extract_layers": 3,
}  # fmt: skip
_SEW = {**_ENCODER, "squeeze_factor": 2}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", _ENCODER),
    "wav2vec2-conformer": ("Wav2Vec2Conformer", _ENCODER),
    "hubert": ("Hubert", _ENCODER),
    "wavlm": ("WavLM", _ENCODER),
    "unispeech": ("UniSpeech", _ENCODER),
    "unispeech-sat": ("UniSpeechSat", _ENCODER),
    "data2vec": ("Data2VecAudio", _ENCODER),
    "sew": ("SEW", _SEW),
    "sew-d": ("SEWD", {**_SEW, "position_buckets": 8, "max_position_embeddings": 64}),
    "ast": ("AST", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                    "intermediate_size": 24, "max_length": 128, "num_mel_bins": 64}),
    "whisper": ("Whisper", {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2,
                            "encoder_ffn_dim": 24, "decoder_layers": 1, "vocab_size": 20,
                            "decoder_attention_heads": 2, "decoder_ffn_dim": 24, "pad_token_id": 0,
                            "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
                            "max_source_positions": 100, "classifier_proj_size": 12}),
}  # fmt: skip
_CLASSES = {"AST": "ASTForAudioClassification", "Whisper": "WhisperForAudioClassification"}
LABELS = {0: "dog", 1: "rain", 2: "siren"}


def extractor_of(kind: str) -> Any:
    """The feature extractor that goes with a kind."""
    if kind == "ast":
        return ASTFeatureExtractor(num_mel_bins=64, max_length=128)
    if kind == "whisper":
        return WhisperFeatureExtractor(feature_size=80, chunk_length=2)
    return Wav2Vec2FeatureExtractor(do_normalize=kind != "hubert")


def save(kind: str, folder: Path, **settings: Any) -> str:
    """Save a model of random weights, and return how it is loaded."""
    prefix, config = KINDS[kind]
    made = getattr(transformers, f"{prefix}Config")(**config, id2label=LABELS, **settings)
    torch.manual_seed(3)
    name = _CLASSES.get(prefix, f"{prefix}ForSequenceClassification")
    network = getattr(transformers, name)(made).eval()
    for one in network.parameters():  # biases are zeros, and outputs hardly differ
        torch.nn.init.normal_(one, std=0.3)
    network.save_pretrained(folder)
    extractor_of(kind).save_pretrained(folder)
    return f"hf:{folder}"


def save_clap(folder: Path, truncation: str) -> str:
    """Save a CLAP of random weights with a tokenizer of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    fused = truncation == "fusion"
    audio = {"patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1],
             "num_attention_heads": [2, 2], "projection_dim": 16, "window_size": 4, "spec_size": 64,
             "num_mel_bins": 16, "enable_fusion": fused, "patch_size": 4, "num_classes": 5,
             "patch_stride": [4, 4]}  # fmt: skip
    text = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 24, "max_position_embeddings": 32, "projection_dim": 16,
            "pad_token_id": 1}  # fmt: skip
    config = transformers.ClapConfig(audio_config=audio, text_config=text, projection_dim=16)
    torch.manual_seed(4)
    network = transformers.ClapModel(config).eval()
    for name, one in network.named_parameters():
        if "logit_scale" not in name:
            torch.nn.init.normal_(one, std=0.3)
    network.save_pretrained(folder)
    words = ["<s>", "<pad>", "</s>", "<unk>", "This", "is", "a", "sound", "of", "dog", "rain", "."]
    tokenizer = Tokenizer(models.WordLevel({one: k for k, one in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=16, max_length_s=1, truncation=truncation,
        padding="repeatpad" if fused else "repeat",
    ).save_pretrained(folder)  # fmt: skip
    return f"hf:{folder}"
