"""DiffusionGuard's protection: the first step of an edit, under masks that vary."""

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.images import Mask
from brittle.models import EditModel, chain
from brittle.noise import Seeds, derive_seed, generators
from brittle.protections.pgd import PGD

GRID = 8
"""How many values a side the field has by which a mask grows."""


@register
class FirstStep(PGD):
    """Enlarges what the denoiser predicts at the first step of an edit.

    Maximises ‖ε̂(z_T, T)‖₂ under ``prompt``, without guidance, T being the first timestep of an edit
    of ``num_inference_steps`` and the noise drawn anew at each step. Of a model of flow matching it
    is the velocity's norm.

    A model made for inpainting starts from noise and sees the photo around a mask, which varies:
    at each step the mask grows by an uneven border, up to a share ``growth`` of the greatest
    depth of what is kept; without a mask, all but an ellipse of any place and size is edited. Any
    other model sees no mask, and starts from the photo's noised latent, where img2img at
    ``strength`` does.
    """

    name = "first-step"
    source = "DiffusionGuard (Choi et al. 2025, arXiv 2410.05694)"
    draws_noise = True

    budget: Budget = LinfBudget(radius=8 / 255)
    steps: int = Field(800, ge=1)
    step_size: Fraction = Field(0.5 / 255, gt=0, allow_inf_nan=False)
    prompt: str = ""
    num_inference_steps: int = Field(4, ge=1)
    strength: Fraction = Field(0.5, gt=0, le=1)
    growth: Fraction = Field(0.5, ge=0, le=1)

    @property
    def denoiser_gradients(self) -> int:
        """As `Protection.denoiser_gradients`: one for each gradient of the loss."""
        return self.gradients

    def check_model(self, model: EditModel) -> None:
        """See `Protection.check_model`."""
        chain.check_task(model, "inpaint" if model.denoiser.hides_masked else "img2img")

    def prepare(self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds) -> "_Streams":
        """The streams of each photo's noise and masks."""
        self.check_model(model)
        masks = [derive_seed(seed, "masks") for seed in seeds]
        return _Streams(generators(seeds), generators(masks))

    def objective(
        self,
        model: EditModel,
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Mask,
        prepared: "_Streams",
        **_: Any,
    ) -> Tensor:
        """Minus the norm of what is predicted, (N,)."""
        seen, masks = model.fit(perturbed), None
        inpaints = model.denoiser.hides_masked
        if inpaints:
            masks = model.fit_mask(self.masks(perturbed, mask, prepared))
        plan = chain.plan(
            model,
            prompts=[self.prompt] * len(seen),
            streams=prepared.noise,
            shape=seen.shape[-2:],
            num_inference_steps=self.num_inference_steps,
            strength=1.0 if inpaints else self.strength,
            guidance_scale=1.0,
            scheduler=chain.plain_scheduler(model),
            task="inpaint" if inpaints else "img2img",
            differentiable=True,
        )
        start = chain.start(model, plan, seen, masks)
        noisy = plan.scheduler.scaled(start.latents, 0)
        output = model.denoiser.predict(noisy, plan.scheduler.timesteps[0], start.condition)
        return -output.flatten(1).norm(dim=1)

    def masks(self, image: Tensor, mask: Mask, prepared: "_Streams") -> Tensor:
        """A mask for each photo (N, 1, H, W), drawn anew; 1 where the editor paints."""
        if mask is None:
            drawn = [around_ellipse(image.shape[-2:], stream) for stream in prepared.masks]
        else:
            rows = zip(mask, prepared.masks, strict=True)
            drawn = [grown(one, stream, self.growth) for one, stream in rows]
        return torch.stack(drawn).to(image)


@dataclass(frozen=True)
class _Streams:
    noise: list[torch.Generator]
    masks: list[torch.Generator]


def around_ellipse(shape: torch.Size, stream: torch.Generator) -> Tensor:
    """A mask (1, H, W) of all but an ellipse, a fifth to nine tenths of the sides long."""
    place, axes = torch.rand(2, generator=stream), torch.rand(2, generator=stream)
    middle, radius = 0.25 + 0.5 * place, 0.1 + 0.35 * axes
    down, across = (
        ((torch.arange(side) + 0.5) / side - at).div(reach).square()
        for side, at, reach in zip(shape, middle, radius, strict=True)
    )
    return (down[:, None] + across > 1).float()[None]


def grown(mask: Tensor, stream: torch.Generator, growth: float) -> Tensor:
    """The mask (1, H, W) with an uneven border, of which at most ``growth`` of what is kept falls.

    A smooth random field says how deep the border is, up to a share of the greatest distance from
    the mask: so something is always kept.
    """
    from scipy.ndimage import distance_transform_edt

    depth = torch.from_numpy(distance_transform_edt(mask[0].cpu().numpy() == 0)).to(mask)
    if not mask.any():  # nothing to grow
        return mask
    most = growth * torch.rand(1, generator=stream).to(mask) * depth.max()
    field = torch.rand(1, 1, GRID, GRID, generator=stream).to(mask)
    field = functional.interpolate(field, mask.shape[-2:], mode="bicubic").clamp(0, 1)
    return (depth <= most * field[0]).to(mask)
