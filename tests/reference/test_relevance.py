"""Rules for the backward pass against hand-made numbers, and what they add up to."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.backward.completeness import account
from earwitness.backward.rules import Leak, Ledger
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.models.wrapping import wrap
from tests.reference import slow
from tests.reference.nets import SHAPE, Stack, close, explained, probe, randomised
from tests.toys import RATE, TOY_PLANE, Magnitude

SIGNS = [1.0, -1.0, 1.0, -1.0, -1.0]


class Cells(nn.Module):
    """Two dense layers with biases over five cells of the plane, shifted to have both signs."""

    def __init__(self, how: str = "module") -> None:
        super().__init__()
        self.how = how
        self.relu = nn.ReLU(inplace=how == "module in place")
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 2)
        self.register_buffer("sign", torch.tensor(SIGNS))
        randomised(self)

    def forward(self, features: Tensor) -> Tensor:
        cells = features[:, 0, 4, 3:8] * 400 * self.sign
        hidden = self.first(cells)
        if self.how.startswith("module"):
            hidden = self.relu(hidden)
        elif self.how == "in place":
            torch.relu_(hidden)
        elif self.how == "clamp":
            hidden = hidden.clamp(min=0)
        else:
            hidden = functional.relu(hidden)
        return self.second(hidden)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("gamma", [0.0, 0.4])
@pytest.mark.parametrize("how", ["module", "module in place", "in place", "function", "clamp"])
def test_lrp_is_the_papers_however_relu_is_called(how: str, gamma: float, share: bool) -> None:
    net = Cells(how)
    where = probe(net)
    found = explained(
        "lrp", where, rule="gamma", gamma=gamma, epsilon=0.0, biases="share" if share else "keep"
    )
    cells = where.magnitude[4, 3:8].double().numpy() * 400 * np.array(SIGNS)
    one, two, three, four = (p.detach().double().numpy() for p in net.parameters())
    hidden = np.maximum(one @ cells + two, 0)
    score = three @ hidden + four
    handed = slow.relevance(hidden, three[:1], four[:1], score[:1], gamma)
    wanted = slow.relevance(cells, one, two, handed, gamma, share)
    assert (one @ cells + two < 0).any()
    assert np.abs(wanted).min() > 5e-4 * np.abs(wanted).max()
    np.testing.assert_allclose(found.values[4, 3:8].numpy(), wanted, rtol=1e-4)
    assert float(found.values.abs().sum()) == pytest.approx(np.abs(wanted).sum(), rel=1e-4)
    promised = handed.sum()  # the last bias is a constant of the score and keeps its part
    assert gamma or promised == pytest.approx(score[0] - four[0])
    np.testing.assert_allclose(found.details["score_change"], promised, rtol=1e-5)
    gap = found.details["completeness_gap"]
    np.testing.assert_allclose(gap, wanted.sum() - promised, atol=1e-5)
    if share:
        assert abs(gap) < 1e-6
    else:
        assert abs(gap) > 1e-3
    if not share:  # all of it is what the biases kept, and the largest part is named
        kept = found.details["kept_by_biases"]
        np.testing.assert_allclose(kept, -gap / promised, rtol=1e-3)
        assert found.details["leaks"][0]["at"].startswith("torch.nn.functional.linear in ")


def test_epsilon_takes_from_weak_neurons() -> None:
    net = Cells()
    where = probe(net)
    plain, damped = (
        explained("lrp", where, rule="epsilon", epsilon=e, biases="keep").values for e in (0.0, 0.5)
    )
    cells = where.magnitude[4, 3:8].double().numpy() * 400 * np.array(SIGNS)
    one, two, three, four = (p.detach().double().numpy() for p in net.parameters())
    before = one @ cells + two
    score = three @ np.maximum(before, 0) + four
    least = 0.5 * np.sqrt((score**2).mean())
    handed = np.maximum(before, 0) * three[0] * score[0] / (score[0] + np.sign(score[0]) * least)
    least = 0.5 * np.sqrt((before**2).mean())
    wanted = cells * (one.T @ (handed / (before + np.sign(before) * least)))
    np.testing.assert_allclose(damped[4, 3:8].numpy(), wanted, rtol=1e-4)
    assert float((plain - damped).abs().max()) > 0.1 * np.abs(wanted).max()


class Normed(nn.Module):
    """Convolution and batch norm, or the one convolution that they are together."""

    def __init__(self, folded: bool) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.flat = nn.Conv1d(3, 4, 5, padding=2, bias=False)
        self.after, self.head = nn.BatchNorm1d(4), nn.Linear(4, 2)
        randomised(self)
        for norm in (self.norm, self.after):
            norm.running_mean.copy_(torch.linspace(-0.3, 0.4, len(norm.running_mean)))
            norm.running_var.copy_(torch.linspace(0.5, 2.0, len(norm.running_var)))
        self.folded = folded

    def forward(self, features: Tensor) -> Tensor:
        if not self.folded:
            maps = functional.relu(self.norm(self.conv(features * 50)), inplace=True)
            line = torch.relu(self.after(self.flat(maps.mean(dim=2))))
        else:
            maps = torch.relu(self._one(functional.conv2d, self.conv, self.norm, features * 50, 1))
            line = torch.relu(
                self._one(functional.conv1d, self.flat, self.after, maps.mean(dim=2), 2)
            )
        return self.head(line.amax(dim=2))

    @staticmethod
    def _one(call: Any, conv: Any, norm: Any, values: Tensor, padding: int) -> Tensor:
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shape = [-1] + [1] * (conv.weight.ndim - 1)
        before = 0 if conv.bias is None else conv.bias
        bias = (before - norm.running_mean) * scale + norm.bias
        return call(values, conv.weight * scale.reshape(shape), bias, padding=padding)


@pytest.mark.parametrize("biases", ["keep", "share"])
@pytest.mark.parametrize("rule", ["composite", "epsilon", "gamma"])
def test_a_batch_norm_is_one_with_the_layer_before_it(rule: str, biases: str) -> None:
    apart, folded = (
        explained("lrp", probe(Normed(f)), rule=rule, biases=biases).values for f in (False, True)
    )
    close(apart, folded)


class Late(nn.Module):
    """A batch norm after the ReLU, and one after transposed convolutions in groups."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=in_place)
        self.up, self.after = nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 2)
        randomised(self)

    def forward(self, features: Tensor) -> Tensor:
        maps = self.norm(self.relu(self.conv(features * 50)))
        return self.head(self.relu(self.after(self.up(maps))).mean(dim=(2, 3)))


@pytest.mark.parametrize("biases", ["keep", "share"])
def test_a_batch_norm_after_a_relu_is_not_taken_for_part_of_the_layer(biases: str) -> None:
    in_place, apart = (
        explained("lrp", probe(Late(f)), biases=biases).values for f in (True, False)
    )
    close(in_place, apart)


class Gated(nn.Module):
    """``x * sigmoid(k x)`` in one cell, plus ``x * y`` of two others and ``x / y``."""

    def forward(self, features: Tensor) -> Tensor:
        a, b, c, d, e = (features[:, 0, 4, 3:8] * 100).unbind(dim=1)
        score = a * torch.sigmoid(3 * a)[:, None].squeeze(1) + b * c + d / (1 + e)
        return torch.stack([score, -score], dim=1)


def test_a_gate_gets_nothing_equals_get_halves_and_a_divisor_nothing() -> None:
    where = probe(Gated())
    found = explained("lrp", where, biases="keep").values[4, 3:8].numpy()
    a, b, c, d, e = where.magnitude[4, 3:8].double().numpy() * 100
    wanted = [a / (1 + np.exp(-3 * a)), b * c / 2, b * c / 2, d / (1 + e), 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_functions_of_one_number_hand_on_all_they_get() -> None:
    class Curves(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            a, b, c, d = (features[:, 0, 4, 3:7] * 100).unbind(dim=1)
            score = a**2 + torch.tanh(b) + c.log1p() + (d - 1).sigmoid()
            return torch.stack([score, -score], dim=1)

    where = probe(Curves())
    found = explained("lrp", where).values[4, 3:7].numpy()
    a, b, c, d = where.magnitude[4, 3:7].double().numpy() * 100
    wanted = [a**2, np.tanh(b), np.log1p(c), 1 / (1 + np.exp(1 - d))]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    # of d - 1 the part of d is d / (d - 1): a constant that keeps its relevance has the rest
    found = explained("lrp", where, biases="keep").values[4, 3:7].numpy()
    np.testing.assert_allclose(found, [*wanted[:3], wanted[3] * d / (d - 1)], rtol=1e-4)


def test_a_limit_that_is_a_tensor_hands_on_as_a_clamp_does() -> None:
    class Limited(nn.Module):
        """Decibels with a floor 80 dB below a fixed level, as NISQA's features."""

        def forward(self, features: Tensor) -> Tensor:
            a, b = (20 * (features[:, 0, 4, 3:5] + 1e-9).log10()).unbind(dim=1)
            score = torch.maximum(a, torch.tensor(-80.0)) + torch.maximum(b, torch.tensor(5.0))
            return torch.stack([score, -score], dim=1)

    where = probe(Limited())
    levels = 20 * np.log10(where.magnitude[4, 3:5].double().numpy() + 1e-9)
    assert (levels > -80).all()
    assert (levels < 5).all()
    found = explained("lrp", where)
    np.testing.assert_allclose(found.values[4, 3:5], [levels[0], 5], rtol=1e-4)
    assert found.details["completeness_share"] < 1e-4


class Recurrent(nn.Module):
    """An LSTM, a GRU or a plain recurrent layer over frames, time first inside."""

    def __init__(self, kind: type[nn.RNNBase], **facts: Any) -> None:
        super().__init__()
        self.layer = kind(8, 5, num_layers=2, bidirectional=True, **facts)
        self.head = nn.Linear(10, 2)
        randomised(self)

    def forward(self, features: Tensor) -> Tensor:
        frames = torch.log1p(features[:, 0, :8] * 100).permute(2, 0, 1)  # (time, batch, feature)
        return self.head(self.layer(frames)[0].mean(dim=0))


class Lines(nn.Module):
    """1-D convolutions over frames, with frames of all sounds in one batch in between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv1d(SHAPE[0], 6, 3, padding=1), nn.Linear(6, 6)
        self.head = nn.Linear(6, 2)
        randomised(self, scale=0.3)

    def forward(self, features: Tensor) -> Tensor:
        maps = functional.leaky_relu(self.conv(features[:, 0] * 100), 0.2)
        rows = maps.transpose(1, 2).reshape(-1, 6)  # (batch * time, feature)
        rows = functional.elu_(self.dense(rows))
        return self.head(rows.reshape(len(features), -1, 6).max(dim=1).values)


class Attending(nn.Module):
    """A transformer layer over frames."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu")
        self.norm, self.head = nn.GroupNorm(2, 8), nn.Linear(8, 2)
        randomised(self, scale=0.4)

    def forward(self, features: Tensor) -> Tensor:
        frames = torch.log1p(features[:, 0, :8] * 100).permute(2, 0, 1)
        return self.head(self.norm(self.layer(frames).permute(1, 2, 0)).std(dim=2))


class Onwave(nn.Module):
    """A network on waveforms with a transform, a power and a logarithm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(TOY_PLANE.bins, 4, 3), nn.Linear(4, 2)
        randomised(self, scale=0.3)

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.view_as_real(TOY_PLANE.analyse(waves)).pow(2).sum(dim=-1)
        return self.head(functional.silu(self.conv((power * 1e4 + 1).log())).mean(dim=2))


NETS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
    "rnn": lambda: Recurrent(nn.RNN, nonlinearity="relu"),
    "lines": Lines,
    "attention": Attending,
    "stack": Stack,
    "normed": lambda: Normed(False),
    "wave": lambda: wrap(Onwave().eval(), sample_rate=RATE, labels=["a", "b"]),
}


@pytest.mark.parametrize("name", NETS)
def test_deep_shap_adds_up_on_every_kind_of_network(name: str) -> None:
    found = explained("deep-shap", probe(NETS[name]()), samples=1, noise=0.1)
    assert found.details["completeness_share"] < 0.02
    assert float(found.values.abs().sum()) > 0


@pytest.mark.parametrize("name", ["stack", "normed", "lines"])
def test_lrp_adds_up_where_every_function_has_a_rule(name: str) -> None:
    found = explained("lrp", probe(NETS[name]()))
    assert found.details["completeness_share"] < 0.02


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "attention", "wave"])
def test_lrp_names_what_it_loses(name: str) -> None:
    # a bias, an added constant, a softmax or a standard deviation are no one's contribution
    found = explained("lrp", probe(NETS[name]()), biases="keep")
    details = found.details
    whole = details["completeness_gap"] / abs(details["score_change"])
    named = sum(leak["share"] for leak in details["leaks"])
    assert details["leaks"]
    assert abs(whole) > 0.02
    assert all(" in " in leak["at"] for leak in details["leaks"])
    assert np.isfinite(named)
    assert np.isfinite(found.values.numpy()).all()


@pytest.mark.parametrize("method", ["lrp", "deep-shap"])
def test_packed_and_compiled_networks_are_refused(method: str) -> None:
    class Packed(Recurrent):
        def forward(self, features: Tensor) -> Tensor:
            frames = features[:, 0, :8].permute(0, 2, 1) * 100
            packed = nn.utils.rnn.pack_sequence(list(frames))
            return self.head(self.layer(packed)[1][0][-2:].permute(1, 0, 2).flatten(1))

    with pytest.raises(NotApplicableError, match="packed sequences"):
        explained(method, probe(Packed(nn.LSTM)))

    class Curve(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            level = torch.exp(features[:, 0].mean(dim=(1, 2)) * 100)
            return torch.stack([level, -level], dim=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.jit.script(Curve().eval())
    with pytest.raises(NotApplicableError, match=r"cannot be intercepted \(.*integrated-gradients"):
        explained(method, probe(wrap(compiled, sample_rate=RATE, features=Magnitude())))


def test_networks_that_take_another_way_for_the_background_are_refused() -> None:
    class Switch(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            level = features.mean(dim=(1, 2, 3)) * 100
            loud = bool((level > 0.1).any())
            level = torch.tanh(level) if loud else torch.sigmoid(level)
            return torch.stack([level, -level], dim=1)

    with pytest.raises(NotApplicableError, match="takes another path for the background"):
        explained("deep-shap", probe(Switch()), noise=0.0)


def test_functions_without_a_rule_are_refused_by_name() -> None:
    leaks = [Leak("torch.foo in body.3", 0.5, False, False), Leak("torch.bar", 0.1, True, True)]
    with pytest.raises(NotApplicableError, match=r"no rule for torch\.foo in body\.3.*25%"):
        account("lrp", Ledger(), leaks, 0.6, 2.0)
    assert account("lrp", Ledger(), leaks[1:], 0.1, 2.0) == [{"at": "torch.bar", "share": 0.05}]


@pytest.mark.parametrize(
    "options", [{"rule": "alpha"}, {"gamma": -1.0}, {"epsilon": -1.0}, {"biases": "drop"}]
)
def test_lrp_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="lrp: "):
        explained("lrp", probe(Cells()), **options)
