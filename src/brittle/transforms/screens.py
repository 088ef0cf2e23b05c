"""Screens: what happens to a photo that is shown and captured."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from brittle.component import register
from brittle.transforms.base import Transform
from brittle.transforms.chain import Chain
from brittle.transforms.codecs import Jpeg
from brittle.transforms.colours import Gamma
from brittle.transforms.geometry import Geometry
from brittle.transforms.resampling import Resize


@register
class Screenshot(Transform):
    """Shown on a display and captured: resampled to its ``scale``, its ``gamma``, and a JPEG.

    ``scale`` is how many pixels of the display show one of the photo, bilinearly, from 0.25 to 4;
    the capture keeps that size. ``gamma`` is the exponent between the photo's values and the
    captured ones. ``quality`` and ``subsampling`` are the JPEG's. The defaults are assumptions.
    """

    name = "screenshot"
    version = 2
    two_sided = frozenset({"gamma"})
    mild_if_large = frozenset({"scale", "quality"})
    example = "screenshot:scale=1.25"

    scale: Annotated[float, Field(ge=0.25, le=4)] = 1.25
    gamma: Annotated[float, Field(ge=0.1, le=10)] = 1.05
    quality: Annotated[int, Field(strict=True, ge=1, le=100)] = 90
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"

    @property
    def chain(self) -> Chain:
        """The steps that it is made of."""
        return Chain(
            steps=(
                Resize(factor=self.scale, kernel="bilinear", back=False),
                Gamma(exponent=self.gamma),
                Jpeg(quality=self.quality, subsampling=self.subsampling),
            )
        )

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """One image after all steps."""
        return self.chain.receive_with(None, image, seed=seed)

    def surrogate(self, image: Tensor) -> Tensor:
        """The surrogates of all steps."""
        return self.chain.surrogate(image)

    @property
    def geometry(self) -> Geometry:
        """That of its steps."""
        return self.chain.geometry
