"""What an editor is: an image, a prompt and a seed in, the edited image out."""

from collections.abc import Sequence
from typing import ClassVar, Self

from torch import Tensor

from brittle.component import Component
from brittle.images import Mask
from brittle.models import EditModel
from brittle.noise import Seeds


class Editor(Component):
    """Edits images with an edit model; parameters are named as diffusers names them."""

    family: ClassVar[str] = "editor"
    needs_mask: ClassVar[bool] = False
    takes_collection: ClassVar[bool] = False
    """Whether all images of a call are one collection that it learns from."""

    def resolve(self, model: EditModel) -> Self:
        """The editor with every open field set as ``model`` recommends: what records hold."""
        return self

    def evaluations(self, model: EditModel) -> int:
        """How often one edit runs the model's denoiser, once if not said; reads no weights."""
        return 1

    def edit(
        self,
        model: EditModel,
        image: Tensor,
        *,
        prompts: Sequence[str],
        mask: Mask = None,
        seeds: Seeds,
    ) -> Tensor:
        """Edit a batch: image (N, 3, H, W) in [0, 1] of any size, one prompt and seed an image.

        ``mask`` (N, 1, H, W) is white where the editor may paint. Returns (N, 3, h, w) in [0, 1]
        at the model's size for these photos.
        """
        raise NotImplementedError
