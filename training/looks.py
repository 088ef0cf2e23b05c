"""The looks, made procedurally: image (N, 3, H, W) in [0, 1] and a generator -> the same in a look.

Names and wordings live in ``brittle.networks.prompt_classes``. Strengths and places vary from call
to call; the same generator state gives the same picture. Everything is plain tensor arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Maker = Callable[[Tensor, Generator], Tensor]


def apply_look(image: Tensor, look: str, generator: Generator) -> Tensor:
    """``image`` (N, 3, H, W) in [0, 1] in the named look, same shape and range.

    Each picture draws its own strengths and places. Raises ``KeyError`` for an unknown look.
    """
    make = MAKERS[look]
    made = torch.cat([make(image[i : i + 1], generator) for i in range(len(image))])
    return made.clamp(0, 1)


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _color(*rgb: float) -> Tensor:
    return torch.tensor(rgb).view(1, 3, 1, 1)


def _luma(image: Tensor) -> Tensor:
    return (image * _color(0.299, 0.587, 0.114)).sum(1, keepdim=True)


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with mirrored borders."""
    radius = max(1, math.ceil(2.5 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-offsets.square() / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    channels = image.shape[1]
    row = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, row, groups=channels), row.mT, groups=channels)


def _field(image: Tensor, cells: int, generator: Generator) -> Tensor:
    """Smooth random field (N, 1, H, W) in [0, 1], about ``cells`` bumps across."""
    coarse = torch.rand(image.shape[0], 1, cells, cells, generator=generator)
    return F.interpolate(coarse, image.shape[-2:], mode="bicubic", align_corners=True).clamp(0, 1)


def _points(image: Tensor, share: float, generator: Generator) -> Tensor:
    """Sparse ones (N, 1, H, W), ``share`` of the pixels."""
    shape = (image.shape[0], 1, *image.shape[-2:])
    return (torch.rand(shape, generator=generator) < share).float()


def _down(image: Tensor) -> Tensor:
    """0 at the top, 1 at the bottom, (1, 1, H, 1)."""
    return torch.linspace(0, 1, image.shape[-2]).view(1, 1, -1, 1)


def _across(image: Tensor) -> Tensor:
    return torch.linspace(0, 1, image.shape[-1]).view(1, 1, 1, -1)


def _fade(image: Tensor, saturation: float) -> Tensor:
    """Colours drawn toward gray (below 1) or away from it (above 1)."""
    gray = _luma(image)
    return gray + (image - gray) * saturation


def _edges(image: Tensor) -> Tensor:
    """Gradient magnitude of the luma, (N, 1, H, W), about [0, 1]."""
    gray = F.pad(_blur(_luma(image), 0.7), (1, 1, 1, 1), mode="replicate")
    across = gray[..., 1:-1, 2:] - gray[..., 1:-1, :-2]
    down = gray[..., 2:, 1:-1] - gray[..., :-2, 1:-1]
    return (across.square() + down.square() + 1e-8).sqrt()


def heavy_rain(image: Tensor, generator: Generator) -> Tensor:
    """A dim, bluish gray picture behind slanted bright streaks."""
    streaks = torch.zeros_like(image[:, :1])
    slant = _uniform(generator, -0.45, 0.45)
    for share, length, weight in ((0.006, 26, 0.5), (0.012, 14, 0.32)):
        drops = _points(image, share, generator)
        for step in range(length):
            moved = torch.roll(drops, (step, round(step * slant)), dims=(2, 3))
            streaks = torch.maximum(streaks, moved * weight)
    streaks = _blur(streaks, 0.6) * 1.25
    dim = _fade(image, 0.35) * _color(0.78, 0.88, 1.0) * _uniform(generator, 0.55, 0.68) + 0.08
    return dim + streaks * (1 - dim)


def snow(image: Tensor, generator: Generator) -> Tensor:
    """Pale and cold, with white flakes of several sizes."""
    pale = _fade(image, 0.45) * 0.62 + _color(0.86, 0.91, 0.97) * 0.33
    # Snow lies on what is already light.
    pale = pale + (1 - pale) * 0.35 * ((_luma(image) - 0.55) * 4).clamp(0, 1)
    flakes = torch.zeros_like(image[:, :1])
    for share, sigma, gain in ((0.010, 0.7, 2.2), (0.0035, 1.3, 7.0), (0.0012, 2.2, 18.0)):
        flakes = torch.maximum(flakes, (_blur(_points(image, share, generator), sigma) * gain))
    flakes = flakes.clamp(0, 1) * _uniform(generator, 0.85, 1.0)
    return pale + flakes * (1 - pale)


def night(image: Tensor, generator: Generator) -> Tensor:
    """Dark and blue; only the lightest parts stay visible."""
    dark = _fade(image, 0.4).clamp(0, 1) ** 1.5 * _uniform(generator, 0.42, 0.52)
    tinted = dark * _color(0.55, 0.75, 1.45) + _color(0.0, 0.01, 0.05)
    away = (_across(image) - 0.5).square() + (_down(image) - 0.5).square()
    return tinted * (1 - 0.8 * away)


def fog(image: Tensor, generator: Generator) -> Tensor:
    """Soft and pale gray, thicker toward the top and in drifts."""
    soft = _blur(_fade(image, 0.5), 1.0)
    thick = 0.50 + 0.18 * (1 - _down(image)) + 0.24 * (_field(image, 4, generator) - 0.5)
    thick = (thick * _uniform(generator, 0.98, 1.1)).clamp(0.3, 0.85)
    return soft * (1 - thick) + _color(0.80, 0.82, 0.84) * thick


def golden_hour(image: Tensor, generator: Generator) -> Tensor:
    """Warm, contrasted light with the sun's glow from one side."""
    warm = (image * _color(1.12, 0.88, 0.52) - 0.04).clamp(0, 1)
    sun_x, sun_y = _uniform(generator, 0.0, 1.0), _uniform(generator, -0.1, 0.3)
    distance = (_across(image) - sun_x).square() + (_down(image) - sun_y).square()
    glow = torch.exp(-distance / 0.22) * _uniform(generator, 0.6, 0.85)
    return 1 - (1 - warm) * (1 - glow * _color(1.0, 0.72, 0.28))


def autumn(image: Tensor, generator: Generator) -> Tensor:
    """Greens turned orange and red, with blurred leaves falling across."""
    red, green, blue = image.unbind(1)
    turned = torch.stack(
        [
            torch.maximum(red, green) * 1.05,
            green * 0.62 + red * 0.12,
            torch.minimum(blue, green) * 0.5,
        ],
        dim=1,
    )
    colors = ((0.85, 0.33, 0.06), (0.72, 0.13, 0.05), (0.90, 0.58, 0.10))
    for r, g, b in colors:
        spots = _points(image, 0.0011, generator)
        tilt = _uniform(generator, -1.0, 1.0)
        leaf = torch.zeros_like(spots)
        for step in range(-4, 5):
            leaf = torch.maximum(leaf, torch.roll(spots, (round(step * tilt), step), dims=(2, 3)))
        cover = (_blur(leaf, 1.1) * 3.0).clamp(0, 0.92)
        turned = turned * (1 - cover) + _color(r, g, b) * cover
    return turned


def underwater(image: Tensor, generator: Generator) -> Tensor:
    """Teal, darker with depth, with light playing on it."""
    tinted = _fade(_blur(image, 0.7), 0.5) * _color(0.30, 0.82, 0.92) + _color(0.0, 0.08, 0.14)
    # Ridges of a smooth field are the bright net that waves throw.
    ridges = 1 - (2 * _field(image, 7, generator) - 1).abs()
    net = (ridges.clamp(0, 1) ** 6) * 0.38 * (1.1 - _down(image))
    depth = 1.08 - _uniform(generator, 0.35, 0.55) * _down(image)
    return tinted * depth + net * _color(0.5, 1.0, 1.0)


def neon(image: Tensor, generator: Generator) -> Tensor:
    """Glowing magenta and cyan outlines on a dark picture."""
    lines = (_edges(image) * 3.2).clamp(0, 1)
    glow = (lines + 0.9 * _blur(lines, 2.0)).clamp(0, 1.3)
    hue = (_field(image, 3, generator) * 3 - 1).clamp(0, 1)
    light = hue * _color(1.0, 0.12, 0.85) + (1 - hue) * _color(0.08, 0.9, 1.0)
    dark = _fade(image, 0.7) * _color(0.26, 0.14, 0.36)
    return dark + glow * light


def pencil_sketch(image: Tensor, generator: Generator) -> Tensor:
    """Gray lines and light shading on white paper."""
    gray = _luma(image)
    dodge = gray / (_blur(gray, _uniform(generator, 2.2, 3.2)) + 0.02)
    lines = dodge.clamp(0, 1) ** 2.2
    shade = 0.80 + 0.20 * gray
    grain = 1 - 0.05 * torch.rand(gray.shape, generator=generator)
    return (lines * shade * grain).expand_as(image)


def black_and_white(image: Tensor, generator: Generator) -> Tensor:
    """Luma with some more contrast."""
    gray = _luma(image)
    gain = _uniform(generator, 1.05, 1.25)
    return ((gray - 0.5) * gain + 0.5).expand_as(image)


def sepia(image: Tensor, generator: Generator) -> Tensor:
    """Brown tones of an old print, faded, darker in the corners."""
    tone = _luma(image) * _color(1.02, 0.84, 0.60) * 0.9 + _color(0.09, 0.06, 0.02)
    away = (_across(image) - 0.5).square() + (_down(image) - 0.5).square()
    return tone * (1 - _uniform(generator, 0.35, 0.6) * away)


def oil_painting(image: Tensor, generator: Generator) -> Tensor:
    """Flat strokes: each pixel takes the mean of its calmest neighbouring quarter (Kuwahara)."""
    radius = 3 if _uniform(generator, 0, 1) < 0.7 else 4
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    means = F.avg_pool2d(padded, radius + 1, stride=1)
    squares = F.avg_pool2d(padded.square(), radius + 1, stride=1)
    spread = (squares - means.square()).sum(1, keepdim=True)
    height, width = image.shape[-2:]
    corners = [(0, 0), (0, radius), (radius, 0), (radius, radius)]

    def quarters(value: Tensor) -> Tensor:
        return torch.stack([value[..., y : y + height, x : x + width] for y, x in corners])

    choice = quarters(spread).argmin(0, keepdim=True).expand(1, *image.shape)
    strokes = quarters(means).gather(0, choice)[0]
    return ((_fade(strokes, 1.4) - 0.5) * 1.1 + 0.5).clamp(0, 1)


MAKERS: dict[str, Maker] = {
    "heavy rain": heavy_rain,
    "snow": snow,
    "night": night,
    "fog": fog,
    "golden hour": golden_hour,
    "autumn": autumn,
    "underwater": underwater,
    "neon": neon,
    "pencil sketch": pencil_sketch,
    "black and white": black_and_white,
    "sepia": sepia,
    "oil painting": oil_painting,
}
