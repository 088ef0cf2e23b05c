"""Resampling: what happens to a photo when a site or a screen changes its size."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from brittle.component import register
from brittle.images import from_bytes, to_bytes
from brittle.transforms.base import Transform

KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


@register
class Resize(Transform):
    """Resized by ``factor``, and ``back`` to the size that it had unless told otherwise.

    Sides are rounded to whole pixels, at least one. All kernels but nearest are antialiased where
    they reduce; area is the mean of the pixels whose centres a new one covers. Between there and
    back the image has 8 bits.
    """

    name: ClassVar[str] = "resize"
    source: ClassVar[str] = "Pillow's resize"
    example: ClassVar[str] = "resize:factor=0.5"

    factor: Annotated[float, Field(gt=0, le=8)]
    kernel: Literal["nearest", "bilinear", "bicubic", "lanczos", "area"] = "bicubic"
    back: bool = True

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image as Pillow resizes it."""
        picture = Image.fromarray(to_bytes(image)[0])
        received = picture.resize(self._size(picture.size), KERNELS[self.kernel])
        received = received.resize(picture.size, KERNELS[self.kernel]) if self.back else received
        return from_bytes(np.array(received)[None]).to(image)

    def surrogate(self, image: Tensor) -> Tensor:
        """The same in torch, which has no Lanczos: bicubic stands in for it."""
        shape = tuple(image.shape[-2:])
        smaller = self._interpolate(image, self._size(shape))
        return self._interpolate(smaller, shape) if self.back else smaller

    def move_mask(self, mask: Tensor) -> Tensor:
        """The mask at the new size, unless the image goes back to the old one."""
        if self.back:
            return mask
        return functional.interpolate(
            mask, self._size(tuple(mask.shape[-2:])), mode="nearest-exact"
        )

    def _size(self, size: tuple[int, ...]) -> tuple[int, int]:
        first, second = (max(1, round(length * self.factor)) for length in size)
        return first, second

    def _interpolate(self, image: Tensor, shape: tuple[int, ...]) -> Tensor:
        if self.kernel in ("nearest", "area"):
            mode = "nearest-exact" if self.kernel == "nearest" else "area"
            return functional.interpolate(image, shape, mode=mode)
        mode = "bilinear" if self.kernel == "bilinear" else "bicubic"
        return functional.interpolate(image, shape, mode=mode, antialias=True)
