"""Colours: what changes every pixel by itself, as photo apps do."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from brittle.component import register
from brittle.transforms.base import Transform
from brittle.transforms.soft_jpeg import straight

DARK = 0.5 / 255
"""Half a level, below which `Gamma` is a straight line."""


def luma(image: Tensor) -> Tensor:
    """The gray level (N, 1, H, W) of sRGB values, with the weights of ITU-R BT.601."""
    return (image * image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


@register
class Grayscale(Transform):
    """The gray level by ITU-R BT.601 in all three channels."""

    name = "grayscale"
    example = "grayscale"

    def surrogate(self, image: Tensor) -> Tensor:
        """The conversion itself, exact."""
        return luma(image).expand(-1, 3, -1, -1)


@register
class Brightness(Transform):
    """All values times ``factor``, from 0.1 to 10; above 1 is brighter."""

    name = "brightness"
    two_sided = frozenset({"factor"})
    example = "brightness:factor=1.2"

    factor: Annotated[float, Field(ge=0.1, le=10)]

    def surrogate(self, image: Tensor) -> Tensor:
        """The change itself, before clipping."""
        return image * self.factor


@register
class Contrast(Transform):
    """The distance of all values from the image's mean gray times ``factor``, from 0.1 to 10."""

    name = "contrast"
    two_sided = frozenset({"factor"})
    example = "contrast:factor=1.2"

    factor: Annotated[float, Field(ge=0.1, le=10)]

    def surrogate(self, image: Tensor) -> Tensor:
        """The change itself, before clipping."""
        mean = luma(image).mean((1, 2, 3), keepdim=True)
        return mean + self.factor * (image - mean)


@register
class Gamma(Transform):
    """All values to the power of ``exponent``, from 0.1 to 10; below 1 is brighter."""

    name = "gamma"
    version = 2
    two_sided = frozenset({"exponent"})
    example = "gamma:exponent=0.8"

    exponent: Annotated[float, Field(ge=0.1, le=10)]

    def surrogate(self, image: Tensor) -> Tensor:
        """The change itself, exact on the 8-bit grid.

        Below half a level, where no file has values, it is a straight line to black: the power's
        own slope there is 0 or ∞.
        """
        line = image * DARK ** (self.exponent - 1)
        return torch.where(image < DARK, line, image.clamp_min(DARK) ** self.exponent)


@register
class Levels(Transform):
    """Rounded to the nearest of ``count`` evenly spaced levels a channel, from 2 to 255."""

    name = "levels"
    mild_if_large = frozenset({"count"})
    example = "levels:count=16"

    count: Annotated[int, Field(strict=True, ge=2, le=255)]

    def surrogate(self, image: Tensor) -> Tensor:
        """The rounded image, with a slope of 1."""
        return straight(image, (image * (self.count - 1)).round() / (self.count - 1))
