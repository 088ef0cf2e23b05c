"""A network that guesses the noise in a noised picture; its weights ship with brittle."""

import functools
import math
from pathlib import Path

import torch
from torch import Tensor

from brittle.networks.files import trained
from brittle.networks.pixel_unet import PixelUNet

WEIGHTS = Path(__file__).parent / "weights" / "pixel_denoiser.safetensors"
SHA256 = "c9032f34b5d23e892e2c189fda715a0ab7509dcb72752418ad89360decdf7f92"
LEVELS = 200
"""The network was trained on the first so many of DDPM's 1,000 noise levels."""
WAVES = 4
"""By so many sines and as many cosines it is told the level."""


class PixelDenoiser(PixelUNet):
    """Gives the noise, of deviation 1, in pictures that lie in [-1, 1] without it."""

    def __init__(self) -> None:
        super().__init__(told=2 * WAVES)

    def forward(self, noisy: Tensor, levels: Tensor) -> Tensor:
        """The noise in pictures (N, 3, H, W) at the ``levels`` (N,), of which 0 has the least."""
        kept = signal().to(noisy)[levels]
        ratio = ((1 - kept) / kept).log() / 10  # -0.92 to -0.07
        angles = ratio[:, None] * math.pi * 2 ** torch.arange(WAVES, device=noisy.device)
        return super().forward(noisy, torch.cat([angles.sin(), angles.cos()], dim=1))


@functools.lru_cache(maxsize=1)
def signal() -> Tensor:
    """The share of the variance that is signal at each of the levels, (LEVELS,), least noise first.

    DDPM's linear schedule: the variance that a level adds rises from 1e-4 to 0.02 over 1,000.
    """
    added = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    return (1 - added).cumprod(0)[:LEVELS].float()


@functools.lru_cache(maxsize=1)
def load_pixel_denoiser() -> PixelDenoiser:
    """The trained network, frozen, on the CPU in float32.

    Raises:
        UserError: the file is not the one that this version of brittle ships.
    """
    return trained(PixelDenoiser(), WEIGHTS, SHA256)
