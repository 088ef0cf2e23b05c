"""Noise: what drowns a perturbation, drawn from each image's own seed."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from brittle.component import Fraction, register
from brittle.images import quantise
from brittle.noise import gaussian
from brittle.transforms.base import Transform


@register
class GaussianNoise(Transform):
    """Independent normal noise on every value, then clipped to the range.

    ``sigma`` is its standard deviation in [0, 1] units: 8/255, not 8.
    """

    name = "gaussian-noise"
    draws = True
    example = "gaussian-noise:sigma=8/255"

    sigma: Annotated[Fraction, Field(gt=0, le=1)]

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image with the noise of its seed, which has to be given."""
        noise = gaussian(image.shape[1:], self.stream(seed))
        return quantise(image + self.sigma * noise.to(image))

    def surrogate(self, image: Tensor) -> Tensor:
        """The image itself, which is what the noise leaves on average."""
        return image
