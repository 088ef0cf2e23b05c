"""What the UNets of Stable Diffusion have in common: channels beside the latents, and guidance."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.models.denoisers.base import Condition, Encode, Task
from brittle.models.parts import Part, Parts
from brittle.models.schedulers import AnyScheduler, make_scheduler, scheduler_name
from brittle.models.texts import TextEncoder


class UNet:
    """A UNet that takes more than the latents as more channels: (N, C + more, h, w).

    Made for inpainting, it sees the mask and the latents of the masked image: 2 C + 1 channels.
    """

    patch = 1
    own_side = 64
    always_encodes = False
    read_parts: tuple[Part, ...] = ("denoiser", "text_encoder")
    scheduler_changes: ClassVar[Mapping[str, Any]] = {}
    """What diffusers' pipelines of this kind overwrite in scheduler_config.json."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.channels = channels(parts)
        self.latent_channels = latent_channels(parts)

    @property
    def reader(self) -> TextEncoder:
        """As `Denoiser.reader`."""
        return TextEncoder(self.parts)

    @property
    def hides_masked(self) -> bool:
        """As `Denoiser.hides_masked`."""
        return self.channels == 2 * self.latent_channels + 1

    def scheduler_name(self, name: str | None) -> str:
        """As `Denoiser.scheduler_name`."""
        return scheduler_name(self.parts.files.config("scheduler"), name)

    def schedule(
        self,
        name: str | None,
        *,
        num_inference_steps: int,
        strength: float,
        eta: float,
        streams: Sequence[torch.Generator],
        shape: Sequence[int],
    ) -> AnyScheduler:
        """As `Denoiser.schedule`; see `make_scheduler`."""
        return make_scheduler(
            self.parts.files.config("scheduler"),
            name,
            num_inference_steps=num_inference_steps,
            strength=strength,
            eta=eta,
            streams=streams,
            device=self.parts.device,
            changes=self.scheduler_changes,
        )

    def steps_for(self, evaluations: int, strength: float) -> int:
        """As `Denoiser.steps_for`."""
        count = math.ceil(evaluations / strength)
        return count + (int(count * strength) < evaluations)

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        name = self.parts.name
        if task == "instruct":
            return (
                f"{name} follows no instructions: use the editor img2img, or name a model of "
                f"InstructPix2Pix's kind."
            )
        if self.hides_masked and task != "inpaint":
            return f"{name} is made for inpainting: use the editor inpaint with a mask."
        if not self.hides_masked and self.channels != self.latent_channels:
            return (
                f"{name} has a UNet of {self.channels} input channels for latents of "
                f"{self.latent_channels}: brittle knows no such edit."
            )
        return ""

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`: none."""
        return {}

    def ignored(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.ignored`: none."""
        return {}

    def rows(self, guidance_scale: float) -> int:
        """As `Denoiser.rows`: without the prompt and with it."""
        return 2 if guidance_scale > 1 else 1

    def condition(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        *,
        shape: Sequence[int],
        guidance_scale: float,
        image_guidance_scale: float = 1.0,
    ) -> Condition:
        """As `Denoiser.condition`; with guidance the rows of the negative prompts come first."""
        guided = self.rows(guidance_scale) > 1
        texts = [*negative_prompts, *prompts] if guided else prompts
        return Condition(self.embed(texts), guidance_scale)

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """What the UNet sees of prompts, (N, tokens, width); each distinct one computed once."""
        once = self.parts.once
        return torch.cat([once(prompt, partial(self._embed, prompt)) for prompt in prompts])

    def _embed(self, prompt: str) -> Tensor:
        return self.parts.numbers(self.reader.read(prompt)[0], "text_encoder")

    def show(
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: (N, 1 + C, h, w), the mask and the masked image."""
        if mask is None or not self.hides_masked:
            return ()
        # Half of [0, 1] is what diffusers' masked image holds in [-1, 1]: zero.
        masked = encode(image * (1 - mask) + 0.5 * mask, noise)
        return (torch.cat([F.interpolate(mask, size=masked.shape[-2:]), masked], dim=1),)

    def blank(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`."""
        more = self.channels - self.latent_channels
        return (latents.new_zeros(len(latents), more, *latents.shape[2:]),)

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """As `Denoiser.predict`: without and with the prompt in one evaluation."""
        inputs = torch.cat([latents, *condition.shown], dim=1) if condition.shown else latents
        if self.rows(condition.guidance_scale) == 1:
            return self.output(inputs, timestep, condition)
        output = self.output(torch.cat([inputs, inputs]), timestep, condition)
        without, with_prompt = output.chunk(2)
        return without + condition.guidance_scale * (with_prompt - without)

    def output(self, inputs: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """What the UNet says of all rows, before guidance."""
        if isinstance(timestep, int):  # diffusers would copy it, and wait for the GPU
            timestep = torch.full((), timestep, device=inputs.device)
        more = {"added_cond_kwargs": dict(condition.more)} if condition.more else {}
        return self.parts.evaluate(
            inputs, timestep, encoder_hidden_states=condition.embeddings, **more
        )


def channels(parts: Parts) -> int:
    """The input channels of a model's UNet."""
    return int(parts.files.config("denoiser").get("in_channels", 4))


def latent_channels(parts: Parts) -> int:
    """The channels C of a model's latents."""
    return int(parts.files.config("vae").get("latent_channels", 4))
