"""A UNet that attends to a picture beside the prompt: Stable Diffusion with an IP-Adapter."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from brittle.models.denoisers.base import Condition, Encode, Task
from brittle.models.denoisers.unet import UNet
from brittle.models.parts import Part
from brittle.models.schedulers import AnyScheduler
from brittle.models.texts import TextEncoder
from brittle.networks.clip import prepared


class ImagePrompted:
    """A denoiser around another one (Ye et al. 2023, arXiv:2308.06721), which generates.

    The picture never passes the autoencoder: CLIP's image encoder says what is in it.
    """

    hides_masked = False

    def __init__(self, unet: UNet) -> None:
        self.unet, self.parts = unet, unet.parts
        self.patch, self.always_encodes = unet.patch, unet.always_encodes

    @property
    def read_parts(self) -> tuple[Part, ...]:
        """As `Denoiser.read_parts`."""
        return (*self.unet.read_parts, "image_encoder")

    @property
    def reader(self) -> TextEncoder:
        """As `Denoiser.reader`."""
        return self.unet.reader

    def scheduler_name(self, name: str | None) -> str:
        """As `Denoiser.scheduler_name`."""
        return self.unet.scheduler_name(name)

    def schedule(self, name: str | None, **settings: Any) -> AnyScheduler:
        """As `Denoiser.schedule`."""
        return self.unet.schedule(name, **settings)

    def steps_for(self, evaluations: int, strength: float) -> int:
        """As `Denoiser.steps_for`."""
        return self.unet.steps_for(evaluations, strength)

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        if task == "generate" and self.unet.channels == self.unet.latent_channels:
            return ""
        return f"{self.parts.name} generates from pictures and prompts alone."

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`."""
        return self.unet.fallbacks(task)

    def rows(self, guidance_scale: float) -> int:
        """As `Denoiser.rows`."""
        return self.unet.rows(guidance_scale)

    def condition(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        *,
        shape: Sequence[int],
        guidance_scale: float,
        image_guidance_scale: float = 1.0,
    ) -> Condition:
        """As `Denoiser.condition`."""
        return self.unet.condition(
            prompts, negative_prompts, shape=shape, guidance_scale=guidance_scale
        )

    def show(
        self, task: Task, image: Tensor, mask: Tensor | None, encode: Encode, noise: Tensor | None
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: what CLIP sees, (N, 1, width)."""
        side = int(self.parts.files.config("image_encoder").get("image_size", 224))
        pixels = prepared(image, side).to(self.parts.device, self.parts.dtype)
        encoder = self.parts.part("image_encoder")
        with self.parts.running("image_encoder"):
            seen = encoder(pixels).image_embeds[:, None]
        return (self.parts.numbers(seen, "image_encoder"),)

    def blank(self, latents: Tensor) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`."""
        width = int(self.parts.files.config("image_encoder").get("projection_dim", 512))
        return (latents.new_zeros(len(latents), 1, width),)

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """As `Denoiser.predict`; rows without the prompt are without the picture too."""
        (seen,) = condition.shown
        if self.rows(condition.guidance_scale) > 1:
            seen = torch.cat([torch.zeros_like(seen), seen])
        more = {**condition.more, "image_embeds": [seen]}
        return self.unet.predict(latents, timestep, replace(condition, more=more, shown=()))
