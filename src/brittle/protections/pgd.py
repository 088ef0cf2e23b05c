"""Projected gradient descent inside a budget: the only optimisation loop of the protections."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from brittle.budgets import Budget
from brittle.component import Fraction
from brittle.images import Mask, model_shape
from brittle.models import EditModel
from brittle.models.devices import room_for_more
from brittle.models.memory import kept_for_gradient
from brittle.noise import Seeds, derive_seed, generators, uniform
from brittle.protections.base import Protection, Trace, at_once
from brittle.protections.expectation import Foreseen, Range, received
from brittle.protections.forms import Delta, Formed
from brittle.protections.update import Update

FORESEEN_BYTES = 220
"""Bytes a pixel of a photo that the way back through a foreseen transform takes: JPEG's."""
MEASURED = 8
"""Draws over which the loss at start and end is averaged, where each step draws anew."""
GRADIENT = 2.0
"""What a gradient takes, in what it keeps: kernels have copies of their own."""


class PGD(Protection):
    """Minimises an objective inside the budget, by steps against the gradient's sign or direction.

    Each step moves every value by ``step_size`` ([0, 1] units); under l2 it has that length at the
    budget's reference size, and grows with the photo as the budget does. Name it with the budget:
    text and records take each field as it is written.

    With ``expectation``, the gradient is the mean over what these transforms make of the picture:
    the values are the real transform's, the way back is its surrogate's. A range, such as
    ``jpeg:quality=50..95``, is drawn from anew at each step, by each photo's own seed. Views are
    computed one after another, so memory doesn't grow with their number; on a GPU in batches of one
    shape, as many as fit.
    """

    later = frozenset({"delta"})
    draws_noise: ClassVar[bool] = False
    """Whether the objective draws, from streams that `prepare` makes."""

    steps: int = Field(ge=1)
    step_size: Fraction = Field(gt=0, allow_inf_nan=False)
    schedule: Literal["constant", "linear"] = "constant"
    """``linear``: the step falls evenly towards 1 % of ``step_size``, as in PhotoGuard's code."""
    random_start: bool = False
    """Start at uniform noise: in the linf ball, or on the surface of the l2 ball."""
    expectation: tuple[Foreseen, ...] = ()
    delta: Delta | None = None
    """What the perturbation is made of; None: the pixels themselves. See `forms`."""
    sampled: int = Field(0, ge=0)
    """How many members of the expectation are drawn at each step; 0: all of them, every time."""

    @model_validator(mode="after")
    def _draws_from_something(self) -> Self:
        if self.sampled and not self.expectation:
            raise ValueError("sampled draws from expectation, which names no transform")
        return self

    def optimised_on(self, model: str) -> bool | None:
        """See `Protection.optimised_on`: on whatever model it is given, and maybe on others too."""
        return True

    @property
    def total_steps(self) -> int:
        """The number of steps."""
        return self.steps

    @property
    def passes(self) -> int:
        """How many gradients are averaged at each step: more than 1 for a loss that draws noise."""
        return 1

    @property
    def views(self) -> int:
        """How many gradients each step takes: of the transforms that it foresees, of each pass."""
        return (self.sampled or len(self.expectation) or 1) * self.passes

    @property
    def gradients(self) -> int:
        """How many gradients of the objective one image takes."""
        return self.total_steps * self.views

    @property
    def encoder_gradients(self) -> int:
        """See `Protection.encoder_gradients`."""
        return self.gradients

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        if runs := self.denoiser_gradients:
            return f"{runs:,} runs of the denoiser, forward and backward"
        return f"{self.gradients:,} gradients of its loss"

    def with_budget(self, budget: Budget) -> Self:
        """As `Protection.with_budget`; from norm to norm, a step keeps its share of the budget.

        Within l2 it keeps its length, whatever the reference sizes; else it stays as it is.
        """
        before, step = self.budget, self.step_size
        if before.norm == budget.norm == "l2":
            step *= budget.reference / before.reference
        elif before.norm != budget.norm:
            sizes = [one.limit(one.reference, one.reference) for one in (budget, before)]
            step *= sizes[0] / sizes[1]
        return super().with_budget(budget).model_copy(update={"step_size": step})

    def graphs_on(self, model: EditModel) -> int:
        """How many passes through a model one gradient of a photo keeps at a time."""
        return 1

    def memory(self, model: EditModel, shapes: Sequence[tuple[int, int]]) -> float:
        """As `Protection.memory`, with what a gradient keeps."""
        kept = kept_for_gradient(model, denoiser=self.denoiser_gradients > 0)
        gradients = [
            self._of_gradient(model, kept, height, width) * min(len(shapes), at_once(height, width))
            for height, width in shapes
        ]
        return super().memory(model, shapes) + max(gradients)

    def _of_gradient(
        self, model: EditModel, kept: tuple[float, float], height: int, width: int
    ) -> float:
        """Bytes that the gradient of a photo takes, of which a model keeps ``kept``."""
        seen = math.prod(model_shape(height, width, size=model.size, multiple=model.multiple))
        foreseen = FORESEEN_BYTES * (bool(self.expectation) + (self.delta is not None))
        through = GRADIENT * (kept[0] + kept[1] * seen) * self.graphs_on(model)
        return through + foreseen * height * width

    @property
    def joins_views(self) -> bool:
        """Whether several views of a photo may go through the objective in one call.

        Then it draws nothing, and what was prepared holds nothing of single rows.
        """
        return False

    def views_at_once(self, model: EditModel, image: Tensor) -> int:
        """How many views of photos (N, 3, H, W) go through the objective in one call.

        It follows from the device and not from what is free on it: last bits depend on it.
        """
        room = room_for_more(model.device) if self.expectation and self.joins_views else 0
        if not room:
            return 1
        one = self._of_gradient(model, kept_for_gradient(model, denoiser=False), *image.shape[-2:])
        return max(1, int(room / (one * len(image))))

    def prepare(self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds) -> Any:
        """Make once what the objective needs at every step; it gets this as ``prepared``."""
        return None

    def objective(
        self,
        model: EditModel,
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Mask,
        seeds: Seeds,
        prepared: Any,
    ) -> Tensor:
        """The loss of each image, (N,), which is minimised; a row depends on its own image alone.

        ``perturbed`` (N, 3, H, W) in [0, 1], its ``mask`` and the photo ``image`` are what somebody
        receives: under a transform of the expectation, all three have passed through it.
        """
        raise NotImplementedError

    def perturb(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds, trace: Trace
    ) -> Tensor:
        """Run the loop and return the last iterate; see `Protection.perturb`."""
        batches = self.batches(model, image, mask, seeds)
        first = [batch.perturbed for batch in batches]
        self.descend(model, batches, trace)
        last = [batch.perturbed for batch in batches]
        if self.draws_anew:
            trace.ends = self.ends(model, batches, first, last)
        return _joined(last)

    @property
    def draws_anew(self) -> bool:
        """Whether each step's loss is of other draws, so that two of them don't compare."""
        drawn = any(
            isinstance(one, Range) or any(part.draws for part in one.parts)
            for one in self.expectation
        )
        return self.draws_noise or drawn or self.sampled > 0

    def ends(
        self,
        model: EditModel,
        batches: Sequence["Batch"],
        first: Sequence[Tensor],
        last: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """The losses (N,) of pictures by batch, ``first`` and ``last``, under the same draws."""
        found = [
            torch.cat(
                [
                    self._measured(model, self.measuring(model, batch), picture)
                    for batch, picture in zip(batches, pictures, strict=True)
                ]
            )
            for pictures in (first, last)
        ]
        return found[0], found[1]

    def measuring(self, model: EditModel, batch: "Batch") -> "Batch":
        """A batch whose draws are those by which start and result are compared."""
        if not self.draws_noise:
            return batch
        seeds = [derive_seed(seed, "measured") for seed in batch.seeds]
        prepared = self.prepare(model, batch.image, mask=batch.mask, seeds=seeds)
        return replace(batch, prepared=prepared)

    def batches(self, model: EditModel, image: Tensor, mask: Mask, seeds: Seeds) -> list["Batch"]:
        """The photos as they go through the objective: `at_once`, or alone where each draws."""
        draws = self.sampled or any(isinstance(one, Range) for one in self.expectation)
        count = 1 if draws else at_once(*image.shape[-2:])
        views = self.views_at_once(model, image[:count])
        batches = []
        for rows in [slice(i, i + count) for i in range(0, len(image), count)]:
            own = None if mask is None else mask[rows]
            prepared = self.prepare(model, image[rows], mask=own, seeds=seeds[rows])
            batches.append(self.batch(image[rows], own, seeds[rows], prepared))
            batches[-1].views = views
        return batches

    def batch(self, image: Tensor, mask: Mask, seeds: Seeds, prepared: Any) -> "Batch":
        """Photos (N, 3, H, W) where their optimisation starts."""
        keep = None if mask is None else 1 - mask
        if self.delta is not None:
            formed = Formed(
                self.budget,
                image,
                keep,
                self.step_sizes,
                form=self.delta,
                seeds=seeds,
                random_start=self.random_start,
            )
            return Batch(image, mask, seeds, prepared, formed, formed.start())
        perturbed = image
        if self.random_start:
            noise = 2 * uniform(image.shape[1:], generators(seeds)).to(image) - 1
            delta = self.budget.project(noise * self.budget.limit(*image.shape[-2:]))
            perturbed = (image + (delta if keep is None else delta * keep)).clamp(0, 1)
        return Batch(image, mask, seeds, prepared, self.update(image, keep), perturbed)

    def update(self, image: Tensor, keep: Tensor | None) -> Update:
        """How a gradient moves photos, of which only what is to be kept is perturbed."""
        return Update(self.budget, image, keep, self.step_sizes)

    @property
    def step_sizes(self) -> list[float]:
        """The size of each step, by the schedule."""
        fall = 0.99 * self.step_size if self.schedule == "linear" else 0.0
        return [self.step_size - fall * step / self.steps for step in range(self.steps)]

    def descend(
        self, model: EditModel, batches: Sequence["Batch"], trace: Trace, *, taken: int = 0
    ) -> None:
        """Take all steps on each batch; ``taken`` were taken before, for what each step draws."""
        for step in range(self.steps):
            losses = []
            for batch in batches:
                gradient, loss = self._gradient(model, batch, taken + step)
                losses.append(loss)
                batch.vanished = batch.vanished + ~gradient.flatten(1).any(1)
                batch.perturbed = batch.update(batch.perturbed, gradient, step)
            trace.step(torch.cat(losses), self.total_steps)
        vanished = torch.cat([batch.vanished for batch in batches])
        trace.vanished = 2 * vanished >= self.total_steps

    def _gradient(self, model: EditModel, batch: "Batch", step: int) -> tuple[Tensor, Tensor]:
        """The summed gradient (n, 3, H, W) of a batch over its views, and its mean loss (n,)."""
        perturbed = batch.perturbed.detach().requires_grad_()
        gradient = loss = batch.image.new_zeros(len(batch.image))
        with torch.enable_grad():
            for place, losses in enumerate(self._losses(model, batch, perturbed, step)):
                (found,) = torch.autograd.grad(losses.sum(), perturbed)
                gradient = gradient + found if place else found
                loss = loss + losses.detach().view(-1, len(batch.image)).sum(0)
        return gradient, loss / self.views

    def _losses(
        self, model: EditModel, batch: "Batch", perturbed: Tensor, step: int
    ) -> Iterator[Tensor]:
        """The losses of pictures under the views of a step, as many in a call as `Batch.views`."""
        views = self._views(step, batch.seeds[0])
        shown = (self._shown(batch, perturbed, step, *one) for one in enumerate(views))
        for some in _together(shown, batch.views):
            pictures, images, masks = zip(*some, strict=True)
            yield self.objective(
                model,
                _joined(pictures),
                _joined(images),
                mask=None if batch.mask is None else _joined(masks),
                seeds=[*batch.seeds] * len(some),
                prepared=batch.prepared,
            )

    def _measured(self, model: EditModel, batch: "Batch", picture: Tensor) -> Tensor:
        """The loss (n,) of pictures in a batch's place, over the draws of `MEASURED` steps."""
        loss = batch.image.new_zeros(len(batch.image))
        with torch.no_grad():
            for step in range(MEASURED):
                for losses in self._losses(model, batch, picture, step):
                    loss = loss + losses.view(-1, len(batch.image)).sum(0)
        return loss / (MEASURED * self.views)

    def _shown(
        self, batch: "Batch", perturbed: Tensor, step: int, place: int, transform: Any
    ) -> "View":
        """What the objective sees of a batch under one transform of a step, or under none."""
        if transform is None:
            return View(perturbed, batch.image, batch.mask)
        seeds = [derive_seed(s, "view", f"{step}", f"{place}") for s in batch.seeds]
        mask = batch.mask
        return View(
            received(transform, perturbed, seeds),
            transform.apply(batch.image, seeds=seeds),
            mask if mask is None else transform.geometry.move_mask(mask),
        )

    def _views(self, step: int, seed: int) -> list[Any]:
        """The transforms of one step, or None for the picture as it is; ranges are drawn."""
        if not self.expectation:
            return [None] * self.passes
        seeds = [derive_seed(seed, "drawn", f"{step}", f"{k}") for k in range(self.sampled)]
        members = [self.expectation[one % len(self.expectation)] for one in seeds]
        return [
            one.draw(derive_seed(seed, "range", f"{step}", f"{place}"))
            if isinstance(one, Range)
            else one
            for place, one in enumerate((members or list(self.expectation)) * self.passes)
        ]


@dataclass
class Batch:
    """Photos that go through the objective together, and where their optimisation stands.

    ``perturbed`` (N, 3, H, W) moves from step to step; ``vanished`` (N,) counts the steps in
    which a photo's gradient was zero everywhere. ``views`` of them go through the objective in
    one call.
    """

    image: Tensor
    mask: Mask
    seeds: Seeds
    prepared: Any
    update: Update
    perturbed: Tensor
    vanished: Tensor = field(default_factory=lambda: torch.tensor(0))
    views: int = 1


class View(NamedTuple):
    """Pictures and photos (N, 3, H, W) under one transform, and their mask: what somebody gets."""

    picture: Tensor
    image: Tensor
    mask: Mask


def _together(views: Iterable[View], most: int) -> Iterator[list[View]]:
    """Views that follow each other and have one shape, at most so many; no more are begun."""
    some: list[View] = []
    for view in views:
        if some and view.picture.shape != some[0].picture.shape:
            yield some
            some = []
        some.append(view)
        if len(some) == most:
            yield some
            some = []
    if some:
        yield some


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """All rows; one tensor is itself, by which objectives know it again."""
    return tensors[0] if len(tensors) == 1 else torch.cat([*tensors])
