"""A learned remover: what somebody can train who runs published protections on photos of theirs."""

from torch import Tensor

from brittle.component import register
from brittle.images import quantise
from brittle.networks.remover import load_remover
from brittle.transforms.base import Transform


@register
class Remover(Transform):
    """Through a small network that was trained to take protections' perturbations off.

    It learned from pairs of a photo and what four encoder protections made of it against the
    embedded model, at 128 px and radii of 4 to 16 of 255 levels; its card lies beside the weights
    (networks/weights/README.md). It runs on the CPU, at the picture's own size, and needs no edit
    model. A picture that was scaled after it was protected is not what it was trained on.
    """

    name = "remover"
    source = "after LightShed (Foerster et al., USENIX Security 2025): the idea, none of its parts"
    example = "remover"
    bytes_a_pixel = 325

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image without what the network takes for a perturbation; there is no surrogate."""
        return quantise(load_remover()(image.cpu()).to(image))
