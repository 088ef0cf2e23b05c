"""A perceptual distance that needs no download."""

from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor

from brittle.component import register
from brittle.metrics import efficientnet
from brittle.metrics.base import Metric, fill_invalid, mean_where

if TYPE_CHECKING:
    from brittle.models import EditModel


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

    name: ClassVar[str] = "perceptual"
    source: ClassVar[str] = "LPIPS's form (arXiv:1801.03924); network: EfficientNet-lite0"
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
        """The distance, in [0, 20]."""
        a, b = (efficientnet.features(fill_invalid(x, valid)) for x in (image, reference))
        layers = [
            mean_where((x - y).square().sum(1, keepdim=True), valid)
            for x, y in zip(a, b, strict=True)
        ]
        return sum(layers[1:], layers[0])

    def as_distance(self, score: Tensor) -> Tensor:
        """The score itself."""
        return score
