"""What a decoder is asked: how an answer hangs on the channels of the deepest layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from earwitness.decoders.folder import Explainer
from earwitness.decoders.slim import Decoder, default_widths
from earwitness.errors import NotApplicableError
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import HiddenLayer, find_layers
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from tests.toys import RATE, TOY_PLANE, Magnitude

WAVES = 0.1 * torch.randn(3, RATE, generator=torch.Generator().manual_seed(0))


class Deep(nn.Module):
    """Frames of the waveform (batch, channel, frame), and whatever follows."""

    def __init__(self, after: Callable[[Tensor], Tensor], classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.deep = nn.Conv1d(1, 5, 80, stride=80)
        self.head = nn.Linear(5, classes)
        self.after = after

    def forward(self, waves: Tensor) -> Tensor:
        return self.head(self.after(self.deep(waves[:, None])))


class Framed(Deep):
    """One answer per frame, (batch, frame, output)."""

    def forward(self, waves: Tensor) -> Tensor:
        return self.head(self.after(self.deep(waves[:, None])).transpose(1, 2))


class Chances(Deep):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(waves).softmax(dim=1)


def pooled(maps: Tensor) -> Tensor:
    return maps.mean(dim=2)


def asked(
    model: Model, target: Sequence[int], waves: Tensor = WAVES, layers: Sequence[str] = ("deep",)
) -> Tensor:
    found = find_layers(model, layers, samples=waves.shape[1])
    with model.undisturbed(), torch.no_grad(), activations_of(model, found) as recorded:
        return recorded.conditioning(model(waves), torch.tensor(target))


def even(rows: Tensor) -> Tensor:
    return rows / rows.square().mean(dim=1, keepdim=True).sqrt()


def test_it_is_the_row_of_the_head() -> None:
    model = load_model("esc10")  # which takes a mean and a maximum
    target = [4, 0, 9]
    rows = model.module.head.weight.detach().clone()
    wanted = even(rows[target] - rows.mean(dim=0))
    layer = find_layers(model)[0].name
    torch.testing.assert_close(asked(model, target, layers=[layer]), wanted, rtol=1e-4, atol=1e-4)
    with torch.no_grad():  # what is added to every class says nothing of any
        model.module.head.weight.add_(torch.randn(rows.shape[1]))
    torch.testing.assert_close(asked(model, target, layers=[layer]), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("facts", [{"task": "multi-label"}, {"output": "scores"}], ids=str)
def test_a_label_and_a_value_are_asked_about_by_themselves(facts: dict[str, Any]) -> None:
    model = wrap(Deep(pooled), sample_rate=RATE, labels=["a", "b", "c"], **facts)
    wanted = even(model.module.head.weight.detach()[[1, 2, 0]])
    torch.testing.assert_close(asked(model, [1, 2, 0]), wanted, rtol=1e-4, atol=1e-4)


def test_certainty_does_not_silence_it() -> None:
    model = wrap(Chances(pooled), sample_rate=RATE, labels=["a", "b", "c"], output="probabilities")
    with torch.no_grad():
        model.module.head.bias.copy_(torch.tensor([12.0, 0.0, -3.0]))
        assert float(model(WAVES)[:, 0].min()) > 1 - 1e-5
    rows = model.module.head.weight.detach()
    wanted = even(rows[[0, 1, 2]] - rows.mean(dim=0))
    torch.testing.assert_close(asked(model, [0, 1, 2]), wanted, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("network", [Deep(lambda x: pooled(x).tanh()), Framed(torch.tanh)],
                         ids=["whole", "per frame"])  # fmt: skip
def test_every_window_has_its_own(network: Deep) -> None:
    framed = isinstance(network, Framed)
    with torch.no_grad():
        network.deep.weight.mul_(50)
    model = wrap(network, sample_rate=RATE, labels=["a", "b", "c"], task="multi-label",
                 per_frame=framed, lengths=(None, 1.0))  # fmt: skip
    wave = torch.cat([WAVES[:1], 0.1 * WAVES[1:2]], dim=1)
    layer = HiddenLayer("deep", 2, None, 5, ())
    with model.undisturbed(), activations_of(model, [layer]) as recorded:
        found = recorded.conditioning(model(wave), torch.tensor([1]))
    windows = model.windows(wave.shape[1])
    assert len(found) == len(windows) > 1
    row = network.head.weight.detach()[1]
    for k in (0, -1):  # the ones at the ends, where a frame is in no other window
        start, length = windows[k]
        maps = network.deep(wave[:, None, start : start + length]).detach()
        if framed:
            maps = maps[..., slice(None, 50) if k == 0 else slice(50, None)]
            wanted = row * (1 - maps.tanh().square()).mean(dim=2)
            close = torch.nn.functional.cosine_similarity(found[k : k + 1 or None], wanted)
            assert float(close) > 0.9  # frames of two windows count by halves
        else:
            wanted = row * (1 - pooled(maps).tanh().square())
            torch.testing.assert_close(found[k], even(wanted)[0], rtol=1e-3, atol=1e-3)
    assert float((found[0] - found[-1]).abs().max()) > 0.05


def test_no_slope_is_no_question_and_no_nan() -> None:
    model = wrap(Deep(lambda x: pooled(x) * 0), sample_rate=RATE, labels=["a", "b", "c"])
    torch.testing.assert_close(asked(model, [0, 1, 2]), torch.zeros(3, 5))
    rooted = Deep(lambda x: (x - x.detach()).square().sum(dim=2).sqrt())  # undefined at 0
    model = wrap(rooted, sample_rate=RATE, labels=["a", "b", "c"])
    assert bool(torch.isfinite(asked(model, [0, 1, 2])).all())


def test_half_precision_keeps_small_slopes() -> None:
    # a hundredth of the mean: slopes as small as those of a hundred seconds
    network = Deep(lambda maps: pooled(maps) / 100).half()
    model = wrap(network, sample_rate=RATE, labels=["a", "b", "c"])
    with torch.no_grad():
        model.module.head.weight.mul_(0.02)
    wave = torch.randn(1, RATE) * 0.1
    rows = model.module.head.weight.detach().float()
    wanted = even((rows[1] - rows.mean(dim=0))[None])
    torch.testing.assert_close(asked(model, [1], wave), wanted, rtol=0.02, atol=0.02)


class Pair(NamedTuple):
    hidden: Tensor
    size: int


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv1d(1, 5, 80, stride=80)

    def forward(self, waves: Tensor) -> Pair:
        return Pair(self.inner(waves), 5)


class Most(Named):
    def forward(self, waves: Tensor) -> Any:
        return self.inner(waves).unflatten(1, (5, 1)).max(dim=2)


class Memory(Named):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 5, batch_first=True)

    def forward(self, waves: Tensor) -> tuple[Tensor, Any]:
        return self.lstm(self.inner(waves).transpose(1, 2))


@pytest.mark.parametrize(
    ("block", "after"),
    [(Named, lambda pair: pooled(pair.hidden)), (Most, lambda most: pooled(most.values)),
     (Memory, lambda both: both[0].mean(dim=1))],
)  # fmt: skip
def test_what_a_layer_gives_stays_the_same_kind(block: Any, after: Any) -> None:
    torch.manual_seed(0)
    network = Deep(after)
    network.deep = block()
    model = wrap(network, sample_rate=RATE, labels=["a", "b", "c"])
    rows = network.head.weight.detach()
    wanted = even(rows - rows.mean(dim=0))
    torch.testing.assert_close(asked(model, [0, 1, 2]), wanted, rtol=1e-4, atol=1e-4)


def test_what_follows_may_write_over_a_layer() -> None:
    class Writing(Deep):
        def forward(self, waves: Tensor) -> Tensor:
            maps = self.deep(waves[:, None])
            other = self.same(maps)
            found = self.head(other.mean(dim=2))
            maps.zero_()
            return found

    network = Writing(pooled)
    network.same = nn.Dropout()  # gives its very input in evaluation
    model = wrap(network, sample_rate=RATE, labels=["a", "b", "c"])
    layers = find_layers(model, ["same", "deep"], samples=RATE)
    with model.undisturbed(), activations_of(model, layers) as recorded:
        model(WAVES)
    wanted = network.deep(WAVES[:, None]).detach()
    for one in recorded.maps():
        torch.testing.assert_close(one.squeeze(2), wanted)


class LastState(nn.Module):
    """An LSTM of which only the last state is read, so that nothing goes on from its output."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Linear(TOY_PLANE.bins, 12)
        self.memory = nn.LSTM(12, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, features: Tensor) -> Tensor:
        frames = self.mix(features[:, 0].transpose(1, 2)).relu()
        return self.head(self.memory(frames)[1][0][-1])


def test_layers_that_the_answer_does_not_depend_on_are_left_alone() -> None:
    model = wrap(LastState(), sample_rate=RATE, labels=["a", "b"], features=Magnitude())
    assert [layer.name for layer in find_layers(model, samples=RATE)] == ["mix"]
    with pytest.raises(NotApplicableError, match="depend differentiably on its layer 'memory'"):
        asked(model, [0, 1, 0], layers=["memory"])


class Recurrent(nn.Module):
    """Maps with frequencies, then a memory without, then one answer for every frame or for all."""

    def __init__(self, framed: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maps = nn.Conv2d(1, 4, 3, stride=(4, 2), padding=1)
        self.memory = nn.GRU(4 * 17, 6, batch_first=True)
        self.head = nn.Linear(6, 2)
        self.framed = framed

    def forward(self, features: Tensor) -> Tensor:
        frames = self.maps(features[:, :, :65]).tanh().flatten(1, 2).transpose(1, 2)
        answers = self.head(self.memory(frames)[0])
        return answers if self.framed else answers.mean(dim=1)


@pytest.mark.parametrize("framed", [False, True])
def test_what_is_asked_is_read_off_the_last_layer_before_the_answers(framed: bool) -> None:
    model = wrap(Recurrent(framed), sample_rate=RATE, labels=["a", "b"], features=Magnitude(),
                 per_frame=framed, task="multi-label")  # fmt: skip
    layers = find_layers(model, samples=RATE)
    assert [(layer.name, layer.mapped) for layer in layers] == [("memory", False), ("maps", True)]
    with model.undisturbed(), activations_of(model, layers) as recorded:
        conditioning = recorded.conditioning(model(WAVES), torch.tensor([0, 1, 1]))
    wanted = even(model.module.head.weight.detach()[[0, 1, 1]])
    torch.testing.assert_close(conditioning, wanted, rtol=1e-4, atol=1e-4)
    assert [one.shape[1] for one in recorded.maps()] == [4]
    decoder = Decoder(layers, model.plane, default_widths(layers)).eval()
    explainer = Explainer(decoder, layers, (32,), model.plane, {}, "toy")
    magnitude = model.plane.analyse(WAVES[:1])[0].abs()
    with model.undisturbed():
        gains = [explainer.gains(model, magnitude, WAVES[0], k) for k in (0, 1)]
    assert gains[0].shape == magnitude.shape
    assert float((gains[0] - gains[1]).abs().max()) > 1e-3


@pytest.mark.parametrize("how", ["written over", "no backward", "whole numbers"])
def test_what_cannot_be_differentiated_is_refused_in_one_line(how: str) -> None:
    class Blunt(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: Any, maps: Tensor) -> Tensor:
            return maps.clone()

    def after(maps: Tensor) -> Tensor:
        if how == "no backward":
            return pooled(Blunt.apply(maps))
        gate = maps.sigmoid()
        found = pooled(maps * gate)
        gate.mul_(2)
        return found

    class Hard(Deep):
        def forward(self, waves: Tensor) -> Tensor:
            found = nn.functional.one_hot(super().forward(waves).argmax(dim=1), 3).float()
            return found if how == "whole numbers" else super().forward(waves)

    network = Hard(after)
    output = "probabilities" if how == "whole numbers" else "logits"
    model = wrap(network, sample_rate=RATE, labels=["a", "b", "c"], output=output)
    with (
        pytest.raises(NotApplicableError, match="differentia") as raised,
        model.undisturbed(),
        activations_of(model, [HiddenLayer("deep", 2, None, 5, ())]) as recorded,
    ):
        recorded.conditioning(model(WAVES), torch.tensor([0, 1, 2]))
    assert "\n" not in str(raised.value)


def test_of_many_resolutions_the_finest_is_not_read() -> None:
    class Stairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.steps = nn.ModuleList(
                nn.Conv1d(1 if k == 0 else 2, 2, 4, stride=4 if k == 0 else 2, padding=1)
                for k in range(8)
            )
            self.head = nn.Linear(2, 2)

        def forward(self, waves: Tensor) -> Tensor:
            maps = waves[:, None]
            for step in self.steps:
                maps = step(maps).tanh()
            return self.head(maps.mean(dim=2))

    model = wrap(Stairs(), sample_rate=RATE, labels=["a", "b"])
    names = [layer.name for layer in find_layers(model, samples=RATE)]
    assert names == [f"steps.{k}" for k in (5, 4, 3, 2, 1)]
