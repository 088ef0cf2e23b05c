"""What a transform is: image to image, after release."""

import re
from collections.abc import Sequence
from typing import ClassVar, Self

from torch import Tensor

from brittle.component import Component


class Transform(Component):
    """Something that happens to an image after it was published.

    Images are float32 tensors (N, 3, H, W), sRGB in [0, 1]; what ``apply`` returns lies on the
    8-bit grid, since what a person receives is an 8-bit file.
    """

    family: ClassVar[str] = "transform"

    def apply(self, image: Tensor, *, seeds: Sequence[int] | None = None) -> Tensor:
        """The image as received, (N, 3, H', W') in [0, 1] on the 8-bit grid, without gradients.

        ``seeds`` holds one seed an image, for transforms that draw random numbers.
        """
        raise NotImplementedError

    def surrogate(self, image: Tensor) -> Tensor:
        """A differentiable stand-in for ``apply``, for gradients only.

        Raises:
            UserError: this transform has none.
        """
        from brittle.errors import UserError

        raise UserError(f"The transform {self.name} has no differentiable form.")

    def undo(self, image: Tensor) -> Tensor:
        """Move pixels back to where they were before; the identity unless geometry changes."""
        return image

    def valid(self, image: Tensor) -> Tensor:
        """(N, 1, H, W) of 0 and 1: which pixels of the received ``image`` come from the photo."""
        return image.new_ones(image.shape[0], 1, *image.shape[-2:])

    def move_mask(self, mask: Tensor) -> Tensor:
        """Carry a mask (N, 1, H, W) along, by nearest neighbour; unchanged unless geometry does."""
        return mask

    @classmethod
    def parse(cls, text: str) -> Self:
        """As `Component.parse`, and ``a+b`` is the chain of both, first to last."""
        parts = re.split(r"\+(?=\s*[a-z])", text)
        if len(parts) == 1:
            return super().parse(text)
        return cls.from_record({"name": "chain", "steps": parts})
