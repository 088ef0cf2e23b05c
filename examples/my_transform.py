"""A transform of one's own, used without installing anything: see CONTRIBUTING.md.

python examples/my_transform.py
"""

import torch
from pydantic import Field
from torch import Tensor

import brittle
from brittle.component import register
from brittle.images import quantise
from brittle.transforms import Transform


@register
class Posterise(Transform):
    """Reduced to ``levels`` values a channel, evenly spaced."""

    name = "posterise"
    example = "posterise:levels=32"

    levels: int = Field(ge=2, le=256)

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """One image (1, 3, H, W), reduced."""
        steps = self.levels - 1
        return quantise((image * steps).round() / steps)


if __name__ == "__main__":
    image = torch.linspace(0, 1, 64).expand(1, 3, 16, 64)
    received = brittle.transform(image, "posterise:levels=4+jpeg:quality=90")
    print(f"{len(image.unique())} values went in, {len(received.unique())} came out")
