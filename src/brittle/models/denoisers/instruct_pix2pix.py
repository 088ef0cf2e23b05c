"""InstructPix2Pix: Stable Diffusion's UNet, shown the photo's latents and told what to change."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from brittle.models.denoisers.base import Condition, Encode, Task
from brittle.models.denoisers.flow_matching import FlowMatching
from brittle.models.denoisers.unet import UNet


class InstructPix2Pix(UNet):
    """A UNet of 2 C channels that sees the photo's latents, unscaled, beside the noisy ones.

    Three rows run for each photo: with instruction and photo, with the photo alone, and with
    neither (Brooks et al. 2022, arXiv:2211.09800, equation 3).
    """

    # Its pipeline takes scheduler_config.json as it is.
    scheduler_changes: ClassVar[Mapping[str, Any]] = {}
    hides_masked = False

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        if task == "instruct":
            return ""
        return f"{self.parts.name} follows instructions: use the editor instruct, without a mask."

    def rows(self, guidance_scale: float) -> int:
        """As `Denoiser.rows`."""
        return 3 if guidance_scale > 1 else 1

    def condition(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        *,
        shape: Sequence[int],
        guidance_scale: float,
        image_guidance_scale: float = 1.0,
    ) -> Condition:
        """As `Denoiser.condition`; with guidance the rows of the prompts come first."""
        guided = self.rows(guidance_scale) > 1
        texts = [*prompts, *negative_prompts, *negative_prompts] if guided else prompts
        return Condition(self.embed(texts), guidance_scale, image_guidance_scale)

    def show(
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`: the mean of the photo's latents, not scaled."""
        return (encode(image, None) / self.parts.part("vae").config.scaling_factor,)

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """As `Denoiser.predict`: three rows in one evaluation."""
        (photo,) = condition.shown
        if self.rows(condition.guidance_scale) == 1:
            return self.output(torch.cat([latents, photo], dim=1), timestep, condition)
        seen = torch.cat([photo, photo, torch.zeros_like(photo)])
        inputs = torch.cat([latents.repeat(3, 1, 1, 1), seen], dim=1)
        both, photo_alone, neither = self.output(inputs, timestep, condition).chunk(3)
        return (
            neither
            + condition.guidance_scale * (both - photo_alone)
            + condition.image_guidance_scale * (photo_alone - neither)
        )


class InstructPix2PixFlow(FlowMatching, InstructPix2Pix):
    """The same UNet, trained by flow matching, as the second embedded editor was."""
