"""The budget: how far a protected image may be from the photo, in memory and on disk."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from torch import Tensor

from brittle.component import Fraction, explain
from brittle.errors import UserError

# Of the radius, kept free so that float32 rounding can't carry a projected perturbation out again.
SLACK = 4e-6
PERCEPTUAL = ("perceptual", "lpips")
# Levels, since 0.5/255 × 255 and its like need not be exact in floating point.
TINY = 1e-9


@dataclass(frozen=True)
class Strength:
    """A budget that has a name, and what to expect of it at 512 px (docs/visibility.md)."""

    budget: str
    decibels: int
    looks: str


STRENGTHS = {
    "mild": Strength("perceptual:0.5", 42, "hardly visible, and only in flat areas such as sky"),
    "medium": Strength("perceptual:1", 37, "faint on a closer look, in flat areas such as sky"),
    "strong": Strength("perceptual:2", 33, "visible in flat areas such as sky"),
}
"""From the weakest to the strongest; read wherever a budget is, recorded as the budget."""
BEYOND = "plainly visible, most of all in flat areas such as sky"
"""How a picture looks that is farther from its photo than the strongest allows."""


class Budget(BaseModel):
    """The ball around the photo that a perturbation must stay in.

    ``linf``: no value moves by more than ``radius``. ``l2``: the Euclidean norm over all values of
    an image is at most ``radius`` at ``reference`` × ``reference`` pixels, and grows with the
    square root of the number of pixels, so that the root mean square is the same at every size.
    Radii are in [0, 1] units: 8/255, not 8. ``perceptual`` and ``lpips`` are distances of these
    names: see `brittle.perceptual_budget.PerceptualBudget`, to which text and records lead, and the
    names of ``STRENGTHS``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: Literal["linf", "l2", "perceptual", "lpips"] = "linf"
    radius: Fraction = Field(gt=0, allow_inf_nan=False)
    reference: int = Field(default=512, ge=1)

    @model_validator(mode="wrap")
    @classmethod
    def _accept_text(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return handler({"radius": value})
        if cls is Budget and isinstance(value, Mapping) and value.get("norm") in PERCEPTUAL:
            return _perceptual().model_validate(value)
        return handler(value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.norm == "linf" and self.radius > 1:
            raise ValueError(
                f"a linf radius of {self.radius:g} is more than the whole range; "
                f"budgets are in [0, 1] units: write {self.radius:g}/255, not {self.radius:g}"
            )
        if self.norm != "l2" and self.reference != 512:
            raise ValueError("a reference size belongs to the l2 norm")
        if type(self) is Budget and self.norm in PERCEPTUAL:
            raise ValueError(f"write it as text, {self.norm}:{self.radius:g}")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "8/255", "linf:8/255", "l2:8@512", "perceptual:0.5", "lpips:0.05" or "mild".

        Raises:
            UserError: anything else, a radius that isn't positive and finite, or linf above 1.
        """
        if text.strip() in STRENGTHS:
            text = STRENGTHS[text.strip()].budget
        if cls is Budget and text.partition(":")[0].strip() in PERCEPTUAL:
            return _perceptual().parse(text)
        match = re.fullmatch(r"\s*(?:(linf|l2)\s*:)?\s*([^:@\s][^:@]*?)\s*(?:@\s*(\d+)\s*)?", text)
        if not match or text.strip().isalpha():
            raise UserError(
                f"The budget {text!r} isn't understood: write {', '.join(STRENGTHS)}, 8/255, "
                f"l2:8@512 or perceptual:0.5."
            )
        norm, radius, reference = match.groups()
        fields = {"norm": norm or "linf", "radius": radius}
        try:
            return cls(**fields, **({"reference": int(reference)} if reference else {}))
        except ValidationError as error:
            raise UserError(explain(error, f"The budget {text!r}", cls)) from None

    @property
    def levels(self) -> int:
        """How many of the 256 levels a value may move under linf: 12.75/255 is 12."""
        return math.floor(self.radius * 255 + TINY)

    def limit(self, height: int, width: int) -> float:
        """The radius for an image of this size, in [0, 1] units."""
        if self.norm == "linf":
            return self.radius
        return self.radius * math.sqrt(height * width) / self.reference

    def distance(self, delta: Tensor) -> Tensor:
        """The size of perturbations (N, C, H, W), (N,), in the unit of ``radius``."""
        if self.norm == "linf":
            return delta.abs().flatten(1).amax(1)
        return _norm(delta) * (self.radius / self.limit(*delta.shape[-2:]))

    def spent(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """How far images (N, 3, H, W) are from the originals, (N,), in the unit of ``radius``."""
        return self.distance(perturbed - original)

    def bring_inside(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The images near ``perturbed`` that are in the budget and in [0, 1]; not rounded."""
        if self.norm == "linf":
            return self.around(original)(perturbed)
        return (original + self.project(perturbed - original)).clamp(0, 1)

    def around(self, original: Tensor) -> Callable[[Tensor], Tensor]:
        """`bring_inside` for a loop: what stays the same over its steps is computed once."""
        if self.norm == "linf":
            # The bounds of the published loops, so that results are theirs to the bit.
            low = (original - self.radius).clamp_(min=0)
            high = (original + self.radius).clamp_(max=1)
            return lambda perturbed: perturbed.clamp(low, high)
        return partial(self.bring_inside, original)

    def project(self, delta: Tensor) -> Tensor:
        """The nearest perturbation (N, C, H, W) inside the budget; one that is inside stays."""
        if self.norm == "linf":
            return delta.clamp(-self.radius, self.radius)
        limit = self.limit(*delta.shape[-2:])
        norm = _norm(delta).view(-1, 1, 1, 1)
        scale = limit * (1 - SLACK) / norm.clamp_min(torch.finfo(delta.dtype).tiny)
        return torch.where(norm > limit, delta * scale, delta)

    def round_inside(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The 8-bit image near ``perturbed`` whose distance from ``original`` is in the budget.

        Both are (N, C, H, W) in [0, 1], the original on the 8-bit grid k/255; so is the result.
        Values are rounded to the nearest level and then moved towards the original where needed.
        """
        start = (original * 255).round()
        wanted = self.project(perturbed.clamp(0, 1) - original) * 255
        moved = (start + wanted).round().clamp(0, 255) - start
        if self.norm == "linf":
            moved = moved.clamp(-self.levels, self.levels)
        else:
            limit = self.limit(*original.shape[-2:]) * 255
            rows = [_shrink(*row, limit) for row in zip(moved, wanted, strict=True)]
            moved = torch.stack(rows) if rows else moved
        # A tensor as divisor: by a plain number, CUDA multiplies with a rounded reciprocal.
        return (start + moved) / original.new_tensor(255.0)

    @property
    def least_psnr(self) -> float:
        """The PSNR in dB of a picture that spends all of the budget, or all of its guard."""
        rms = self.limit(1, 1) / (math.sqrt(3) if self.norm == "l2" else 1)
        return -20 * math.log10(rms)

    def describe(self) -> str:
        """The budget in words: what it allows in memory and what is left of it on disk."""
        if self.norm == "linf":
            levels = f"{self.levels} level{'' if self.levels == 1 else 's'}"
            return f"{self.radius * 255:.6g}/255 linf: {levels} on disk"
        rms = 10 ** (-self.least_psnr / 20)
        return (
            f"{self.radius:g} l2 at {self.reference} px: "
            f"RMS {rms * 255:.2f}/255, PSNR {self.least_psnr:.1f} dB"
        )

    def __str__(self) -> str:
        """The budget as one would type it, exactly."""
        if self.norm == "l2":
            return f"l2:{shortest(self.radius)}@{self.reference}"
        levels = f"{self.radius * 255:g}"
        exact = float(levels) / 255 == self.radius
        return f"linf:{levels}/255" if exact else f"linf:{shortest(self.radius)}"


def _perceptual() -> Any:
    from brittle.perceptual_budget import PerceptualBudget  # which is built on this module

    return PerceptualBudget


def shortest(value: float) -> str:
    """A number in as few digits as read back to it exactly."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


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
