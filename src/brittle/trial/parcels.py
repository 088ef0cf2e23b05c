"""A plan's work in parcels that workers elsewhere do: plain records, and what they need of others.

A stage's parcels depend on former stages alone, so they may be done in any order, on any worker and
more than once: their pictures have the bytes that `stages.compute` gives.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

from brittle.images import Photo
from brittle.models import EditModel
from brittle.record.store import FolderStore, Store
from brittle.sources.photos import TrialPhoto
from brittle.trial.scoring import lacking_cells, sees_releases
from brittle.trial.stages import made_together
from brittle.trial.tasks import Cell, Edit, Learning, Plan, Reception, Release

Stage = Literal["protections", "placebos", "transforms", "fine-tunes", "edits", "scores"]
STAGES: tuple[Stage, ...] = (
    *("protections", "placebos", "transforms"),
    *("fine-tunes", "edits", "scores"),
)
"""In their order: each needs pictures of those before it."""
STAGES_OF_OTHERS = STAGES[-2:]
"""Of a model that edits files which were made on another."""
CALLS, CELLS = 8, 32
"""Calls of the model that edits in a parcel at most, and cells: what a lost worker costs."""

One = TypeVar("One")


@dataclass(frozen=True)
class Parcel:
    """What one worker does at a time: the part of a plan, and the keys of pictures that it reads.

    Of ``releases``, ``receptions`` and ``edits`` those are made that are not among ``needs``.
    """

    stage: Stage
    releases: tuple[Release, ...] = ()
    receptions: tuple[Reception, ...] = ()
    learnings: tuple[Learning, ...] = ()
    edits: tuple[Edit, ...] = ()
    cells: tuple[Cell, ...] = ()
    photos: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def pieces(self) -> int:
        """How many pictures it makes, or cells it scores."""
        if self.cells:
            return len(self.cells)
        ones: tuple[Release | Reception | Edit, ...]
        ones = (*self.releases, *self.receptions, *self.edits)
        return len({one.key for one in ones}.difference(self.needs))


@dataclass(frozen=True)
class Inputs:
    """What a parcel's worker is sent beside it: PNG files and scores by key, photos by name."""

    pictures: dict[str, bytes] = field(default_factory=dict)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    photos: dict[str, TrialPhoto] = field(default_factory=dict)
    given: dict[tuple[str, str], TrialPhoto] = field(default_factory=dict)
    references: dict[str, tuple[Photo, ...]] = field(default_factory=dict)


def inputs_of(parcel: Parcel, plan: Plan, store: FolderStore) -> Inputs:
    """Read what a parcel needs.

    Raises:
        UserError: a picture is damaged.
    """
    made = {(one.photo, one.arm) for one in parcel.releases}
    return Inputs(
        pictures={key: store.read_png(key) for key in parcel.needs},
        cells={cell.key: store.read_cell(cell.key) for cell in parcel.cells},
        photos={name: plan.photos[name] for name in parcel.photos},
        given={point: photo for point, photo in plan.given.items() if point in made},
        references={
            cell.subject: plan.references[cell.subject]
            for cell in parcel.cells
            if cell.subject in plan.references
        },
    )


def parcels_of(stage: Stage, plan: Plan, store: Store, model: EditModel) -> list[Parcel]:
    """The parcels of a stage that a store lacks; the former stages' pictures are there."""
    if stage == "scores":
        return [*_scores(plan, lacking_cells(plan, store, model))]
    make: dict[Stage, Callable[[Plan, Store], Iterator[Parcel]]] = {
        "protections": _protections,
        "placebos": _placebos,
        "transforms": _transforms,
        "fine-tunes": _fine_tunes,
        "edits": _edits,
    }
    return [*make[stage](plan, store)]


def _protections(plan: Plan, store: Store) -> Iterator[Parcel]:
    missing = [one for one in plan.releases.values() if not store.has(one.key)]
    for arm in plan.protections:
        for batch in made_together(plan, arm, [one for one in missing if one.arm == arm]):
            yield Parcel(
                "protections",
                releases=tuple(batch),
                photos=tuple(one.photo for one in batch),
            )


def _placebos(plan: Plan, store: Store) -> Iterator[Parcel]:
    """What is released of a photo without a model: itself, gray, placebos, files from elsewhere."""
    missing = [
        one
        for one in plan.releases.values()
        if one.arm not in plan.protections and not store.has(one.key)
    ]
    for releases in _grouped(missing, lambda one: one.photo).values():
        imitated = tuple(dict.fromkeys(one.of for one in releases if one.of is not None))
        there = tuple(key for key in imitated if store.has(key))
        others = {key: plan.releases[key] for key in imitated}
        yield Parcel(
            "placebos",
            releases=tuple({**others, **{one.key: one for one in releases}}.values()),
            photos=(releases[0].photo,),
            needs=there,
        )


def _transforms(plan: Plan, store: Store) -> Iterator[Parcel]:
    """All receptions of a release; those that run the model by themselves."""
    missing = [one for one in plan.receptions.values() if not store.has(one.key)]

    def together(one: Reception) -> Hashable:
        runs = plan.transforms[one.transform].capabilities.needs_model
        return one.release, one.key if runs else ""

    for receptions in _grouped(missing, together).values():
        released = receptions[0].release
        yield Parcel(
            "transforms",
            releases=(plan.releases[released],),
            receptions=tuple(receptions),
            needs=(released,),
        )


def _fine_tunes(plan: Plan, store: Store) -> Iterator[Parcel]:
    """Each model that learns, and all pictures that it generates."""
    missing = [one for one in _lacking_edits(plan, store) if _learns(plan, one)]
    for edits in _grouped(missing, lambda one: (one.source, one.editor)).values():
        learned = plan.learnings.get(edits[0].source or "")
        needs = () if learned is None else tuple(dict.fromkeys(learned.receptions))
        yield Parcel(
            "fine-tunes",
            receptions=tuple(plan.receptions[key] for key in needs),
            learnings=() if learned is None else (learned,),
            edits=tuple(edits),
            needs=needs,
        )


def _learns(plan: Plan, one: Edit) -> bool:
    return plan.editors[one.editor].takes_collection


def _lacking_edits(plan: Plan, store: Store) -> Iterator[Edit]:
    return (one for one in plan.edits.values() if not store.has(one.key))


def _edits(plan: Plan, store: Store) -> Iterator[Parcel]:
    """Edits of as many received files as a batch has rows, of one size: at most `CALLS` batches."""

    @cache
    def received_size(transform: str, height: int, width: int) -> tuple[int, ...]:
        return tuple(plan.transforms[transform].received_size((height, width)))

    def alike(one: Edit) -> Hashable:
        reception = plan.receptions[one.source or ""]
        height, width = plan.photos[one.subject].image.shape[-2:]
        return one.editor, received_size(reception.transform, height, width)

    missing = [one for one in _lacking_edits(plan, store) if not _learns(plan, one)]
    for edits in _grouped(missing, alike).values():
        by_file = [*_grouped(edits, lambda one: one.source).values()]
        for start in range(0, len(by_file), plan.batch):
            files = by_file[start : start + plan.batch]
            longest = max(map(len, files))
            for at in range(0, longest, CALLS):
                yield _edit_parcel(plan, [one for of in files for one in of[at : at + CALLS]])


def _edit_parcel(plan: Plan, edits: list[Edit]) -> Parcel:
    sources = dict.fromkeys(one.source for one in edits if one.source is not None)
    masked = plan.editors[edits[0].editor].needs_mask
    return Parcel(
        "edits",
        receptions=tuple(plan.receptions[key] for key in sources),
        edits=tuple(edits),
        photos=tuple(dict.fromkeys(one.subject for one in edits)) if masked else (),
        needs=tuple(sources),
    )


def _scores(plan: Plan, cells: list[Cell]) -> Iterator[Parcel]:
    """Cells of one control stay together, those of one subject at most `CELLS` where they can."""
    waiting: list[Cell] = []
    for group in _grouped(cells, lambda one: (one.subject, one.editor, one.control)).values():
        if waiting and (
            (waiting[0].subject, waiting[0].editor) != (group[0].subject, group[0].editor)
            or len(waiting) + len(group) > CELLS
        ):
            yield _score_parcel(plan, waiting)
            waiting = []
        waiting += group
    if waiting:
        yield _score_parcel(plan, waiting)


def _score_parcel(plan: Plan, cells: list[Cell]) -> Parcel:
    keys = dict.fromkeys(
        key for cell in cells for key in (cell.edit, cell.control, cell.clean, *cell.floor)
    )
    edits = [plan.edits[key] for key in keys]
    sources = [one.source for one in edits if one.source in plan.receptions]
    receptions = {key: plan.receptions[key] for key in sources if key is not None}
    releases = {one.release: plan.releases[one.release] for one in receptions.values()}
    needs = [*keys]
    if plan.editors[cells[0].editor].needs_mask:  # what was received stays around the mask
        needs += receptions
    if sees_releases(plan):
        needs += releases
    return Parcel(
        "scores",
        releases=tuple(releases.values()),
        receptions=tuple(receptions.values()),
        edits=tuple(edits),
        cells=tuple(cells),
        photos=plan.subjects[cells[0].subject].pictures,
        needs=tuple(dict.fromkeys(needs)),
    )


def _grouped(ones: Iterable[One], by: Callable[[One], Hashable]) -> dict[Hashable, list[One]]:
    groups: dict[Hashable, list[One]] = defaultdict(list)
    for one in ones:
        groups[by(one)].append(one)
    return groups
