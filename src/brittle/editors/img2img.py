"""img2img: the image, noised to a strength and denoised toward the prompt."""

from collections.abc import Sequence

import torch
from torch import Tensor

from brittle.component import register
from brittle.editors.sampling import Sampling
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel, chain
from brittle.noise import Seeds


@register
class Img2Img(Sampling):
    """SDEdit with a latent diffusion model, as diffusers' StableDiffusionImg2ImgPipeline runs it.

    ``edit`` equals that pipeline on the same fitted image with generator seed ``seeds[i]`` to 1e-5.
    About strength x num_inference_steps evaluations of the denoiser run; `evaluations` counts them.
    """

    name = "img2img"
    source = "Meng et al. 2022, arXiv:2108.01073; Rombach et al. 2022, arXiv:2112.10752"

    def edit(
        self,
        model: EditModel,
        image: Tensor,
        *,
        prompts: Sequence[str],
        mask: Mask = None,
        seeds: Seeds,
    ) -> Tensor:
        """As `Editor.edit`; a mask raises UserError."""
        if mask is not None:
            raise UserError("img2img edits the whole image: with a mask, use the editor inpaint.")
        with torch.inference_mode():
            image = model.fit(image)
            plan = self.resolve(model).plan(model, image, prompts=prompts, seeds=seeds)
            start = chain.start(model, plan, image)
            return chain.finish(model, start, plan).clamp(0, 1).cpu()
