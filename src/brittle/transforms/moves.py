"""Moves: what turns, mirrors or shifts a photo."""

import math
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from brittle.component import Fraction, register
from brittle.decoding import Levels
from brittle.transforms.base import Transform
from brittle.transforms.geometry import Geometry, everywhere


@register
class Flip(Transform):
    """Mirrored left to right, without loss."""

    name = "flip"
    example = "flip"

    def surrogate(self, image: Tensor) -> Tensor:
        """The flip itself, exact."""
        return image.flip(-1)

    def on_levels(self, levels: Levels, *, seed: int | None) -> Levels:
        """The same without floats."""
        return np.ascontiguousarray(levels[:, ::-1])

    @property
    def geometry(self) -> Geometry:
        """Flipped once more, a picture is what it was."""
        return Geometry(move_mask=self.surrogate, undo=self.surrogate)


@register
class Rotate(Transform):
    """Rotated counter-clockwise by ``degrees`` about the centre.

    Multiples of 90 are exact and turn the canvas along. Otherwise the canvas stays, the corners
    leave it, pixels are interpolated bilinearly, and what comes in from outside has the gray level
    ``fill`` in [0, 1], black unless said.
    """

    name = "rotate"
    example = "rotate:degrees=5"

    degrees: Annotated[float, Field(ge=-360, le=360)]
    fill: Annotated[Fraction, Field(ge=0, le=1)] = 0.0

    def surrogate(self, image: Tensor) -> Tensor:
        """The rotation itself, exact."""
        return turn(image, self.degrees, fill=self.fill)

    @property
    def geometry(self) -> Geometry:
        """Turned back, what had left the canvas is black; a mask is 0 where it comes in."""
        return Geometry(
            move_mask=lambda mask: turn(mask, self.degrees, mode="nearest"),
            undo=lambda image: turn(image, -self.degrees),
            valid=self._valid,
        )

    def _valid(self, image: Tensor) -> Tensor:
        """1 where a received pixel was interpolated from pixels of the photo alone."""
        before = everywhere(turn(image, -self.degrees))
        return (turn(before, self.degrees) > 1 - 1e-3).to(image)


@register
class Shift(Transform):
    """Moved by whole pixels, ``right`` and ``down``, on the same canvas; black comes in.

    A shift before a codec moves the codec's grid of blocks.
    """

    name = "shift"
    example = "shift:right=3,down=5"

    right: Annotated[int, Field(strict=True, ge=-64, le=64)] = 0
    down: Annotated[int, Field(strict=True, ge=-64, le=64)] = 0

    def surrogate(self, image: Tensor) -> Tensor:
        """The shift itself, exact."""
        return move(image, self.right, self.down)

    @property
    def geometry(self) -> Geometry:
        """Moved back, what had left the canvas is black, and black that came in is not valid."""
        return Geometry(
            move_mask=self.surrogate,
            undo=lambda image: move(image, -self.right, -self.down),
            valid=lambda image: self.surrogate(everywhere(image)),
            needs_size=True,
        )


def move(image: Tensor, right: int, down: int) -> Tensor:
    """Move (N, C, H, W) by whole pixels; 0 comes in."""
    height, width = image.shape[-2:]
    wide = functional.pad(image, [max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)])
    top, left = max(-down, 0), max(-right, 0)
    return wide[..., top : top + height, left : left + width]


def turn(image: Tensor, degrees: float, *, fill: float = 0.0, mode: str = "bilinear") -> Tensor:
    """Rotate (N, C, H, W) counter-clockwise about the centre; quarter turns are exact."""
    if degrees % 90 == 0:
        return torch.rot90(image, int(degrees // 90) % 4, (-2, -1))
    height, width = image.shape[-2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # From where each pixel of the result is fetched; x and y are in half widths and half heights.
    matrix = [[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]]
    theta = image.new_tensor(matrix).expand(len(image), 2, 3)
    grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
    # Outside is 0 to grid_sample.
    turned = functional.grid_sample(image - fill, grid, mode, "zeros", align_corners=False)
    return turned + fill
