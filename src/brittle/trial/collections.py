"""Trials whose unit is a collection: what a model paints after it has learned from pictures.

Arms and transforms act on each picture, as in every trial. Then the model learns once from all that
one arm and one transform made of a collection, once for each ``tuning_seeds``, and paints every
prompt and seed. A cell is one such painting; it is scored against the collection's originals.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from brittle.component import key
from brittle.declaration.trial import Trial
from brittle.editors import Editor, FineTune
from brittle.errors import UserError
from brittle.metrics import Keep, Style
from brittle.noise import derive_seed
from brittle.record.arms import GRAY, ORIGINAL
from brittle.sources.photos import SUFFIXES, TrialPhoto, load_photos
from brittle.trial.plan import empty_plan, make_plan, model_identity, reception_of
from brittle.trial.work import Cell, Plan, Release

if TYPE_CHECKING:
    from brittle.models import EditModel

UNTAUGHT = "untaught"
"""The arm of a model that learned nothing: the far end of every distance."""
METRICS = (Style.name, Keep.name)
"""Of style, and of a subject; what a trial measures that names no metrics."""


@dataclass(frozen=True)
class Tuning:
    """A fine-tune: what an arm and a transform made of a collection, in the pictures' order."""

    key: str
    editor: str
    receptions: tuple[str, ...]


@dataclass(frozen=True)
class Painting:
    """A picture that a model paints after a fine-tune, or without one (None)."""

    key: str
    editor: str
    tuning: str | None
    prompt: str
    seed: int


@dataclass
class CollectionPlan(Plan):
    """All work of a trial over collections; a cell's photo is its collection's name."""

    collections: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of each collection's pictures."""
    tunings: dict[str, Tuning] = field(default_factory=dict)
    paintings: dict[str, Painting] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[str, ...]:
        """As `Plan.arms`: the far end is the model that learned nothing, not a gray picture."""
        return tuple(UNTAUGHT if arm == GRAY else arm for arm in self.trial.arms)

    def kind(self, arm: str) -> str:
        """As `Plan.kind`."""
        return "ceiling" if arm == UNTAUGHT else super().kind(arm)

    def neighbours(self, photo: str) -> tuple[str, ...]:
        """As `Plan.neighbours`."""
        return self.collections[photo.rpartition("/")[0]]

    def digest(self, collection: str) -> str:
        """The identity of a collection's pictures; the noise of its paintings derives from it."""
        names = self.collections[collection]
        return key("collection", *(self.photos[name].digest for name in names))

    def seed(self, collection: str, seed: int) -> int:
        """The seed of a painting: arms, transforms, prompts and fine-tunes share it."""
        return derive_seed(seed, self.digest(collection))


def over_collections(trial: Trial) -> bool:
    """Whether a trial's editors learn from collections.

    Raises:
        UserError: only some of them do, or an unknown editor.
    """
    collects = [Editor.parse(text).takes_collection for text in trial.editors]
    if any(collects) and not all(collects):
        raise UserError("Some of the trial's editors learn from collections: give them their own.")
    return all(collects)


def read_photos(trial: Trial) -> dict[str, TrialPhoto]:
    """A trial's photos by name; over collections as COLLECTION/NAME.

    Then ``photos`` is a folder of pictures, which is one collection, or a folder of such folders.

    Raises:
        UserError: as `load_photos`; a picture that two collections share.
    """
    if not over_collections(trial):
        return load_photos(trial.photos, square=trial.square, mask=trial.mask)
    source = Path(trial.photos)
    inner = sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
    holds_pictures = source.is_dir() and any(
        path.suffix.lower() in SUFFIXES for path in source.iterdir()
    )
    if inner and holds_pictures:
        raise UserError(f"{source} holds pictures and folders: give one collection, or several.")
    photos: dict[str, TrialPhoto] = {}
    owners: dict[str, str] = {}
    for folder in inner or [source]:
        collection = folder.resolve().name
        for name, photo in load_photos(str(folder), square=trial.square).items():
            if owners.setdefault(photo.digest, collection) != collection:
                raise UserError(f"{owners[photo.digest]} and {collection} share {name}: keep one.")
            photos[f"{collection}/{name}"] = photo
    return photos


def lay_out(
    trial: Trial,
    photos: dict[str, TrialPhoto],
    model: "EditModel",
    *,
    shard: tuple[int, int] = (1, 1),
) -> Plan:
    """The work of a trial, over photos or over collections; ``shard`` as in `make_plan`.

    Raises:
        UserError: a component that is unknown or wrongly set, a collection that can't be learned.
    """
    if not over_collections(trial):
        return make_plan(trial, photos, model, shard=shard)
    plan = _empty(_with_defaults(trial), photos, model)
    index, count = shard
    for collection in list(plan.collections)[index - 1 :: count]:
        for point in product(plan.transforms, plan.editors, trial.prompts, trial.seeds):
            control = _painting(plan, collection, ORIGINAL, *point)
            clean = _painting(plan, collection, ORIGINAL, "none", *point[1:])
            for arm in plan.arms:
                painting = _painting(plan, collection, arm, *point)
                cell = key("cell", plan.digest(collection), painting.key)
                keys = (painting.key, control.key, clean.key)
                plan.cells.append(Cell(cell, collection, arm, *point, *keys, ()))
    return plan


def check_memory(
    plan: Plan, model: "EditModel", done: Callable[[str], bool] = lambda key: False
) -> None:
    """Refuse a plan that can't fit into memory; ``done`` says which keys need no work.

    Raises:
        UserError: too little for a full fine-tune; a protection that can't run with the model here.
    """
    if isinstance(plan, CollectionPlan):
        painted = [one for one in plan.paintings.values() if one.tuning and not done(one.key)]
        for label in {one.editor for one in painted}:
            editor = plan.editors[label]
            assert isinstance(editor, FineTune), "the only one that takes collections"
            editor.check_memory(model)
    ahead = [one for one in plan.releases.values() if not done(one.key)]
    for arm, protection in plan.protections.items():
        calls = {_shapes_of_a_call(plan, one) for one in ahead if one.arm == arm}
        if calls:
            protection.check_model(model)
        for shapes in calls:
            protection.check_memory(model, shapes, "use smaller photos (`square`) or batches")


def _shapes_of_a_call(plan: Plan, release: Release) -> tuple[tuple[int, int], ...]:
    """Heights and widths of the photos that go into one call with a release's."""

    def shape(name: str) -> tuple[int, int]:
        height, width = plan.photos[name].image.shape[-2:]
        return height, width

    if plan.protections[release.arm].needs_collection:
        return tuple(map(shape, plan.neighbours(release.photo)))
    return (shape(release.photo),) * plan.rows(release.photo)


def _with_defaults(trial: Trial) -> Trial:
    if "metrics" not in trial.model_fields_set:
        trial = trial.model_copy(update={"metrics": METRICS})
    if "metric" not in trial.primary.model_fields_set:
        primary = trial.primary.model_copy(update={"metric": trial.metrics[0]})
        trial = trial.model_copy(update={"primary": primary})
    return trial


def _empty(trial: Trial, photos: dict[str, TrialPhoto], model: "EditModel") -> CollectionPlan:
    if trial.mask is not None:
        raise UserError("finetune paints whole pictures: the trial needs no mask.")
    bare = empty_plan(trial, photos, model)
    plan = CollectionPlan(**vars(bare))
    plan.editors = _repeats(plan.editors, trial.tuning_seeds)
    for name in photos:
        collection = name.rpartition("/")[0]
        plan.collections[collection] = (*plan.collections.get(collection, ()), name)
    for collection, names in plan.collections.items():
        for editor in plan.editors.values():
            assert isinstance(editor, FineTune), "the only one that takes collections"
            try:
                editor.check(model, [photos[name].image for name in names])
            except UserError as error:
                raise UserError(f"{collection}: {error}") from None
    return plan


def _repeats(editors: Mapping[str, Editor], seeds: tuple[int, ...] | None) -> dict[str, Editor]:
    """The editors, each with every seed of the fine-tune."""
    if seeds is None:
        return dict(editors)
    repeats = [
        editor.model_copy(update={"tuning_seed": seed})
        for editor in editors.values()
        for seed in seeds
    ]
    return {str(one): one for one in repeats}


def _painting(
    plan: CollectionPlan,
    collection: str,
    arm: str,
    transform: str,
    editor: str,
    prompt: str,
    seed: int,
) -> Painting:
    setting = plan.editors[editor]
    assert isinstance(setting, FineTune)
    tuning = None
    if arm != UNTAUGHT:
        receptions = [
            reception_of(plan, name, arm, transform).key for name in plan.collections[collection]
        ]
        identity = key("tuning", setting, *model_identity(plan), *receptions)
        tuning = plan.tunings.setdefault(identity, Tuning(identity, editor, tuple(receptions)))
    seed = plan.seed(collection, seed)
    made = [tuning.key if tuning else None, setting.sampling, prompt, seed, *model_identity(plan)]
    painting = Painting(
        key("painting", *made), editor, tuning.key if tuning else None, prompt, seed
    )
    return plan.paintings.setdefault(painting.key, painting)
