"""The paper's network in PyTorch, as its authors could have written it: the peer of a comparison.

EfficientNetV2-B0 to B3, squeeze-and-excitation on the last feature map, and the paper's head.
Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", arXiv 2104.00298. The B
variants are those of the authors' code, which Keras has as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["EfficientNetV2", "PaperNetwork", "SqueezeExcite"]

# Width and depth relative to B0.
SCALES = {"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4)}
STOCHASTIC_DEPTH = 0.2


@dataclass(frozen=True)
class Stage:
    """Blocks of one resolution: of B0, before width and depth are scaled."""

    fused: bool
    expansion: int
    stride: int
    width: int
    depth: int


STAGES = (
    Stage(True, 1, 1, 16, 1),
    Stage(True, 4, 2, 32, 2),
    Stage(True, 4, 2, 48, 2),
    Stage(False, 4, 2, 96, 3),
    Stage(False, 6, 1, 112, 5),
    Stage(False, 6, 2, 192, 8),
)


class SqueezeExcite(nn.Module):
    """Weights of channels from their means: (n, c, h, w) to the same."""

    def __init__(self, channels: int, squeezed: int, activation: nn.Module) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features weighted."""
        weights = self.reduce(x.mean((2, 3), keepdim=True))
        return x * torch.sigmoid(self.expand(self.activation(weights)))


class Block(nn.Module):
    """MBConv, or Fused-MBConv where the first convolution is not separated."""

    def __init__(self, stage: Stage, inside: int, outside: int, stride: int, drop: float) -> None:
        super().__init__()
        wide = inside * stage.expansion
        self.residual = stride == 1 and inside == outside
        self.drop = drop
        if stage.fused and stage.expansion == 1:
            layers = [_convolution(inside, outside, 3, stride)]
        elif stage.fused:
            layers = [
                _convolution(inside, wide, 3, stride),
                _convolution(wide, outside, 1, active=False),
            ]
        else:
            layers = [
                _convolution(inside, wide, 1),
                _convolution(wide, wide, 3, stride, groups=wide),
                SqueezeExcite(wide, max(1, inside // 4), nn.SiLU(inplace=True)),
                _convolution(wide, outside, 1, active=False),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's features; while training, whole images skip it at random."""
        y = self.layers(x)
        if not self.residual:
            return y
        if self.training and self.drop:
            kept = torch.rand(len(y), 1, 1, 1, device=y.device, dtype=y.dtype) >= self.drop
            y = y * kept / (1.0 - self.drop)
        return x + y


class EfficientNetV2(nn.Module):
    """A backbone without top: (n, 3, h, w) to (n, channels, h / 32, w / 32)."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        width, depth = SCALES[variant]
        inside = _width(32, width)
        layers = [_convolution(3, inside, 3, 2)]
        depths = [math.ceil(stage.depth * depth) for stage in STAGES]
        number = 0
        for stage, repeats in zip(STAGES, depths, strict=True):
            outside = _width(stage.width, width)
            for repeat in range(repeats):
                drop = STOCHASTIC_DEPTH * number / sum(depths)
                stride = stage.stride if repeat == 0 else 1
                layers.append(Block(stage, inside, outside, stride, drop))
                inside, number = outside, number + 1
        self.channels = _width(1280, width)
        layers.append(_convolution(inside, self.channels, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last feature map."""
        return self.layers(x)


class PaperNetwork(nn.Module):
    """Backbone, attention and head as arXiv 2601.01026 states them, ending in two logits."""

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.attention = SqueezeExcite(channels, channels // 16, nn.ReLU(inplace=True))
        self.head = nn.Sequential(
            nn.Dropout(0.3), *_dense(channels, 512), nn.Dropout(0.2), *_dense(512, 256),
            nn.Linear(256, 2),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 2) in the order HEM, ALL."""
        return self.head(self.attention(self.backbone(x)).mean((2, 3)))


def _convolution(
    inside: int, outside: int, size: int, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inside, outside, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside, eps=1e-3),
    ]
    return nn.Sequential(*layers, *([nn.SiLU(inplace=True)] if active else []))


def _dense(inside: int, outside: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inside, outside), nn.BatchNorm1d(outside), nn.ReLU(inplace=True)


def _width(channels: int, scale: float) -> int:
    """Return a number of channels scaled, as the nearest multiple of 8."""
    return max(8, int(channels * scale + 4) // 8 * 8)
