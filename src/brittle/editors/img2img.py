"""img2img: the image, noised to a strength and denoised toward the prompt."""

from brittle.component import register
from brittle.editors.sampling import Sampling


@register
class Img2Img(Sampling):
    """SDEdit with a latent diffusion model, as diffusers' StableDiffusionImg2ImgPipeline runs it.

    ``edit`` equals that pipeline on the same fitted image with generator seed ``seeds[i]`` to 1e-5.
    About strength x num_inference_steps evaluations of the denoiser run; `evaluations` counts them.
    """

    name = "img2img"
    source = "Meng et al. 2022, arXiv:2108.01073; Rombach et al. 2022, arXiv:2112.10752"
