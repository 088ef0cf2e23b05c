"""What a trial costs, before it is paid: counts, and seconds from a short measurement."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, partial
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from brittle.budgets import Budget
from brittle.declaration.trial import Trial
from brittle.editors import FineTune
from brittle.errors import UserError
from brittle.images import quantise
from brittle.models import EditModel
from brittle.models.memory import evaluation
from brittle.parallel import cores, on_all_cores, threads_for
from brittle.progress import duration
from brittle.protections import Protection
from brittle.protections.base import at_once
from brittle.sources.photos import read_photos
from brittle.transforms import Impress, Transform
from brittle.trial.fits import check_memory
from brittle.trial.other_models import lay_out_others, models_of
from brittle.trial.plan import in_parts, lay_out
from brittle.trial.tasks import Plan

LEARNING = 4
"""A gradient of a denoiser in runs of it, the optimizer's step included: 4.2 on embedded's."""
DECODING = 2.5
"""A gradient of the decoder in round trips through the autoencoder: 2.0 to 3.3 on embedded's."""
SECONDS_A_CELL, SECONDS_A_MEGAPIXEL = 0.01, 0.6
"""To score one edit: `benchmarks/scoring.py`. Small beside a model's work, and so not measured."""
SECONDS_TO_KEEP = 0.1
"""A megapixel, for keeping a received picture or an edit."""
SECONDS_A_PLACEBO = 1.3
"""A megapixel, on a core: 1.0 (`noise-spectrum`) to 1.5 (`noise-local`)."""
LOOK = 128
"""The side of the one picture by which a run guesses its time. A pixel of 64 px costs the embedded
model 3.7 times what it does in a full call, one of 128 px 1.7 times, for twice the wait."""
PIECES = (32, 64, 128, 256)
"""Sides of the pictures, in pixels, on which a transform is timed: the first is to warm up, and the
others are tried until one takes `LONG_ENOUGH`."""
LONG_ENOUGH = 0.05
"""Seconds beside which what a call takes of any picture, however small, counts little."""


@dataclass(frozen=True)
class Cost:
    """How much work a plan is: steps are gradients of a photo, evaluations those of the denoiser.

    ``through`` counts gradients of the denoiser that protections take, in rows.

    The purifiers' evaluations are among all evaluations; their steps are counted by themselves.
    """

    photos: int
    protections: int
    steps: int
    through: int
    placebos: int
    transforms: int
    purifiers: int
    purifying_evaluations: int
    purifying_steps: int
    edits: int
    evaluations: int
    cells: int
    tunings: int = 0
    tuning_steps: int = 0
    shown: int = 0
    """Pictures that all steps of fine-tunes show."""
    by_protection: Counter[str] = field(default_factory=Counter)
    """Files that each protection makes."""
    collections: Counter[str] = field(default_factory=Counter)
    """Collections that each of them is made for; a photo alone is one of its own."""
    by_transform: Counter[Transform] = field(default_factory=Counter)
    """Pictures that each transform receives."""

    def __add__(self, other: "Cost") -> "Cost":
        """The cost of both."""
        both = {
            one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)
        }
        return Cost(**both)


def count(plan: Plan, model: EditModel) -> Cost:
    """Count a plan's work, each piece once; the store may have some of it already."""
    releases = [*plan.releases.values()] if plan.makes_files else []
    receptions = plan.receptions.values() if plan.makes_files else ()
    protected = [one for one in releases if one.arm in plan.protections]
    received = [one for one in receptions if one.key != one.release]
    passed = [plan.transforms[one.transform] for one in received]
    purifying = sum(transform.evaluations(model) for transform in passed)
    each = {label: editor.evaluations(model) for label, editor in plan.editors.items()}
    edits = [one.editor for one in plan.edits.values()]
    learning = [plan.editors[one.editor] for one in plan.learnings.values()]
    tunings = [editor for editor in learning if isinstance(editor, FineTune)]
    return Cost(
        photos=len({one.photo for one in releases}),
        protections=len(protected),
        steps=sum(plan.protections[one.arm].total_steps for one in protected),
        through=sum(plan.protections[one.arm].denoiser_gradients for one in protected),
        placebos=sum(one.of is not None for one in releases),
        transforms=len(received),
        purifiers=sum(transform.capabilities.needs_model for transform in passed),
        purifying_evaluations=purifying,
        purifying_steps=sum(transform.capabilities.steps for transform in passed),
        edits=len(edits),
        evaluations=purifying + sum(each[label] for label in edits),
        cells=len({cell.key for cell in plan.cells}),
        tunings=len(tunings),
        tuning_steps=sum(one.max_train_steps for one in tunings),
        shown=sum(one.max_train_steps * one.pictures_a_step for one in tunings),
        by_protection=Counter(one.arm for one in protected),
        collections=Counter(
            arm for arm, _ in {(one.arm, plan.neighbours(one.photo)) for one in protected}
        ),
        by_transform=Counter(passed),
    )


def stage_seconds(
    plan: Plan, model: EditModel, cost: Cost, *, roughly: bool = False
) -> dict[str, float]:
    """Seconds that work of a plan takes on this machine, from one evaluation and one gradient.

    Stages have the names that they have in their progress, and none that has nothing to do.
    ``roughly``: for shares of a bar, by calls that take next to no time: one row of a small
    picture, as if time grew with the pixels; without placebos, whose progress isn't shown.
    """
    pace = _Pace(plan, model, roughly)
    size = next(iter(plan.photos.values())).image.shape[-2:]
    received, seen = prod(size) / 1e6, pace.pixels / 1e6
    editing = cost.evaluations - cost.purifying_evaluations
    stages = {
        arm: _protecting(protection, cost.by_protection[arm], cost.collections[arm], pace)
        for arm, protection in plan.protections.items()
    }
    stages |= {
        "placebos": 0 if roughly else cost.placebos * received * SECONDS_A_PLACEBO,
        "purifiers": pace.evaluations(cost.purifying_evaluations)
        + pace.purifying(cost.purifying_steps),
        "transforms": cost.transforms * received * SECONDS_TO_KEEP
        + sum(
            number * _receiving(transform, size) for transform, number in cost.by_transform.items()
        )
        / threads_for(prod(size), cores()),
        "fine-tunes" if plan.learns else "edits": pace.evaluations(editing)
        # Learning from a picture is an evaluation of it and back, and neither is guided.
        + pace.evaluations(cost.shown * LEARNING / 2)
        + pace.codings(cost.edits if editing else 0)
        + cost.edits * seen * SECONDS_TO_KEEP,
        "scores": cost.cells * (SECONDS_A_CELL + seen * SECONDS_A_MEGAPIXEL),
    }
    return {stage: seconds for stage, seconds in stages.items() if seconds}


def _protecting(protection: Protection, photos: int, collections: int, pace: "_Pace") -> float:
    through = photos * protection.denoiser_gradients + collections * protection.total_training
    run = pace.evaluations_alone if protection.needs_collection else pace.evaluations
    encoders = protection.encoders_on(pace.model) if photos else []
    return (
        sum(pace.gradients(photos * protection.encoder_gradients, one) for one in encoders)
        + run(through * LEARNING / 2)
        + pace.evaluations(photos * protection.denoiser_runs)
        + pace.codings(photos * protection.decoder_gradients * DECODING)
        + pace.projections(photos * protection.total_steps, protection.budget)
    )


def _receiving(transform: Transform, size: Sequence[int]) -> float:
    """Seconds of a core for a photo of ``size`` (height, width), but for what the model does."""
    spent = 0.0
    for part in transform.parts:
        if not part.capabilities.needs_model:
            spent += prod(size) / 1e6 * _seconds_a_megapixel(part)
        size = part.received_size(size)
    return spent


@cache
def _seconds_a_megapixel(transform: Transform) -> float:
    """Of a core, as if the work grew with the pixels."""
    # On one core, as torch's threads wait for each other where another program holds one of them.
    (found,) = on_all_cores(_timed, [transform])
    return found


def _timed(transform: Transform) -> float:
    """Seconds a megapixel of the first piece that takes long enough, or of the largest."""
    try:
        transform.apply(_like_a_photo(PIECES[0]), seeds=[0])
        for side in PIECES[1:]:
            piece = _like_a_photo(side)
            took = seconds(partial(transform.apply, piece, seeds=[0]), warm=False)
            if took >= LONG_ENOUGH:
                break
    except UserError:  # it cuts more off than a piece has, which takes next to no time
        return 0.0
    return took * 1e6 / side**2


def _like_a_photo(side: int) -> Tensor:
    """A picture (1, 3, side, side) of shapes and grain, as much work as a photo of its size.

    Total variation takes 30 times as long on a gray one, and AdverseCleaner 3 times on noise.
    """
    stream = torch.Generator().manual_seed(0)
    picture = torch.full((1, 3, side, side), 0.5)
    for grain, contrast in ((16, 0.5), (4, 0.15), (1, 0.05)):
        some = torch.rand(1, 3, side // grain, side // grain, generator=stream) - 0.5
        picture += contrast * functional.interpolate(some, (side, side), mode="bilinear")
    return quantise(picture)


class _Pace:
    """How long pieces of work take here; each kind is measured where there is some of it."""

    def __init__(self, plan: Plan, model: EditModel, roughly: bool) -> None:
        first = next(iter(plan.photos.values())).image
        self.model = model
        self.pixels = model.fit(first)[0, 0].numel()
        self.photo = torch.full((1, 3, LOOK, LOOK), 0.5) if roughly else model.fit(first)
        self.rows = 1 if roughly else plan.batch
        self._together = min(self.rows, at_once(*first.shape[-2:]))
        self._larger = self.pixels / self.photo[0, 0].numel()
        self._gradients: dict[str, float] = {}

    def evaluations(self, number: float) -> float:
        """Of the denoiser, for a picture twice, which is for guidance."""
        return number and number * self._larger * self._editing[0] / self.rows

    def evaluations_alone(self, number: float) -> float:
        """As `evaluations`, of one picture at a time, as those of collections run the denoiser."""
        return number and number * self._larger * self._alone

    def codings(self, number: float) -> float:
        """Of a picture to latents and back."""
        return number and number * self._larger * self._editing[1] / self.rows

    def gradients(self, number: float, encoder: EditModel) -> float:
        """Of a photo, as protections take them through the encoder of a model."""
        return number and number * self._larger * self._gradient(encoder)

    def projections(self, number: int, budget: Budget) -> float:
        """Of a perturbed photo into a budget, after each step: a perceptual one takes time."""
        photo, gray = self.photo.detach(), torch.full_like(self.photo, 0.5)
        once = number and seconds(lambda: budget.bring_inside(photo, gray))
        return number * self._larger * once

    def purifying(self, number: int) -> float:
        """Steps of a purifier; a plugin's is taken to cost what one of IMPRESS's does."""
        return number and number * self._larger * self._purifying

    @cached_property
    def _editing(self) -> tuple[float, float]:
        return editing_seconds(self.model, self.photo.repeat(self.rows, 1, 1, 1))

    @cached_property
    def _alone(self) -> float:
        return editing_seconds(self.model, self.photo)[0]

    def _gradient(self, encoder: EditModel) -> float:
        if encoder.content_hash not in self._gradients:
            photo = encoder.fit(self.photo)
            image = photo.repeat(self._together, 1, 1, 1).requires_grad_()

            def back() -> None:
                torch.autograd.grad(encoder.encode_to_attack(image).square().sum(), image)

            self._gradients[encoder.content_hash] = seconds(back) / self._together
        return self._gradients[encoder.content_hash]

    @cached_property
    def _purifying(self) -> float:
        once = Impress(steps=1)
        return seconds(lambda: once.purify(self.model, self.photo.detach(), seed=0))


def editing_seconds(model: EditModel, photo: Tensor) -> tuple[float, float]:
    """Seconds for a batch of fitted photos (N, 3, h, w): one evaluation, guided; both codings."""
    with torch.inference_mode():
        latents = model.encode(photo)
        once = seconds(lambda: evaluation(model, latents, guidance_scale=2))
        return once, seconds(lambda: model.decode(model.encode(photo)))


def seconds(work: Callable[[], object], *, warm: bool = True) -> float:
    """How long ``work`` takes, once it is warm if not said otherwise."""
    if warm:
        work()
        _wait()
    start = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    """Until a GPU has done what it was asked for."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def describe_cost(trial: Trial, *, device: str | None = None, dtype: str | None = None) -> str:
    """A trial's work and time in words.

    Raises:
        UserError: a photo, model or component that can't be used; too little memory.
    """
    model, *others = models_of(trial, device=device, dtype=dtype)
    plan = lay_out(trial, read_photos(trial), model)
    works = [(plan, model), *lay_out_others(plan, others)]
    costs = [_cost(*work) for work in works]
    cost = sum(costs[1:], costs[0])
    spent = sum(
        sum(stage_seconds(*work, cost=its).values()) for work, its in zip(works, costs, strict=True)
    )
    about, learning = f"{cost.photos} photos", []
    if plan.learns:
        many = len(plan.subjects)
        about += f" in {many} collection{'s' * (many > 1)}"
        learning = [f"  fine-tunes   {cost.tunings:>7,} ({cost.tuning_steps:,} steps)"]
    editing = cost.evaluations - cost.purifying_evaluations
    return "\n".join(
        [
            f"{trial.title}: {about} on {model}{_named(others)}",
            f"  protections  {cost.protections:>7,} ({cost.steps:,} gradient steps)",
            f"  placebos     {cost.placebos:>7,}",
            f"  transforms   {cost.transforms:>7,}",
            *([_purifiers(cost)] if cost.purifiers else []),
            *learning,
            f"  edits        {cost.edits:>7,} ({editing:,} evaluations of the denoiser)",
            f"  comparisons  {cost.cells:>7,}",
            f"  time         about {duration(spent)} on this machine",
        ]
    )


def _cost(plan: Plan, model: EditModel) -> Cost:
    """The cost of a plan without its work, which is made part by part; refused as it would be."""
    found = None
    for part in in_parts(plan):
        check_memory(part, model)
        its = count(part, model)
        found = its if found is None else found + its
    assert found is not None, "a trial has photos"
    return found


def _named(others: Sequence[EditModel]) -> str:
    return "".join(f", edited on {one} too" for one in others)


def _purifiers(cost: Cost) -> str:
    return (
        f"  by the model {cost.purifiers:>7,} of these ({cost.purifying_evaluations:,} evaluations "
        f"of the denoiser, {cost.purifying_steps:,} gradient steps)"
    )
