"""Which layer Grad-CAM takes, what it says of it, and which activations it weighs."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.errors import NotApplicableError
from earwitness.methods import gradcam
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests.toys import RATE, TOY_PLANE, Magnitude

SAMPLES = 24000


def noise() -> Audio:
    wave = 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0)).numpy()
    return Audio(wave, RATE, "noise")


def on_magnitude(net: nn.Module, **facts: Any) -> Model:
    facts = {"output": "logits", **facts}
    return wrap(net.eval(), sample_rate=RATE, features=Magnitude(), **facts)


def on_waves(net: nn.Module) -> Model:
    return wrap(net.eval(), sample_rate=RATE, output="scores", labels=["a", "b"])


class Spectrogram(nn.Module):
    def forward(self, waves: Tensor) -> Tensor:
        return TOY_PLANE.analyse(waves).abs()


class Narrow(nn.Module):
    """The mean of some rows of a spectrogram, a layer of one channel."""

    def __init__(self, rows: slice, copies: int = 0) -> None:
        super().__init__()
        self.spectrogram, self.rows = Spectrogram(), rows
        self.copies = nn.Conv2d(1, copies, 1, bias=False) if copies else None
        if self.copies is not None:
            nn.init.ones_(self.copies.weight)

    def forward(self, waves: Tensor) -> Tensor:
        maps = self.spectrogram(waves)[:, None]
        maps = maps if self.copies is None else self.copies(maps)
        level = maps[:, :, self.rows].mean(dim=(1, 2, 3))
        return torch.stack([level, -level], dim=1)


@pytest.mark.parametrize(("copies", "layer"), [(0, "spectrogram"), (16, "copies")])
def test_a_map_of_loudness_is_noted_with_its_share_and_layer(copies: int, layer: str) -> None:
    rows = slice(30, 40)
    net = Narrow(rows, copies)
    found = explain(on_waves(net), noise(), "gradcam", target=0)
    whole = net.spectrogram(torch.from_numpy(noise().samples)[None])[0].double()
    elsewhere = 1 - float(whole[rows].sum() / whole.sum())
    wanted = f"{elsewhere:.0%} of the map lies where layer '{layer}' has no effect on the score"
    assert list(found.notes) == [wanted]
    assert found.attribution.details["layer"] == layer


def test_a_layer_of_one_channel_that_counts_everywhere_is_not_noted() -> None:
    found = explain(on_waves(Narrow(slice(None))), noise(), "gradcam", target=0)
    assert found.notes == ()


def test_one_weight_for_many_is_noted() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spectrogram = Spectrogram()
            self.register_buffer("weights", torch.linspace(-1, 3, TOY_PLANE.bins))

        def forward(self, waves: Tensor) -> Tensor:
            level = (self.weights @ self.spectrogram(waves)).mean(dim=1)
            return torch.stack([level, -level], dim=1)

    net = Weighted()
    found = explain(on_waves(net), noise(), "gradcam", target=0)
    whole = net.spectrogram(torch.from_numpy(noise().samples)[None])[0].double()
    local = (net.weights[:, None] * whole).clamp(min=0)
    shared = float(torch.minimum(whole / whole.sum(), local / local.sum()).sum())
    (note,) = found.notes
    assert note.startswith("layer 'spectrogram' has 1 channel, too few for Grad-CAM")
    assert f": {1 - shared:.0%} of the map lies elsewhere" in note


def test_many_channels_are_preferred_to_a_spectrogram() -> None:
    class Lines(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.spectrogram = Spectrogram()
            self.lines, self.head = nn.Conv1d(TOY_PLANE.bins, 32, 3), nn.Linear(32, 2)

        def forward(self, waves: Tensor) -> Tensor:
            return self.head(torch.relu(self.lines(self.spectrogram(waves) * 9)).mean(dim=2))

    found = explain(on_waves(Lines()), noise(), "gradcam")
    assert found.attribution.details["layer"] == "lines"
    assert found.attribution.details["axes"] == "time only"


class Heads(nn.Module):
    """Two heads with an output each, and a third that leads nowhere, called last."""

    def __init__(self, cut: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.cut = nn.Conv2d(1, 12, 5, padding=2), cut
        self.one, self.two, self.side = (nn.Conv2d(12, 12, 1) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.relu(self.body(features * 10))
        outputs = [head(hidden).mean(dim=(1, 2, 3)) for head in (self.one, self.two)]
        return torch.stack(outputs, dim=1) + self.cut * self.side(hidden).mean()


@pytest.mark.parametrize("target", [0, 1])
def test_a_head_of_another_output_or_of_none_is_never_taken(target: int) -> None:
    model = on_magnitude(Heads(), output="scores", labels=["a", "b"])
    found = explain(model, noise(), "gradcam", target=target)
    assert found.attribution.details["layer"] == ("one", "two")[target]
    for other in ("side", ("two", "one")[target]):
        text = f"does not depend on its layer '{other}'.*; name another layer"
        with pytest.raises(NotApplicableError, match=text):
            explain(model, noise(), "gradcam", target=target, layer=other)


def test_a_head_called_last_that_counts_is_taken() -> None:
    model = on_magnitude(Heads(1.0), output="scores", labels=["a", "b"])
    found = explain(model, noise(), "gradcam", target=0)
    assert found.attribution.details["layer"] == "side"


def test_a_detached_network_is_refused_by_its_own_name() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 9, 3)

        def forward(self, features: Tensor) -> Tensor:
            return self.conv(features).mean(dim=(2, 3)).detach()

    with pytest.raises(NotApplicableError, match="depend differentiably on any of its layers"):
        explain(on_magnitude(Detached()), noise(), "gradcam")


class Active(nn.Module):
    """A convolution of both signs and an activation, as a module or in another spelling."""

    def __init__(self, activation: Callable[[Tensor], Tensor], sign: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(1, 10, 3, padding=1)
        self.activation, self.head = activation, nn.Linear(10, 2)
        with torch.no_grad():
            self.conv.weight.mul_(20)
            self.head.weight.copy_(sign * torch.rand(2, 10))

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.activation(self.conv(features)).mean(dim=(2, 3)))


ACTIVATIONS: dict[str, tuple[Callable[[], nn.Module], Callable[[Tensor], Tensor]]] = {
    "relu": (nn.ReLU, functional.relu),
    "relu in place": (nn.ReLU, torch.relu_),
    "after dropout": (nn.ReLU, lambda z: functional.relu(functional.dropout(z, 0.5, False))),
    "times a comparison": (nn.ReLU, lambda z: z * (z > 0)),
    "masked_fill_": (nn.ReLU, lambda z: z.masked_fill_(z < 0, 0.0)),
    "clamp": (nn.ReLU, lambda z: z.clamp(min=0)),
    "leaky": (lambda: nn.LeakyReLU(0.2), lambda z: functional.leaky_relu(z, 0.2)),
    "gelu": (nn.GELU, functional.gelu),
    "gelu, written over": (nn.GELU, lambda z: functional.gelu(z).mul_(1.0)),
}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("form", ["module", "function"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_that_are_off_are_no_evidence_however_the_relu_is_called(
    name: str, form: str, sign: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, function = ACTIVATIONS[name]
    net = Active(module() if form == "module" else function, sign)
    model = on_magnitude(net, labels=["a", "b"])
    # the map at the layer's resolution, here that of the plane
    monkeypatch.setattr(gradcam, "place", lambda maps, *_: maps[0])
    found = explain(model, noise(), "gradcam", target=0)
    wave = torch.from_numpy(noise().samples)[None]
    exact = copy.deepcopy(net.conv).double()
    maps = module()(exact(TOY_PLANE.analyse(wave).abs()[:, None].double()))[0]
    weights = net.head.weight[0].double() / maps[0].numel()
    wanted = torch.einsum("k,kft->ft", weights, maps).relu().detach().numpy()
    assert found.attribution.details["layer"] == ("activation" if form == "module" else "conv")
    np.testing.assert_allclose(
        found.attribution.values, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max()
    )
    if sign < 0 and module is nn.ReLU:  # all evidence is against: nothing is shown
        np.testing.assert_array_equal(found.attribution.values, np.zeros_like(wanted))
        assert any("degenerate mask (empty)" in note for note in found.notes)


def test_a_layer_that_another_path_takes_too_is_weighed_as_it_is() -> None:
    class Beside(Active):
        def forward(self, features: Tensor) -> Tensor:
            maps = self.conv(features)
            return self.head((functional.relu(maps) + 0.1 * maps).mean(dim=(2, 3)))

    found = explain(on_magnitude(Beside(functional.relu, 1.0)), noise(), "gradcam", target=0)
    assert "activation" not in found.attribution.details
    found = explain(on_magnitude(Active(functional.relu, 1.0)), noise(), "gradcam", target=0)
    assert found.attribution.details["activation"] == "relu"


def test_a_view_that_is_contiguous_already_never_ended() -> None:
    plain = Active(lambda z: functional.relu(z.view(z.shape)), 1.0)
    again = Active(lambda z: functional.relu(z.view(z.shape).contiguous()), 1.0)
    found = [explain(on_magnitude(one), noise(), "gradcam", target=0) for one in (plain, again)]
    values = [one.attribution.values for one in found]
    np.testing.assert_allclose(values[1], values[0], atol=1e-6 * values[0].max())


def test_a_scripted_part_is_passed_over() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = torch.jit.script(nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    net = nn.Sequential(nn.Conv2d(1, 9, 3), part, nn.Linear(9, 2))
    found = explain(on_magnitude(net), noise(), "gradcam")
    assert found.attribution.details["layer"] == "0"


def test_the_search_tells_its_progress_and_is_kept_until_weights_change() -> None:
    model = on_magnitude(Heads(), output="scores", labels=["a", "b"])
    calls: list[int] = []
    assert model.module is not None
    model.module.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))

    def passes() -> tuple[int, int]:
        explain(model, noise(), "random", trust="none")  # what any method costs the first time
        calls.clear()
        ticks: list[int] = []
        explain(model, noise(), "gradcam", target=0, trust="none", on_passes=ticks.append)
        return sum(ticks), sum(calls)

    # once 7 sounds for the axes, 4 for where they end, and a forward and backward pass for what
    # the score depends on; then a forward and a backward pass for the map; the outputs themselves
    # are not counted
    assert passes() == (7 + 4 + 3 + 3, 7 + 4 + 1 + 1 + 1)
    assert passes() == (3, 1 + 1)
    with torch.no_grad():
        model.module.body.weight.mul_(1.5)
    assert passes() == (7 + 4 + 3 + 3, 7 + 4 + 1 + 1 + 1)


def test_the_layer_of_the_default_model_is_found_in_fourteen_passes() -> None:
    model = load_model("esc10")
    ticks: list[int] = []
    sound = torch.randn(3 * model.rate, generator=torch.Generator().manual_seed(0)).numpy()
    for _ in range(2):
        explain(
            model,
            Audio(0.1 * sound, model.rate, "noise"),
            "gradcam",
            trust="none",
            on_passes=ticks.append,
        )
    assert sum(ticks) == 14 + 2 * 3


@pytest.mark.parametrize("method", ["gradcam", "iba"])
@pytest.mark.parametrize(("longer", "read"), [("first", (0.0, 0.5)), ("last", (1.0, np.inf))])
def test_what_the_model_does_not_read_has_no_attribution(
    method: str, longer: str, read: tuple[float, float]
) -> None:
    net = Narrow(slice(5, 40), copies=3).eval()
    facts: dict[str, Any] = {"output": "scores", "labels": ["a", "b"], "lengths": (None, 0.5)}
    model = wrap(net, sample_rate=RATE, longer=longer, **facts)
    found = explain(model, noise(), method, target="a", trust="none").attribution
    outside = (found.times < read[0]) | (found.times > read[1])
    np.testing.assert_array_equal(found.values[:, outside], 0.0)
    assert np.abs(found.values[:, ~outside]).max() > 0
