"""What a protection is: a photo and a model in, the photo that will be published out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from brittle.budgets import Budget
from brittle.component import Component
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel
from brittle.models.memory import SMALLER, check_free
from brittle.noise import Seeds

FIXED_BYTES = 550e6
"""What Python, torch, a small model and the network that measures visibility take."""
PHOTO_BYTES = {"linf": 110, "l2": 160, "perceptual": 200, "lpips": 200, "st-lpips": 200}
"""Bytes a pixel of a photo, reading, rounding, measuring and writing included.

Above the peaks that `benchmarks/protection_memory.py` measures.
"""
PIXELS_AT_ONCE = 512 * 512
"""Small batches of large photos stay in a CPU's cache: `benchmarks/encoder_attack.py --batches`."""


def at_once(height: int, width: int) -> int:
    """How many photos of this size go through a model together; never a matter of load or memory.

    On a CPU a row's bytes depend on that number, and so it is part of a result's key.
    """
    return max(1, PIXELS_AT_ONCE // (height * width))


@dataclass
class Trace:
    """What a protection tells about its work beside the image; give it an empty one to fill.

    ``losses`` holds the objective of each image, (N,), before each step, and ``ends`` that of start
    and result under the same draws, where each step draws anew; ``vanished`` (N,) says whose
    gradient was zero everywhere in at least half of the steps. ``more`` holds other numbers of each
    image, (N,), by name. ``on_step`` is called after each step with the number of steps done and
    their total.
    """

    on_step: Callable[[int, int], None] | None = None
    losses: list[Tensor] = field(default_factory=list)
    ends: tuple[Tensor, Tensor] | None = None
    vanished: Tensor | None = None
    more: dict[str, Tensor] = field(default_factory=dict)

    def step(self, loss: Tensor, total: int) -> None:
        """Note the loss (N,) of one step of ``total``, without waiting for it to be computed."""
        self.losses.append(loss)
        if self.on_step is not None:
            self.on_step(len(self.losses), total)

    def summary(self) -> list[dict[str, float | bool]]:
        """For each image its first and last loss and whether its gradient vanished, as plain data.

        Empty for a protection that takes no steps.
        """
        if self.vanished is None or not self.losses:
            return []
        first, last = self.ends or (self.losses[0], self.losses[-1])
        rows = zip(first.tolist(), last.tolist(), self.vanished.tolist(), strict=True)
        return [
            {"first_loss": first, "last_loss": last, "gradient_vanished": vanished}
            | {name: float(values[i]) for name, values in self.more.items()}
            for i, (first, last, vanished) in enumerate(rows)
        ]


class Protection(Component):
    """Adds a perturbation inside a budget; subclasses write `perturb`.

    One that ``needs_collection`` writes `perturb_collection` instead: its pictures are what a model
    will learn from together, so how one is perturbed depends on the others. A trial over photos
    takes each of them for a collection of its own.
    """

    family: ClassVar[str] = "protection"
    needs_collection: ClassVar[bool] = False

    budget: Budget

    @property
    def total_steps(self) -> int:
        """How many steps it reports to its trace for one batch."""
        return 0

    def optimised_on(self, model: str) -> bool | None:
        """Whether it is made on the model of this name; None where only its author knows."""
        return None

    def with_budget(self, budget: Budget) -> Self:
        """The same protection with another budget."""
        return self.model_copy(update={"budget": budget})

    @property
    def encoder_gradients(self) -> int:
        """Gradients of each encoder for one image, one for each step if not said otherwise."""
        return self.total_steps

    def encoders_on(self, model: EditModel) -> list[EditModel]:
        """The models whose encoders it goes through, made on this one; all equally often."""
        return [model]

    @property
    def denoiser_gradients(self) -> int:
        """Gradients of the denoiser for one image, in runs of it for one prompt."""
        return 0

    @property
    def denoiser_runs(self) -> int:
        """Evaluations of the denoiser for one image that no gradient passes, guided."""
        return 0

    @property
    def decoder_gradients(self) -> int:
        """Gradients of the decoder for one image."""
        return 0

    @property
    def total_training(self) -> int:
        """Steps in which a copy of the model learns, for a whole collection."""
        return 0

    @property
    def cost(self) -> str:
        """What one photo costs, in words and in units that are the same on every machine."""
        return f"{self.total_steps} steps"

    def check_model(self, model: EditModel) -> None:
        """Raise UserError, before any work, if it can't run with this model on this machine."""

    def memory(self, model: EditModel, shapes: Sequence[tuple[int, int]]) -> float:
        """Bytes that one call takes at most, about, for photos of these (heights, widths)."""
        pixels = sum(height * width for height, width in shapes)
        return FIXED_BYTES + PHOTO_BYTES[self.budget.norm] * pixels

    def check_memory(
        self, model: EditModel, shapes: Sequence[tuple[int, int]], instead: str = SMALLER
    ) -> None:
        """Refuse photos of these (heights, widths) in one call where they can't fit into memory.

        Raises:
            UserError: so it is; the sentence says what is needed, what is free and what to do.
        """
        height, width = max(shapes, key=math.prod)
        many = f"{len(shapes)} photos of up to " if len(shapes) > 1 else "a photo of "
        what = f"Protecting {many}{width} × {height} px with {self.name}"
        check_free(self.memory(model, shapes), what, model.device, instead)

    @final
    def __call__(
        self,
        model: EditModel,
        image: Tensor,
        *,
        mask: Mask = None,
        seeds: Seeds,
        trace: Trace | None = None,
    ) -> Tensor:
        """The protected image (N, 3, H, W) on the 8-bit grid, inside the budget whatever happens.

        ``image`` is (N, 3, H, W) in [0, 1] on the 8-bit grid. ``mask`` (N, 1, H, W) of 0 and 1 is
        white where the editor may edit: only what will be kept is perturbed. ``seeds`` holds one
        seed an image. Where the protection needs a collection, the batch is one.

        Raises:
            UserError: an input of another shape or range; a mask that leaves nothing to protect;
                a perturbation with values that aren't numbers.
        """
        _check_image(image, seeds)
        masks = None if mask is None else _checked_mask(mask, image).split(1)
        rows = self.together(model, image.split(1), masks=masks, seeds=seeds, trace=trace)
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    @final
    def together(
        self,
        model: EditModel,
        images: Sequence[Tensor],
        *,
        masks: Sequence[Tensor] | None = None,
        seeds: Seeds,
        trace: Trace | None = None,
    ) -> list[Tensor]:
        """As a call, on images (1, 3, H, W): of one shape, or of any where they are a collection.

        Raises:
            UserError: as a call.
        """
        for image, seed in zip(images, seeds, strict=True):
            _check_image(image, [seed])
        checked: list[Mask] = [None] * len(images)
        if masks is not None:
            checked = [_checked_mask(*one) for one in zip(masks, images, strict=True)]
        here = [image.to(model.device) for image in images]
        hidden = [None if mask is None else mask.to(model.device) for mask in checked]
        trace = Trace() if trace is None else trace
        if self.needs_collection:
            perturbed = self.perturb_collection(model, here, masks=hidden, seeds=seeds, trace=trace)
        else:
            batch = here[0] if len(here) == 1 else torch.cat(here)
            mask = None if masks is None else torch.cat([one for one in hidden if one is not None])
            perturbed = [*self.perturb(model, batch, mask=mask, seeds=seeds, trace=trace).split(1)]
        model.settle()
        return [self._published(*one) for one in zip(perturbed, images, checked, strict=True)]

    def _published(self, perturbed: Tensor, image: Tensor, mask: Mask) -> Tensor:
        # Nobody knows what a plugin returns, so everything that was promised is made true here.
        perturbed = perturbed.detach().to(image)
        if perturbed.shape != image.shape:
            raise ValueError(f"{self.name} returned {tuple(perturbed.shape)}, not an image's shape")
        if not perturbed.isfinite().all():
            raise UserError(
                f"{self.name} produced values that aren't numbers on this model: in half "
                "precision they overflow, so try float32."
            )
        if mask is not None:
            perturbed = torch.where(mask == 1, image, perturbed)
        return self.budget.round_inside(image, perturbed)

    def perturb(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds, trace: Trace
    ) -> Tensor:
        """The perturbed image (N, 3, H, W), float, before the final projection and rounding.

        ``image`` and ``mask`` are on the model's device. A protection that works in steps reports
        each of them to ``trace``.
        """
        raise NotImplementedError

    def perturb_collection(
        self,
        model: EditModel,
        images: Sequence[Tensor],
        *,
        masks: Sequence[Mask],
        seeds: Seeds,
        trace: Trace,
    ) -> list[Tensor]:
        """As `perturb`, for all pictures (1, 3, H, W) of a collection; their order is no matter."""
        raise NotImplementedError


def _check_image(image: Tensor, seeds: Seeds) -> None:
    if image.dim() != 4 or image.shape[1] != 3 or not image.numel():
        raise UserError(f"Expected images (N, 3, H, W), and got the shape {tuple(image.shape)}.")
    if len(seeds) != len(image):
        raise UserError(f"{len(image)} images need one seed each, and {len(seeds)} were given.")
    if not image.is_floating_point() or not (image.min() >= 0 and image.max() <= 1):
        raise UserError("Expected floating-point images with values in [0, 1].")
    levels = image * 255
    if (levels - levels.round()).abs().max() > 1e-3:
        raise UserError("Expected images on the 8-bit grid k/255: round them with quantise first.")


def _checked_mask(mask: Tensor, image: Tensor) -> Tensor:
    rows, _, height, width = image.shape
    if mask.shape not in ((rows, 1, height, width), (1, 1, height, width)):
        raise UserError(
            f"A mask for these images is {(rows, 1, height, width)}, not {tuple(mask.shape)}."
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise UserError("A mask holds 0 (to be kept) and 1 (may be edited) and nothing else.")
    if mask.flatten(1).all(1).any():
        raise UserError("The mask is white everywhere, which leaves nothing to protect.")
    return mask.to(image).expand(rows, -1, -1, -1)
