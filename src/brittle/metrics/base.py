"""What a metric is: two images in, one number an image out."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from brittle.component import Component
from brittle.errors import Unavailable, UserError
from brittle.images import ALMOST, around
from brittle.models import EditModel
from brittle.models.devices import exactly, for_scores


class Metric(Component):
    """Scores images (N, 3, H, W) in [0, 1] against references of the same shape, never averaged.

    ``against`` says what the reference is: the *control* (edit of the unprotected photo under the
    same transform, prompt and seed), or the *photo* itself, as released without protection.
    A subclass writes `compare`, for one pair of images, and where higher means closer
    `as_distance`.
    """

    family: ClassVar[str] = "metric"
    higher_means: ClassVar[Literal["closer", "farther"]]
    against: ClassVar[Literal["control", "photo"]] = "control"
    unit: ClassVar[str] = ""
    of_the_painted: ClassVar[bool] = False
    """Whether it judges what was painted alone, where an editor may paint only under a mask."""

    @final
    def score(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor | None = None,
        prompts: Sequence[str] | None = None,
        model: EditModel | None = None,
    ) -> Tensor:
        """One number an image: (N,) float64 on the CPU. ``valid`` (N, 1, H, W): only where it is 1.

        Pairs are compared one at a time, so that no score depends on its batch, to the last bit; a
        network is as fast so on a CPU. Networks run where the ``model`` does, if that is a GPU.

        Raises:
            Unavailable: it can't be computed for one of the pairs, with the reason.
            UserError: the images don't fit each other, or are no images.
        """
        if image.shape != reference.shape or image.ndim != 4 or image.shape[1] != 3:
            raise UserError(
                f"{self.name} compares two batches of one shape (N, 3, H, W); these are "
                f"{tuple(image.shape)} and {tuple(reference.shape)}."
            )
        if not (image.sum().isfinite() and reference.sum().isfinite()):
            raise UserError(f"{self.name} was given an image with values that are not finite.")
        if valid is None:
            valid = image.new_ones(len(image), 1, *image.shape[-2:])
        if not valid.flatten(1).any(1).all():
            raise Unavailable("no pixel of the photo is left to compare")
        device = image.device if model is None else for_scores(model.device)
        with torch.no_grad(), exactly(device):
            scores = [
                self.compare(
                    image[i : i + 1].float().clamp(0, 1).to(device),
                    reference[i : i + 1].float().clamp(0, 1).to(device),
                    valid=valid[i : i + 1].float().to(device),
                    prompt=prompts[i] if prompts is not None else None,
                    model=model,
                )
                for i in range(len(image))
            ]
        return torch.tensor([float(score) for score in scores], dtype=torch.float64)

    @final
    def judge(
        self,
        edit: Tensor,
        photo: Tensor,
        *,
        shown: Tensor | None = None,
        painted: Tensor | None = None,
        prompt: str | None = None,
        model: EditModel | None = None,
    ) -> float:
        """Score an edit (1, 3, H, W), turned back, where it shows the photo and may have changed.

        What a shift or a rotation pushed out of the picture says nothing about the edit: only the
        smallest rectangle around what is ``shown`` (1, 1, H, W), and for metrics of the painted
        around what was ``painted``, is judged. None: everywhere.

        Raises:
            Unavailable: as `score`; nothing of the photo, or of what was painted, is shown.
        """
        shown = torch.ones_like(edit[:, :1]) if shown is None else shown
        region = shown * painted if self.of_the_painted and painted is not None else shown
        if not (region > ALMOST).any():
            raise Unavailable("what it judges was pushed out of the picture")
        edit, photo, shown = (around(region, picture) for picture in (edit, photo, shown))
        prompts = None if prompt is None else [prompt]
        return float(self.score(edit, photo, valid=shown, prompts=prompts, model=model))

    def compare(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor,
        prompt: str | None,
        model: EditModel | None,
    ) -> Tensor | float:
        """The score of one pair, (1, 3, H, W) each in [0, 1], where ``valid`` (1, 1, H, W) is 1."""
        raise NotImplementedError

    def judges(self, model: EditModel | None) -> tuple[Path, ...]:
        """Files that decide a score beside the pictures and the metric's own fields."""
        return ()

    def as_distance(self, score: Tensor) -> Tensor:
        """The score as a distance: ≥ 0, finite, 0 for identical images; what inference uses.

        Where higher means farther, that is the score itself.
        """
        if self.higher_means == "closer":
            raise NotImplementedError
        return score
