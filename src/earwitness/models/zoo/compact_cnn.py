"""A compact convolutional network on log-mel features, the default classifier."""

from __future__ import annotations

from torch import Tensor, nn


class CompactCNN(nn.Module):
    """Four blocks of two 3x3 convolutions with batch norm and ReLU; each block but the last halves
    both axes. The last map is averaged over frequency, then averaged plus maximised over time.

    Parameters
    ----------
    classes : int
        Number of outputs (logits).
    widths : tuple of int
        Channels of each block.
    dropout : float in [0, 1)
        Dropout before the linear layer, in training only.
    """

    def __init__(
        self, classes: int, widths: tuple[int, ...] = (16, 32, 64, 128), dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.scale = nn.BatchNorm2d(1)
        blocks: list[nn.Module] = []
        previous = 1
        for index, width in enumerate(widths):
            if index:
                blocks.append(nn.AvgPool2d(2, ceil_mode=True))
            blocks += [_convolution(previous, width), _convolution(width, width)]
            previous = width
        self.blocks = nn.Sequential(*blocks)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(previous, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, 1, freq, frame) to logits (batch, class)."""
        maps = self.blocks(self.scale(features))
        over_time = maps.mean(dim=2)
        pooled = over_time.mean(dim=2) + over_time.amax(dim=2)
        logits: Tensor = self.head(self.drop(pooled))
        return logits


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    if not layer.weight.is_meta:  # for which this would import much of torch, for a second
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())
