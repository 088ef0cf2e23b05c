"""Structural similarity."""

import functools
from typing import Any

import torch
from torch import Tensor

from brittle.component import register
from brittle.errors import Unavailable
from brittle.metrics.base import Metric
from brittle.networks.maps import mean_where

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
STRIP = 64  # rows


@register
class SSIM(Metric):
    """Structural similarity: Gaussian window of 11 pixels and sigma 1.5, mean over RGB.

    Only windows that lie inside the image, and whose pixels are all valid, count.
    """

    name = "ssim"
    source = "Wang et al. 2004, doi:10.1109/TIP.2003.819861"
    higher_means = "closer"

    def compare(self, image: Tensor, reference: Tensor, *, valid: Tensor, **_: Any) -> Tensor:
        """Similarity in [-1, 1].

        Raises:
            Unavailable: no window fits into the image, or into its valid part.
        """
        if min(image.shape[-2:]) < WINDOW:
            raise Unavailable(f"SSIM needs at least {WINDOW} pixels a side")
        whole = -torch.nn.functional.max_pool2d(-valid, WINDOW, stride=1)
        if not whole.any():
            raise Unavailable(f"no window of {WINDOW} pixels lies in the valid part")
        return mean_where(_similarity(image.cpu().double(), reference.cpu().double()), whole)

    def as_distance(self, score: Tensor) -> Tensor:
        """1 - SSIM, in [0, 2]."""
        return (1 - score).clamp(min=0)


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """SSIM at every window that fits, (1, 3, H - 10, W - 10), for float64 images.

    In float32 the variances of flat regions would be off by some 1e-5. Strips of rows stay in the
    processor's cache, and a photo of any size needs little memory.
    """
    tops = range(0, x.shape[-2] - WINDOW + 1, STRIP)
    strips = [slice(top, top + STRIP + WINDOW - 1) for top in tops]
    return torch.cat([_of_strip(x[..., rows, :], y[..., rows, :]) for rows in strips], dim=-2)


def _of_strip(x: Tensor, y: Tensor) -> Tensor:
    maps = torch.stack([x, y, x * x + y * y, x * y])
    mx, my, squares, xy = _smooth(_smooth(maps, -2), -1)
    product, sum_of_squares = mx * my, mx * mx + my * my
    return ((2 * product + C1) * (2 * (xy - product) + C2)) / (
        (sum_of_squares + C1) * (squares - sum_of_squares + C2)
    )


def _smooth(maps: Tensor, dim: int) -> Tensor:
    """Each window's Gaussian average along one dimension, which is 10 shorter then."""
    windows = maps.shape[dim] - WINDOW + 1
    *outer, centre = _weights()
    smooth = maps.narrow(dim, WINDOW // 2, windows) * centre
    for place, weight in enumerate(outer):
        pair = maps.narrow(dim, place, windows) + maps.narrow(dim, WINDOW - 1 - place, windows)
        smooth.add_(pair, alpha=weight)
    return smooth


@functools.cache
def _weights() -> tuple[float, ...]:
    """The window's weights from its edge to its centre; the other half mirrors them."""
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    return tuple((weights / weights.sum())[: WINDOW // 2 + 1].tolist())
