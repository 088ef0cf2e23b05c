"""What a model's encoder sees of a photo, and what is known of it from step to step."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from brittle.images import Mask
from brittle.models import EditModel
from brittle.protections.target import GRAY

T = TypeVar("T")


def seen_by(model: EditModel, image: Tensor, mask: Mask) -> Tensor:
    """The picture (N, 3, H, W) as this model's editor encodes it.

    With a mask, models made for inpainting encode gray in the part to be edited.
    """
    if mask is not None and _hides_what_is_edited(model):
        image = torch.lerp(image, mask.new_full((), GRAY), mask)
    return model.fit(image)


class OfPhoto(Generic[T]):
    """What ``compute`` makes of what a model sees of a photo, once while the photo is the same."""

    def __init__(self, model: EditModel, compute: Callable[[Tensor], T]) -> None:
        self.model, self.compute = model, compute
        self._last: tuple[Tensor, T] | None = None

    def __call__(self, image: Tensor, mask: Mask) -> T:
        """For photos (N, 3, H, W); without gradients."""
        if self._last is None or self._last[0] is not image:
            with torch.no_grad():
                self._last = image, self.compute(seen_by(self.model, image, mask))
        return self._last[1]


def _hides_what_is_edited(model: EditModel) -> bool:
    """Whether inpainting with this model encodes the photo without the part to be edited."""
    return not model.edits or model.denoiser.hides_masked
