"""Stable Diffusion 3 and 3.5: two encoders of CLIP's kind and T5 read the prompt."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.models.denoisers.base import Condition, Task
from brittle.models.denoisers.transformer import Transformer, timesteps
from brittle.models.parts import Part, Parts
from brittle.models.texts import TextEncoder

T5_TOKENS = 256
"""How much of a prompt T5 reads, as in diffusers' pipelines."""


class StableDiffusion3(Transformer):
    """img2img and inpainting as diffusers' StableDiffusion3 pipelines run them.

    What the two encoders of CLIP's kind say of a token stands side by side, filled up with zeros to
    T5's width, and T5's tokens follow. Many folders leave T5 out: its tokens are then zeros.

    Source: Esser et al. 2024, arXiv:2403.03206.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.has_t5 = parts.has("text_encoder_3")

    @property
    def read_parts(self) -> tuple[Part, ...]:
        """As `Denoiser.read_parts`."""
        always: tuple[Part, ...] = ("denoiser", "text_encoder", "text_encoder_2")
        return (*always, "text_encoder_3") if self.has_t5 else always

    @property
    def reader(self) -> TextEncoder:
        """As `Denoiser.reader`: T5 where there is one."""
        return self._t5 if self.has_t5 else TextEncoder(self.parts)

    @property
    def _t5(self) -> TextEncoder:
        return TextEncoder(self.parts, "text_encoder_3", "tokenizer_3", most=T5_TOKENS)

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        if self.config.get("in_channels", 16) != self.latent_channels:
            return (
                f"{self.parts.name} has a transformer of {self.config['in_channels']} input "
                f"channels for latents of {self.latent_channels}: brittle knows no such edit."
            )
        return super().why_not(task)

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`: as published with the medium and the large model.

        Files don't tell large turbo from large; its name does.
        """
        if "turbo" in self.parts.name.lower():
            return {"num_inference_steps": 4, "guidance_scale": 0.0}
        large = self.config.get("num_layers", 18) > 24
        steps, scale = (28, 3.5) if large else (40, 4.5)
        return {"num_inference_steps": steps, "guidance_scale": scale}

    def read(self, prompt: str) -> tuple[Tensor, Tensor]:
        """As `Transformer.read`."""
        clips = [
            TextEncoder(self.parts, "text_encoder", "tokenizer"),
            TextEncoder(self.parts, "text_encoder_2", "tokenizer_2"),
        ]
        said = [clip.read(prompt, output_hidden_states=True) for clip in clips]
        tokens = torch.cat([output.hidden_states[-2] for output in said], dim=-1)
        pooled = torch.cat([output[0] for output in said], dim=-1)
        width = int(self.config.get("joint_attention_dim", 4096))
        blank = tokens.new_zeros(1, T5_TOKENS, width)
        more = self._t5.read(prompt)[0] if self.has_t5 else blank
        tokens = torch.cat([F.pad(tokens, (0, width - tokens.shape[-1])), more], dim=1)
        return self.parts.numbers(tokens, "text_encoder"), pooled

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """As `Denoiser.predict`: without and with the prompt in one evaluation."""
        rows = torch.cat([latents] * self.rows(condition.guidance_scale))
        output = self.parts.evaluate(
            rows,
            timestep=timesteps(rows, timestep),
            encoder_hidden_states=condition.embeddings,
            **condition.more,
        )
        if len(rows) == len(latents):
            return output
        without, with_prompt = output.chunk(2)
        return without + condition.guidance_scale * (with_prompt - without)
