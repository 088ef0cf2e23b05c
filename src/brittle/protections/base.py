"""What a protection is: a photo and a model in, the photo that will be published out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, final

from torch import Tensor

from brittle.budget import Budget
from brittle.component import Component

if TYPE_CHECKING:
    from brittle.models import EditModel


class Protection(Component):
    """Adds a perturbation inside a budget; subclasses write `perturb`."""

    family: ClassVar[str] = "protection"

    budget: Budget

    @final
    def __call__(
        self, model: "EditModel", image: Tensor, *, mask: Tensor | None = None, seeds: Sequence[int]
    ) -> Tensor:
        """The protected image (N, 3, H, W) on the 8-bit grid, inside the budget whatever happens.

        ``mask`` (N, 1, H, W) is white where the editor may edit: only what will be kept is
        perturbed. ``seeds`` holds one seed an image.
        """
        raise NotImplementedError  # written by the owner of this file

    def perturb(
        self, model: "EditModel", image: Tensor, *, mask: Tensor | None, seeds: Sequence[int]
    ) -> Tensor:
        """The perturbed image, float, before the final projection and rounding."""
        raise NotImplementedError
