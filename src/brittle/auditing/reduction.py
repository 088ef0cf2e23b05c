"""What is lost of a transform where a photo is larger than the size at which a model looks."""

from dataclasses import dataclass

from torch import Tensor

from brittle.images import quantise
from brittle.models import EditModel
from brittle.networks.maps import mean_where
from brittle.transforms import Transform

SEEN = 0.8
"""Share of its trace that has to reach the model for what is left to be what the transform left.
Measured by ``benchmarks/reduction.py``; see docs/audit.md."""
NOTHING = 1e-4
"""A trace (RMS in [0, 1]) that is none: a flip, turned back, differs by rounding alone."""


@dataclass(frozen=True)
class TracedTransform:
    """A transform as one photo meets it on one model: ``trace`` as `trace` returns it."""

    transform: Transform
    trace: float

    @property
    def reduced_first(self) -> bool:
        """Whether the photo is reduced to the model's size before the transform."""
        return self.trace < SEEN


def trace(transform: Transform, photo: Tensor, model: EditModel, *, seed: int) -> float:
    """How much of a transform's mark on a photo (1, 3, H, W) reaches the model.

    The mark is how far the transformed photo lies from the untransformed one (RMS, at the model's
    size, turned back). Returned is the mark of the transform on the photo at its own size over its
    mark on the reduced photo: near 1, reduction hides nothing; near 0, the model sees nothing.
    Transforms that run the model work at its size, and a photo that isn't reduced loses nothing.
    """
    seen = model.fit(photo)
    if transform.capabilities.needs_model or seen.shape == photo.shape:
        return 1.0
    small = quantise(seen)
    full = _mark(transform, photo, seen, model, seed)
    at_size = _mark(transform, small, small, model, seed)
    return full / at_size if at_size > NOTHING else 1.0


def _mark(transform: Transform, image: Tensor, seen: Tensor, model: EditModel, seed: int) -> float:
    """The mark on an image (1, 3, H, W); ``seen`` is it as the model sees it untransformed."""
    size = image.shape[-2:]
    received = model.fit(transform.apply(image, seeds=[seed]))
    valid = transform.geometry.valid_of(received, size=size)
    back, shown = (
        transform.geometry.restore(one, size=size, shape=seen.shape[-2:])
        for one in (received, valid)
    )
    whole = (shown > 1 - 1e-3).to(back)
    return float(mean_where((back - seen).square(), whole).sqrt()) if whole.any() else 0.0
