"""Scoring: every cell's edit against its control, the photo, the clean edit and the seed floor.

A score is kept as {metric, reference, value, reason}: a number, or null with the reason why not.
Cells that share a control are scored one after another on one core, beside others on the other
cores: so pictures and what networks say about them are at hand, and no score depends on the number
of cores. Memory is bounded by `album.LIMIT`, `networks.feature_cache.MEMORY`, and on each core what
one image takes on its way through a network (60 MB at 512 px in EfficientNet).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from statistics import mean
from typing import Any, Protocol

import torch
from torch import Tensor

from brittle.component import key
from brittle.errors import Unavailable
from brittle.metrics import Metric
from brittle.models import EditModel
from brittle.models.devices import exactly
from brittle.models.edit_model import file_hash
from brittle.parallel import on_all_cores
from brittle.progress import Progress, silent
from brittle.record.arms import GRAY, ORIGINAL
from brittle.record.store import Store
from brittle.sources.photos import centre_square
from brittle.transforms import Transform
from brittle.trial.album import Album
from brittle.trial.tasks import Cell, Plan, Subject

Score = dict[str, Any]
Missing = tuple[Cell, dict[str, Any], dict[str, str]]
"""A cell, what is kept of it, and the metrics that it lacks, with their identity."""

PUBLISHED = ("follow", "keep")
"""Metrics that are also computed as an attacker can: on the edit as it came out, against the
published file, which is all that they have."""


def score(plan: Plan, store: Store, model: EditModel | None, progress: Progress = silent) -> None:
    """Fill in the scores that cells lack; one that was computed stays.

    Without a model, metrics that need one give their reason, and photos are taken as fitted.
    """
    scorers = Scorers(plan, Album(plan, store, model))
    groups: dict[str, list[Missing]] = defaultdict(list)
    for one in _missing(plan, store, model):
        groups[one[0].control].append(one)
    if not groups:
        return

    device = torch.device("cpu") if model is None else model.device

    def fill_in(group: list[Missing]) -> None:
        for cell, kept, lacking in group:
            scorer = scorers.of(cell)
            scores = {label: scorer.scores(plan.metrics[label], label) for label in lacking}
            store.write_cell(
                cell.key,
                {
                    "scores": {**kept.get("scores", {}), **scores},
                    "metrics": {**kept.get("metrics", {}), **lacking},
                },
            )
            advance(1)

    with progress("scores", sum(map(len, groups.values()))) as advance, exactly(device):
        on_all_cores(fill_in, groups.values())


def sees_releases(plan: Plan) -> bool:
    """Whether some score compares with the published file."""
    published = plan.adaptive and any(one.name in PUBLISHED for one in plan.metrics.values())
    return published or len(plan.protections) > 1


def lacking_cells(plan: Plan, store: Store, model: EditModel | None) -> list[Cell]:
    """The cells that `score` would fill in."""
    return [cell for cell, *_ in _missing(plan, store, model)]


def _missing(plan: Plan, store: Store, model: EditModel | None) -> Iterator[Missing]:
    identities = {
        editor: {label: identity(one, model) for label, one in plan.scored_by(editor).items()}
        for editor in plan.editors
    }
    for cell in {cell.key: cell for cell in plan.cells}.values():
        kept = store.read_cell(cell.key)
        noted, wanted = kept.get("metrics", {}), identities[cell.editor]
        if lacking := {name: one for name, one in wanted.items() if noted.get(name) != one}:
            yield cell, kept, lacking


class Scorers:
    """Makes what scores a cell: against control and photo, or against its collection."""

    def __init__(self, plan: Plan, album: Album) -> None:
        self.plan, self.album = plan, album
        self.originals = {
            name: Originals.of(plan, subject, album.model)
            for name, subject in plan.subjects.items()
            if plan.learns
        }

    def of(self, cell: Cell) -> "Scorer":
        """The scorer of a cell."""
        if self.plan.learns:
            return Likeness(cell, self.album, self.originals[cell.subject])
        return Views(cell, self.plan, self.album)


class Scorer(Protocol):
    """What knows the pictures of one cell."""

    def scores(self, metric: Metric, label: str) -> list[Score]:
        """All scores of one metric that the cell has."""


def identity(metric: Metric, model: EditModel | None) -> str:
    """What a cell notes beside a metric's scores: the key of all that they depend on.

    The pictures' keys are the cell's; here are the metric, the files that judge for it, and what it
    is compared with beyond the usual. A plain metric's identity is its own key.
    """
    more: list[Any] = [file_hash(path) for path in metric.judges(model)]
    if metric.name in PUBLISHED:
        more.append("published")
    if metric.against == "photo":
        more.append("where it is shown")
    return key(metric, *more)


@dataclass
class Views:
    """The pictures of one cell, and the scores that come from them."""

    cell: Cell
    plan: Plan
    album: Album

    @cached_property
    def photo(self) -> Tensor:
        """The photo as the editor sees it, (1, 3, h, w), as every picture here."""
        return self.album.photo(self.cell.subject)

    @cached_property
    def edit(self) -> Tensor:
        """The edit that is scored."""
        return self._edited(self.cell.edit)

    @cached_property
    def clean(self) -> Tensor:
        """The original's edit without a transform, whose pixels are where the photo's are."""
        return self.album.picture(self.cell.clean)

    @cached_property
    def valid(self) -> Tensor:
        """Where the received picture shows the photo."""
        edit = self.album.picture(self.cell.edit)
        return self._transform.geometry.valid_of(edit, size=self._size(edit))

    @cached_property
    def turned_back(self) -> Tensor:
        """The edit with its pixels back in their places."""
        return self._restored(self.edit)

    @cached_property
    def as_made(self) -> Tensor:
        """The edit as it came out, with its pixels back in their places."""
        if not self._masked:
            return self.turned_back
        return self._restored(self.album.picture(self.cell.edit))

    @cached_property
    def shown(self) -> Tensor:
        """Where an edit that is turned back shows the photo."""
        return self._restored(self.valid)

    @property
    def _transform(self) -> Transform:
        return self.plan.transforms[self.cell.transform]

    @property
    def _masked(self) -> bool:
        return self.plan.editors[self.cell.editor].needs_mask

    def _edited(self, edit: str) -> Tensor:
        """An edit as received; of inpainting, with the control's own pixels where all is kept.

        Otherwise the perturbation itself, which stays where nothing is painted, would count.
        """
        picture = self.album.picture(edit)
        if not self._masked:
            return picture
        control = self.plan.edits[self.cell.control]
        kept = self.album.fitted(control.source or "")
        painted = self.album.fit_mask(self.plan.received_mask(control))
        return torch.where(painted == 1, picture, kept)

    def _restored(self, picture: Tensor) -> Tensor:
        """A picture of an edit's size with its pixels back in their places, at the photo's size."""
        shape = self.clean.shape[-2:]
        return self._transform.geometry.restore(picture, size=self._size(self.clean), shape=shape)

    def _size(self, otherwise: Tensor) -> Sequence[int]:
        """The (height, width) of the photo before the transform, or of what stands in for it."""
        name = self.cell.subject
        if name not in self.plan.photos:
            return otherwise.shape[-2:]
        if (name, self.cell.transform) in self.plan.reduced:
            return self.photo.shape[-2:]
        return self.plan.photos[name].image.shape[-2:]

    def scores(self, metric: Metric, label: str) -> list[Score]:
        """All scores of one metric that this cell has."""
        cell = self.cell
        if metric.against == "photo":
            return [] if cell.arm == GRAY else self._against_photo(metric, label)
        if cell.arm != ORIGINAL:
            raw = attempt(label, "control", lambda: self._against_control(metric))
            return [raw, _as_distance(metric, raw), *self._visibility(metric, label)]
        if cell.transform != "none":
            return [attempt(f"{label}.distance", "clean", lambda: self._cost(metric))]
        if cell.floor:
            return [attempt(f"{label}.distance", "seed", lambda: self._floor(metric))]
        return []

    def _against_photo(self, metric: Metric, label: str) -> list[Score]:
        scores = [attempt(label, "photo", lambda: self._kept(metric))]
        released = self.plan.released(self.cell.edit)
        if self.plan.adaptive and metric.name in PUBLISHED and released is not None:
            scores.append(attempt(label, "published", lambda: self._seen(metric, released)))
        return scores

    def _visibility(self, metric: Metric, label: str) -> list[Score]:
        """What the published file costs the eye, at its own size, where protections are compared.

        In the primary metric and in PSNR: protections are compared at equal distortion in both.
        """
        released = self.plan.released(self.cell.edit)
        compared = len(self.plan.protections) > 1 and self.cell.arm in self.plan.protections
        rules = label in (self.plan.primary.metric, "psnr") and self.cell.transform == "none"
        if released is None or not (compared and rules):
            return []
        photo = self.plan.photos[self.cell.subject].image
        raw = attempt(
            label, "release", lambda: self._compare(metric, self.album.picture(released), photo)
        )
        return [raw, _as_distance(metric, raw)]

    def _against_control(self, metric: Metric) -> float:
        return self._compare(metric, self.edit, self._edited(self.cell.control), self.valid)

    def _kept(self, metric: Metric) -> float:
        return self._judged(metric, self.turned_back, self.photo)

    def _seen(self, metric: Metric, released: str) -> float:
        """As an attacker sees it: the edit as it came out, against the published file."""
        return self._judged(metric, self.as_made, self.album.fitted(released))

    def _judged(self, metric: Metric, edit: Tensor, photo: Tensor) -> float:
        mask = self.plan.photos[self.cell.subject].mask if self._masked else None
        return metric.judge(
            edit,
            photo,
            shown=self.shown,
            painted=None if mask is None else self.album.fit_mask(mask),
            prompt=self.cell.prompt,
            model=self.album.model,
        )

    def _cost(self, metric: Metric) -> float:
        """How far the transform alone moves the edit, once it is turned back."""
        return self._distance(metric, self.turned_back, self.clean, self.shown)

    def _floor(self, metric: Metric) -> float:
        """How far another seed alone moves the edit, on average."""
        others = [self.album.picture(other) for other in self.cell.floor]
        return mean(self._distance(metric, other, self.clean) for other in others)

    def _compare(
        self, metric: Metric, image: Tensor, reference: Tensor, valid: Tensor | None = None
    ) -> float:
        return float(
            metric.score(
                image, reference, valid=valid, prompts=[self.cell.prompt], model=self.album.model
            )
        )

    def _distance(
        self, metric: Metric, image: Tensor, reference: Tensor, valid: Tensor | None = None
    ) -> float:
        score = self._compare(metric, image, reference, valid)
        return float(metric.as_distance(torch.tensor(score, dtype=torch.float64)))


def _as_distance(metric: Metric, raw: Score) -> Score:
    value = raw["value"]
    distance = (
        None
        if value is None
        else float(metric.as_distance(torch.tensor(value, dtype=torch.float64)))
    )
    return {**raw, "metric": f"{raw['metric']}.distance", "value": distance}


def attempt(label: str, reference: str, compare: Callable[[], float]) -> Score:
    """A score of a metric, or null with the reason why it can't be had."""
    try:
        value = compare()
        if not math.isfinite(value):
            raise Unavailable(f"the metric gave {value}")
    except Unavailable as error:
        return {"metric": label, "reference": reference, "value": None, "reason": str(error)}
    return {"metric": label, "reference": reference, "value": value}


@dataclass(frozen=True)
class Originals:
    """A collection's untouched pictures (N, 3, size, size), and distances from them."""

    images: Tensor
    model: EditModel
    known: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, subject: Subject, model: EditModel | None) -> "Originals":
        """Those of a subject, as the model sees them: their centres, as learning does."""
        assert model is not None, "pictures that a model generated"
        own = tuple(plan.photos[name].photo for name in subject.pictures)
        photos = plan.references.get(subject.name, own)
        shown = [centre_square(photo, model.size).image for photo in photos]
        return cls(torch.cat(shown), model)

    def distance(self, metric: Metric, picture: Tensor, prompt: str) -> float:
        """Mean distance of a picture (1, 3, size, size) from all of them."""
        rows = picture.expand(len(self.images), -1, -1, -1)
        return self._mean(metric, rows, self.images, prompt)

    def between(self, metric: Metric, label: str, prompt: str) -> float:
        """Mean distance of any two of them; computed once."""
        if label not in self.known:
            pairs = combinations(self.images.split(1), 2)
            self.known[label] = mean(self._mean(metric, *pair, prompt) for pair in pairs)
        return self.known[label]

    def _mean(self, metric: Metric, images: Tensor, references: Tensor, prompt: str) -> float:
        scores = metric.score(images, references, prompts=[prompt] * len(images), model=self.model)
        return mean(metric.as_distance(scores).tolist())


@dataclass(frozen=True)
class Likeness:
    """One generated picture beside the originals of its collection."""

    cell: Cell
    album: Album
    originals: Originals

    def scores(self, metric: Metric, label: str) -> list[Score]:
        """As `Scorer.scores`."""
        cell, of = self.cell, self.originals
        picture = self.album.picture(cell.edit)
        name = f"{label}.distance"
        found = [attempt(name, "originals", lambda: of.distance(metric, picture, cell.prompt))]
        if cell.arm == ORIGINAL and cell.transform == "none":
            between = attempt(name, "between", lambda: of.between(metric, label, cell.prompt))
            found.append(between)
        return found
