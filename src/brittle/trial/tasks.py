"""A trial's work, each piece once, under a key that hashes what it depends on.

Work runs stage by stage: release (protect), receive (transform), learn, edit, score. A subject is
what outcomes are about: a photo, or a collection of pictures that a model learns from.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

from brittle.component import key
from brittle.declaration.primary import Primary
from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.images import Photo
from brittle.metrics import Calibration, Metric
from brittle.models import EditModel
from brittle.protections import Placebo, Protection, at_once
from brittle.record.arms import Arm
from brittle.record.record import Point
from brittle.sources.photos import TrialPhoto
from brittle.transforms import Transform


class ModelIdentity(NamedTuple):
    """What of an edit model the results depend on; ``size`` is the one that it is used at."""

    name: str
    content_hash: str
    dtype: str
    size: int

    @classmethod
    def of(cls, model: EditModel) -> Self:
        """That of a model."""
        return cls(model.name, *model.in_keys)

    @property
    def in_keys(self) -> tuple[str, str, int]:
        """What keys say of it; the dtypes decide `EditModel.attack_dtype` too."""
        return self.content_hash, self.dtype, self.size


@dataclass(frozen=True)
class Subject:
    """A photo, or the pictures of a collection: their names, and the identity of their pixels.

    The noise of its edits derives from the digest.
    """

    name: str
    pictures: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Release:
    """The file that an arm publishes for a photo; ``of`` is the release that a placebo imitates."""

    key: str
    photo: str
    arm: str
    seed: int
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Reception:
    """A released file after a transform; ``reduced``: to the model's size, before it."""

    key: str
    release: str
    transform: str
    seed: int
    reduced: bool = False


@dataclass(frozen=True, slots=True)
class Learning:
    """A fine-tune: what an arm and a transform made of a subject, in the pictures' order."""

    key: str
    editor: str
    receptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """A received file edited with a prompt and a seed, or a picture of a model that has learned.

    ``source`` is the key of the reception, or of what was learned: None of the base model.
    """

    key: str
    subject: str
    editor: str
    prompt: str
    seed: int
    source: str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid, with the keys of the edits that it compares.

    ``control`` is the original's edit under the same transform, prompt and seed; ``clean`` the
    original's without a transform; ``floor`` its edits under other seeds.
    """

    key: str
    subject: str
    arm: str
    transform: str
    editor: str
    prompt: str
    seed: int
    edit: str
    control: str
    clean: str
    floor: tuple[str, ...] = ()

    @property
    def point(self) -> Point:
        """Where in the grid it lies."""
        return Point(self.subject, self.arm, self.transform, self.editor, self.prompt, self.seed)


@dataclass
class Plan:
    """All work of a trial on one model by key, in the order of the stages; components by label.

    A trial has a plan for each of its models. The one of its `model` makes the files; those of
    others (`makes_files` is false) name the same files, and edit and score them.
    """

    trial: Trial
    photos: dict[str, TrialPhoto]
    subjects: dict[str, Subject]
    model: ModelIdentity
    """What edits."""
    arms: dict[str, Arm]
    protections: dict[str, Protection]
    placebos: dict[str, Placebo]
    transforms: dict[str, Transform]
    editors: dict[str, Editor]
    """With what the model recommends filled in."""
    metrics: dict[str, Metric]
    primary: Primary
    """The declared comparisons, transforms in their text form."""
    calibration: Calibration | None = None
    """The thresholds of usable edits; None with ``not_calibrated`` saying why."""
    not_calibrated: str = ""
    made_on: ModelIdentity | None = None
    """What protections and purifiers run, where that is not what edits."""
    batch: int = 1
    """Rows a call of the model that edits."""
    together: int | None = None
    """Photos a call that protects has at most; None: ``batch``."""
    given: dict[tuple[str, str], TrialPhoto] = field(default_factory=dict)
    """By photo and arm, released files that were made elsewhere."""
    references: dict[str, tuple[Photo, ...]] = field(default_factory=dict)
    """By subject, what generated pictures are compared with, where it is not its own pictures."""
    reduced: frozenset[tuple[str, str]] = frozenset()
    """Photos and transforms before which they are reduced to the model's size."""
    unscored: dict[str, frozenset[str]] = field(default_factory=dict)
    """By editor, metrics that its edits are not scored by."""
    adaptive: bool = True
    """Whether edits are also judged as an attacker can, against the published file."""
    releases: dict[str, Release] = field(default_factory=dict)
    receptions: dict[str, Reception] = field(default_factory=dict)
    learnings: dict[str, Learning] = field(default_factory=dict)
    edits: dict[str, Edit] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    shapes: Counter[torch.Size] = field(default_factory=Counter)
    """How many photos of the trial have each shape, where ``photos`` are some of them."""

    def __post_init__(self) -> None:
        if not self.shapes:
            self.shapes.update(photo.image.shape for photo in self.photos.values())

    @property
    def makes_files(self) -> bool:
        """Whether its files are its own: those that are made on the model that edits them."""
        return self.made_on is None

    @property
    def learns(self) -> bool:
        """Whether the trial's editors learn from their subjects."""
        return any(editor.takes_collection for editor in self.editors.values())

    @cached_property
    def _subject_of(self) -> dict[str, Subject]:
        return {name: one for one in self.subjects.values() for name in one.pictures}

    def neighbours(self, photo: str) -> tuple[str, ...]:
        """The pictures of a photo's subject, itself among them."""
        return self._subject_of[photo].pictures

    def rows(self, photo: str) -> int:
        """Photos that are protected together: of one shape, at most ``together`` or `at_once`."""
        shape = self.photos[photo].image.shape
        return min(self.together or self.batch, self.shapes[shape], at_once(*shape[-2:]))

    def shown(self, photo: str) -> int:
        """The long side, in pixels, at which the model sees a photo."""
        if photo not in self.photos:
            return self.model.size
        return min(self.model.size, max(self.photos[photo].image.shape[-2:]))

    def scored_by(self, editor: str) -> dict[str, Metric]:
        """The metrics by which an editor's edits are scored."""
        out = self.unscored.get(editor, frozenset())
        return {label: metric for label, metric in self.metrics.items() if label not in out}

    def received_mask(self, edit: Edit) -> Tensor:
        """Where an edit may paint, (1, 1, H, W): the photo's mask, moved along by the transform."""
        mask = self.photos[edit.subject].mask
        assert mask is not None, "checked when the plan was made"
        return self.transforms[self.receptions[edit.source or ""].transform].geometry.move_mask(
            mask
        )

    def released(self, edit: str) -> str | None:
        """The key of the published file that became an edit; None where there is no one such."""
        made = self.edits.get(edit)
        received = None if made is None else self.receptions.get(made.source or "")
        return None if received is None else received.release


def subjects_of(photos: dict[str, TrialPhoto], *, learns: bool) -> dict[str, Subject]:
    """Each photo a subject; or the pictures COLLECTION/NAME of each collection one together."""
    if not learns:
        return {name: Subject(name, (name,), photo.digest) for name, photo in photos.items()}
    members: dict[str, list[str]] = {}
    for name in photos:
        members.setdefault(name.rpartition("/")[0], []).append(name)
    return {
        collection: Subject(
            collection, tuple(names), key("collection", *(photos[name].digest for name in names))
        )
        for collection, names in members.items()
    }
