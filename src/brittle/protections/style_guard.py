"""StyleGuard: Anti-DreamBooth, and statistics of the latents as of another style."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.models import EditModel
from brittle.protections.surrogate_loop import Exposed, WholeSurrogateLoop
from brittle.protections.target import TexturedTarget, target_latent


@register
class StyleGuard(WholeSurrogateLoop):
    """ASPL, which also moves the latent's statistics from the picture's to a target's.

    Maximises L + style_weight · (s(x + δ, x) − s(x + δ, y)) against Anti-DreamBooth's copy of the
    surrogate: L is the denoising loss, s the mean squared difference of the channels' means over
    the latent, plus that of their variances. ``target`` is y: "texture" (a pattern of black and
    white squares that brittle draws), "gray", or an image file, such as a painting in another
    style, stretched to the picture's shape and recorded as ``path#digest`` of its pixels.

    The source takes an upscaler into its ensemble of models. Here, name as ``expectation`` what the
    perturbation is to outlast. See `SurrogateLoop`.
    """

    name = "style-guard"
    source = "StyleGuard (Li et al. 2025, arXiv:2505.18766)"
    rehearses = True

    budget: Budget = LinfBudget(radius=6.375 / 255)
    rounds: int = Field(50, ge=1)
    steps: int = Field(6, ge=1)
    step_size: Fraction = Field(0.0025, gt=0, allow_inf_nan=False)
    training_steps: int = Field(3, ge=0)
    learning_rate: float = Field(5e-7, gt=0, allow_inf_nan=False)
    instance_prompt: str = "an sks painting"
    target: TexturedTarget = "texture"
    style_weight: float = Field(1.0, ge=0, allow_inf_nan=False)

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: Exposed, **_: Any
    ) -> Tensor:
        """Minus the denoising loss and the weighted gap of statistics, (N,)."""
        seen = model.fit(perturbed)
        goal = target_latent(self.target, seen, model.encode_to_attack, prepared.targets)
        with torch.no_grad():
            clean = model.encode_to_attack(model.fit(image))
        latents = model.encode_to_attack(seen)
        loss = prepared.surrogate.errors(latents, prepared.draw(latents))
        style = _statistics_apart(latents, clean) - _statistics_apart(latents, goal)
        return -loss - self.style_weight * style


def _statistics_apart(latents: Tensor, others: Tensor) -> Tensor:
    """How far channels' means and variances of latents (N, C, h, w) and others are apart, (N,)."""
    apart = latents.new_zeros(len(latents))
    for statistic in (torch.mean, torch.var):
        gap = statistic(latents, dim=(2, 3)) - statistic(others, dim=(2, 3))
        apart = apart + gap.square().mean(1)
    return apart
