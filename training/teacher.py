"""The teacher's architecture (TAEF2's), written out to load its published weights.

Nothing of it ships: it only labels pictures with latents for the student to learn.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

LATENT_CHANNELS = 32
WIDTH = 64


class Block(nn.Module):
    """Three 3x3 convolutions with a skip; ``pooled`` adds a group-normed 1x1 branch before it.

    The group norm takes statistics over the whole picture, which is how this branch sees far.
    """

    def __init__(self, width: int = WIDTH, pooled: bool = False) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for _ in range(3):
            convolutions += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*convolutions[:-1])
        self.pool: nn.Sequential | None = None
        if pooled:
            self.pool = nn.Sequential(
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.GroupNorm(4, 4 * width),
                nn.ReLU(),
                nn.Conv2d(4 * width, width, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> the same shape."""
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class SoftClamp(nn.Module):
    """Keeps latents in (-3, 3)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return torch.tanh(x / 3) * 3


def encoder() -> nn.Sequential:
    """(N, 3, H, W) in [0, 1] -> (N, 32, H/8, W/8)."""

    def halve() -> nn.Conv2d:
        return nn.Conv2d(WIDTH, WIDTH, 3, padding=1, stride=2, bias=False)

    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, padding=1), Block()]
    layers += [halve(), *(Block() for _ in range(3))]
    layers += [halve(), *(Block() for _ in range(3))]
    layers += [halve(), *(Block(pooled=True) for _ in range(3))]
    return nn.Sequential(*layers, nn.Conv2d(WIDTH, LATENT_CHANNELS, 3, padding=1))


def decoder() -> nn.Sequential:
    """(N, 32, h, w) -> (N, 3, 8h, 8w), about [0, 1]."""

    def double() -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)]

    layers: list[nn.Module] = [SoftClamp(), nn.Conv2d(LATENT_CHANNELS, WIDTH, 3, padding=1)]
    layers += [nn.ReLU(), *(Block(pooled=True) for _ in range(3)), *double()]
    layers += [*(Block() for _ in range(3)), *double(), *(Block() for _ in range(3)), *double()]
    return nn.Sequential(*layers, Block(), nn.Conv2d(WIDTH, 3, 3, padding=1))


def load_teacher(folder: str | Path, part: str = "encoder") -> nn.Sequential:
    """The frozen teacher's ``encoder`` or ``decoder`` in float32, from ``taef2_{part}.pth``."""
    model = {"encoder": encoder, "decoder": decoder}[part]()
    weights = torch.load(Path(folder) / f"taef2_{part}.pth", weights_only=True, map_location="cpu")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    model.requires_grad_(False).eval()
    return model.to(memory_format=torch.channels_last)
