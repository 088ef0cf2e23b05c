"""Noisy upscaling: noise drowns a perturbation, and an upscaler paints over both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from brittle.component import Fraction, register
from brittle.errors import Unavailable
from brittle.images import quantise
from brittle.networks import realesrgan
from brittle.noise import gaussian
from brittle.transforms.base import Capabilities, Transform

PIECE_BYTES = 500e6
"""What the largest network takes for one piece of a picture, its weights included."""


@register
class NoisyUpscaling(Transform):
    """Noised, enlarged four times by Real-ESRGAN, and reduced to its own size by the mean of 16.

    ``sigma`` is the noise's standard deviation in [0, 1] units, 0.1 as in the source's example,
    which enlarges by Stable Diffusion's upscaler instead, told a caption, and reduces nothing. The
    networks run on the CPU:
    ``realesrgan-x4plus`` is the one for photos, and ``realesr-animevideov3`` a small one for
    drawings, whose cost is a thirtieth.
    """

    name = "noisy-upscaling"
    draws = True
    source = (
        "Hönig et al., ICLR 2025 (arXiv:2406.12027); Real-ESRGAN (Wang et al. 2021, "
        "arXiv:2107.10833), with its weights"
    )
    example = "noisy-upscaling"
    bytes_a_pixel = 300

    sigma: Annotated[Fraction, Field(ge=0, le=1)] = 0.1
    upscaler: realesrgan.Upscaler = "realesrgan-x4plus"

    @property
    def capabilities(self) -> Capabilities:
        """See `Transform.capabilities`."""
        try:
            realesrgan.folder()
        except Unavailable as error:
            return replace(super().capabilities, missing=str(error))
        return super().capabilities

    def memory(self, size: Sequence[int]) -> float:
        """As `Transform.memory`; the network sees one piece after another."""
        return super().memory(size) + PIECE_BYTES

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image with the noise of its seed, which has to be given, enlarged and reduced."""
        noise = gaussian(image.shape[1:], self.stream(seed)).to(image)
        noisy = (image + self.sigma * noise).clamp(0, 1)
        large = realesrgan.enlarge(realesrgan.load_upscaler(self.upscaler), noisy.cpu())
        return quantise(functional.avg_pool2d(large.clamp_(0, 1), realesrgan.FACTOR).to(image))
