"""What the transformers of flow matching have in common: tokens of 2 x 2 latents, and two readings.

Prompts reach them token by token, and as one vector for all of a prompt.
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from brittle.errors import UserError
from brittle.models.configs import factor_of
from brittle.models.denoisers.base import Condition, Encode, Task
from brittle.models.flow_schedulers import (
    CLASS_NAME,
    FLOW,
    make_flow_scheduler,
    steps_for,
    why_not_flow,
)
from brittle.models.parts import Parts
from brittle.models.schedulers import AnyScheduler
from brittle.models.texts import TextEncoder


class Transformer:
    """A transformer that predicts the direction from image to noise."""

    patch = 2
    hides_masked = False
    always_encodes = True
    evenly_spaced = False
    """Whether diffusers' pipelines give the scheduler evenly spaced noise levels to begin with."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.config = parts.files.config("denoiser")
        self.latent_channels = int(parts.files.config("vae").get("latent_channels", 4))

    @property
    def reader(self) -> TextEncoder:
        """As `Denoiser.reader`."""
        raise NotImplementedError

    def scheduler_name(self, name: str | None) -> str:
        """As `Denoiser.scheduler_name`: there is one alone."""
        if name not in (None, FLOW, CLASS_NAME):
            raise UserError(
                f"{self.parts.name} denoises by flow matching, in the steps of a scheduler of its "
                f"own, and scheduler={name} was asked for: say scheduler={FLOW},eta=0."
            )
        return FLOW

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
        """As `Denoiser.schedule`; see `make_flow_scheduler`."""
        name = self.scheduler_name(name)
        if eta > 0:
            raise UserError(f"eta={eta:g} needs scheduler=ddim: {name} has no such parameter.")
        side = self.patch * factor_of(self.parts.files.config("vae"))
        return make_flow_scheduler(
            self.parts.files.config("scheduler"),
            num_inference_steps=num_inference_steps,
            strength=strength,
            tokens=math.prod(length // side for length in shape),
            even=self.evenly_spaced,
        )

    def steps_for(self, evaluations: int, strength: float) -> int:
        """As `Denoiser.steps_for`."""
        return steps_for(evaluations, strength)

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        if why := why_not_flow(self.parts.files.config("scheduler")):
            return why
        if task == "instruct":
            return (
                f"{self.parts.name} follows no instructions: use the editor img2img, or name a "
                f"model of InstructPix2Pix's or FLUX.1 Kontext's kind."
            )
        return ""

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
        read = [self.parts.once(text, partial(self.read, text)) for text in texts]
        tokens, pooled = (torch.cat(rows) for rows in zip(*read, strict=True))
        return Condition(tokens, guidance_scale, more={"pooled_projections": pooled})

    def read(self, prompt: str) -> tuple[Tensor, Tensor]:
        """What it is told of a prompt: tokens (1, L, width), and all of it (1, pooled width)."""
        raise NotImplementedError

    def show(
        self, task: Task, image: Tensor, mask: Tensor | None, encode: Encode, noise: Tensor | None
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: nothing."""
        return ()

    def blank(self, latents: Tensor) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`: nothing."""
        return ()


def timesteps(latents: Tensor, timestep: int | float | Tensor) -> Tensor:
    """A timestep for each row, in float32, as diffusers' pipelines pass it."""
    return torch.full((len(latents),), float(timestep), device=latents.device)
