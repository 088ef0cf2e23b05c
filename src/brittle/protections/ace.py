"""ACE, of which Mist-v2 is made: a collection that pulls the denoiser to a target."""

from typing import Any

from pydantic import Field
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.models import EditModel
from brittle.models.tuned import LearningScope
from brittle.protections.surrogate_loop import Exposed, SurrogateLoop
from brittle.protections.target import TexturedTarget, target_latent


@register
class Ace(SurrogateLoop):
    """Moves what the denoiser predicts to the latent of a target, while a LoRA learns.

    Minimises mean (ε̂(z_t, t) − E(y))² + latent_weight · mean (E(x + δ) − E(y))², ε̂ being what the
    surrogate's UNet says under ``instance_prompt`` of the perturbed picture's latent at a noise and
    timestep that each step draws. LoRA of ``rank`` on the UNet's attention learns. ``target`` is y:
    "texture" (a pattern of black and white squares that brittle draws), "gray", or an image file,
    stretched to the picture's shape and recorded as ``path#digest`` of its pixels. See
    `SurrogateLoop`.
    """

    name = "ace"
    source = "ACE and ACE+ (Zheng et al. 2023, arXiv:2310.04687)"

    budget: Budget = LinfBudget(radius=4 / 255)
    rounds: int = Field(5, ge=1)
    steps: int = Field(30, ge=1)
    step_size: Fraction = Field(0.0025, gt=0, allow_inf_nan=False)
    training_steps: int = Field(10, ge=0)
    learning_rate: float = Field(1e-4, gt=0, allow_inf_nan=False)
    rank: int = Field(4, ge=1)
    instance_prompt: str = "a picture"
    target: TexturedTarget = "texture"
    latent_weight: float = Field(0.0, ge=0, allow_inf_nan=False)

    @property
    def scope(self) -> LearningScope:
        """See `SurrogateLoop.scope`."""
        return LearningScope(("denoiser",), self.rank)

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: Exposed, **_: Any
    ) -> Tensor:
        """The distances to the target's latent, (N,), under a fresh draw."""
        seen = model.fit(perturbed)
        goal = target_latent(self.target, seen, model.encode_to_attack, prepared.targets)
        latents = model.encode_to_attack(seen)
        output = prepared.surrogate.output(latents, prepared.draw(latents)).float()
        loss = (output - goal).square().flatten(1).mean(1)
        return loss + self.latent_weight * (latents - goal).square().flatten(1).mean(1)
