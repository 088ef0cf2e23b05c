"""A perceptual distance that needs no download."""

from typing import Any

from torch import Tensor

from brittle.component import register
from brittle.metrics.base import Metric
from brittle.networks import efficientnet


@register
class Perceptual(Metric):
    """Distance between features of EfficientNet-lite0, trained on ImageNet; between 0 and 20.

    LPIPS's formula without its learned weights, on another network: the outputs of the last block
    at each of five resolutions (16, 24, 40, 112, 320 channels at 1/2 to 1/32), each place's
    channels scaled to unit length; squared differences summed over channels, averaged over places,
    summed over the five. The image enters at its own resolution, as (level - 127) / 128. Pixels
    that are not valid are mid-gray in both images, and a place counts by its valid share. Not
    calibrated on human judgements, and its scale is not LPIPS's.
    """

    name = "perceptual"
    source = "LPIPS's form (arXiv:1801.03924); network: EfficientNet-lite0"
    higher_means = "farther"

    def compare(self, image: Tensor, reference: Tensor, *, valid: Tensor, **_: Any) -> Tensor:
        """The distance, in [0, 20]."""
        return efficientnet.distance(image, reference, valid)
