"""What a metric is: two images in, one number an image out."""

from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor

from brittle.component import Component

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brittle.models import EditModel


class Metric(Component):
    """Scores images (N, 3, H, W) in [0, 1] against references of the same shape, never averaged.

    ``against`` says what the reference is: the *control* (edit of the unprotected photo under the
    same transform, prompt and seed), or the *photo* itself, as released without protection.
    """

    family: ClassVar[str] = "metric"
    higher_means: ClassVar[Literal["closer", "farther"]]
    against: ClassVar[Literal["control", "photo"]] = "control"
    unit: ClassVar[str] = ""

    def score(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor | None = None,
        prompts: "Sequence[str] | None" = None,
        model: "EditModel | None" = None,
    ) -> Tensor:
        """One number an image, (N,). ``valid`` (N, 1, H, W): compare only where it is 1.

        Raises:
            Unavailable: it can't be computed here, with the reason.
        """
        raise NotImplementedError

    def as_distance(self, score: Tensor) -> Tensor:
        """The score as a distance: ≥ 0, finite, 0 for identical images; what inference uses."""
        raise NotImplementedError
