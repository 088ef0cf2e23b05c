"""Where pixels go under a transform, and how an edit of what was received is turned back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from brittle.images import stretch

Move = Callable[[Tensor], Tensor]


def stay(image: Tensor) -> Tensor:
    """The image itself."""
    return image


def everywhere(image: Tensor) -> Tensor:
    """(N, 1, H, W) of ones for an image (N, C, H, W)."""
    return image.new_ones(image.shape[0], 1, *image.shape[-2:])


@dataclass(frozen=True)
class Geometry:
    """Where a transform moves pixels; as it stands, nowhere.

    ``move_mask`` carries a mask (N, 1, H, W) along, by nearest neighbour. ``undo`` moves the pixels
    of an image (N, C, H, W) back to where they were. ``valid`` says which pixels of a received
    image come from the photo: (N, 1, H, W) of 0 and 1. With ``needs_size``, pixels move back only
    at the size that was received, since they moved by a number of pixels, not at an editor's.
    ``steps`` are the first and the later of two that `then` put together.
    """

    move_mask: Move = stay
    undo: Move = stay
    valid: Move = everywhere
    needs_size: bool = False
    steps: tuple["Geometry", "Geometry"] | None = None

    @property
    def moves(self) -> bool:
        """Whether pixels change places, or the size; if not, a gray picture passes as it is."""
        return self.move_mask is not stay

    def then(self, later: "Geometry") -> "Geometry":
        """That of one transform after another."""

        def valid(image: Tensor) -> Tensor:
            return later.move_mask(self.valid(later.undo(image))) * later.valid(image)

        return Geometry(
            move_mask=lambda mask: later.move_mask(self.move_mask(mask)),
            undo=lambda image: self.undo(later.undo(image)),
            valid=valid,
            needs_size=self.needs_size or later.needs_size,
            steps=(self, later),
        )

    def _at(self, size: Sequence[int]) -> "Geometry":
        """The same, for photos of ``size``: a step gets back the (height, width) that it gave.

        Alone, the ``undo`` of a resize can't know it, or is off by what was rounded.
        """
        if self.steps is None:
            return self
        first, later = self.steps
        between = first.received_size(size)
        last = later._at(between)
        fitted = replace(last, undo=lambda image: stretch(last.undo(image), between))
        return first._at(size).then(fitted)

    def received_size(self, size: Sequence[int]) -> Sequence[int]:
        """What (height, width) a photo of ``size`` has after the transform.

        Raises:
            UserError: nothing is left of it.
        """
        return self.move_mask(torch.zeros(1, 1, *size)).shape[-2:]

    def restore(self, edited: Tensor, *, size: Sequence[int], shape: Sequence[int]) -> Tensor:
        """An edit (N, C, h, w) of what was received, turned back, at (height, width) ``shape``.

        ``size`` is that of the photo before the transform; an editor works at a size of its own.
        """
        if not self.needs_size:
            return stretch(self.undo(edited), shape)
        received = stretch(edited, self.received_size(size))
        return stretch(self._at(size).undo(received), shape)

    def valid_of(self, edited: Tensor, *, size: Sequence[int]) -> Tensor:
        """As `valid`, of an edit of what was received; ``size`` as in `restore`."""
        if not self.needs_size:
            return self.valid(edited)
        received = edited.new_zeros(len(edited), 1, *self.received_size(size))
        return (stretch(self._at(size).valid(received), edited.shape[-2:]) > 1 - 1e-3).to(edited)
