"""The pieces of a trial's work, each once, under a key that hashes what it depends on.

Work runs stage by stage: release (protect a photo), receive (a transform), edit, score.
"""

from dataclasses import dataclass, field

from torch import Tensor

from brittle.declaration.primary import Primary
from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.metrics import Calibration, Metric
from brittle.protections import Placebo, Protection, at_once
from brittle.record.arms import GRAY, ORIGINAL
from brittle.sources.photos import TrialPhoto
from brittle.transforms import Transform


@dataclass(frozen=True)
class ModelIdentity:
    """What of an edit model the results depend on; ``size`` is the one that it is used at."""

    name: str
    content_hash: str
    dtype: str
    size: int


@dataclass(frozen=True)
class Release:
    """The file that an arm publishes for a photo; ``of`` is the release that a placebo imitates."""

    key: str
    photo: str
    arm: str
    seed: int
    of: str | None = None


@dataclass(frozen=True)
class Reception:
    """A released file after a transform."""

    key: str
    release: str
    transform: str
    seed: int


@dataclass(frozen=True)
class Edit:
    """A received file edited with a prompt and a seed."""

    key: str
    photo: str
    reception: str
    editor: str
    prompt: str
    seed: int


@dataclass(frozen=True)
class Cell:
    """One point of the grid, with the keys of the edits that it compares.

    ``control`` is the original's edit under the same transform, prompt and seed; ``clean`` the
    original's without a transform; ``floor`` its edits under other seeds.
    """

    key: str
    photo: str
    arm: str
    transform: str
    editor: str
    prompt: str
    seed: int
    edit: str
    control: str
    clean: str
    floor: tuple[str, ...]


@dataclass
class Plan:
    """All work of a trial by key, in the order of the stages; components by their label."""

    trial: Trial
    photos: dict[str, TrialPhoto]
    model: ModelIdentity
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
    batch: int = 1
    """Rows a call of the model."""
    releases: dict[str, Release] = field(default_factory=dict)
    receptions: dict[str, Reception] = field(default_factory=dict)
    edits: dict[str, Edit] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    @property
    def arms(self) -> tuple[str, ...]:
        """The labels of all arms."""
        return self.trial.arms

    def rows(self, photo: str) -> int:
        """Photos that are protected together: of one shape, at most a batch or `at_once`."""
        shape = self.photos[photo].image.shape
        alike: int = sum(other.image.shape == shape for other in self.photos.values())
        return min(self.batch, alike, at_once(*shape[-2:]))

    def shown(self, photo: str) -> int:
        """The long side, in pixels, at which the model sees a photo."""
        if photo not in self.photos:
            return self.model.size
        return min(self.model.size, max(self.photos[photo].image.shape[-2:]))

    def neighbours(self, photo: str) -> tuple[str, ...]:
        """The photos of a photo's collection; itself alone where there are no collections."""
        return (photo,)

    def received_mask(self, edit: Edit) -> Tensor:
        """Where an edit may paint, (1, 1, H, W): the photo's mask, moved along by the transform."""
        mask = self.photos[edit.photo].mask
        assert mask is not None, "checked when the plan was made"
        return self.transforms[self.receptions[edit.reception].transform].geometry.move_mask(mask)

    def released(self, edit: str) -> str | None:
        """The key of the published file that became an edit; None where only the edit is known."""
        made = self.edits.get(edit)
        return None if made is None else self.receptions[made.reception].release

    def kind(self, arm: str) -> str:
        """What an arm is: original, ceiling, protection or placebo."""
        if arm in self.protections:
            return "protection"
        return {ORIGINAL: "original", GRAY: "ceiling"}.get(arm, "placebo")
