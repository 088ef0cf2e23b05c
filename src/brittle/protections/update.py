"""How a gradient moves a picture: one step against it, and back into the budget."""

from collections.abc import Sequence

import torch
from torch import Tensor

from brittle.budgets import Budget

BETAS, EPSILON = (0.9, 0.999), 1e-8


class Update:
    """Steps of these ``sizes`` against the gradient, as the budget's norm measures them.

    One object goes with one batch of photos ``image`` (N, 3, H, W) over all steps. Where ``keep``
    (N, 1, H, W) is 0, nothing moves.
    """

    def __init__(
        self, budget: Budget, image: Tensor, keep: Tensor | None, sizes: Sequence[float]
    ) -> None:
        self.budget, self.keep, self.sizes = budget, keep, sizes
        self.inside = budget.around(image)

    def __call__(self, perturbed: Tensor, gradient: Tensor, step: int) -> Tensor:
        """The pictures after a step, from 0 on, in the budget and in [0, 1]; not rounded."""
        if self.keep is not None:
            gradient = gradient * self.keep
        return self.inside(self.moved(perturbed, gradient, step))

    def moved(self, perturbed: Tensor, gradient: Tensor, step: int) -> Tensor:
        """The pictures after a step, wherever it leads."""
        return self.budget.step(perturbed, gradient, self.sizes[step])


class Adam(Update):
    """Adam's steps, the sizes being its rates (Kingma and Ba 2015, arXiv:1412.6980)."""

    def __init__(
        self, budget: Budget, image: Tensor, keep: Tensor | None, sizes: Sequence[float]
    ) -> None:
        super().__init__(budget, image, keep, sizes)
        self.moments = [torch.zeros_like(image), torch.zeros_like(image)]

    def moved(self, perturbed: Tensor, gradient: Tensor, step: int) -> Tensor:
        """See `Update.moved`."""
        unbiased = []
        for place, new in enumerate((gradient, gradient.square())):
            self.moments[place] = torch.lerp(new, self.moments[place], BETAS[place])
            unbiased.append(self.moments[place] / (1 - BETAS[place] ** (step + 1)))
        mean, square = unbiased
        return perturbed - self.sizes[step] * mean / (square.sqrt() + EPSILON)
