"""FLUX.1: a transformer over packed latents, told by T5 what a prompt says and by CLIP its sum."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.errors import UserError
from brittle.models.denoisers.base import Condition, Encode, Task
from brittle.models.denoisers.transformer import Transformer, pack, timesteps, unpack
from brittle.models.parts import Part, Parts
from brittle.models.texts import TextEncoder

T5_TOKENS, T5_TOKENS_OF_SCHNELL = 512, 256
"""How much of a prompt T5 reads, where guidance is an input and where it is none."""


class Flux(Transformer):
    """img2img and inpainting as diffusers' Flux pipelines run them.

    How strongly the prompt is followed is an input of the transformer (dev) or fixed (schnell), so
    that one evaluation a step is enough and negative prompts say nothing.
    """

    evenly_spaced = True
    read_parts: tuple[Part, ...] = ("denoiser", "text_encoder", "text_encoder_2")

    @property
    def takes_guidance(self) -> bool:
        """Whether the guidance scale is an input."""
        return bool(self.config.get("guidance_embeds"))

    @property
    def reader(self) -> TextEncoder:
        """As `Denoiser.reader`: T5."""
        longest = T5_TOKENS if self.takes_guidance else T5_TOKENS_OF_SCHNELL
        return TextEncoder(self.parts, "text_encoder_2", "tokenizer_2", longest)

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`: as published with dev and schnell."""
        steps, scale = (28, 3.5) if self.takes_guidance else (4, 0.0)
        return {"num_inference_steps": steps, "guidance_scale": scale}

    def ignored(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.ignored`: guidance where it is no input."""
        return {} if self.takes_guidance else {"guidance_scale": 0.0}

    def rows(self, guidance_scale: float) -> int:
        """As `Denoiser.rows`: one."""
        return 1

    def condition(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        *,
        shape: Sequence[int],
        guidance_scale: float,
        image_guidance_scale: float = 1.0,
    ) -> Condition:
        """As `Denoiser.condition`.

        Raises:
            UserError: a negative prompt.
        """
        if any(negative_prompts):
            raise UserError(
                f"{self.parts.name} has no use for a negative prompt, since its guidance is part "
                f"of the model: leave negative_prompt out."
            )
        return super().condition(
            prompts, negative_prompts, shape=shape, guidance_scale=guidance_scale
        )

    def read(self, prompt: str) -> tuple[Tensor, Tensor]:
        """As `Transformer.read`."""
        pooled = TextEncoder(self.parts).read(prompt).pooler_output
        tokens = self.reader.read(prompt)[0]
        return self.parts.numbers(tokens, "text_encoder_2"), pooled

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """As `Denoiser.predict`."""
        tokens, places = self.seen(latents, condition.shown)
        step = timesteps(latents, timestep) / 1000
        output = self.parts.evaluate(
            tokens,
            timestep=step,
            guidance=torch.full_like(step, condition.guidance_scale)
            if self.takes_guidance
            else None,
            encoder_hidden_states=condition.embeddings,
            txt_ids=places.new_zeros(condition.embeddings.shape[1], 3),
            img_ids=places,
            **condition.more,
        )
        height, width = (side // self.patch for side in latents.shape[2:])
        return unpack(output[:, : height * width], height, width)

    def seen(self, latents: Tensor, shown: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The tokens (N, T, channels) that it computes with, and their `places` (T, 3).

        The latents' come first.
        """
        return pack(latents), places(latents)


class FluxFill(Flux):
    """FLUX.1 Fill, made for inpainting: it sees the mask and the masked image as more channels."""

    hides_masked = True

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        made_for = f"{self.parts.name} is made for inpainting: use the editor inpaint with a mask."
        return "" if task == "inpaint" else made_for

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`: as published."""
        return {"num_inference_steps": 50, "guidance_scale": 30.0}

    def show(
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: latents of the masked image, and the mask's pixels, packed."""
        if mask is None:
            return ()
        masked = encode(image * (1 - mask) + 0.5 * mask, noise)
        return (masked, F.pixel_unshuffle(mask, mask.shape[-1] // masked.shape[-1]))

    def blank(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`."""
        more = int(self.config["in_channels"]) // self.patch**2 - latents.shape[1]
        return (latents.new_zeros(len(latents), more, *latents.shape[2:]),)

    def seen(self, latents: Tensor, shown: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """As `Flux.seen`."""
        return pack(torch.cat([latents, *shown], dim=1)), places(latents)


class FluxKontext(Flux):
    """FLUX.1 Kontext: it follows an instruction about an image, whose tokens stand beside its own.

    The image is seen at its own size, where diffusers enlarges or reduces it to one of 17 shapes of
    about a megapixel unless ``_auto_resize=False``. There is no guidance by the image.

    Source: Black Forest Labs 2025, arXiv:2506.15742.
    """

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        made_for = f"{self.parts.name} follows instructions: use the editor instruct."
        return "" if task in ("instruct", "generate") else made_for

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`: as published."""
        return {"num_inference_steps": 28, "guidance_scale": 2.5, "image_guidance_scale": 1.0}

    def ignored(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.ignored`: guidance by the image too."""
        return {**super().ignored(task), "image_guidance_scale": 1.0}

    def show(
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: the image's latents."""
        return (encode(image, None),)

    def blank(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`."""
        return (torch.zeros_like(latents),)

    def seen(self, latents: Tensor, shown: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """As `Flux.seen`: the image's tokens stand at the same places on a plane of their own."""
        images = [latents, *shown]
        tokens = torch.cat([pack(image) for image in images], dim=1)
        return tokens, torch.cat([places(image, n) for n, image in enumerate(images)])


def flux_of(parts: Parts) -> Flux:
    """The kind of FLUX.1 that a model's files are of, by its pipeline and its channels."""
    if parts.files.pipeline == "FluxKontextPipeline":
        return FluxKontext(parts)
    config = parts.files.config("denoiser")
    channels = config.get("in_channels", 64)
    more = channels > (config.get("out_channels") or channels)
    return FluxFill(parts) if more else Flux(parts)


def places(latents: Tensor, plane: int = 0) -> Tensor:
    """Where each token stands, (T, 3): its plane, row and column."""
    height, width = (side // Flux.patch for side in latents.shape[2:])
    rows, columns = torch.arange(height), torch.arange(width)
    return torch.cartesian_prod(torch.tensor([plane]), rows, columns).to(latents.device)
