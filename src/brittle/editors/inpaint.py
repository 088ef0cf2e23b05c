"""Inpainting: what is white in the mask is painted anew, the rest of the image is kept."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from brittle.component import register
from brittle.editors.sampling import Sampling
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel, chain
from brittle.noise import Seeds


@register
class Inpaint(Sampling):
    """Inpainting as diffusers' StableDiffusionInpaintPipeline runs it, equal to it within 1e-5.

    A UNet made for inpainting sees mask and masked image as more channels (SD inpainting: 9); for
    any other UNet the image's latents are put back around the mask after every step. diffusers
    takes 4 or 9 channels, and here the latents may have any number.
    ``paste`` puts the received image's own pixels back outside the mask, which diffusers does only
    with a crop.
    """

    name = "inpaint"
    source = (
        "Rombach et al. 2022, arXiv:2112.10752; Lugmayr et al. 2022, arXiv:2201.09865 (blending)"
    )
    task = "inpaint"
    needs_mask = True
    FALLBACKS: ClassVar[dict[str, float]] = {**Sampling.FALLBACKS, "strength": 1.0}

    paste: bool = True

    def edit(
        self,
        model: EditModel,
        image: Tensor,
        *,
        prompts: Sequence[str],
        mask: Mask = None,
        seeds: Seeds,
    ) -> Tensor:
        """As `Editor.edit`; no mask raises UserError."""
        if mask is None:
            raise UserError(
                "inpaint needs a mask that is white where the image may change: --mask auto "
                "(an ellipse), --mask alpha or --mask FILE."
            )
        if mask.shape[-2:] != image.shape[-2:]:
            raise UserError("The mask and the image differ in size.")
        with torch.inference_mode():
            image = model.fit(image)
            mask = model.fit_mask(mask)
            setting = self.resolve(model)
            plan = setting.plan(model, image, prompts=prompts, seeds=seeds)
            start = chain.start(model, plan, image, mask)
            edited = chain.finish(model, start, plan).clamp(0, 1).cpu()
            return torch.where(mask >= 0.5, edited, image) if self.paste else edited
