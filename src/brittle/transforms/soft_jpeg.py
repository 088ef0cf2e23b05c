"""JPEG in torch, for gradients: libjpeg-turbo's steps, and a slope where rounding has none.

Every step of a baseline save and load is here: colours, subsampling, cosine transform, tables,
rounding, and libjpeg-turbo's smooth upsampling, with its treatment of the edges.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

# ITU-T T.81, tables K.1 and K.2, by rows.
LUMA_TABLE = """
16 11 10 16  24  40  51  61   12 12 14 19  26  58  60  55   14 13 16 24  40  57  69  56
14 17 22 29  51  87  80  62   18 22 37 56  68 109 103  77   24 35 55 64  81 104 113  92
49 64 78 87 103 121 120 101   72 92 95 98 112 100 103  99"""
CHROMA_TABLE = """
17 18 24 47 99 99 99 99   18 21 26 66 99 99 99 99   24 26 56 99 99 99 99 99
47 66 99 99 99 99 99 99   99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99"""
HALVED = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
"""By how much the colours are smaller: (height, width)."""
# libjpeg's whole 65536ths, with which sums in float32 are exact.
TO_YCC = [[19595, 38470, 7471], [-11059, -21709, 32768], [32768, -27439, -5329]]
TO_RGB = [[65536, 0, 91881], [65536, -22554, -46802], [65536, 116130, 0]]


def straight(value: Tensor, rounded: Tensor) -> Tensor:
    """``rounded`` in value, with the slope of ``value``."""
    return value + (rounded - value).detach()


def soften(value: Tensor) -> Tensor:
    """Near the next whole number, with a slope of 0 there and of 2 between two.

    So a gradient sees what rounding will undo. It won over hard values with slopes of 1 or of this
    form, and over cubic ones: see `benchmarks/jpeg_gap.py`.
    """
    return value - torch.sin(2 * torch.pi * value) / (2 * torch.pi)


def soft_jpeg(
    image: Tensor,
    quality: int | Tensor,
    subsampling: str,
    rounding: Callable[[Tensor], Tensor] = soften,
) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] as a JPEG would show them, differentiable.

    ``quality`` is one for all or one an image, (N,), from 1 to 100; any size will do. ``rounding``
    rounds coefficients, which it gets in units of their table's step.
    """
    height, width = image.shape[-2:]
    down, across = HALVED[subsampling]
    qualities = torch.as_tensor(quality, device=image.device).expand(len(image))
    tables = quantisation(qualities).to(image)[:, :, None, None, None]
    planes = _mix(image.clamp(0, 1) * 255, TO_YCC, offset=(0, 128, 128))
    luma = _through_blocks(_grow(planes[:, :1], 8, 8), tables[0], rounding)
    colours = _grow(_shrink(planes[:, 1:], down, across), 8, 8)
    colours = _through_blocks(colours, tables[1], rounding)
    colours = colours[..., : -(-height // down), : -(-width // across)]
    colours = _enlarge(colours, down, across)[..., :height, :width] - 128
    received = _mix(torch.cat([luma[..., :height, :width], colours], 1), TO_RGB)
    return received.clamp(0, 255) / 255


def quantisation(quality: Tensor) -> Tensor:
    """Libjpeg's tables for each quality (N,) from 1 to 100: (2, N, 64), luma first."""
    tables = [[int(step) for step in table.split()] for table in (LUMA_TABLE, CHROMA_TABLE)]
    quality = quality.to(torch.int64)
    scale = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    base = quality.new_tensor(tables)[:, None]
    return ((base * scale[None, :, None] + 50) // 100).clamp(1, 255)


def _mix(image: Tensor, weights: list[list[int]], offset: tuple[int, ...] = (0, 0, 0)) -> Tensor:
    """Three channels from three, rounded to whole numbers."""
    red, green, blue = image.split(1, 1)
    mixed = [
        red * (a / 65536) + green * (b / 65536) + blue * (c / 65536) + plus
        for (a, b, c), plus in zip(weights, offset, strict=True)
    ]
    # Halves go up, but down where libjpeg has an offset.
    rounded = [
        (one + 0.5).floor() if plus == 0 else (one - 0.5).ceil()
        for one, plus in zip(mixed, offset, strict=True)
    ]
    return straight(torch.cat(mixed, 1), torch.cat(rounded, 1))


def _grow(planes: Tensor, down: int, across: int) -> Tensor:
    """Sides brought to multiples, the last row and column repeated."""
    height, width = planes.shape[-2:]
    return functional.pad(planes, [0, -width % across, 0, -height % down], mode="replicate")


def _shrink(planes: Tensor, down: int, across: int) -> Tensor:
    """Means of boxes, rounded as libjpeg rounds: by turns down and up from the middle."""
    if across == 1:
        return planes
    # Columns are repeated before the mean and rows after it.
    planes = _grow(planes, down, 8 * across)
    mean = functional.avg_pool2d(planes, (down, across))
    turns = torch.arange(mean.shape[-1], device=mean.device) % 2
    bias = (turns + (0 if down == 1 else 1)) / (down * across)
    return straight(mean, (mean + bias).floor())


def _enlarge(planes: Tensor, down: int, across: int) -> Tensor:
    """Libjpeg's "fancy" upsampling: three parts of the nearest sample, one of the next."""
    if across == 1:
        return planes
    if planes.shape[-1] <= 2:
        return planes.repeat_interleave(down, -2).repeat_interleave(across, -1)
    if down == 2:
        planes = _between(planes.mT).mT
    wide = _between(planes)
    # The sums' unit is 4 or 16, and left and right of a sample are rounded apart.
    right = torch.arange(wide.shape[-1], device=wide.device) % 2
    bias = (right + 1) / 4 if down == 1 else (8 - right) / 16
    return straight(wide, (wide + bias).floor())


def _between(planes: Tensor) -> Tensor:
    """Twice as many columns, at a quarter of the way to the neighbours; the edge is repeated."""
    left = torch.cat([planes[..., :1], planes[..., :-1]], -1)
    right = torch.cat([planes[..., 1:], planes[..., -1:]], -1)
    both = torch.stack([0.75 * planes + 0.25 * left, 0.75 * planes + 0.25 * right], -1)
    return both.flatten(-2)


def _through_blocks(planes: Tensor, steps: Tensor, rounding: Callable[[Tensor], Tensor]) -> Tensor:
    """Planes (N, C, H, W) of whole blocks through the transform, rounding and back."""
    height, width = planes.shape[-2:]
    blocks = planes.unflatten(3, (width // 8, 8)).unflatten(2, (height // 8, 8)).transpose(3, 4)
    waves = _cosines(planes)
    coefficients = (blocks.flatten(-2) - 128) @ waves.mT
    # libjpeg's transform ends in whole eighths, so that ties are ties.
    coefficients = straight(coefficients, (coefficients * 8).round() / 8)
    blocks = (rounding(coefficients / steps) * steps) @ waves + 128
    planes = blocks.unflatten(-1, (8, 8)).transpose(3, 4).flatten(4).flatten(2, 3)
    return straight(planes, planes.round()).clamp(0, 255)


def _cosines(like: Tensor) -> Tensor:
    """The 64 patterns of the block's cosine transform, one a row: an orthogonal matrix."""
    index = torch.arange(8, dtype=torch.float64)
    lines = torch.cos(torch.pi / 8 * index[:, None] * (index + 0.5)) / 2
    lines[0] /= 2**0.5
    return torch.kron(lines, lines).to(like)
