"""What a transform is: image to image, after release."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from brittle.component import Component
from brittle.decoding import Levels
from brittle.errors import UserError
from brittle.images import from_bytes, quantise, to_bytes
from brittle.models import EditModel
from brittle.models.memory import SMALLER, check_free
from brittle.noise import Seeds, generators
from brittle.transforms.geometry import Geometry


@dataclass(frozen=True)
class Capabilities:
    """What a transform needs to run, and whether a gradient passes through it."""

    missing: str | None = None
    """Why it can't run on this computer."""
    needs_model: bool = False
    """It runs an edit model: `Transform.apply` needs one, and what is received is its."""
    needs_denoiser: bool = False
    """An autoencoder alone does not do."""
    differentiable: bool = False
    """It has a ``surrogate``, as a protection that foresees it needs."""
    steps: int = 0
    """How many gradients through the model's autoencoder one picture takes."""

    @classmethod
    def of_all(cls, parts: Iterable["Capabilities"]) -> "Capabilities":
        """Those of transforms one after another."""
        parts = [*parts]
        return cls(
            missing=next((part.missing for part in parts if part.missing), None),
            needs_model=any(part.needs_model for part in parts),
            needs_denoiser=any(part.needs_denoiser for part in parts),
            differentiable=all(part.differentiable for part in parts),
            steps=sum(part.steps for part in parts),
        )


class Transform(Component):
    """Something that happens to an image after it was published.

    Images are float32 tensors (N, 3, H, W), sRGB in [0, 1]; what `apply` returns lies on the 8-bit
    grid, since what a person receives is an 8-bit file. Lengths are in pixels of the image at hand.
    A transform writes ``surrogate`` if torch can do all of it, ``receive`` if not, and both if the
    surrogate is only near; one that moves pixels writes ``geometry`` too. ``example`` is how one
    types it.
    """

    family: ClassVar[str] = "transform"
    example: ClassVar[str]
    mild_if_large: ClassVar[frozenset[str]] = frozenset()
    """Parameters whose large values change an image least; of all others the small ones do."""
    two_sided: ClassVar[frozenset[str]] = frozenset()
    """Parameters that change an image the more the farther they lie from a middle value."""
    bytes_a_pixel: ClassVar[float] = 75
    """What a transform takes of memory for each pixel, reading and writing the photo included."""
    draws: ClassVar[bool] = False
    """Whether it draws random numbers, from the seed of each image; of a chain, its parts say."""

    # The pixels.

    @final
    def apply(
        self, image: Tensor, *, seeds: Seeds | None = None, model: EditModel | None = None
    ) -> Tensor:
        """The images as received, (N, 3, H', W') in [0, 1] on the 8-bit grid, without gradients.

        ``seeds`` holds one seed an image, for transforms that draw random numbers; ``model`` is for
        those that need one. Each image goes alone, so that its bytes never depend on the batch
        around it.

        Raises:
            UserError: this computer lacks what the transform needs, or there is no such model.
        """
        self.check(model)
        each = [None] * len(image) if seeds is None else seeds
        rows = [*zip(image.detach().split(1), each, strict=True)]
        alone = partial(self._alone, model)
        if len(rows) == 1 or self.capabilities.needs_model:  # a model's calls stay in one thread
            return torch.cat([*map(alone, rows)])
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return torch.cat([*pool.map(alone, rows)])

    def _alone(self, model: EditModel | None, row: tuple[Tensor, int | None]) -> Tensor:
        image, seed = row
        with torch.no_grad():  # which holds for one thread
            return self.receive_with(model, image, seed=seed)

    def receive_with(self, model: EditModel | None, image: Tensor, *, seed: int | None) -> Tensor:
        """As `receive`, with the model, for transforms that need one."""
        return self.receive(image, seed=seed)

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """One image (1, 3, H, W) as received, on the 8-bit grid."""
        return quantise(self.surrogate(image))

    def on_levels(self, levels: Levels, *, seed: int | None) -> Levels:
        """One picture of 8 bits, (H, W, 3), as received: what `apply` gives, as a trial needs it.

        Codecs and the like go without the way through floats.
        """
        seeds = None if seed is None else [seed]
        return to_bytes(self.apply(from_bytes(levels[None]), seeds=seeds))[0]

    def surrogate(self, image: Tensor) -> Tensor:
        """A differentiable stand-in for `apply`, for gradients only: not clamped, not rounded.

        Raises:
            UserError: this transform has none.
        """
        raise UserError(f"The transform {self.name} has no differentiable form.")

    # Where they go, and what it takes.

    @property
    def parts(self) -> tuple["Transform", ...]:
        """The transforms that it is made of, one after another: itself, unless it is a chain."""
        return (self,)

    @property
    def geometry(self) -> Geometry:
        """Where pixels go; nowhere unless the transform says so."""
        return Geometry()

    def received_size(self, size: Sequence[int]) -> Sequence[int]:
        """What (height, width) a photo of ``size`` has after the transform.

        Raises:
            UserError: nothing is left of it, or it is too large.
        """
        return self.geometry.received_size(size)

    def memory(self, size: Sequence[int]) -> float:
        """Bytes that it takes at most, about, on a photo of ``size`` (height, width)."""
        return self.bytes_a_pixel * max(prod(size), prod(self.received_size(size)))

    def check_memory(self, size: Sequence[int]) -> None:
        """Refuse a photo of ``size`` (height, width) that can't fit into memory.

        Raises:
            UserError: so it is; the sentence says what is needed, what is free and what to do.
        """
        height, width = size
        what = f"Passing a photo of {width} × {height} px through {self}"
        check_free(self.memory(size), what, torch.device("cpu"), SMALLER)

    @property
    def capabilities(self) -> Capabilities:
        """What the transform needs and allows."""
        return Capabilities(differentiable=type(self).surrogate is not Transform.surrogate)

    def evaluations(self, model: EditModel) -> int:
        """How often one picture runs the model's denoiser; reads no weights."""
        return 0

    @final
    def check(self, model: EditModel | None) -> None:
        """Raise UserError where the transform can't run on this computer or with this model."""
        able = self.capabilities
        if able.missing:
            raise UserError(f"{self} can't run here: {able.missing}.")
        if able.needs_model and model is None:
            raise UserError(f"{self} runs an edit model, and none was given: name one (model).")
        if able.needs_denoiser and model is not None and not model.edits:
            raise UserError(
                f"{self} needs a denoiser. {model.why_no_edits} autoencode and impress need no "
                f"more than the autoencoder."
            )

    def stream(self, seed: int | None) -> list[torch.Generator]:
        """The random stream of one image, whose seed has to be given."""
        if seed is None:
            raise ValueError(f"{self} draws random numbers: give a seed for each image")
        return generators([seed])

    @classmethod
    def parse(cls, text: str) -> Self:
        """As `Component.parse`, and ``a+b`` is the chain of both, first to last."""
        parts = re.split(r"\+(?=\s*[a-z])", text)
        if len(parts) == 1:
            return super().parse(text)
        return cls.from_record({"name": "chain", "steps": parts})
