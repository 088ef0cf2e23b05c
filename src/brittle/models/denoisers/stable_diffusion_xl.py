"""Stable Diffusion XL: two text encoders, their pooled sentence, and the sizes that it is told."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from brittle.errors import UserError
from brittle.models.denoisers.base import Condition, Task
from brittle.models.denoisers.unet import UNet
from brittle.models.parts import Part, Parts
from brittle.models.texts import TextEncoder

_TIME_IDS = 6
"""Numbers that the UNet is told beside the prompt: original size, crop and target size."""


class StableDiffusionXL(UNet):
    """The base model, and those distilled from it to few steps (Turbo, Lightning).

    Podell et al. 2023, arXiv:2307.01952. The image is said to be uncropped and of its own size.
    """

    read_parts: tuple[Part, ...] = ("denoiser", "text_encoder", "text_encoder_2")
    # Its pipelines take scheduler_config.json as it is.
    scheduler_changes: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, parts: Parts) -> None:
        """UserError for the refiner, and for what was trained on latents of another scale."""
        super().__init__(parts)
        files = parts.files
        denoiser, second = files.config("denoiser"), files.config("text_encoder_2")
        told = int(denoiser.get("addition_time_embed_dim") or 256) * _TIME_IDS
        expected = denoiser.get("projection_class_embeddings_input_dim")
        if expected != told + int(second.get("projection_dim") or 512):
            raise UserError(
                f"{parts.name} is told an aesthetic score or something else that Stable Diffusion "
                f"XL's base model isn't, as its refiner is: brittle edits with base models."
            )
        if files.config("vae").get("latents_mean"):
            raise UserError(
                f"{parts.name}: its latents are moved by a mean of each channel (latents_mean), "
                f"which brittle doesn't do: name another model of Stable Diffusion XL's kind."
            )

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        if task == "generate" and not self.hides_masked:
            return f"{self.parts.name} is of Stable Diffusion XL's kind: brittle tunes 1.x and 2.x."
        return super().why_not(task)

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`: few steps without guidance where they trail, as Turbo's do.

        Those of models that were trained up to pure noise trail as well.
        """
        config = self.parts.files.config("scheduler")
        trail = config.get("timestep_spacing") == "trailing"
        if trail and not config.get("rescale_betas_zero_snr"):
            return {"guidance_scale": 0.0, "num_inference_steps": 4}
        return {"guidance_scale": 5.0}

    def condition(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        *,
        shape: Sequence[int],
        guidance_scale: float,
        image_guidance_scale: float = 1.0,
    ) -> Condition:
        """As `Denoiser.condition`; with guidance the rows of the negative prompts come first.

        Nothing said in a negative prompt is zeros where model_index.json asks for it.
        """
        said = [self._said(prompt) for prompt in prompts]
        if self.rows(guidance_scale) > 1:
            said = [self._left_out(prompt) for prompt in negative_prompts] + said
        embeddings, pooled = (torch.cat(rows) for rows in zip(*said, strict=True))
        height, width = shape
        sizes = pooled.new_tensor([[height, width, 0, 0, height, width]]).repeat(len(said), 1)
        more = {"text_embeds": pooled, "time_ids": sizes}
        return Condition(embeddings, guidance_scale, more=more)

    def _left_out(self, prompt: str) -> tuple[Tensor, Tensor]:
        """As `_said`, of a negative prompt."""
        words, pooled = self._said(prompt)
        if not prompt and self.parts.files.index.get("force_zeros_for_empty_prompt", True):
            return torch.zeros_like(words), torch.zeros_like(pooled)
        return words, pooled

    def _said(self, prompt: str) -> tuple[Tensor, Tensor]:
        """What the UNet sees of a prompt: its words (1, tokens, width), and it as a whole."""
        return self.parts.once(prompt, partial(self._read, prompt))

    def _read(self, prompt: str) -> tuple[Tensor, Tensor]:
        readers = (self.reader, TextEncoder(self.parts, "text_encoder_2", "tokenizer_2"))
        first, second = (one.read(prompt, output_hidden_states=True) for one in readers)
        words = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        pooled: Tensor = self.parts.numbers(second[0], "text_encoder_2")
        return self.parts.numbers(words, "text_encoder"), pooled
