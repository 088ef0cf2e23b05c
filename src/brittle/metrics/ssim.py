"""Structural similarity."""

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from brittle.component import register
from brittle.errors import Unavailable
from brittle.metrics.base import Metric, mean_where

if TYPE_CHECKING:
    from brittle.models import EditModel

WINDOW = 11


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
        import kornia

        if min(image.shape[-2:]) < WINDOW:
            raise Unavailable(f"SSIM needs at least {WINDOW} pixels a side")
        whole = -torch.nn.functional.max_pool2d(-valid, WINDOW, stride=1)
        if not whole.any():
            raise Unavailable(f"no window of {WINDOW} pixels lies in the valid part")
        # float64: in float32 the variances of flat regions are off by some 1e-5
        similarity = kornia.metrics.ssim(
            image.double(), reference.double(), WINDOW, padding="valid"
        )
        return mean_where(similarity, whole)

    def as_distance(self, score: Tensor) -> Tensor:
        """1 - SSIM, in [0, 2]."""
        return (1 - score).clamp(min=0)
