"""Maps that networks make of pictures: where they are valid, and how far apart two are."""

from collections.abc import Sequence

import torch
from torch import Tensor

FILL = 0.5  # what networks see where pixels are not valid: the same mid-gray in both images


def fill_invalid(image: Tensor, valid: Tensor) -> Tensor:
    """The image with mid-gray where ``valid`` is 0, for networks, which can't leave pixels out."""
    return image if (valid == 1).all() else image * valid + FILL * (1 - valid)


def mean_where(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of ``values`` (1, C, h, w) over channels and valid places, in float64, a scalar.

    Where the map is smaller than ``valid`` (1, 1, H, W), a place counts by its valid share.
    """
    if valid.shape[-2:] != values.shape[-2:]:
        valid = torch.nn.functional.adaptive_avg_pool2d(valid, values.shape[-2:])
    weights, values = valid.cpu().double(), values.cpu().double()
    return (values * weights).sum() / (weights.sum() * values.shape[1])


def unit_length(features: Tensor) -> Tensor:
    """A map (N, C, h, w) with each place's channels scaled to unit length."""
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()


def distance(
    maps: Sequence[Tensor],
    others: Sequence[Tensor],
    valid: Tensor,
    heads: Sequence[Tensor] | None = None,
) -> Tensor:
    """How far apart the maps (1, C, h, w) of two images are, by LPIPS's formula; a scalar.

    Squared differences are summed over channels, weighted by ``heads`` (1, C, 1, 1) if there are
    any, averaged over valid places, and summed over maps.
    """
    layers = []
    for place, (one, other) in enumerate(zip(maps, others, strict=True)):
        apart = (one - other).square()
        if heads is not None:
            apart = apart * heads[place]
        layers.append(mean_where(apart.sum(1, keepdim=True), valid))
    return sum(layers[1:], layers[0])
