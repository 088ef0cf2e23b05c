"""Denoisers, an architecture a file; `denoiser_of` chooses by what a model's files state."""

from collections.abc import Callable, Mapping

from brittle.errors import UserError
from brittle.models.adapters import AdaptedFiles
from brittle.models.denoisers.base import IMAGE_GUIDANCE, Condition, Denoiser, Encode, Task
from brittle.models.denoisers.flux import flux_of
from brittle.models.denoisers.image_prompt import ImagePrompted
from brittle.models.denoisers.instruct_pix2pix import InstructPix2Pix, InstructPix2PixFlow
from brittle.models.denoisers.qwen_image_edit import qwen_of
from brittle.models.denoisers.stable_diffusion import StableDiffusion
from brittle.models.denoisers.stable_diffusion_3 import StableDiffusion3
from brittle.models.denoisers.stable_diffusion_xl import StableDiffusionXL
from brittle.models.denoisers.unet import UNet, channels, latent_channels
from brittle.models.flow_schedulers import CLASS_NAME
from brittle.models.parts import Parts

__all__ = ["IMAGE_GUIDANCE", "Condition", "Denoiser", "Encode", "Task", "denoiser_of"]

_TRANSFORMERS: Mapping[str, Callable[[Parts], Denoiser]] = {
    "SD3Transformer2DModel": StableDiffusion3,
    "FluxTransformer2DModel": flux_of,
    "QwenImageTransformer2DModel": qwen_of,
}
_MORE_INPUTS = ("addition_embed_type", "class_embed_type", "num_class_embeds", "time_cond_proj_dim")


def denoiser_of(parts: Parts) -> Denoiser:
    """The denoiser of a model.

    Raises:
        UserError: it has none, or one of an architecture that brittle doesn't know.
    """
    adapter = parts.files if isinstance(parts.files, AdaptedFiles) else None
    if make := _TRANSFORMERS.get(str(parts.files.config("denoiser").get("_class_name"))):
        if adapter:
            raise UserError(
                f"{parts.name}: brittle puts an IP-Adapter on Stable Diffusion 1.x and XL alone."
            )
        return make(parts)
    unet = _unet_of(parts)
    return ImagePrompted(unet, sees_places=adapter.sees_places) if adapter else unet


def _unet_of(parts: Parts) -> UNet:
    config = parts.files.config("denoiser")
    if config.get("addition_embed_type") == "text_time" and not config.get("time_cond_proj_dim"):
        return StableDiffusionXL(parts)
    more = [key for key in _MORE_INPUTS if config.get(key) is not None]
    if more:
        raise UserError(
            f"{parts.name}: its UNet needs more than latents, a timestep and one prompt "
            f"({more[0]}): brittle edits with Stable Diffusion 1.x, 2.x and XL."
        )
    if channels(parts) == 2 * latent_channels(parts):
        by_flow = parts.files.config("scheduler").get("_class_name") == CLASS_NAME
        return InstructPix2PixFlow(parts) if by_flow else InstructPix2Pix(parts)
    return StableDiffusion(parts)
