"""Denoisers, an architecture a file; `denoiser_of` chooses by what a model's files state."""

from brittle.errors import UserError
from brittle.models.denoisers.base import Condition, Denoiser, Encode, Task
from brittle.models.denoisers.stable_diffusion import StableDiffusion
from brittle.models.parts import Parts

__all__ = ["Condition", "Denoiser", "Encode", "Task", "denoiser_of"]

_MORE_INPUTS = ("addition_embed_type", "class_embed_type", "num_class_embeds", "time_cond_proj_dim")


def denoiser_of(parts: Parts) -> Denoiser:
    """The denoiser of a model.

    Raises:
        UserError: it has none, or one of an architecture that brittle doesn't know.
    """
    config = parts.files.config("denoiser")
    more = [key for key in _MORE_INPUTS if config.get(key) is not None]
    if more:
        raise UserError(
            f"{parts.name}: its UNet needs more than latents, a timestep and one prompt "
            f"({more[0]}), as Stable Diffusion XL's does: brittle edits with Stable Diffusion "
            f"1.x and 2.x."
        )
    return StableDiffusion(parts)
