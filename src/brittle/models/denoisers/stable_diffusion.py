"""Stable Diffusion 1.x and 2.x: a UNet that is told one prompt by one text encoder."""

from brittle.models.denoisers.unet import UNet
from brittle.models.schedulers import STABLE_DIFFUSION


class StableDiffusion(UNet):
    """Stable Diffusion 1.x and 2.x, and whatever has their layout, the embedded model too."""

    scheduler_changes = STABLE_DIFFUSION
