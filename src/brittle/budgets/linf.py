"""The budget in the maximum norm."""

from collections.abc import Callable
from typing import Literal, Self

from pydantic import model_validator
from torch import Tensor

from brittle.budgets.base import Ball, whole_levels
from brittle.component import shortest


class LinfBudget(Ball):
    """No value moves by more than ``radius``, in [0, 1] units: 8/255, not 8."""

    norm: Literal["linf"] = "linf"
    reference: Literal[512] = 512

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.radius > 1:
            levels = f": write {self.radius:g}/255, not {self.radius:g}"
            raise ValueError(
                f"a linf radius of {self.radius:g} is more than the whole range; budgets are in "
                f"[0, 1] units{levels if self.radius.is_integer() else ''}"
            )
        return self

    @property
    def levels(self) -> int:
        """How many of the 256 levels a value may move: 12.75/255 is 12."""
        return whole_levels(self.radius)

    def limit(self, height: int, width: int) -> float:
        """The radius, whatever the size."""
        return self.radius

    def spent(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The largest change of a value, (N,)."""
        return (perturbed - original).abs().flatten(1).amax(1)

    def project(self, delta: Tensor) -> Tensor:
        """See `Ball.project`."""
        return delta.clamp(-self.radius, self.radius)

    def bring_inside(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """See `Ball.bring_inside`."""
        return self.around(original)(perturbed)

    def around(self, original: Tensor) -> Callable[[Tensor], Tensor]:
        """See `Ball.around`."""
        # The bounds of the published loops, so that results are theirs to the bit.
        low = (original - self.radius).clamp_(min=0)
        high = (original + self.radius).clamp_(max=1)
        return lambda perturbed: perturbed.clamp(low, high)

    def in_levels(self, moved: Tensor, wanted: Tensor) -> Tensor:
        """See `Ball.in_levels`."""
        return moved.clamp(-self.levels, self.levels)

    def describe(self) -> str:
        """See `Ball.describe`."""
        levels = f"{self.levels} level{'' if self.levels == 1 else 's'}"
        return f"{self.radius * 255:.6g}/255 linf: {levels} on disk"

    def __str__(self) -> str:
        """The budget as one would type it, exactly."""
        levels = f"{self.radius * 255:g}"
        exact = float(levels) / 255 == self.radius
        return f"linf:{levels}/255" if exact else f"linf:{shortest(self.radius)}"
