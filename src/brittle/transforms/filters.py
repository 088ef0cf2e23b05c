"""Filters: what smooths a photo, and with it what was hidden in it."""

from typing import Annotated

import numpy as np
import torch
from PIL import Image, ImageFilter
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional

from brittle.component import Fraction, register
from brittle.images import from_bytes, to_bytes
from brittle.transforms.base import Transform


@register
class GaussianBlur(Transform):
    """Gaussian blur of the sRGB values, edge pixels repeated outwards.

    ``sigma`` is the standard deviation in pixels; the kernel ends at four of them.
    """

    name = "gaussian-blur"
    example = "gaussian-blur:sigma=1"
    bytes_a_pixel = 175

    sigma: Annotated[float, Field(gt=0, le=100)]

    def surrogate(self, image: Tensor) -> Tensor:
        """The blur itself, exact."""
        reach = int(4 * self.sigma + 0.5)
        offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
        kernel = torch.exp(-0.5 * (offsets / self.sigma) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
        padded = functional.pad(image, [reach] * 4, mode="replicate")
        rows = functional.conv2d(padded, kernel, groups=3)
        return functional.conv2d(rows, kernel.mT, groups=3)


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"the size has to be odd, and is {size}")
    return size


@register
class MedianBlur(Transform):
    """The median of the square around each pixel, channel by channel, edge pixels repeated.

    ``size`` is the side of the square in pixels, an odd number from 3 to 99.
    """

    name = "median-blur"
    source = "Pillow's MedianFilter"
    example = "median-blur:size=3"

    size: Annotated[int, Field(strict=True, ge=3, le=99), AfterValidator(_odd)]

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The filtered image; there is no surrogate."""
        picture = Image.fromarray(to_bytes(image)[0]).filter(ImageFilter.MedianFilter(self.size))
        return from_bytes(np.array(picture)[None]).to(image)


@register
class Bilateral(Transform):
    """A mean over the square around each pixel that leaves out what differs in colour.

    Weights fall as Gaussians of the distance in pixels (``sigma_space``) and of the distance of
    the colours as vectors in [0, 1] units (``sigma_colour``). ``size`` is the side of the square,
    an odd number from 3 to 31; edge pixels are repeated; ``times`` is how often it is done.
    """

    name = "bilateral"
    source = "Tomasi and Manduchi, ICCV 1998"
    example = "bilateral:size=5"
    bytes_a_pixel = 120

    size: Annotated[int, Field(strict=True, ge=3, le=31), AfterValidator(_odd)]
    sigma_colour: Annotated[Fraction, Field(gt=0, le=10)] = 0.1
    sigma_space: Annotated[float, Field(gt=0, le=100)] = 2.0
    times: Annotated[int, Field(strict=True, ge=1, le=100)] = 1

    def surrogate(self, image: Tensor) -> Tensor:
        """The filter itself, exact."""
        for _ in range(self.times):
            image = self._once(image)
        return image

    def _once(self, image: Tensor) -> Tensor:
        reach, (height, width) = self.size // 2, image.shape[-2:]
        padded = functional.pad(image, [reach] * 4, mode="replicate")
        total, weights = torch.zeros_like(image), torch.zeros_like(image[:, :1])
        for down in range(self.size):
            for across in range(self.size):
                other = padded[..., down : down + height, across : across + width]
                far = ((down - reach) ** 2 + (across - reach) ** 2) / self.sigma_space**2
                unlike = (other - image).square().sum(1, keepdim=True) / self.sigma_colour**2
                weight = torch.exp(-(far + unlike) / 2)
                total, weights = total + weight * other, weights + weight
        return total / weights
