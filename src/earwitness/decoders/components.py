"""The networks of Listen to Interpret, and the components they work on as pieces of a sound.

Psi maps the classifier's activations to activations ``H`` (component, frame) of a dictionary ``W``
(freq, component), ``H >= 0``. Theta maps ``H`` to the classifier's outputs: attention over time
gives ``z = sum_t a_t h_t``, and a linear layer without bias gives ``theta z`` (Parekh et al. 2022,
section 3.1 and eq. 2). So the share of a component in an output is ``z_k theta_(c, k)``, and it is
a part of the sound.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.layers.finding import HiddenLayer
from earwitness.perturbation.pieces.decomposition import Pieces

WIDTH = 96  # channels of Psi
THRESHOLD = 0.2  # components of more than this relevance are selected, by default
_READ = 512  # rows times channels that a layer is reduced to
_FEWEST = 4  # channels of a layer with many rows
_REACH = 5  # frames, length of the filters over time
_ATTENTION = 64  # width of the attention
_QUIETEST = 1e-6  # root mean square; avoids a division by zero and the logarithm of zero
_FLOOR = (
    0.1  # magnitude of the rest in every cell: 74 dB below a sine at the peak, for 2048 samples
)
REST = "rest"


class Psi(nn.Module):
    """From activations of layers to activations of components, for any number of frames.

    The activations of each layer are divided by their root mean square over the clip, whose
    logarithm is an input of its own, so that quiet and loud sounds are alike and nothing is lost. A
    1x1 convolution reduces the channels. Its rows and channels are mapped to the same number of
    channels by a linear layer at every frame, interpolated to the frames of the plane, and added.
    The mean and the maximum over the clip are mapped by another linear layer and added to every
    frame, since the values that the dictionary explains are relative to the clip's peak. Two
    convolutions over time and a ReLU follow.

    Parameters
    ----------
    layers : sequence of HiddenLayer
    components : int
    width : int
        Channels.
    """

    def __init__(self, layers: Sequence[HiddenLayer], components: int, width: int = WIDTH) -> None:
        super().__init__()
        layers = [layer for layer in layers if layer.mapped]
        rows = [max(1, len(layer.freqs)) for layer in layers]
        widths = [
            min(layer.channels, max(_FEWEST, _READ // count))
            for layer, count in zip(layers, rows, strict=True)
        ]
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.channels) for layer in layers)
        self.readers = nn.ModuleList(
            nn.Conv2d(layer.channels, few, 1) for layer, few in zip(layers, widths, strict=True)
        )
        self.columns = nn.ModuleList(
            nn.Conv1d(few * count, width, 1, bias=False)
            for few, count in zip(widths, rows, strict=True)
        )
        self.levels = nn.BatchNorm1d(len(layers))
        self.level = nn.Linear(len(layers), width, bias=False)
        self.begin = nn.BatchNorm1d(width)
        self.context = nn.Linear(2 * width, width)
        self.middle = nn.Conv1d(width, width, _REACH, padding=_REACH // 2, bias=False)
        self.end = nn.BatchNorm1d(width)
        self.last = nn.Conv1d(width, components, _REACH, padding=_REACH // 2)

    def forward(self, maps: Sequence[Tensor], frames: int) -> Tensor:
        """Map activations (batch, channel, freq, frame) to ``H`` (batch, component, frame).

        Parameters
        ----------
        maps : sequence of Tensor
            Activations of the mapped layers, in their order.
        frames : int
            Number of frames of the plane for this sound.
        """
        sizes = [rms(one) for one in maps]
        total = self.level(self.levels(torch.cat(sizes, dim=1).log())).unsqueeze(2)
        for norm, reader, column, one, size in zip(
            self.norms, self.readers, self.columns, maps, sizes, strict=True
        ):
            level = column(reader(norm(one / size[:, :, None, None])).flatten(1, 2))
            total = total + functional.interpolate(
                level, size=frames, mode="linear", align_corners=False
            )
        level = self.begin(total).relu()
        whole = torch.cat([level.mean(dim=2), level.amax(dim=2)], dim=1)
        level = self.middle((level + self.context(whole).unsqueeze(2)).relu())
        found: Tensor = self.last(self.end(level).relu()).relu()
        return found.float()


def rms(maps: Tensor) -> Tensor:
    """Return the root mean square (batch, 1) of each clip's activations, at least 1e-6."""
    norms = torch.linalg.vector_norm(maps.float(), dim=(1, 2, 3)).unsqueeze(1)
    return (norms / maps[0].numel() ** 0.5).clamp(min=_QUIETEST)


class Theta(nn.Module):
    """From activations of components to the classifier's outputs, without bias.

    Gated attention over time (Ilse, Tomczak, Welling 2018, eq. 9) and a linear layer.

    Parameters
    ----------
    components, outputs : int
    """

    def __init__(self, components: int, outputs: int) -> None:
        super().__init__()
        self.signal = nn.Linear(components, _ATTENTION, bias=False)
        self.gate = nn.Linear(components, _ATTENTION, bias=False)
        self.weight = nn.Linear(_ATTENTION, 1, bias=False)
        self.theta = nn.Linear(components, outputs, bias=False)

    def attention(self, activations: Tensor) -> Tensor:
        """Return the weights (batch, frame) of frames, which sum to 1."""
        frames = activations.transpose(1, 2)
        gated = self.signal(frames).tanh() * self.gate(frames).sigmoid()
        found: Tensor = self.weight(gated).squeeze(2).softmax(dim=1)
        return found

    def pooled(self, activations: Tensor) -> Tensor:
        """Return ``z`` (batch, component): the weighted mean of ``H`` over time."""
        return (activations * self.attention(activations).unsqueeze(1)).sum(dim=2)

    def forward(self, activations: Tensor) -> Tensor:
        """Map ``H`` (batch, component, frame) to logits (batch, output)."""
        found: Tensor = self.theta(self.pooled(activations))
        return found

    def centre(self) -> None:
        """Subtract the mean over outputs from the weights of every component.

        A softmax of the outputs is the same before and after. Without it, the relevance for one of
        many classes would contain what the component adds to all of them.
        """
        with torch.no_grad():
            self.theta.weight -= self.theta.weight.mean(dim=0, keepdim=True)

    def shares(self, activations: Tensor, output: int, versus: int | None = None) -> Tensor:
        """Return ``z_k theta_(c, k)`` (batch, component), which sums to the logit of an output.

        Parameters
        ----------
        output : int
        versus : int, optional
            Another output; the shares then sum to the difference of their logits.
        """
        weights = self.theta.weight[output]
        if versus is not None:
            weights = weights - self.theta.weight[versus]
        return self.pooled(activations) * weights


class InterpreterNetwork(nn.Module):
    """Dictionary, Psi and Theta.

    Parameters
    ----------
    dictionary : Tensor, shape (freq, component)
        Unit columns; fixed.
    psi : Psi
    theta : Theta
    """

    dictionary: Tensor

    def __init__(self, dictionary: Tensor, psi: Psi, theta: Theta) -> None:
        super().__init__()
        self.register_buffer("dictionary", dictionary)
        self.psi, self.theta = psi, theta

    def forward(self, maps: Sequence[Tensor], frames: int) -> tuple[Tensor, Tensor]:
        """Return ``H`` (batch, component, frame) and logits (batch, output)."""
        activations = self.psi(maps, frames)
        return activations, self.theta(activations)


def normalised(shares: Tensor) -> Tensor:
    """Divide shares (component,) by the largest, so that the most relevant component has 1.

    As in the paper (section 3.3), but if no share is positive, by the largest absolute value: a
    negative share stays negative.
    """
    largest = shares.max()
    scale = largest if float(largest) > 0 else shares.abs().max()
    return shares / scale if float(scale) > 0 else torch.zeros_like(shares)


def select(relevance: Tensor, threshold: float, top: int) -> Tensor:
    """Return which components (component,) are above a threshold and among the ``top`` largest.

    Parameters
    ----------
    relevance : Tensor, shape (component,)
        Normalised.
    threshold : float
    top : int
        0 for no limit.
    """
    chosen = relevance > threshold
    if top and top < len(relevance):
        largest = torch.zeros_like(chosen)
        largest[relevance.argsort(descending=True, stable=True)[:top]] = True
        chosen = chosen & largest
    return chosen


class PowerShares(Pieces):
    """Pieces that are each a share of the power of a cell, and the rest.

    The gain of a piece is that of a Wiener filter: its power divided by the sum of the powers of
    all pieces and of the rest.

    Parameters
    ----------
    names : sequence of str
        Of the pieces; the name ``rest`` is added.
    active : sequence of int
        Pieces whose power is not 0 everywhere.
    rest : Tensor, shape (freq, frame)
        Power of the rest; a constant floor is added.
    """

    def __init__(self, names: Sequence[str], active: Sequence[int], rest: Tensor) -> None:
        self.names = (*names, REST)
        self._active = active
        self._rest = rest + _FLOOR**2
        self._whole = self._rest.clone()
        for number in active:
            self._whole += self._power(number)

    def mix(self, switches: Tensor) -> Tensor:
        """Return gains (batch, freq, frame): the sum over pieces of switch times gain."""
        total = switches[:, -1, None, None] * self._rest
        for number in self._active:
            column = switches[:, number, None, None]
            if bool((column != 0).any()):
                total = total + column * self._power(number)
        return total / self._whole

    @abstractmethod
    def _power(self, number: int) -> Tensor:
        """Return the power (freq, frame) of a piece alone."""


class Components(PowerShares):
    """The components of one sound, each its share of the power of a cell, and the rest.

    ``V = W H`` is ``ln(1 + |X|)``, so a component alone has the magnitude ``exp(W_k H_k) - 1``. Its
    gain is that of a Wiener filter, its square divided by the sum of the squares of all components
    and of the rest, which is a constant floor. The paper takes ``W_k H_k / (W H)`` and multiplies
    ``ln(1 + |X|)`` by it; a share of a logarithm is no share of the magnitude.

    Parameters
    ----------
    dictionary : Tensor, shape (freq, component)
    activations : Tensor, shape (component, frame)
    names : sequence of str
        Of the components; the name ``rest`` is added.
    """

    def __init__(self, dictionary: Tensor, activations: Tensor, names: Sequence[str]) -> None:
        self._patterns, self._activations = dictionary, activations
        active = (activations.amax(dim=1) > 0).nonzero().flatten().tolist()
        super().__init__(
            names, active, activations.new_zeros(len(dictionary), activations.shape[1])
        )

    def _power(self, number: int) -> Tensor:
        values = self._patterns[:, number, None] * self._activations[number]
        return values.expm1().square()
