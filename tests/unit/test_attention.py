"""Attention of transformers: which weights are seen, which tokens, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.errors import NotApplicableError
from earwitness.methods import attention
from earwitness.methods.attention import Watching, attend, read_tokens
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.toys import RATE, TOY_PLANE, Magnitude
from tests.transformers_folders import save

METHODS = ("attention-relevance", "attention-rollout")
PATCH = (16, 20)  # bins and frames of a token: not square
SAMPLES = 24000


def noise(samples: int = SAMPLES, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(samples, generator=generator).numpy()


class Patches(nn.Module):
    """A transformer on patches of a spectrogram, whose class token attends to loud patches.

    Parameters
    ----------
    first, last : int
        Number of special tokens before and after the patches; the output is read from the first
        of them, or from the mean of all tokens if there are none.
    freq_major : bool
    kind : str
        How attention is computed: fused, by hand, or by ``torch.nn.MultiheadAttention``.
    """

    def __init__(
        self, first: int = 1, last: int = 0, freq_major: bool = True, kind: str = "fused"
    ) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.size, self.first, self.last = 8, first, last
        self.freq_major, self.kind = freq_major, kind
        self.embed = nn.Conv2d(1, self.size, PATCH, PATCH)
        self.special = nn.Parameter(torch.zeros(first + last, self.size))
        self.project = nn.ModuleList(nn.Linear(self.size, 3 * self.size) for _ in range(2))
        self.multi = nn.MultiheadAttention(self.size, 2, batch_first=True)
        self.head = nn.Linear(self.size, 2)
        with torch.no_grad():
            nn.init.normal_(self.embed.weight, std=0.02)
            self.embed.weight[0] = 0.3  # channel 0 is the level of a patch
            self.embed.bias.zero_()
            self.special[:, 1] = 1.0  # a query for level
            for one in self.project:
                one.bias.zero_()
                one.weight.mul_(0.1)
                one.weight[0, 1], one.weight[self.size, 0] = 3.0, 1.0
                one.weight[2 * self.size, 0] = 1.0
            self.head.weight[:, 0] = torch.tensor([3.0, -3.0])

    def attention(self, layer: nn.Module, tokens: Tensor) -> Tensor:
        heads = layer(tokens).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads
        if self.kind == "fused":
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:
            scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
            mixed = scores.softmax(dim=-1) @ value
        return mixed.transpose(1, 2).flatten(2)

    def forward(self, features: Tensor) -> Tensor:
        patches = self.embed(features)
        patches = patches if self.freq_major else patches.transpose(2, 3)
        tokens = patches.flatten(2).transpose(1, 2)
        special = self.special.expand(len(tokens), -1, -1)
        tokens = torch.cat([special[:, : self.first], tokens, special[:, self.first :]], dim=1)
        for layer in self.project:
            if self.kind == "module":
                tokens = tokens + self.multi(tokens, tokens, tokens, need_weights=False)[0]
            else:
                tokens = tokens + self.attention(layer, tokens)
        if self.first:
            return self.head(tokens[:, 0])
        return self.head(tokens[:, -1] if self.last else tokens.mean(dim=1))


def on_magnitude(net: nn.Module, **facts: Any) -> Model:
    return wrap(net.eval(), sample_rate=RATE, labels=["a", "b"], features=Magnitude(), **facts)


def burst(row: int, column: int) -> Audio:
    """Faint noise with a loud patch of the grid of tokens."""
    spectrum = 0.01 * TOY_PLANE.analyse(torch.from_numpy(noise())[None])
    rows, columns = PATCH
    spectrum[:, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] *= 300
    wave = TOY_PLANE.synthesise(spectrum, SAMPLES)[0].numpy()
    return Audio(wave, RATE, "burst")


def peak(found: Any) -> tuple[float, float]:
    """The row and the column of the peak, in patches."""
    row, column = np.unravel_index(
        found.attribution.values.argmax(), found.attribution.values.shape
    )
    return row / PATCH[0], column / PATCH[1]


@pytest.mark.parametrize("method", ["gradcam", *METHODS])
@pytest.mark.parametrize("special", [(0, 0), (1, 0), (2, 0), (0, 1), (0, 2)], ids=str)
@pytest.mark.parametrize("freq_major", [True, False])
def test_a_loud_patch_is_found_on_both_axes(
    method: str, special: tuple[int, int], freq_major: bool
) -> None:
    model = on_magnitude(Patches(*special, freq_major))
    found = explain(model, burst(5, 2), method, target=0, trust="none")
    assert found.attribution.details["axes"] == "time, frequency"
    row, column = peak(found)
    assert 5 <= row < 6
    assert 2 <= column < 3
    if method != "gradcam":
        assert found.attribution.details["special_tokens"] == sum(special)
        where = {(0, 0): "all tokens", (1, 0): "tokens 0", (2, 0): "tokens 0"}
        last = 8 * 9 + sum(special) - 1
        wanted = where.get(special, f"tokens {last}")
        assert found.attribution.details["read_from"] == wanted


@pytest.mark.parametrize("method", METHODS)
def test_fused_attention_and_that_by_hand_give_the_same_map(method: str) -> None:
    clip = Audio(noise(), RATE, "noise")
    fused, plain = (
        explain(on_magnitude(Patches(kind=kind)), clip, method, target=0, trust="none")
        for kind in ("fused", "hand")
    )
    largest = np.abs(plain.attribution.values).max()
    np.testing.assert_allclose(
        fused.attribution.values, plain.attribution.values, atol=1e-5 * largest
    )


def test_weights_of_every_kind_are_the_softmax_that_multiplies_the_values() -> None:
    torch.manual_seed(0)
    multi = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    tokens = torch.randn(1, 5, 8)
    wanted = multi(tokens, tokens, tokens, average_attn_weights=False)[1]
    seen: list[Tensor] = []

    def taken(weights: Tensor, _: Tensor, product: Any) -> Tensor:
        seen.append(weights)
        return product(weights)

    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    encoder.self_attn = multi
    with torch.no_grad(), Watching(taken):
        found = multi(tokens, tokens, tokens, need_weights=False)[0]
        encoder(tokens)
    torch.testing.assert_close(found, multi(tokens, tokens, tokens)[0], atol=1e-6, rtol=0)
    assert len(seen) == 2  # the fast path of the encoder layer shows none
    for weights in seen:
        torch.testing.assert_close(weights, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_an_encoder_of_torch_is_explained(method: str) -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.lines = nn.Conv1d(TOY_PLANE.bins, 16, 4, stride=4)
            layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(16, 2)

        def forward(self, features: Tensor) -> Tensor:
            tokens = self.lines(10 * features[:, 0]).transpose(1, 2)
            return self.head(self.encoder(tokens).mean(dim=1))

    model = on_magnitude(Encoder(), output="logits")
    found = explain(model, Audio(noise(), RATE, "noise"), method, trust="none").attribution
    assert found.details["axes"] == "time only"
    assert found.details["layers"] == 2
    assert found.values.max() > 0


@pytest.mark.parametrize("method", METHODS)
def test_a_network_without_attention_is_refused(method: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, 9, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 2))
    with pytest.raises(NotApplicableError, match="no attention weights that can be seen"):
        explain(on_magnitude(net), Audio(noise(), RATE, "noise"), method)


class Odd(Patches):
    """Attention over two halves of the tokens apart, or from one query."""

    def attention(self, layer: nn.Module, tokens: Tensor) -> Tensor:
        if self.kind == "halves":
            halves = super().attention(layer, tokens.unflatten(1, (2, -1)).flatten(0, 1))
            return halves.unflatten(0, (-1, 2)).flatten(1, 2)
        query, key, value = layer(tokens).chunk(3, dim=-1)
        return (query[:, :1] @ key.transpose(1, 2)).softmax(dim=-1) @ value


@pytest.mark.parametrize(
    ("kind", "words"),
    [("halves", r"over parts of the tokens \(\[36\] at a time\)"), ("one", "from 1 to 72 tokens")],
)
def test_other_attention_is_refused_with_the_reason(kind: str, words: str) -> None:
    with pytest.raises(NotApplicableError, match=words):
        explain(on_magnitude(Odd(0, kind=kind)), Audio(noise(), RATE, "noise"), METHODS[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fails", [None, ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left_behind(
    method: str, fails: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = load_model(save("wav2vec2", tmp_path))
    network: Any = model.module
    network.config._attn_implementation = "flex_attention"  # whose weights are hidden
    used: list[str] = []
    network.register_forward_pre_hook(lambda *_: used.append(network.config._attn_implementation))
    if fails:

        def stop(*_: object) -> None:
            raise fails

        monkeypatch.setattr(Probe, "_counted", stop)
    probe = Probe(model, torch.from_numpy(noise(8000)), make_target(model, torch.ones(3), 0))
    monkeypatch.setattr(attention, "token_axes", lambda _: None)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    if fails:
        with pytest.raises(fails):
            attend(probe)
    else:
        attend(probe)
    assert used[-1] == "eager"
    assert network.config._attn_implementation == "flex_attention"
    assert all(one.grad is None for one in network.parameters())
    assert len(network._forward_pre_hooks) == 1
    for name, one in network.state_dict().items():
        torch.testing.assert_close(one, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("samples", [801, 4000, 30011])
def test_any_length(method: str, samples: int) -> None:
    model = on_magnitude(Patches(), lengths=(0.6, 0.6))
    clip = Audio(noise(samples), RATE, "noise")
    found = explain(model, clip, method, target=0, trust="none")
    assert found.attribution.values.shape == (TOY_PLANE.bins, TOY_PLANE.frames(samples))
    total = found.evidence.samples.astype(np.float64) + found.remainder.samples
    np.testing.assert_allclose(total, clip.samples, atol=1e-6)


def test_the_target_counts_for_relevance_and_not_for_rollout() -> None:
    clip = Audio(noise(), RATE, "noise")
    model = on_magnitude(Patches())
    for method, same in zip(METHODS, (False, True), strict=True):
        maps = [explain(model, clip, method, target=k, trust="none") for k in (0, 1)]
        first, second = (one.attribution.values for one in maps)
        differs = np.abs(first - second).max() > 0.1 * np.abs(first).max()
        assert differs != same


def test_tokens_that_the_output_is_read_from_count_alike() -> None:
    slope = torch.zeros(2, 3, 5, 4)  # window, head, token, channel
    slope[0, :, 1], slope[0, 0, 3, 0] = 2.0, 0.01
    slope[1] = torch.rand(3, 5, 4) + 0.1
    wanted = torch.tensor([[0, 0.5, 0, 0.5, 0], [0.2] * 5], dtype=torch.float64)
    torch.testing.assert_close(read_tokens(slope, 2), wanted)
    torch.testing.assert_close(read_tokens(slope.flatten(0, 1), 2), wanted)
