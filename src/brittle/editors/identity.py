"""No edit: what the model is given to edit, for trials of what its encoder sees."""

from typing import Any

from torch import Tensor

from brittle.component import register
from brittle.editors.base import Editor
from brittle.models import EditModel


@register
class Identity(Editor):
    """Leaves the picture as the model takes it, and needs no denoiser.

    With the metric ``latent``, a trial then compares what the encoder sees of each arm: all that an
    autoencoder alone can say. It says nothing about edits, and prompt and seed do nothing.
    """

    name = "none"

    def evaluations(self, model: EditModel) -> int:
        """As `Editor.evaluations`: none."""
        return 0

    def edit(self, model: EditModel, image: Tensor, **_: Any) -> Tensor:
        """The fitted image (N, 3, h, w)."""
        return model.fit(image)
