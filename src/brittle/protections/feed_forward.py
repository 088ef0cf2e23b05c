"""A perturbation that a small network gives in one pass: no gradient, and no model."""

import torch
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import register
from brittle.images import Mask, stretch
from brittle.models import EditModel
from brittle.models.known import BROUGHT
from brittle.networks.immuniser import load_immuniser
from brittle.noise import Seeds
from brittle.protections.base import Protection, Trace


@register
class FeedForward(Protection):
    """Adds what a small network makes of the photo, in one pass.

    The network was trained once to lead the embedded model's encoder away from photos, as they are
    and as JPEGs, at radii of 4 to 16 of 255 levels; its card lies beside the weights
    (networks/weights/README.md). It sees the photo at the size at which the model sees it. Any
    model may be named: what it was not trained against is moved only as far as perturbations
    transfer.
    """

    name = "feed-forward"
    source = (
        "After DiffVax (Ozden et al. 2024, arXiv 2411.17957): the idea, with another network, loss "
        "and budget"
    )

    budget: Budget = LinfBudget(radius=12.75 / 255)

    def optimised_on(self, model: str) -> bool | None:
        """See `Protection.optimised_on`."""
        return model in BROUGHT

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        return "one pass through a network of 0.6 million parameters"

    def perturb(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds, trace: Trace
    ) -> Tensor:
        """See `Protection.perturb`."""
        seen = model.fit(image)
        radius = torch.full((1,), self.budget.rms)
        with torch.no_grad():  # one by one, so that no file depends on its neighbours
            moved = [load_immuniser()(one.cpu(), radius) for one in seen.split(1)]
        return image + stretch(torch.cat(moved).to(image), image.shape[-2:])
