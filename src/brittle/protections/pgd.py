"""Projected gradient descent inside a budget: the only optimisation loop of the protections."""

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from brittle.component import FAMILIES, Component, Fraction
from brittle.noise import generators, uniform
from brittle.protections.base import Protection, Trace

if TYPE_CHECKING:
    from brittle.models import EditModel
    from brittle.transforms.base import Transform
else:

    def _read_transform(value: object) -> object:
        # By name, since families don't import each other: a protection is given transforms.
        base = importlib.import_module(FAMILIES["transform"] + ".base").Transform
        if isinstance(value, str):
            return base.parse(value)
        return base.from_record(value) if isinstance(value, Mapping) else value

    Transform = Annotated[Component, BeforeValidator(_read_transform)]


class PGD(Protection):
    """Minimises an objective inside the budget, by steps against the gradient's sign or direction.

    Under linf each step moves every value by ``step_size`` ([0, 1] units); under l2 it has that
    length at the budget's reference size, and grows with the photo as the budget does. With
    ``expectation``, the gradient is the mean over the differentiable forms of these transforms.
    """

    steps: int = Field(ge=1)
    step_size: Fraction = Field(gt=0, allow_inf_nan=False)
    schedule: Literal["constant", "linear"] = "constant"
    """``linear``: the step falls evenly towards 1 % of ``step_size``, as in PhotoGuard's code."""
    random_start: bool = False
    """Start at uniform noise: in the linf ball, or on the surface of the l2 ball."""
    expectation: tuple[Transform, ...] = ()

    @property
    def total_steps(self) -> int:
        """The number of steps."""
        return self.steps

    @property
    def passes(self) -> int:
        """How many gradients are averaged at each step: more than 1 for a loss that draws noise."""
        return 1

    def prepare(
        self, model: "EditModel", image: Tensor, *, mask: Tensor | None, seeds: Sequence[int]
    ) -> Any:
        """Make once what the objective needs at every step; it gets this as ``prepared``."""
        return None

    def objective(
        self,
        model: "EditModel",
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Tensor | None,
        seeds: Sequence[int],
        prepared: Any,
    ) -> Tensor:
        """The loss of each image, (N,), which is minimised; a row depends on its own image alone.

        ``perturbed`` (N, 3, H, W) in [0, 1] and its ``mask`` are what somebody receives, so under a
        transform in ``expectation`` they may have another size than the photo ``image``.
        """
        raise NotImplementedError

    def perturb(
        self,
        model: "EditModel",
        image: Tensor,
        *,
        mask: Tensor | None,
        seeds: Sequence[int],
        trace: Trace,
    ) -> Tensor:
        """Run the loop and return the last iterate; see `Protection.perturb`."""
        prepared = self.prepare(model, image, mask=mask, seeds=seeds)
        views = self._views(mask) * self.passes
        keep = None if mask is None else 1 - mask
        perturbed = self._start(image, keep, seeds)
        for step in range(self.steps):
            perturbed = perturbed.detach().requires_grad_()
            gradient, loss = torch.zeros_like(image), image.new_zeros(len(image))
            for transform, moved in views:
                with torch.enable_grad():
                    seen = perturbed if transform is None else transform.surrogate(perturbed)
                    losses = self.objective(
                        model, seen, image, mask=moved, seeds=seeds, prepared=prepared
                    )
                    gradient += torch.autograd.grad(losses.sum(), perturbed)[0]
                loss += losses.detach()
            perturbed = self._move(perturbed.detach(), gradient, image, keep, step)
            trace.step(loss / len(views), self.steps)
        trace.vanished = ~gradient.flatten(1).any(1)
        return perturbed

    def _views(self, mask: Tensor | None) -> list[tuple["Transform | None", Tensor | None]]:
        """The transforms that the gradient is averaged over, each with the mask moved along."""
        if not self.expectation:
            return [(None, mask)]
        return [(one, mask if mask is None else one.move_mask(mask)) for one in self.expectation]

    def _start(self, image: Tensor, keep: Tensor | None, seeds: Sequence[int]) -> Tensor:
        if not self.random_start:
            return image
        noise = 2 * uniform(image.shape[1:], generators(seeds)).to(image) - 1
        delta = self.budget.project(noise * self.budget.limit(*image.shape[-2:]))
        return (image + (delta if keep is None else delta * keep)).clamp(0, 1)

    def _move(
        self, perturbed: Tensor, gradient: Tensor, image: Tensor, keep: Tensor | None, step: int
    ) -> Tensor:
        """One step against the gradient, brought back into the budget and into [0, 1]."""
        if keep is not None:
            gradient = gradient * keep
        size = self.step_size
        if self.schedule == "linear":
            size -= 0.99 * self.step_size * step / self.steps
        if self.budget.norm == "linf":
            # In the order of the published loops, so that results are theirs to the bit.
            moved = perturbed - size * gradient.sign()
            radius = self.budget.radius
            return moved.clamp(image - radius, image + radius).clamp(0, 1)
        norm = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        direction = gradient / norm.clamp_min(torch.finfo(gradient.dtype).tiny)
        size *= self.budget.limit(*image.shape[-2:]) / self.budget.radius
        return (image + self.budget.project(perturbed - size * direction - image)).clamp(0, 1)
