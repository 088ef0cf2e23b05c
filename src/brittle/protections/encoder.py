"""Protections that mislead the image encoder of a latent diffusion model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor

from brittle.budget import Budget
from brittle.component import Fraction, register
from brittle.protections.pgd import PGD
from brittle.protections.target import GRAY, target_image, with_digest

if TYPE_CHECKING:
    from brittle.models import EditModel


@register
class EncoderProtection(PGD):
    """Moves the photo's latent to a target's, so that the editor sees something else.

    Minimises ‖E(x + δ) − z‖², E being the mean of the encoder's latent distribution, at the size at
    which the editor sees the photo. With a mask, E sees gray in the part to be edited, as in models
    made for inpainting; other models encode the whole photo. The norm without the square, which
    PhotoGuard's code minimises, gives the same steps: only the gradient's direction is used.

    ``target`` is "gray" (the latent of a gray picture), "zero" (the zero latent) or an image file,
    stretched to the photo's shape; the record keeps its path and the digest of its pixels, as
    ``path#digest``.
    """

    name: ClassVar[str] = "encoder"
    source: ClassVar[str] = "PhotoGuard's encoder attack (Salman et al. 2023, arXiv 2302.06588)"

    budget: Budget = Budget(radius=12.75 / 255)
    steps: int = Field(40, ge=1)
    step_size: Fraction = Field(0.0075, gt=0, allow_inf_nan=False)
    target: str = "gray"

    @field_validator("target")
    @classmethod
    def _add_digest(cls, target: str) -> str:
        return with_digest(target, "gray", "zero")

    def prepare(
        self, model: "EditModel", image: Tensor, *, mask: Tensor | None, seeds: Sequence[int]
    ) -> dict[torch.Size, Tensor]:
        """An empty store of target latents, by the shape of what the encoder sees."""
        return {}

    def objective(
        self,
        model: "EditModel",
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Tensor | None,
        seeds: Sequence[int],
        prepared: dict[torch.Size, Tensor],
    ) -> Tensor:
        """Squared distance of each latent to the target's, (N,)."""
        if mask is not None and _hides_what_is_edited(model):
            perturbed = torch.lerp(perturbed, mask.new_tensor(GRAY), mask)
        seen = model.fit(perturbed)
        if seen.shape not in prepared:
            with torch.no_grad():
                prepared[seen.shape] = self._target_latent(model, seen)
        return (model.encode(seen) - prepared[seen.shape]).square().flatten(1).sum(1)

    def _target_latent(self, model: "EditModel", seen: Tensor) -> Tensor:
        """The target's latent (1, C, h, w) for a batch as the encoder sees it."""
        if self.target == "zero":
            return torch.zeros_like(model.encode(seen[:1]))
        return model.encode(target_image(self.target, seen))


def _hides_what_is_edited(model: "EditModel") -> bool:
    """Whether inpainting with this model encodes the photo without the part to be edited."""
    return not model.edits or model.unet_channels != model.latent_channels
