"""How far two pictures are apart in style: which features go together, wherever they lie."""

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from brittle.component import register
from brittle.metrics import efficientnet
from brittle.metrics.base import Metric, fill_invalid

if TYPE_CHECKING:
    from brittle.models import EditModel


@register
class Style(Metric):
    """Distance of Gram matrices and feature statistics of EfficientNet-lite0; 0 to 30.

    At each of five resolutions, each place's channels have unit length. Over all places, the Gram
    matrix is the mean of their outer products; squared differences of its entries, of the channels'
    means and of their standard deviations are summed, each of the three at most 2. Where things lie
    drops out; what they are doesn't wholly, so compare pictures of like subjects.
    """

    name: ClassVar[str] = "style"
    source: ClassVar[str] = (
        "Gram matrices: Gatys et al. 2016; statistics: Huang and Belongie 2017, arXiv:1703.06868; "
        "network: EfficientNet-lite0"
    )
    higher_means: ClassVar[Literal["closer", "farther"]] = "farther"

    def compare(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor,
        prompt: str | None = None,
        model: "EditModel | None" = None,
    ) -> Tensor:
        """The distance, in [0, 30]."""
        a, b = (efficientnet.features(fill_invalid(x, valid)) for x in (image, reference))
        layers = [
            (one - other).square().sum()
            for maps in zip(a, b, strict=True)
            for one, other in zip(*(_statistics(x, valid) for x in maps), strict=True)
        ]
        return torch.stack(layers).sum()

    def as_distance(self, score: Tensor) -> Tensor:
        """The score itself."""
        return score


def _statistics(features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gram matrix (C, C), means and deviations (C,) of a map (1, C, h, w) where it is valid."""
    share = torch.nn.functional.adaptive_avg_pool2d(valid, features.shape[-2:]).flatten().double()
    share = (share / share.sum()).to(features.device)
    flat = features[0].flatten(1).double()
    gram = (flat * share) @ flat.T
    mean = flat @ share
    deviation = (gram.diagonal() - mean.square()).clamp_min(0).sqrt()
    return gram, mean, deviation
