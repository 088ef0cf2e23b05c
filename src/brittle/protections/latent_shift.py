"""EditShield's protection: the photo's latent is left behind, at a price for what is seen."""

from typing import Any, Self

from pydantic import Field, model_validator
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.images import Mask
from brittle.models import EditModel
from brittle.noise import Seeds
from brittle.protections.pgd import PGD
from brittle.protections.seen import OfPhoto, seen_by


@register
class LatentShift(PGD):
    """Leaves the photo's latent behind, less what the change of pixels costs.

    Maximises mean (E(x + δ) − E(x))² − weight · mean δ², E being the mean of the encoder's latent
    distribution. Under a transform of the expectation, both terms compare what is received of photo
    and perturbed photo.
    """

    name = "latent-shift"
    source = "EditShield (Chen et al. 2023, arXiv 2311.12066)"

    budget: Budget = LinfBudget(radius=0.05)
    steps: int = Field(30, ge=1)
    step_size: Fraction = Field(1 / 255, gt=0, allow_inf_nan=False)
    random_start: bool = True
    weight: float = Field(0.1, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.random_start:
            raise ValueError(f"{self.name} needs random_start=true: at the photo its gradient is 0")
        return self

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        return f"{self.gradients:,} passes through the encoder, forward and backward"

    def prepare(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds
    ) -> OfPhoto[Tensor]:
        """The photo's own latent, which is computed when it is asked for."""
        return OfPhoto(model, model.encode_to_attack)

    def objective(
        self,
        model: EditModel,
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Mask,
        prepared: OfPhoto[Tensor],
        **_: Any,
    ) -> Tensor:
        """The weighted mean square of pixels less that of latents, (N,)."""
        found = model.encode_to_attack(seen_by(model, perturbed, mask))
        shift = (found - prepared(image, mask)).square().flatten(1).mean(1)
        return self.weight * (perturbed - image).square().flatten(1).mean(1) - shift
