"""Chains: one transform after another, written ``a+b``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import field_validator
from torch import Tensor

from brittle.component import register
from brittle.noise import derive_seed
from brittle.transforms.base import Transform

if TYPE_CHECKING:
    from brittle.models import EditModel


@register
class Chain(Transform):
    """Two or more transforms, the first first; between them the image is an 8-bit file."""

    name: ClassVar[str] = "chain"
    example: ClassVar[str] = "gaussian-blur:sigma=1+jpeg:quality=75"

    steps: tuple[Transform, ...]

    @field_validator("steps")
    @classmethod
    def _flatten(cls, steps: Sequence[Transform]) -> tuple[Transform, ...]:
        flat = tuple(
            part for step in steps for part in (step.steps if isinstance(step, Chain) else (step,))
        )
        if len(flat) < 2:
            raise ValueError("a chain has at least two steps")
        return flat

    def missing(self) -> str | None:
        """The first reason that a step has."""
        return next((reason for step in self.steps if (reason := step.missing())), None)

    @property
    def needs_model(self) -> bool:
        """Whether a step does."""
        return any(step.needs_model for step in self.steps)

    def check_model(self, model: "EditModel | None") -> None:
        """As `Transform.check_model`, for every step."""
        for step in self.steps:
            step.check_model(model)

    def evaluations(self, model: "EditModel") -> int:
        """Those of all steps."""
        return sum(step.evaluations(model) for step in self.steps)

    @property
    def total_steps(self) -> int:
        """Those of all steps."""
        return sum(step.total_steps for step in self.steps)

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """One image after all steps; each step draws from a seed of its own."""
        return self._pass(image, seed, None)

    def receive_with(self, model: "EditModel", image: Tensor, *, seed: int | None) -> Tensor:
        """As `receive`, where a step needs a model."""
        return self._pass(image, seed, model)

    def _pass(self, image: Tensor, seed: int | None, model: "EditModel | None") -> Tensor:
        for index, step in enumerate(self.steps):
            seeds = None if seed is None else [derive_seed(seed, str(index))]
            image = step.apply(image, seeds=seeds, model=model)
        return image

    @property
    def differentiable(self) -> bool:
        """Whether all steps are."""
        return all(step.differentiable for step in self.steps)

    def surrogate(self, image: Tensor) -> Tensor:
        """The surrogates of all steps."""
        for step in self.steps:
            image = step.surrogate(image)
        return image

    @property
    def needs_size(self) -> bool:
        """Whether a step does."""
        return any(step.needs_size for step in self.steps)

    def undo(self, image: Tensor) -> Tensor:
        """All steps undone, the last first."""
        for step in reversed(self.steps):
            image = step.undo(image)
        return image

    def valid(self, image: Tensor) -> Tensor:
        """1 where a pixel came from the photo through every step."""
        received = [image]
        for step in reversed(self.steps[1:]):
            received.append(step.undo(received[-1]))
        valid = self.steps[0].valid(received.pop())
        for step in self.steps[1:]:
            valid = step.move_mask(valid) * step.valid(received.pop())
        return valid

    def move_mask(self, mask: Tensor) -> Tensor:
        """The mask through all steps."""
        for step in self.steps:
            mask = step.move_mask(mask)
        return mask

    def __str__(self) -> str:
        """The chain as one types it: ``a+b``."""
        return "+".join(str(step) for step in self.steps)
