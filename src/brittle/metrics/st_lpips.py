"""ST-LPIPS, a distance whose network no part of brittle was trained with or optimises."""

from pathlib import Path
from typing import Any

from torch import Tensor

from brittle.component import register
from brittle.errors import Unavailable
from brittle.metrics.base import Metric
from brittle.models import EditModel
from brittle.networks import st_lpips


@register
class STLPIPS(Metric):
    """Shift-tolerant LPIPS on its own AlexNet, trained end to end.

    ``perceptual`` and ``keep`` look through EfficientNet, as do perceptual budgets and the training
    of the embedded model's decoder; this one looks through nothing that they do. Its weights come
    with ``pip install brittle[st-lpips]``. Pixels that are not valid are mid-gray in both images,
    and a place counts by its valid share.
    """

    name = "st-lpips"
    source = "Ghildyal and Liu 2022, arXiv:2207.13686"
    higher_means = "farther"

    def compare(self, image: Tensor, reference: Tensor, *, valid: Tensor, **_: Any) -> Tensor:
        """The distance, ≥ 0.

        Raises:
            Unavailable: stlpips-pytorch is missing, or the images are too small.
        """
        return st_lpips.distance(image, reference, valid)

    def judges(self, model: EditModel | None) -> tuple[Path, ...]:
        """The weights, where they are."""
        try:
            return (st_lpips.weights(),)
        except Unavailable:
            return ()
