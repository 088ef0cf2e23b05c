"""How far two pictures are apart in style: which features go together, wherever they lie."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.component import register
from brittle.metrics.base import Metric
from brittle.models import EditModel
from brittle.networks import efficientnet
from brittle.networks.clip import clip_files, load_clip
from brittle.networks.feature_cache import MEMORY, content
from brittle.networks.maps import fill_invalid


@register
class Style(Metric):
    """Distance of Gram matrices and feature statistics of a network's maps; 0 to 30.

    The maps are EfficientNet-lite0's at five resolutions, or with ``clip``, a directory or
    downloaded hub id as in `Keep`, those of three middle layers of CLIP's image tower, which sees
    the centre square. In each, each place's channels have unit length. Over all places, the Gram
    matrix is the mean of their outer products; squared differences of its entries, of the channels'
    means and of their standard deviations are summed, each of the three at most 2 (0 to 18 with
    CLIP). Where things lie drops out; what they are doesn't wholly, so compare pictures of like
    subjects.
    """

    name = "style"
    source = (
        "Gram matrices: Gatys et al. 2016; statistics: Huang and Belongie 2017, arXiv:1703.06868; "
        "networks: EfficientNet-lite0; CLIP, Radford et al. 2021, arXiv:2103.00020"
    )
    higher_means = "farther"

    clip: str | None = None

    def compare(self, image: Tensor, reference: Tensor, *, valid: Tensor, **_: Any) -> Tensor:
        """The distance, in [0, 30].

        Raises:
            Unavailable: there is no CLIP where ``clip`` says.
        """
        if self.clip is not None:
            image, reference = (fill_invalid(x, valid) for x in (image, reference))
            valid = torch.ones_like(valid)  # the tower sees the centre square of all of it
        pairs = zip(*(self._statistics(x, valid) for x in (image, reference)), strict=True)
        return torch.stack([(one - other).square().sum() for one, other in pairs]).sum()

    def _statistics(self, image: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        """The statistics of all maps of an image, one after another, computed once an image."""
        seen = fill_invalid(image, valid)

        def compute(image: Tensor) -> tuple[Tensor, ...]:
            if self.clip is None:
                maps = efficientnet.features(image)
            else:
                maps = load_clip(self.clip, str(image.device)).maps(image)
            return tuple(part for one in maps for part in _statistics(one, valid))

        return MEMORY.recall(f"{self}:{content(valid)}", seen, compute)

    def judges(self, model: EditModel | None) -> tuple[Path, ...]:
        """CLIP's files, where it judges."""
        return () if self.clip is None else clip_files(self.clip)


def _statistics(features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gram matrix (C, C), means and deviations (C,) of a map (1, C, h, w) where it is valid."""
    share = torch.nn.functional.adaptive_avg_pool2d(valid, features.shape[-2:]).flatten().double()
    share = (share / share.sum()).to(features.device)
    flat = features[0].flatten(1).double()
    gram = (flat * share) @ flat.T
    mean = flat @ share
    deviation = (gram.diagonal() - mean.square()).clamp_min(0).sqrt()
    return gram, mean, deviation
