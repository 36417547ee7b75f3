"""First layers that mixtures of pieces share: the same answers, from far fewer passes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.methods.pieces.registry import Sizes, cut
from earwitness.models.adapters import wrap
from earwitness.models.calls import Prefix, UnknownCallsError, record
from earwitness.models.fast import Fast
from earwitness.models.frontend import LogMel
from earwitness.models.pattern import Mixtures, find_pattern
from earwitness.models.registry import load_model
from earwitness.models.sharing import Sharing, Table
from earwitness.plane.stft import Plane
from earwitness.probe import Probe

ROWS, COLUMNS, SIDE = 4, 6, 14
PIECES = ROWS * COLUMNS


def gains() -> Tensor:
    """Return pieces (piece, row, column) of a grid with edges two cells wide."""
    piece = torch.arange(PIECES).reshape(ROWS, COLUMNS)
    hard = functional.one_hot(piece.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)).float()
    maps = functional.pad(hard.movedim(-1, 0).unsqueeze(1), (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(maps, 3, stride=1)[:, 0]


def mixtures(network: Callable[[Tensor], Tensor], pieces: Tensor | None = None) -> Mixtures:
    pieces = gains() if pieces is None else pieces
    sound = 0.1 + torch.rand(pieces.shape[1:], generator=torch.Generator().manual_seed(3))
    flat = (pieces * sound).flatten(1)

    def mix(switches: Tensor) -> Tensor:
        return (switches @ flat).unflatten(1, sound.shape).unsqueeze(1)

    return Mixtures(network, mix, len(pieces), 8)


def draws(count: int = 100, pieces: int = PIECES) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 2, (count, pieces), generator=generator).float()


class Net(nn.Module):
    """Two blocks of convolutions in any style, and a head."""

    def __init__(self, style: str = "plain") -> None:
        super().__init__()
        self.style = style
        self.one, self.two = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.three, self.four = nn.Conv2d(8, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(24, 3)
        self.register_buffer("table", torch.eye(ROWS * SIDE) + torch.eye(ROWS * SIDE).roll(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        change: Callable[[Tensor], Tensor] = getattr(self, "do_" + self.style, lambda x: x)
        maps = self.first(change(x))
        maps = functional.avg_pool2d(maps, 2)
        maps = torch.relu(self.four(torch.relu(self.three(maps))))
        return self.head(maps.mean(dim=(2, 3)))

    def first(self, x: Tensor) -> Tensor:
        if self.style == "in place":
            return functional.relu(self.norm(self.two(self.one(x).relu_())), inplace=True)
        if self.style == "residual":
            maps = torch.relu(self.one(x))
            return maps + self.two(maps)
        if self.style == "maxima":
            return functional.max_pool2d(torch.relu(self.two(self.one(x))), 3, 1, 1)
        if self.style == "constants":
            ramp = torch.linspace(0, 1, x.shape[-1])
            return torch.relu(self.two(torch.relu(self.one(x)) + ramp))
        return torch.relu(self.two(torch.relu(self.norm(self.one(x)))))

    def do_bands(self, x: Tensor) -> Tensor:
        return torch.log1p(100 * (self.table @ x.square()))

    def do_transposed(self, x: Tensor) -> Tensor:
        return x.transpose(2, 3)


STYLES = ["plain", "in place", "residual", "maxima", "constants", "bands", "transposed"]


def settled(style: str = "plain") -> Net:
    torch.manual_seed(4)
    network = Net(style)
    network.norm.running_mean.uniform_(-0.5, 0.5)
    network.norm.running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        for layer in (network.two, network.three, network.four, network.head):
            layer.weight *= 4
    return network.eval()


@pytest.mark.parametrize("style", STYLES)
def test_answers_are_those_of_the_network(style: str) -> None:
    network = settled(style)
    made = mixtures(network)
    switches = draws()
    with torch.no_grad():
        pattern = find_pattern(made)
        assert pattern is not None
        assert pattern.place.share > 0.1
        table = Table(pattern, made)
        assert table.right()
        wanted = network(made.mix(switches))
        found = table.outputs(switches)
    spread = float(wanted.std(dim=0).min())
    assert spread > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-4 * spread)


def test_first_layers_run_once_for_each_combination_of_colours() -> None:
    network = settled()
    made = mixtures(network)
    with torch.no_grad():
        pattern = find_pattern(made)
        assert pattern is not None
        assert len(pattern.owners) == 4  # a corner belongs to four pieces
        table = Table(pattern, made)
        assert len(table._cells) == 16 * len(pattern.groups)
        passing: list[Tensor] = []
        network.two.register_forward_hook(lambda _, __, result: passing.append(result))
        table.outputs(draws(10))
    assert passing[0].shape[0] == 10
    assert passing[0].stride() == (0, 0, 0, 0)  # the module is called, but computes nothing
    assert bool(passing[0].isnan().all())


def test_cells_depend_on_the_pieces_that_reach_them() -> None:
    """Against a second way: which cells change when a piece is switched, in 60 random mixtures."""
    network = settled()
    made = mixtures(network)
    with torch.no_grad():
        pattern = find_pattern(made)
        assert pattern is not None
        on = draws(60)
        changes = []
        for piece in range(PIECES):
            off = on.clone()
            on[:, piece], off[:, piece] = 1, 0
            one = made.computed(on, pattern.prefix)
            other = made.computed(off, pattern.prefix)
            changes.append((one != other).any(dim=-1).any(dim=0).flatten())
    found = torch.zeros(PIECES + 1, len(pattern.groups), dtype=torch.bool)
    for own in pattern.owners[:, pattern.groups]:
        found[own, torch.arange(len(own))] = True
    wanted = torch.stack(changes)
    assert not bool((wanted & ~found[:-1]).any())
    assert float((found[:-1] & ~wanted).float().mean()) < 0.01  # where a ReLU lets nothing through
    for own, colour in zip(pattern.owners, range(len(pattern.owners)), strict=True):
        pieces = own[own < PIECES].unique()
        assert bool((pattern.colours[pieces] == colour).all())


class Whole(Net):
    """Something in front makes every cell depend on all of the sound."""

    def do_peak(self, x: Tensor) -> Tensor:
        return x / x.amax(dim=(1, 2, 3), keepdim=True)

    def do_attention(self, x: Tensor) -> Tensor:
        weights = (x @ x.transpose(2, 3)).softmax(dim=-1)
        return weights @ x

    def do_again(self, x: Tensor) -> Tensor:
        self.seen = x
        return x

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found + self.seen.mean(dim=(1, 2, 3))[:, None] if self.style == "again" else found


@pytest.mark.parametrize("style", ["peak", "attention"])
def test_nothing_is_shared_where_every_cell_depends_on_all(style: str) -> None:
    torch.manual_seed(4)
    with torch.no_grad():
        assert find_pattern(mixtures(Whole(style).eval())) is None


def quick(network: Callable[[Tensor], Tensor], switches: Tensor | None = None) -> Any:
    made = mixtures(network)
    with torch.no_grad():
        return Sharing(made, {}).quick(draws() if switches is None else switches), made


def test_pieces_that_are_mixed_softly_or_asked_about_rarely_share_nothing() -> None:
    assert quick(settled())[0] is not None
    assert quick(settled(), 0.5 * draws())[0] is None
    assert quick(settled(), draws(85))[0] is None  # 24 pieces: from 50 + 36 mixtures on
    made = mixtures(settled())
    sharing = Sharing(made, {})
    with torch.no_grad():
        assert sharing.quick(draws(50)) is None
        assert sharing.quick(draws(50)) is not None


def slope(x: Tensor) -> Tensor:
    """Return how much louder the beginning is than the rest."""
    return x[..., :14].mean(dim=(1, 2, 3)) / x[..., 14:].mean(dim=(1, 2, 3))


def louder(x: Tensor, least: float) -> Tensor:
    return (x.mean(dim=(1, 2, 3)) > least).float()


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecated, in one way or another
    hidden = torch.jit.script(louder)


HIDING: dict[str, Callable[[Net, Tensor, float], Tensor]] = {
    "comparison": lambda net, x, least: net(
        torch.where((slope(x) > least)[:, None, None, None], x / 4, x)
    ),
    "script": lambda net, x, least: net(x) * (1 - 0.8 * hidden(x, least))[:, None],
    "numpy": lambda net, x, least: (
        net(x) * torch.from_numpy(np.asarray(np.asarray(x).mean((1, 2, 3)) > least))[:, None]
    ),
    "vmap": lambda net, x, least: (
        net(x) * torch.vmap(lambda one: torch.where(one.mean() > least, 0.2, 1.0))(x)[:, None]
    ),
    "NaN": lambda net, x, least: net(x.nan_to_num(nan=1.0)),
    "sort": lambda net, x, least: net(x * (x.sort(dim=-1).values[..., -1:] > least)),
}


@pytest.mark.parametrize("kind", HIDING)
def test_what_may_hide_a_piece_is_not_shared(kind: str) -> None:
    """Rules that fire so rarely that no trial would find them out."""
    network = settled()
    assert quick(lambda x: HIDING[kind](network, x, 1e9))[0] is None


@pytest.mark.usefixtures("_pays")
@pytest.mark.parametrize("kind", ["again", "values", "random", "state", "batch"])
def test_networks_that_cannot_be_followed_are_asked_as_they_are(kind: str) -> None:
    torch.manual_seed(4)
    network = Whole("again" if kind == "again" else "plain").eval()

    def ask(x: Tensor) -> Tensor:
        if kind == "values" and float(x.mean()) > 1:
            x = x / 2
        if kind == "batch":
            return network(x) * torch.ones(len(x), 1)
        if kind == "random":
            return network(x) + torch.randn(len(x), 3)
        if kind == "state":
            state.append(1)
            return network(x) * len(state)
        return network(x)

    state: list[int] = []
    made = mixtures(ask)
    sharing, fast, switches = Sharing(made, {}), Fast(), draws()
    parts = switches.split(8)
    with torch.no_grad():
        torch.manual_seed(5)
        way = sharing.quick(switches)
        answers = fast.answers(
            lambda some: ask(made.mix(some)), parts, quick=way, shape=torch.Size((2,))
        )
        found = torch.cat(list(answers))
        if kind == "state":
            assert fast._pays
            assert not any(fast._pays.values())
            return
        torch.manual_seed(5)
        pieces = [parts[0][:2], parts[0][2:], *parts[1:]]
        wanted = torch.cat([ask(made.mix(some)) for some in pieces])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture
def _pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fast, "_measured", lambda *_: True)


class Memory(Net):
    """Keeps something of what it hears, or of what it is doing."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.level, self.busy = kind, torch.zeros(1), False
        self.register_buffer("running", torch.zeros(1))
        self.register_buffer("unit", torch.ones(1))
        self.register_buffer("spread", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        assert not self.busy
        self.busy = True
        self.two.bias.data += float(self.kind == "edit")
        if self.kind == "buffer":
            self.running.mul_(0.9).add_(x.mean())
        elif self.kind == "filled":
            self.running[0] = x.mean()
        elif self.kind == "attribute":
            self.level = 0.9 * self.level + x.mean()
        elif self.kind == "peak":
            self.level = torch.maximum(self.level, x.amax())
        elif self.kind == "number":
            self.level = torch.tensor([0.9 * float(self.level) + 0.1 * x.mean().item()])
        elif self.kind == "norm":
            x = functional.batch_norm(x, self.running, self.spread, training=True)
        found = super().forward(x * self.unit.to(x))
        self.two.bias.data -= float(self.kind == "edit")
        self.busy = False
        return found


@pytest.mark.parametrize(
    "kind", ["nothing", "buffer", "filled", "attribute", "peak", "number", "edit"]
)
def test_nothing_is_left_in_a_network(kind: str) -> None:
    torch.manual_seed(4)
    network = Memory(kind).eval()
    bias = network.two.bias.detach().clone()
    for turn in range(2):
        made = mixtures(network, gains().roll(turn, 2))
        with torch.no_grad():
            way = Sharing(made, {}).quick(draws())
            assert (way is not None) == (kind == "nothing")
            if way is not None:
                way(draws(5))
    state = [network.level, *network.buffers()]
    assert all(bool(one.isfinite().all()) for one in state)
    assert all(set(vars(one)) == set() for one in (*state, *network.parameters()))
    assert not network.busy
    torch.testing.assert_close(network.two.bias, bias, rtol=0, atol=1e-6)


def test_skips_from_earlier_layers_and_changing_answers_leave_no_pattern() -> None:
    torch.manual_seed(4)
    network, times = settled(), iter(range(1, 100))
    with torch.no_grad():
        assert find_pattern(mixtures(Whole("again").eval())) is None
        assert find_pattern(mixtures(lambda x: network(x) * next(times))) is None


def test_a_wrong_cell_is_found_even_where_it_does_not_matter() -> None:
    network = settled()
    made = mixtures(network)
    with torch.no_grad():
        network.four.weight.zero_()  # nothing that the first layers give matters
        pattern = find_pattern(made)
        assert pattern is not None
        assert Table(pattern, made).right()
        wrong = replace(pattern, groups=pattern.groups.flip(0))
        assert not Table(wrong, made).right()


def test_norms_in_training_mode_are_not_shared() -> None:
    network = Memory("norm").eval()
    assert quick(network)[0] is None
    assert bool(network.running.isfinite().all())


def test_patterns_are_kept_by_outline() -> None:
    made = mixtures(settled())
    patterns: dict[bytes, Any] = {}
    with torch.no_grad():
        Sharing(made, patterns).quick(draws())
        assert len(patterns) == 1
        kept = next(iter(patterns.values()))
        Sharing(mixtures(settled()), patterns).quick(draws())
        assert list(patterns.values()) == [kept]
        for turn in range(1, 6):
            Sharing(mixtures(settled(), gains().roll(turn, 2)), patterns).quick(draws())
    assert len(patterns) == 4
    assert kept not in patterns.values()
    fast = Fast()
    fast._patterns.update(patterns)
    assert not copy.deepcopy(fast)._patterns


def prefix(network: Callable[[Tensor], Tensor], number: int) -> Prefix:
    x = torch.rand(3, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    return Prefix(record(network, x[:2])[0], record(network, x)[0], number)


def test_a_network_goes_on_from_any_call() -> None:
    network = settled()
    x = torch.rand(5, 1, 20, 30)
    with torch.no_grad():
        for number in range(8):
            first = prefix(network, number)
            found = first.resume(network, first(x), x.shape, float("nan"))
            torch.testing.assert_close(found, network(x))
        other = prefix(settled("maxima"), 3)
        with pytest.raises(UnknownCallsError, match="other calls"):
            other.resume(network, other(x), x.shape, 0.0)
        with pytest.raises(UnknownCallsError, match="number of items"):
            prefix(lambda x: x.relu() + 1 if len(x) == 2 else x.exp() + 1, 1)
        with pytest.raises(UnknownCallsError, match="number of items"):
            prefix(lambda x: x + torch.rand(1), 0)


class Small(nn.Module):
    """A network on bands in the manner of the default model."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(),
            nn.AvgPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean(dim=(2, 3)))


@pytest.mark.usefixtures("_pays")
@pytest.mark.parametrize(
    ("seconds", "kind"),
    [(1.0, "grid"), (1.0, "superpixels"), (1.0, "time"), (2.6, "grid"), (2.6, "time")],
)
def test_mixtures_of_a_probe_share_their_first_layers(seconds: float, kind: str) -> None:
    torch.manual_seed(0)
    model = wrap(
        Small(), sample_rate=16000, features=LogMel(Plane(16000, 512, 128), 48), lengths=(None, 1.2)
    )
    wave = 0.1 * torch.randn(int(seconds * 16000), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        probe = Probe(model, wave, model.target(model(wave[None])[0]))
        pieces = cut(probe, kind, Sizes(parts=50))  # fewer superpixels have fewer neighbours
        switches = draws(400, len(pieces))
        found = probe.mixture(pieces.mix, len(pieces))(switches)
        masks = (pieces.mix(one[None])[0] * probe.magnitude for one in switches)
        wanted = torch.cat([probe.score_magnitude(one[None]) for one in masks])
    assert any(pattern is not None for pattern in model.fast._patterns.values())
    assert model.fast._pays[next(key for key in model.fast._pays if not key[1])]
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(wanted.std()))


def test_the_default_model_shares_more_than_a_quarter_of_its_work() -> None:
    model = load_model("esc10")
    wave = 0.1 * torch.randn(160000, generator=torch.Generator().manual_seed(0))
    with model.undisturbed(), torch.no_grad():
        probe = Probe(model, wave, model.target(model(wave[None])[0]))
        pieces = cut(probe, "grid", Sizes())
        mix, ask = probe._mixer(pieces.mix, len(pieces))
        pattern = find_pattern(Mixtures(ask, mix, len(pieces), probe.chunk))
    assert pattern is not None
    assert pattern.place.share > 0.25
    assert len(pattern.owners) <= 6
