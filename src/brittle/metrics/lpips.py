"""LPIPS, where the user has the network that it builds on."""

from pathlib import Path
from typing import Any

from torch import Tensor

from brittle.component import register
from brittle.errors import Unavailable
from brittle.metrics.base import Metric
from brittle.models import EditModel
from brittle.networks import lpips


@register
class LPIPS(Metric):
    """Learned perceptual image patch similarity, version 0.1, on AlexNet or VGG-16.

    The learned weights come with torchmetrics (``pip install brittle[metrics]``); the ImageNet
    network is the user's: ``path`` is torchvision's checkpoint, looked for in ``$TORCH_HOME`` (or
    ``~/.cache/torch``) unless given. Pixels that are not valid are mid-gray in both images, and a
    place counts by its valid share.
    """

    name = "lpips"
    source = "Zhang et al. 2018, arXiv:1801.03924"
    higher_means = "farther"

    net: lpips.Net = "alex"
    path: str | None = None

    def compare(self, image: Tensor, reference: Tensor, *, valid: Tensor, **_: Any) -> Tensor:
        """The distance, ≥ 0.

        Raises:
            Unavailable: torchmetrics or the checkpoint is missing, or is not what it should be.
        """
        return lpips.distance(image, reference, valid, net=self.net, path=self.path)

    def judges(self, model: EditModel | None) -> tuple[Path, ...]:
        """The checkpoint, where it is."""
        try:
            return (lpips.checkpoint(self.net, self.path),)
        except Unavailable:
            return ()
