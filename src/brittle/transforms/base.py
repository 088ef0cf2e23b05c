"""What a transform is: image to image, after release."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional

from brittle.component import Component
from brittle.decoding import Levels
from brittle.errors import UserError
from brittle.images import from_bytes, quantise, to_bytes

if TYPE_CHECKING:
    from brittle.models import EditModel


class Transform(Component):
    """Something that happens to an image after it was published.

    Images are float32 tensors (N, 3, H, W), sRGB in [0, 1]; what ``apply`` returns lies on the
    8-bit grid, since what a person receives is an 8-bit file. Lengths are in pixels of the image
    at hand. A transform writes ``surrogate`` if torch can do all of it, ``receive`` if not, and
    both if the surrogate is only near; one that runs an edit model says so in ``needs_model`` and
    writes ``receive_with``. ``example`` is how one types it.
    """

    family: ClassVar[str] = "transform"
    example: ClassVar[str]

    def missing(self) -> str | None:
        """Why this transform can't run on this computer, or None."""
        return None

    def refuse_if_missing(self) -> None:
        """Raise UserError if this computer lacks what the transform needs."""
        if reason := self.missing():
            raise UserError(f"{self} can't run here: {reason}.")

    @property
    def needs_model(self) -> bool:
        """Whether it runs an edit model: then `apply` needs one, and what is received is its."""
        return False

    def check_model(self, model: "EditModel | None") -> None:
        """Raise UserError if the transform needs a model and can't run with this one."""
        if self.needs_model and model is None:
            raise UserError(f"{self} runs an edit model, and none was given: name one (model).")

    def evaluations(self, model: "EditModel") -> int:
        """How often one picture runs the model's UNet; reads no weights."""
        return 0

    @property
    def total_steps(self) -> int:
        """How many gradients through the model's autoencoder one picture takes."""
        return 0

    def apply(
        self,
        image: Tensor,
        *,
        seeds: Sequence[int] | None = None,
        model: "EditModel | None" = None,
    ) -> Tensor:
        """The images as received, (N, 3, H', W') in [0, 1] on the 8-bit grid, without gradients.

        ``seeds`` holds one seed an image, for transforms that draw random numbers; ``model`` is for
        those that need one. Each image goes alone, so that its bytes never depend on the batch
        around it.

        Raises:
            UserError: this computer lacks what the transform needs, or there is no such model.
        """
        self.refuse_if_missing()
        self.check_model(model)
        each = [None] * len(image) if seeds is None else seeds
        rows = [*zip(image.detach().split(1), each, strict=True)]
        alone = partial(self._alone, model)
        if len(rows) == 1 or self.needs_model:  # a model's calls stay in one thread
            return torch.cat([*map(alone, rows)])
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return torch.cat([*pool.map(alone, rows)])

    def _alone(self, model: "EditModel | None", row: tuple[Tensor, int | None]) -> Tensor:
        image, seed = row
        with torch.no_grad():  # which holds for one thread
            if self.needs_model and model is not None:
                return self.receive_with(model, image, seed=seed)
            return self.receive(image, seed=seed)

    def receive_with(self, model: "EditModel", image: Tensor, *, seed: int | None) -> Tensor:
        """As `receive`, of a transform that needs a model."""
        raise NotImplementedError

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """One image (1, 3, H, W) as received, on the 8-bit grid."""
        return quantise(self.surrogate(image))

    def on_levels(self, levels: Levels, *, seed: int | None) -> Levels:
        """One picture of 8 bits, (H, W, 3), as received: what `apply` gives, as a trial needs it.

        Codecs and the like go without the way through floats.
        """
        seeds = None if seed is None else [seed]
        return to_bytes(self.apply(from_bytes(levels[None]), seeds=seeds))[0]

    @property
    def differentiable(self) -> bool:
        """Whether it has a ``surrogate``, as a protection that foresees it needs."""
        return type(self).surrogate is not Transform.surrogate

    def surrogate(self, image: Tensor) -> Tensor:
        """A differentiable stand-in for ``apply``, for gradients only: not clamped, not rounded.

        Raises:
            UserError: this transform has none.
        """
        raise UserError(f"The transform {self.name} has no differentiable form.")

    @property
    def moves_pixels(self) -> bool:
        """Whether pixels change places, or the size; if not, a gray picture passes as it is."""
        return type(self).undo is not Transform.undo

    @property
    def needs_size(self) -> bool:
        """Whether pixels move back at the size that was received alone, not at an editor's."""
        return False

    def undo(self, image: Tensor) -> Tensor:
        """Move pixels back to where they were before; the identity unless geometry changes."""
        return image

    def restore(self, edited: Tensor, *, size: Sequence[int], shape: Sequence[int]) -> Tensor:
        """An edit (N, C, h, w) of what was received, turned back, at (height, width) ``shape``.

        ``size`` is that of the photo before the transform; an editor works at a size of its own.
        """
        if self.needs_size:
            edited = _stretch(edited, self.received_size(size))
        return _stretch(self.undo(edited), shape)

    def valid_of(self, edited: Tensor, *, size: Sequence[int]) -> Tensor:
        """As `valid`, of an edit of what was received; ``size`` as in `restore`."""
        if not self.needs_size:
            return self.valid(edited)
        received = edited.new_zeros(len(edited), 1, *self.received_size(size))
        return (_stretch(self.valid(received), edited.shape[-2:]) > 1 - 1e-3).to(edited)

    def check_size(self, size: Sequence[int]) -> None:
        """Raise UserError if nothing is left of a photo of (height, width) ``size``."""
        if self.needs_size:
            self.received_size(size)

    def received_size(self, size: Sequence[int]) -> Sequence[int]:
        """What (height, width) a photo of ``size`` has after the transform."""
        return self.move_mask(torch.zeros(1, 1, *size)).shape[-2:]

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


def _stretch(image: Tensor, shape: Sequence[int]) -> Tensor:
    if tuple(image.shape[-2:]) == tuple(shape):
        return image
    return functional.interpolate(image, list(shape), mode="bilinear", antialias=True)
