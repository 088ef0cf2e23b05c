"""Framing: what cuts a photo out, or looks at it from the side."""

import math
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from brittle.component import Fraction, register
from brittle.errors import UserError
from brittle.transforms.base import Transform
from brittle.transforms.geometry import Geometry, everywhere
from brittle.transforms.resampling import Kernel, pillow_resize, resample

Margin = Annotated[int, Field(strict=True, ge=0, le=10_000)]
Angle = Annotated[float, Field(ge=-60, le=60)]


@register
class Crop(Transform):
    """Cut by so many pixels at each side, and stretched ``back`` to the former size if asked.

    ``kernel`` is that of the stretching. A cut at the left or top moves the grid of a codec that
    comes after it.
    """

    name = "crop"
    example = "crop:left=3,top=2"

    left: Margin = 0
    top: Margin = 0
    right: Margin = 0
    bottom: Margin = 0
    back: bool = False
    kernel: Kernel = "bicubic"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.left + self.top + self.right + self.bottom:
            raise ValueError("say how much to cut at the left, top, right or bottom")
        return self

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The part that is left, as Pillow stretches it."""
        cut = self._cut(image)
        return pillow_resize(cut, tuple(image.shape[-2:]), self.kernel) if self.back else cut

    def surrogate(self, image: Tensor) -> Tensor:
        """The same in torch, exact but for rounding."""
        cut = self._cut(image)
        return resample(cut, tuple(image.shape[-2:]), self.kernel) if self.back else cut

    @property
    def geometry(self) -> Geometry:
        """Put back in its place, a part is surrounded by black."""
        return Geometry(move_mask=self._move_mask, undo=self._undo, needs_size=True)

    def _undo(self, image: Tensor) -> Tensor:
        margins = [self.left, self.right, self.top, self.bottom]
        if self.back:
            image = resample(image, tuple(self._cut(image).shape[-2:]), "bilinear")
        return functional.pad(image, margins)

    def _move_mask(self, mask: Tensor) -> Tensor:
        cut = self._cut(mask)
        return resample(cut, tuple(mask.shape[-2:]), "nearest") if self.back else cut

    def _cut(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if self.top + self.bottom >= height or self.left + self.right >= width:
            raise UserError(f"{self} leaves nothing of a photo of {width} × {height} px: cut less.")
        return image[..., self.top : height - self.bottom, self.left : width - self.right]


@register
class Perspective(Transform):
    """Seen from the side, as a photo of a print or a screen shows it, on the same canvas.

    ``yaw`` turns the picture about its upright axis, so that its right side comes nearer, and
    ``pitch`` about the level one, so that its lower side does; both in degrees. ``distance`` is
    that of the camera, in long sides of the photo. Pixels are interpolated bilinearly, and what
    comes in from outside has the gray level ``fill`` in [0, 1], black unless said.
    """

    name = "perspective"
    mild_if_large = frozenset({"distance"})
    example = "perspective:yaw=8,pitch=4"

    yaw: Angle = 0.0
    pitch: Angle = 0.0
    distance: Annotated[float, Field(ge=1, le=1000)] = 2.0
    fill: Annotated[Fraction, Field(ge=0, le=1)] = 0.0

    def surrogate(self, image: Tensor) -> Tensor:
        """The view itself, exact."""
        return self._view(image, fill=self.fill)

    @property
    def geometry(self) -> Geometry:
        """Seen from the front again, what had left the canvas is black.

        Valid is what was interpolated from pixels of the photo alone.
        """
        return Geometry(
            move_mask=lambda mask: self._view(mask, mode="nearest"),
            undo=lambda image: self._view(image, back=True),
            valid=lambda image: (self._view(everywhere(image)) > 1 - 1e-3).to(image),
        )

    def matrix(self, height: int, width: int) -> Tensor:
        """Where a place of the photo is seen: (3, 3), homogeneous, in pixels from the centre."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        away = self.distance * max(height, width)
        depth = [-math.sin(yaw) / away, -math.cos(yaw) * math.sin(pitch) / away]
        return torch.tensor(
            [
                [math.cos(yaw), -math.sin(yaw) * math.sin(pitch), 0],
                [0, math.cos(pitch), 0],
                [*depth, 1],
            ],
            dtype=torch.float64,
        )

    def _view(
        self, image: Tensor, *, fill: float = 0.0, mode: str = "bilinear", back: bool = False
    ) -> Tensor:
        height, width = image.shape[-2:]
        matrix = self.matrix(height, width)
        across = torch.arange(width, dtype=torch.float64) + 0.5 - width / 2
        down = torch.arange(height, dtype=torch.float64) + 0.5 - height / 2
        y, x = torch.meshgrid(down, across, indexing="ij")
        # From where each pixel of the result is fetched.
        fetched = (matrix if back else matrix.inverse()) @ torch.stack(
            [x, y, torch.ones_like(x)]
        ).flatten(1)
        grid = fetched[:2] / fetched[2] / torch.tensor([[width / 2], [height / 2]])
        grid = grid.view(2, height, width).permute(1, 2, 0).to(image).expand(len(image), -1, -1, -1)
        # Outside is 0 to grid_sample.
        seen = functional.grid_sample(image - fill, grid, mode, "zeros", align_corners=False)
        return seen + fill
