"""Structural similarity."""

import functools
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from brittle.component import register
from brittle.errors import Unavailable
from brittle.metrics.base import Metric, mean_where

if TYPE_CHECKING:
    from brittle.models import EditModel

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


@register
class SSIM(Metric):
    """Structural similarity: Gaussian window of 11 pixels and sigma 1.5, mean over RGB.

    Only windows that lie inside the image, and whose pixels are all valid, count.
    """

    name: ClassVar[str] = "ssim"
    source: ClassVar[str] = "Wang et al. 2004, doi:10.1109/TIP.2003.819861"
    higher_means: ClassVar[Literal["closer", "farther"]] = "closer"

    def compare(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor,
        prompt: str | None = None,
        model: "EditModel | None" = None,
    ) -> Tensor:
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

    In float32 the variances of flat regions would be off by some 1e-5.
    """
    down, across = (_windows(side) for side in x.shape[-2:])
    mx, my, xx, yy, xy = down @ torch.stack([x, y, x * x, y * y, x * y]) @ across.T
    variances = xx - mx * mx + yy - my * my
    covariance = xy - mx * my
    return ((2 * mx * my + C1) * (2 * covariance + C2)) / (
        (mx * mx + my * my + C1) * (variances + C2)
    )


@functools.lru_cache(maxsize=8)
def _windows(side: int) -> Tensor:
    """The matrix (side - 10, side) that averages a line of pixels under each Gaussian window."""
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    matrix = torch.zeros(side - WINDOW + 1, side, dtype=torch.float64)
    for row, line in enumerate(matrix):
        line[row : row + WINDOW] = weights / weights.sum()
    return matrix
