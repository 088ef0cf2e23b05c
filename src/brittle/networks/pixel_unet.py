"""A small UNet on pixels that is told something about each picture, such as its noise."""

from itertools import pairwise

from torch import Tensor, nn

WIDTHS = (32, 64, 96)
"""Channels at a half of the picture's resolution, at a quarter and at an eighth."""


class PixelUNet(nn.Module):
    """Convolutions without attention on the pixels of each 2 × 2 block; untrained, it gives zeros.

    Each block is told ``told`` numbers, which scale and shift its channels.
    """

    def __init__(self, told: int) -> None:
        super().__init__()
        steps = [*pairwise(WIDTHS)]
        self.enter = nn.Conv2d(12, WIDTHS[0], 3, padding=1)
        self.before = nn.ModuleList(_Residual(width, told) for width in WIDTHS)
        self.down = nn.ModuleList(nn.Conv2d(here, deep, 2, stride=2) for here, deep in steps)
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, here, 2, stride=2) for here, deep in steps)
        self.after = nn.ModuleList(_Residual(width, told) for width in WIDTHS)
        self.leave = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, image: Tensor, told: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] and (N, told) -> (N, 3, H, W), unbounded; any H and W."""
        height, width = image.shape[-2:]
        side = 2 ** len(WIDTHS)
        padded = nn.functional.pad(image, (0, -width % side, 0, -height % side), mode="replicate")
        x = self.before[0](self.enter(nn.functional.pixel_unshuffle(padded, 2)), told)
        seen = []
        for down, block in zip(self.down, self.before[1:], strict=True):
            seen.append(x)
            x = block(down(x), told)
        x = self.after[-1](x, told)
        for up, block in zip(reversed(self.up), reversed(self.after[:-1]), strict=True):
            x = block(seen.pop() + up(x), told)
        return nn.functional.pixel_shuffle(self.leave(x), 2)[..., :height, :width]


class _Residual(nn.Module):
    def __init__(self, width: int, told: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.told = nn.Linear(told, 2 * width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[..., None, None].chunk(2, dim=1)
        return x + self.second(nn.functional.silu(self.first(x) * (1 + scale) + shift))
