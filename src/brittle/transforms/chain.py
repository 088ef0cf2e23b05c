"""Chains: one transform after another, written ``a+b``."""

from collections.abc import Sequence
from functools import reduce

from pydantic import field_validator
from torch import Tensor

from brittle.component import register
from brittle.models import EditModel
from brittle.noise import derive_seed
from brittle.transforms.base import Capabilities, Transform
from brittle.transforms.geometry import Geometry


@register
class Chain(Transform):
    """Two or more transforms, the first first; between them the image is an 8-bit file."""

    name = "chain"
    example = "gaussian-blur:sigma=1+jpeg:quality=75"

    steps: tuple[Transform, ...]

    @field_validator("steps")
    @classmethod
    def _flatten(cls, steps: Sequence[Transform]) -> tuple[Transform, ...]:
        flat = tuple(part for step in steps for part in step.parts)
        if len(flat) < 2:
            raise ValueError("a chain has at least two steps")
        return flat

    def receive_with(self, model: EditModel | None, image: Tensor, *, seed: int | None) -> Tensor:
        """One image after all steps; each step draws from a seed of its own."""
        for index, step in enumerate(self.steps):
            seeds = None if seed is None else [derive_seed(seed, str(index))]
            image = step.apply(image, seeds=seeds, model=model)
        return image

    @property
    def parts(self) -> tuple[Transform, ...]:
        """See `Transform.parts`."""
        return self.steps

    def surrogate(self, image: Tensor) -> Tensor:
        """The surrogates of all steps."""
        return reduce(lambda seen, step: step.surrogate(seen), self.steps, image)

    @property
    def geometry(self) -> Geometry:
        """Those of all steps; a chain counts as one that moves pixels."""
        return reduce(Geometry.then, (step.geometry for step in self.steps))

    def received_size(self, size: Sequence[int]) -> Sequence[int]:
        """After all steps."""
        return reduce(lambda size, step: step.received_size(size), self.steps, size)

    def memory(self, size: Sequence[int]) -> float:
        """That of the step which takes most."""
        most = 0.0
        for step in self.steps:
            most, size = max(most, step.memory(size)), step.received_size(size)
        return most

    @property
    def capabilities(self) -> Capabilities:
        """Those of all steps."""
        return Capabilities.of_all(step.capabilities for step in self.steps)

    def evaluations(self, model: EditModel) -> int:
        """Those of all steps."""
        return sum(step.evaluations(model) for step in self.steps)

    def __str__(self) -> str:
        """The chain as one types it: ``a+b``."""
        return "+".join(str(step) for step in self.steps)
