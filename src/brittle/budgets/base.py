"""What a budget is: the ball around the photo that a perturbation must stay in."""

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from brittle.component import Fraction, explain
from brittle.errors import UserError

TINY = 1e-9
"""Levels, since 0.5/255 × 255 and its like need not be exact in floating point."""


class Ball(BaseModel):
    """The images whose distance from the photo is at most ``radius``.

    Subclasses write `limit`, `project`, what they are on disk (`levels`, `round_inside`) and how
    they are told (`describe`, ``__str__``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    after_at: ClassVar[str] = "reference"
    """The field that stands behind the @ in a budget's text."""

    norm: str
    radius: Fraction = Field(gt=0, allow_inf_nan=False)

    @classmethod
    def of_text(cls, text: str, **fields: str) -> Self:
        """The budget with the fields that ``text`` holds; UserError where they can't be."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise UserError(explain(error, f"The budget {text!r}", cls)) from None

    def limit(self, height: int, width: int) -> float:
        """The radius for an image of this size, in [0, 1] units."""
        raise NotImplementedError

    def spent(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """How far images (N, 3, H, W) are from the originals, (N,), in the unit of ``radius``."""
        raise NotImplementedError

    def project(self, delta: Tensor) -> Tensor:
        """The nearest perturbation (N, C, H, W) inside the budget; one that is inside stays."""
        raise NotImplementedError

    def bring_inside(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The images near ``perturbed`` that are in the budget and in [0, 1]; not rounded."""
        return (original + self.project(perturbed - original)).clamp(0, 1)

    def around(self, original: Tensor) -> Callable[[Tensor], Tensor]:
        """`bring_inside` for a loop: what stays the same over its steps is computed once."""
        return partial(self.bring_inside, original)

    def step(self, image: Tensor, gradient: Tensor, size: float) -> Tensor:
        """The images a step of ``size`` further down the gradient, as this norm measures it."""
        return torch.sub(image, gradient.sign(), alpha=size)

    def round_inside(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The 8-bit image near ``perturbed`` whose distance from ``original`` is in the budget.

        Both are (N, C, H, W) in [0, 1], the original on the 8-bit grid k/255; so is the result.
        Values are rounded to the nearest level and then moved towards the original where needed.
        """
        start = (original * 255).round()
        wanted = self.project(perturbed.clamp(0, 1) - original) * 255
        moved = (start + wanted).round().clamp(0, 255) - start
        return on_grid(start + self.in_levels(moved, wanted))

    def in_levels(self, moved: Tensor, wanted: Tensor) -> Tensor:
        """Whole levels (N, C, H, W) inside the budget: ``moved``, or less where that is outside."""
        raise NotImplementedError

    @property
    def rms(self) -> float:
        """The root mean square, in [0, 1] units, of a perturbation that spends all of it."""
        return self.limit(1, 1)

    @property
    def least_psnr(self) -> float:
        """The PSNR in dB of a picture that spends all of the budget, or all of its guard."""
        return -20 * math.log10(self.rms)

    def describe(self) -> str:
        """The budget in words: what it allows in memory and what is left of it on disk."""
        raise NotImplementedError


def whole_levels(radius: float) -> int:
    """How many of the 256 levels a value may move: 12.75/255 is 12."""
    return math.floor(radius * 255 + TINY)


def on_grid(levels: Tensor) -> Tensor:
    """Images in [0, 1] from whole levels."""
    # A tensor as divisor: by a plain number, CUDA multiplies with a rounded reciprocal.
    return levels / levels.new_full((), 255.0)
