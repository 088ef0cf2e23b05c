"""Protections that act on one step of the denoiser, at timesteps that are drawn: by its error."""

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel
from brittle.models.denoising import DenoisingTask, Draw, Timesteps
from brittle.noise import Seeds, generators
from brittle.protections.pgd import PGD
from brittle.protections.target import TexturedTarget, target_latent


class Denoised(PGD):
    """What these protections share: a prompt, and noise and timesteps that each gradient draws.

    ``timesteps`` is the first and the last of those that are drawn from evenly, two equal ones fix
    it, and None draws from all. Each step averages the gradients of ``draws`` draws.
    """

    draws_noise = True

    budget: Budget = LinfBudget(radius=16 / 255)
    steps: int = Field(100, ge=1)
    step_size: Fraction = Field(1 / 255, gt=0, allow_inf_nan=False)
    prompt: str = "a photo"
    timesteps: Timesteps | None = None
    draws: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _check_timesteps(self) -> Self:
        if self.timesteps is not None and not 0 <= self.timesteps[0] <= self.timesteps[1]:
            raise ValueError(
                f"timesteps={list(self.timesteps)} is no range: give the first and the last of "
                "them, such as [0, 999]"
            )
        return self

    @property
    def passes(self) -> int:
        """See `PGD.passes`."""
        return self.draws

    @property
    def denoiser_gradients(self) -> int:
        """As `Protection.denoiser_gradients`: one for each gradient of the loss."""
        return self.gradients

    def check_model(self, model: EditModel) -> None:
        """See `Protection.check_model`."""
        if why := model.denoiser.why_not("img2img"):
            raise UserError(f"{self.name} shows the denoiser no mask and no image: {why}")
        known = len(DenoisingTask.of(model))
        if self.timesteps is not None and self.timesteps[1] >= known:
            raise UserError(f"{model.name} has the timesteps 0 to {known - 1}: change timesteps.")

    def prepare(self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds) -> "_Prepared":
        """What the denoiser is asked, and the noise of each photo."""
        self.check_model(model)
        return _Prepared(DenoisingTask.of(model), generators(seeds))

    def draw(self, latents: Tensor, prepared: "_Prepared") -> Draw:
        """Fresh noise and timesteps for latents (N, C, h, w)."""
        return prepared.task.draw(latents, prepared.streams, self.timesteps)

    def denoised(
        self, model: EditModel, latents: Tensor, draw: Draw, prepared: "_Prepared"
    ) -> Tensor:
        """What the denoiser says of latents (N, C, h, w) under what was drawn."""
        prompts, nothing = [self.prompt] * len(latents), [""] * len(latents)
        shape = [side * model.factor for side in latents.shape[-2:]]
        condition = model.denoiser.condition(prompts, nothing, shape=shape, guidance_scale=1)
        noisy = prepared.task.noisy(latents, draw)
        return model.denoiser.predict(noisy, prepared.task.told(draw), condition)


@register
class DenoisingLoss(Denoised):
    """Raises the denoiser's loss on the photo.

    Maximises L = mean (ε̂(z_t, t) − ε)², z_t being the photo's latent under the noise ε at the
    timestep t (for a model that predicts velocity or flow matching's direction, its error). The
    denoiser runs under ``prompt`` without guidance.
    """

    name = "denoising-loss"
    source = "AdvDM (Liang et al. 2023, arXiv 2302.04578)"

    random_start: bool = True

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: "_Prepared", **_: Any
    ) -> Tensor:
        """Minus the loss, (N,)."""
        return -self.loss(model, model.encode_to_attack(model.fit(perturbed)), prepared)

    def loss(self, model: EditModel, latents: Tensor, prepared: "_Prepared") -> Tensor:
        """The denoising loss of latents (N, C, h, w) under a fresh draw, (N,)."""
        draw = self.draw(latents, prepared)
        output = self.denoised(model, latents, draw, prepared)
        return prepared.task.errors(output, latents, draw)


@register
class Mist(DenoisingLoss):
    """Raises the denoiser's loss and moves the photo's latent to a texture's, at once.

    Minimises ‖E(x + δ) − E(y)‖² − weight · L, L being the denoising loss. ``target`` is y:
    "texture" (a pattern of black and white squares that brittle draws), "gray", or an image file,
    stretched to the photo's shape and recorded as ``path#digest`` of its pixels.
    """

    name = "mist"
    source = "Mist's fused mode (Liang and Wu 2023, arXiv 2305.12683)"

    target: TexturedTarget = "texture"
    weight: float = Field(1e4, ge=0, allow_inf_nan=False)

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: "_Prepared", **_: Any
    ) -> Tensor:
        """The squared distance of latents, less the weighted loss, (N,)."""
        seen = model.fit(perturbed)
        goal = target_latent(self.target, seen, model.encode_to_attack, prepared.targets)
        latents = model.encode_to_attack(seen)
        distance = (latents - goal).square().flatten(1).sum(1)
        return distance - self.weight * self.loss(model, latents, prepared)


@register
class ScoreDistillation(Denoised):
    """Moves the photo's latent along the denoiser's error, without the denoiser's gradient.

    The gradient of the denoising loss is taken for ⟨E(x + δ), ε̂(z_t, t) − ε⟩ with the error held
    fixed, so the denoiser runs forward alone. ``direction`` "up" (SDS+) raises the loss so, and
    "down" (SDS−) lowers it, which blurs what an editor makes. The record's loss is minus or plus
    the mean of the error's square.
    """

    name = "score-distillation"
    source = "SDS of Diff-Protect (Xue et al. 2024, arXiv 2311.12832)"

    direction: Literal["up", "down"] = "down"

    @property
    def denoiser_gradients(self) -> int:
        """None: it runs forward alone."""
        return 0

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        return (
            f"{self.gradients:,} passes through the encoder, forward and backward, and "
            f"{self.gradients:,} runs of the denoiser, forward"
        )

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: "_Prepared", **_: Any
    ) -> Tensor:
        """The error's mean square, (N,), with the gradient of its product with the latent."""
        latents = model.encode_to_attack(model.fit(perturbed))
        clean = latents.detach()
        with torch.no_grad():
            draw = self.draw(clean, prepared)
            output = self.denoised(model, clean, draw, prepared)
            error = prepared.task.noise_errors(output, clean, draw)
        loss = error.square().flatten(1).mean(1)
        loss = loss + ((latents - clean) * error).flatten(1).sum(1)
        return loss if self.direction == "down" else -loss


@dataclass
class _Prepared:
    """What all steps share: one noise stream a photo, and target latents by the input's shape."""

    task: DenoisingTask
    streams: list[torch.Generator]
    targets: dict[torch.Size, Tensor] = field(default_factory=dict)
