"""Resampling: what happens to a photo when a site or a screen changes its size."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from brittle.component import register
from brittle.images import from_bytes, to_bytes
from brittle.transforms.base import Transform
from brittle.transforms.geometry import Geometry

Kernel = Literal["nearest", "bilinear", "bicubic", "lanczos", "area"]
PILLOWS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


@register
class Resize(Transform):
    """Resized by ``factor`` or to a ``long_side``, and ``back`` to its size unless told otherwise.

    ``long_side`` is in pixels; a photo that is no larger stays as it is. Sides are rounded to whole
    pixels, at least one. All kernels but nearest are antialiased where they reduce; area is the
    mean of the pixels whose centres a new one covers. Between there and back the image has 8 bits.
    """

    name = "resize"
    mild_if_large = frozenset({"factor", "long_side"})
    source = "Pillow's resize"
    example = "resize:factor=0.5"

    factor: Annotated[float, Field(gt=0, le=8)] | None = None
    kernel: Kernel = "bicubic"
    back: bool = True
    long_side: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.factor is None) == (self.long_side is None):
            raise ValueError("give either a factor or a long_side")
        return self

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image as Pillow resizes it."""
        shape = tuple(image.shape[-2:])
        received = pillow_resize(image, self._smaller(shape), self.kernel)
        return pillow_resize(received, shape, self.kernel) if self.back else received

    def surrogate(self, image: Tensor) -> Tensor:
        """The same in torch, without rounding between."""
        shape = tuple(image.shape[-2:])
        received = resample(image, self._smaller(shape), self.kernel)
        return resample(received, shape, self.kernel) if self.back else received

    @property
    def geometry(self) -> Geometry:
        """Pixels grow back by ``factor``; from a ``long_side`` alone, no size follows to grow to.

        `Geometry.restore` knows it by the photo's. Where the image goes ``back``, nothing moves.
        """
        if self.back:
            return Geometry()
        shrink = Geometry(lambda mask: resample(mask, self._smaller(mask.shape[-2:]), "nearest"))
        factor = self.factor
        if factor is None:
            return shrink

        def undo(image: Tensor) -> Tensor:
            return resample(image, _scaled(image.shape[-2:], 1 / factor), "bilinear")

        return replace(shrink, undo=undo, needs_size=True)

    def _smaller(self, shape: Sequence[int]) -> tuple[int, int]:
        if self.factor is not None:
            return _scaled(shape, self.factor)
        return _scaled(shape, min(1.0, (self.long_side or 1) / max(shape)))


def _scaled(shape: Sequence[int], factor: float) -> tuple[int, int]:
    height, width = (max(1, round(length * factor)) for length in shape)
    return height, width


def pillow_resize(image: Tensor, shape: Sequence[int], kernel: Kernel) -> Tensor:
    """One image (1, 3, H, W) at another (height, width), as Pillow makes it, on the grid."""
    picture = Image.fromarray(to_bytes(image)[0]).resize((shape[1], shape[0]), PILLOWS[kernel])
    return from_bytes(np.array(picture)[None]).to(image)


def resample(image: Tensor, shape: Sequence[int], kernel: Kernel) -> Tensor:
    """Images (N, C, H, W) at another (height, width): Pillow's kernels without its rounding."""
    if kernel == "nearest":
        rows, columns = (_nearest(*sides) for sides in zip(image.shape[-2:], shape, strict=True))
        return image[..., rows.to(image.device)[:, None], columns.to(image.device)]
    rows, columns = (
        _weights(before, after, kernel).to(image)
        for before, after in zip(image.shape[-2:], shape, strict=True)
    )
    return rows @ (image @ columns.mT)


def _nearest(before: int, after: int) -> Tensor:
    """Which old sample each new one is; sums of steps, as Pillow has them, decide at ties."""
    steps = torch.full((after,), before / after, dtype=torch.float64)
    steps[0] /= 2
    return steps.cumsum(0).long().clamp(max=before - 1)


def _weights(before: int, after: int, kernel: Kernel) -> Tensor:
    """What each old sample gives to each new one: (after, before), rows that sum to 1."""
    function, support = _KERNELS[kernel]
    stretch = max(before / after, 1.0)
    centres = (torch.arange(after, dtype=torch.float64) + 0.5) * (before / after)
    places = torch.arange(before, dtype=torch.float64) + 0.5
    # Pillow rounds where a kernel begins and ends.
    first = (centres - support * stretch + 0.5).floor().clamp_min(0)[:, None]
    last = (centres + support * stretch + 0.5).floor()[:, None]
    weights = function((places - centres[:, None]) / stretch)
    weights = weights * ((places > first) & (places < last))
    return weights / weights.sum(1, keepdim=True)


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x < 1, near, far) * (x < 2)


_KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "area": (lambda x: ((x > -0.5) & (x <= 0.5)).to(x), 0.5),
    "bilinear": (lambda x: (1 - x.abs()).clamp_min(0), 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (lambda x: torch.sinc(x) * torch.sinc(x / 3) * (x.abs() < 3), 3.0),
}
"""Each kernel and how far it reaches, in pixels of the smaller side."""
