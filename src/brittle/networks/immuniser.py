"""A network that gives a photo's perturbation in one pass; its weights ship with brittle."""

import functools
from pathlib import Path

from torch import Tensor

from brittle.networks.files import trained
from brittle.networks.pixel_unet import PixelUNet

WEIGHTS = Path(__file__).parent / "weights" / "immuniser.safetensors"
SHA256 = "64015cec65fc2b8122c7e9791613876a973d73268d7f9c3e5c8c1d3e557a8a56"


class Immuniser(PixelUNet):
    """Gives the perturbation of a photo inside ±radius; it is told the radius."""

    def __init__(self) -> None:
        super().__init__(told=1)

    def forward(self, image: Tensor, radius: Tensor) -> Tensor:
        """Photos (N, 3, H, W) in [0, 1] and radii (N,) -> perturbations (N, 3, H, W)."""
        size = radius.view(-1, 1, 1, 1)
        return size * super().forward(2 * image - 1, 16 * radius[:, None]).tanh()


@functools.lru_cache(maxsize=1)
def load_immuniser() -> Immuniser:
    """The trained network, frozen, on the CPU in float32.

    Raises:
        UserError: the file is not the one that this version of brittle ships.
    """
    return trained(Immuniser(), WEIGHTS, SHA256)
