"""What the transformers of flow matching have in common: tokens of 2 x 2 latents, and two readings.

Prompts reach them token by token, and as one vector for all of a prompt.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.models.denoisers.base import Condition, Encode, Task
from brittle.models.denoisers.flow_matching import FlowMatching
from brittle.models.flow_schedulers import why_not_flow
from brittle.models.parts import Parts
from brittle.models.texts import TextEncoder


class Transformer(FlowMatching):
    """A transformer that predicts the direction from image to noise."""

    patch = 2
    own_side = 64
    hides_masked = False
    always_encodes = True

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.config = parts.files.config("denoiser")
        self.latent_channels = int(parts.files.config("vae").get("latent_channels", 4))

    @property
    def reader(self) -> TextEncoder:
        """As `Denoiser.reader`."""
        raise NotImplementedError

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
        read = [self.parts.once(text, partial(self.read, text)) for text in texts]
        tokens, pooled = (torch.cat(rows) for rows in zip(*read, strict=True))
        return Condition(tokens, guidance_scale, more={"pooled_projections": pooled})

    def read(self, prompt: str) -> tuple[Tensor, Tensor]:
        """What it is told of a prompt: tokens (1, L, width), and all of it (1, pooled width)."""
        raise NotImplementedError

    def show(
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: nothing."""
        return ()

    def blank(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`: nothing."""
        return ()


def timesteps(latents: Tensor, timestep: int | float | Tensor) -> Tensor:
    """A timestep for each row, in float32, as diffusers' pipelines pass it."""
    if isinstance(timestep, Tensor) and timestep.dim():
        told = timestep.to(latents.device, torch.float32)
    else:  # to copy it would wait for the GPU
        told = latents.new_full((1,), float(timestep), dtype=torch.float32)
    return told.repeat(len(latents) // len(told))


def pack(latents: Tensor) -> Tensor:
    """Latents (N, C, h, w) as one token of each 2 x 2: (N, h / 2 x w / 2, 4 C)."""
    return F.pixel_unshuffle(latents, Transformer.patch).flatten(2).transpose(1, 2)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """`pack`'s reverse, of ``height`` x ``width`` tokens."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (height, width)), Transformer.patch)
