"""Protections that act on the autoencoder's distribution: its mean and its variance."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel
from brittle.noise import Seeds
from brittle.protections.pgd import PGD
from brittle.protections.seen import OfPhoto, seen_by


class Posterior(PGD):
    """What these protections share: an autoencoder with a distribution, and no denoiser."""

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        return f"{self.gradients:,} passes through the encoder, forward and backward"

    def check_model(self, model: EditModel) -> None:
        """See `Protection.check_model`."""
        if not model.has_latent_distribution:
            raise UserError(
                f"{self.name} needs the variance of a latent, and the autoencoder of {model.name} "
                "gives none: name a model with an AutoencoderKL, such as Stable Diffusion's."
            )


@register
class PosteriorShift(Posterior):
    """Moves the mean and the variance of the photo's latent away from the photo's own.

    Maximises mean (μ(x + δ) − μ(x))² + mean (ln σ²(x + δ) − ln σ²(x))², μ and σ² being those of the
    autoencoder's distribution, without the latents' scale. No prompt enters.
    """

    name = "posterior-shift"
    source = "PID (Li et al. 2024, arXiv 2406.15305)"

    budget: Budget = LinfBudget(radius=12.75 / 255)
    steps: int = Field(1000, ge=1)
    step_size: Fraction = Field(1 / 255, gt=0, allow_inf_nan=False)
    random_start: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.random_start:
            raise ValueError(f"{self.name} needs random_start=true: at the photo its gradient is 0")
        return self

    def prepare(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds
    ) -> OfPhoto[tuple[Tensor, Tensor]]:
        """The photo's own distribution, which is computed when it is asked for."""
        self.check_model(model)
        return OfPhoto(model, model.posterior)

    def objective(
        self,
        model: EditModel,
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Mask,
        prepared: OfPhoto[tuple[Tensor, Tensor]],
        **_: Any,
    ) -> Tensor:
        """Minus the two mean squares, (N,)."""
        found, own = model.posterior(seen_by(model, perturbed, mask)), prepared(image, mask)
        mean, spread = (
            (one - other).square().flatten(1).mean(1) for one, other in zip(found, own, strict=True)
        )
        return -(mean + spread)


@register
class PosteriorCollapse(Posterior):
    """Brings the photo's latent distribution to a normal one of zero mean, or away from it.

    The loss is the divergence ½ Σ (−ln σ² − 1 + (μ² + σ²) / v), v being ``variance``.
    ``direction`` "down" (PCA−) descends it, so that mean and variance collapse where v is small;
    "up" (PCA+) ascends it.
    """

    name = "posterior-collapse"
    source = "Posterior collapse attack (Guo et al. 2024, arXiv 2408.10901)"

    budget: Budget = LinfBudget(radius=16 / 255)
    steps: int = Field(40, ge=1)
    step_size: Fraction = Field(2 / 255, gt=0, allow_inf_nan=False)
    variance: float = Field(1e-8, gt=0, allow_inf_nan=False)
    direction: Literal["down", "up"] = "down"

    def prepare(self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds) -> None:
        """Nothing."""
        self.check_model(model)

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, mask: Mask, **_: Any
    ) -> Tensor:
        """The divergence, (N,), or minus it."""
        mean, spread = model.posterior(seen_by(model, perturbed, mask))
        terms = (mean.square() + spread.exp()) / self.variance - spread - 1
        divergence = terms.flatten(1).sum(1) / 2
        return divergence if self.direction == "down" else -divergence
