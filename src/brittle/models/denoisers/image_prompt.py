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

    The picture never passes the autoencoder: CLIP's image encoder says what is in it, as a whole,
    or with ``sees_places`` at each place, by its last layer but one.
    """

    hides_masked = False

    def __init__(self, unet: UNet, *, sees_places: bool = False) -> None:
        self.unet, self.parts, self.sees_places = unet, unet.parts, sees_places
        self.patch, self.own_side, self.always_encodes = (
            unet.patch,
            unet.own_side,
            unet.always_encodes,
        )

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

    def ignored(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.ignored`."""
        return self.unet.ignored(task)

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
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: what CLIP sees of it and of nothing, (N, 1, [places,] width)."""
        side = int(self.parts.files.config("image_encoder").get("image_size", 224))
        pixels = prepared(image, side).to(self.parts.device, self.parts.dtype)
        seen = self._seen(pixels)
        # Nothing is zeros: as numbers, or as pixels.
        nothing = self._seen(torch.zeros_like(pixels)) if self.sees_places else seen.new_zeros(1)
        return seen, nothing.expand_as(seen)

    def _seen(self, pixels: Tensor) -> Tensor:
        encoder = self.parts.part("image_encoder")
        with self.parts.running("image_encoder"):
            output = encoder(pixels, output_hidden_states=self.sees_places)
        seen = output.hidden_states[-2] if self.sees_places else output.image_embeds
        return self.parts.numbers(seen[:, None], "image_encoder")

    def blank(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`."""
        config = self.parts.files.config("image_encoder")
        shape = [len(latents), 1, int(config.get("projection_dim", 512))]
        if self.sees_places:
            side = int(config.get("image_size", 224)) // int(config.get("patch_size", 32))
            shape[2:] = [side**2 + 1, int(config.get("hidden_size", 768))]
        return latents.new_zeros(shape), latents.new_zeros(shape)

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """As `Denoiser.predict`; rows without the prompt are without the picture too."""
        seen, nothing = condition.shown
        if self.rows(condition.guidance_scale) > 1:
            seen = torch.cat([nothing, seen])
        more = {**condition.more, "image_embeds": [seen]}
        return self.unet.predict(latents, timestep, replace(condition, more=more, shown=()))
