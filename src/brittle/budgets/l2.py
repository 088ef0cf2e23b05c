"""The budget in the Euclidean norm."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from brittle.budgets.base import TINY, Ball
from brittle.component import shortest

# Of the radius, kept free so that float32 rounding can't carry a projected perturbation out again.
SLACK = 4e-6


class L2Budget(Ball):
    """The Euclidean norm over all values is at most ``radius`` at ``reference`` × ``reference`` px.

    The limit grows with the square root of the number of pixels, so that the root mean square is
    the same at every size. Values are in [0, 1] units.
    """

    norm: Literal["l2"] = "l2"
    reference: int = Field(default=512, ge=1)

    def limit(self, height: int, width: int) -> float:
        """The largest norm for an image of this size."""
        return self.radius * math.sqrt(height * width) / self.reference

    def spent(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The norm of the change as it would be at the reference size, (N,)."""
        delta = perturbed - original
        return _norm(delta) * (self.radius / self.limit(*delta.shape[-2:]))

    def project(self, delta: Tensor) -> Tensor:
        """See `Ball.project`."""
        limit = self.limit(*delta.shape[-2:])
        norm = _norm(delta).view(-1, 1, 1, 1)
        scale = limit * (1 - SLACK) / norm.clamp_min(torch.finfo(delta.dtype).tiny)
        return torch.where(norm > limit, delta * scale, delta)

    def step(self, image: Tensor, gradient: Tensor, size: float) -> Tensor:
        """See `Ball.step`; ``size`` is the step's norm at the reference size."""
        norm = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        direction = gradient / norm.clamp_min(torch.finfo(gradient.dtype).tiny)
        size *= self.limit(*gradient.shape[-2:]) / self.radius
        return image - size * direction

    def in_levels(self, moved: Tensor, wanted: Tensor) -> Tensor:
        """See `Ball.in_levels`."""
        limit = self.limit(*moved.shape[-2:]) * 255
        rows = [_shrink(*row, limit) for row in zip(moved, wanted, strict=True)]
        return torch.stack(rows) if rows else moved

    @property
    def rms(self) -> float:
        """See `Ball.rms`; an image has three values a pixel."""
        return self.limit(1, 1) / math.sqrt(3)

    def describe(self) -> str:
        """See `Ball.describe`."""
        return (
            f"{self.radius:g} l2 at {self.reference} px: "
            f"RMS {self.rms * 255:.2f}/255, PSNR {self.least_psnr:.1f} dB"
        )

    def __str__(self) -> str:
        """The budget as one would type it, exactly."""
        return f"l2:{shortest(self.radius)}@{self.reference}"


def _norm(delta: Tensor) -> Tensor:
    # A sum is accurate in float32; torch's own norm is off by 4e-4 at 512 px.
    return delta.square().flatten(1).sum(1).sqrt()


def _shrink(moved: Tensor, wanted: Tensor, limit: float) -> Tensor:
    """Take whole levels off ``moved`` (C, H, W) until its norm is at most ``limit`` levels.

    First where a level less costs the least of what was ``wanted`` for the norm that it saves.
    """
    size = moved.abs().double().cpu().flatten()
    target = wanted.abs().double().cpu().flatten()
    excess = float((size**2).sum()) - limit**2 * (1 - TINY)
    while excess > 0:
        saving = 2 * size - 1
        cost = (1 - 2 * (size - target)) / saving
        order = torch.argsort(cost.masked_fill(size == 0, math.inf), stable=True)
        order = order[: int((size > 0).sum())]
        saved = saving[order].cumsum(0)
        count = int(torch.searchsorted(saved, excess)) + 1
        size[order[:count]] -= 1
        excess = float((size**2).sum()) - limit**2 * (1 - TINY)
    return moved.sign() * size.view_as(moved).to(moved)
