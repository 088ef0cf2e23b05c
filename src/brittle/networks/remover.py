"""The network that takes protections' perturbations off pictures; its weights ship with brittle."""

import functools
from pathlib import Path

import torch
from torch import Tensor, nn

from brittle.networks.files import trained

WEIGHTS = Path(__file__).parent / "weights" / "remover.safetensors"
SHA256 = "1b13251d87726ae5a2126855aba856252b86c4adae9a0e4e0471a1e79d072af0"


class RemoverNetwork(nn.Module):
    """What to subtract from a picture, guessed at half and at a quarter of its resolution."""

    def __init__(self, width: int = 32, depth: int = 64) -> None:
        super().__init__()
        self.enter = nn.Conv2d(12, width, 3, padding=1)
        self.before = nn.Sequential(_Residual(width), _Residual(width))
        self.down = nn.Conv2d(width, depth, 2, stride=2)
        self.middle = nn.Sequential(*(_Residual(depth) for _ in range(3)))
        self.up = nn.ConvTranspose2d(depth, width, 2, stride=2)
        self.after = nn.Sequential(_Residual(width), _Residual(width))
        self.leave = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.leave.weight)  # untrained, it removes nothing
        nn.init.zeros_(self.leave.bias)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> the same shape, not clamped; any H and W."""
        height, width = image.shape[-2:]
        padded = nn.functional.pad(image, (0, -width % 4, 0, -height % 4), mode="replicate")
        seen = self.before(self.enter(nn.functional.pixel_unshuffle(padded - 0.5, 2)))
        seen = self.after(seen + self.up(self.middle(self.down(seen))))
        removed = nn.functional.pixel_shuffle(self.leave(seen), 2)
        return image - removed[..., :height, :width]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.first(x)))


@functools.lru_cache(maxsize=1)
def load_remover() -> RemoverNetwork:
    """The trained network, frozen, on the CPU in float32.

    Raises:
        UserError: the file is not the one that this version of brittle ships.
    """
    return trained(RemoverNetwork(), WEIGHTS, SHA256)
