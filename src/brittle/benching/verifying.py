"""Whether a bundle's numbers come out again: a random part of its edits and scores, made anew.

Received pictures, edits and scores are computed from the bundle's published files. What follows
without computing them is checked in whole: that the bundle has all of its trial, which edits are
usable, and that an entry is of its bench and of its bundle. How the published files were made is
not repeated: it is what a submission claims, and may take any tool.
"""

import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from brittle.analysis.conclusions import summarise_record
from brittle.analysis.finished import Finished
from brittle.benching.declaration import (
    NOT_SHARED,
    OWN,
    SIZES,
    Bench,
    departures,
    load_bench,
    title,
)
from brittle.benching.entry import Entry, Measured
from brittle.benching.measuring import digest_of, remeasured, told
from brittle.budgets import Budget, read_budget
from brittle.component import Component, explain
from brittle.data import Data
from brittle.declaration.trial import Trial, make_trial
from brittle.errors import Unavailable, UserError, shortened
from brittle.images import Photo, digest, from_png, levels_from_png, to_bytes
from brittle.metrics import Calibration, Metric
from brittle.models import EditModel
from brittle.progress import Progress, silent
from brittle.protections import Protection
from brittle.record.arms import GRAY, ORIGINAL, Arm
from brittle.record.bundle import unpack_into
from brittle.record.manifest import ComponentEntry, Manifest
from brittle.record.record import IndexEntry, Point, Record
from brittle.record.rows import Row
from brittle.record.store import FolderStore
from brittle.sources.photos import TrialPhoto, load_photos
from brittle.trial.other_models import Work, lay_out_others, models_of
from brittle.trial.plan import add_cell, calibration_of, plan_components, reception_of
from brittle.trial.results import rows, usable_of
from brittle.trial.stages import compute
from brittle.trial.tasks import Cell, Plan

SHARE = 0.1
BYTES_THAT_DIFFER = 0.001
"""Of a picture's values, how many may differ by more than one level: other machines round so."""
SCORE = (0.02, 0.002)
"""How far a score may lie from its own: as a share of it, and in its unit."""
NAMED = 5


class Recomputed(Data):
    """How many of one kind were computed again, and where they differ."""

    kind: str
    compared: int
    differ: tuple[str, ...]
    """What differs, by its place in the trial."""

    @property
    def agrees(self) -> bool:
        """Whether all of them came out again."""
        return not self.differ

    @property
    def words(self) -> str:
        """One line on it."""
        agreed = f"{self.compared - len(self.differ)} of {self.compared} {self.kind} agree"
        if self.agrees:
            return agreed
        more = len(self.differ) - NAMED
        named = "; ".join(self.differ[:NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{agreed}; not {named}"


class Verified(Data):
    """What came out again."""

    seed: int
    """What chose the part: the same seed chooses the same one."""
    parts: tuple[Recomputed, ...]

    @property
    def agrees(self) -> bool:
        """Whether everything that was compared agrees."""
        return all(part.agrees for part in self.parts)


def verify_bundle(
    bundle: Path,
    entry: Entry | None = None,
    *,
    seed: int,
    share: float = SHARE,
    device: str | None = None,
    progress: Progress = silent,
) -> Verified:
    """Compute a random ``share`` of a bundle's edits and scores again, and an entry's numbers.

    Raises:
        UserError: no bundle, one whose model is another one here, or one that was not made by a
            bench; an entry of another bundle.
    """
    if entry is not None and entry.bundle_sha256 != digest_of(bundle):
        raise UserError(f"{bundle} is not the bundle of this entry: their SHA-256 differ.")
    with tempfile.TemporaryDirectory(prefix="brittle-verify-") as folder:
        record = _opened(bundle, Path(folder) / "bundle")
        works, store = _works(record, device), FolderStore(Path(folder) / "again")
        grid = _grid(record, works)
        parts = [_manifest_follows(record, works), _indexed(record, grid)]
        parts += [_usable_follows(record, works, grid), _scored(record, grid)]
        if entry is not None:
            parts += [*_bench_follows(works[0][0], entry), *_entry_follows(record, entry)]
        _add(works, _drawn(record, seed, share))
        parts += _together([_Again(record, *work, store).compare(progress) for work in works])
    return Verified(seed=seed, parts=tuple(parts))


def _opened(bundle: Path, folder: Path) -> Record:
    """What a bundle holds, unpacked into a new folder, of which errors say nothing."""
    unpack_into(bundle, folder)
    try:
        return Record.open(folder)
    except UserError as error:
        raise UserError(str(error).replace(str(folder), str(bundle))) from None


def _together(found: Sequence[Sequence[Recomputed]]) -> Iterator[Recomputed]:
    """What was compared on all models, kind by kind."""
    for each in zip(*found, strict=True):
        yield Recomputed(
            kind=each[0].kind,
            compared=sum(one.compared for one in each),
            differ=tuple(name for one in each for name in one.differ),
        )


def _drawn(record: Record, seed: int, share: float) -> list[Point]:
    """A random part of the points that were edited, in their order."""
    points = sorted(entry.point for entry in record.index if entry.cell)
    if not points:
        raise UserError("The bundle's index has no edits.")
    count = max(1, round(share * len(points)))
    return sorted(random.Random(seed).sample(points, count))


def _grid(record: Record, works: Sequence[Work]) -> list[Point]:
    """Every point of the bundle's trial that has an edit."""
    trial, photos = record.manifest.trial.trial, [one.name for one in record.manifest.photos]
    return [
        Point(*at)
        for plan, _ in works
        for at in product(
            photos, trial.arms, plan.transforms, plan.editors, trial.prompts, trial.seeds
        )
    ]


def _manifest_follows(record: Record, works: Sequence[Work]) -> Recomputed:
    """Whether the manifest has what its trial declares, on the models that are here."""
    manifest, plan = record.manifest, works[0][0]
    trial, known = manifest.trial.trial, (manifest.model, *manifest.models)
    editors = {label: one for plan, _ in works for label, one in plan.editors.items()}
    primary = plan.primary.model_copy(update={"arms": trial.primary.arms})
    says_and_follows: dict[str, tuple[object, object]] = {
        "models": (
            [(one.name, one.size) for one in known],
            [(model.name, model.size) for _, model in works],
        ),
        "photos": (
            [(one.name, one.digest) for one in manifest.photos],
            [(name, one.digest) for name, one in plan.photos.items()],
        ),
        "arms": ([*map(_role, manifest.arms)], [_role(Arm.named(one)) for one in trial.arms]),
        "transforms": (_records(manifest.transforms), _made_records(plan.transforms)),
        "editors": (_records(manifest.editors), _made_records(editors)),
        "prompts": (manifest.prompts, trial.prompts),
        "primary": (manifest.primary, primary),
    }
    own = [calibration_of(None, model)[0] for _, model in works]
    theirs = [plan.calibration for plan, _ in works]
    if trial.calibration is None:
        says_and_follows["metrics"] = _records(manifest.metrics), _made_records(plan.metrics)
    else:  # a file that isn't here, and the metrics that its thresholds rest on
        own[0] = theirs[0]
    says_and_follows["calibration"] = theirs, own
    return Recomputed(
        kind="of the manifest's fields",
        compared=len(says_and_follows),
        differ=tuple(name for name, (says, follows) in says_and_follows.items() if says != follows),
    )


def _role(arm: Arm) -> tuple[object, ...]:
    return arm.label, arm.kind, arm.of, arm.noise, arm.draw


def _records(entries: Iterable[ComponentEntry]) -> list[tuple[str, dict[str, Any]]]:
    return [(one.label, one.record) for one in entries]


def _made_records(components: Mapping[str, Component]) -> list[tuple[str, dict[str, Any]]]:
    return [(label, one.record()) for label, one in components.items()]


def _indexed(record: Record, grid: Sequence[Point]) -> Recomputed:
    """Whether the index has all edits of the trial, and neither it nor the table has others.

    Each once, and all those of a photo and an arm from one published file.
    """
    files, times = defaultdict[tuple[str, str], set[str | None]](set), Counter[Point]()
    for entry in record.index:
        files[entry.image, entry.arm].add(entry.released)
        times[entry.point] += 1
    whole = {
        entry.point
        for entry in record.index
        if (entry.cell and entry.edited and entry.received and entry.released)
        and len(files[entry.image, entry.arm]) == times[entry.point] == 1
    }
    known = {Point(*row.key[:6]) for row in record.rows}
    known |= {entry.point for entry in record.index if entry.cell}
    wanted = {*grid}
    differ = sorted(wanted - whole | known - wanted)
    return Recomputed(
        kind="edits of the trial's grid",
        compared=len(wanted | known),
        differ=tuple(map(_words, differ)),
    )


def _usable_follows(record: Record, works: Sequence[Work], grid: Iterable[Point]) -> Recomputed:
    """Whether the table has all judgements that follow from its own scores, and no others."""
    plans = {editor: plan for plan, _ in works for editor in plan.editors}
    scored = {row.key: row.value for row in record.rows}
    metrics = [Metric.parse(one.label) for one in record.manifest.metrics]
    asked = {*record.judged}
    if any(one.against == "photo" for one in metrics):
        asked |= {point for point in grid if point.arm != GRAY}

    def agrees(point: Point) -> bool:
        row, plan = (*point, "usable", "photo"), plans.get(point.editor)
        return row in scored and plan is not None and scored[row] == _judged(plan, point, scored)

    return Recomputed(
        kind="judgements of usable edits",
        compared=len(asked),
        differ=tuple(_words(point) for point in sorted(asked) if not agrees(point)),
    )


def _judged(plan: Plan, point: Point, scored: Mapping[Any, float | None]) -> float | None:
    """Whether an edit is usable, by its scores in the table; None where that can't be had."""

    def number(metric: str) -> float:
        value = scored.get((*point, metric, "photo"))
        if value is None:
            raise Unavailable(f"the table has no {metric}")
        return value

    try:
        return usable_of(plan, point, number)
    except Unavailable:
        return None


def _scored(record: Record, grid: Iterable[Point]) -> Recomputed:
    """Whether every edit of the trial has scores in the table.

    Those of the unprotected photo as it is are what others are held against.
    """
    edited = {point for point in grid if (point.arm, point.transform) != (ORIGINAL, "none")}
    without = sorted(edited - {Point(*row.key[:6]) for row in record.rows})
    return Recomputed(
        kind="edits with their scores", compared=len(edited), differ=tuple(map(_words, without))
    )


def _bench_follows(plan: Plan, entry: Entry) -> Iterator[Recomputed]:
    """Whether an entry of one of brittle's benches has that bench's setting, levels and photos.

    Of another bench nothing is here to be compared with.
    """
    if entry.bench not in SIZES:
        return
    bench, kind = load_bench(entry.bench), "of the bench's fields"
    if bench.version != entry.bench_version:
        why = f"version {entry.bench_version}, which is not here: this brittle has {bench.version}"
        yield Recomputed(kind=kind, compared=1, differ=(why,))
        return
    levels = [(one.level, one.budget) for one in entry.results]
    fields = {*Trial.model_fields} - {*NOT_SHARED, "photos"} | {"levels"}
    differ = tuple(departures(bench, entry.setting, levels))
    yield Recomputed(kind=kind, compared=len(fields), differ=differ)
    if entry.setting.get("photos") == bench.trial.get("photos"):
        yield _photos_follow(plan, bench)


def _photos_follow(plan: Plan, bench: Bench) -> Recomputed:
    """Whether the bundle's photos are those that a bench brings; decoders may round otherwise."""
    known = load_photos(bench.trial["photos"], square=bench.trial.get("square"))

    def agrees(name: str) -> bool:
        one, other = known.get(name), plan.photos.get(name)
        if one is None or other is None or one.group != other.group:
            return False
        return alike(*(to_bytes(photo.image)[0] for photo in (one, other)))

    names = dict.fromkeys([*known, *plan.photos])
    return Recomputed(
        kind="photos of the bench",
        compared=len(names),
        differ=tuple(name for name in names if not agrees(name)),
    )


def _entry_follows(record: Record, entry: Entry) -> Iterator[Recomputed]:
    """Whether what an entry says, and its numbers, follow from the bundle's table and pictures."""
    trial = Finished(record, summarise_record(record))
    facts = told(trial)
    says = entry.model_dump(mode="json", include={*facts})
    follows = entry.model_copy(update=facts).model_dump(mode="json", include={*facts})
    differ = [field for field in facts if not _close(says[field], follows[field])]
    if record.manifest.trial.trial.title != title(
        entry.protection, entry.bench, entry.bench_version
    ):
        differ.append("protection, bench or bench_version")
    # Of protection, bench and version the title tells as one.
    yield Recomputed(kind="of the entry's fields", compared=len(facts) + 1, differ=tuple(differ))
    records, arms = facts["records"], sorted(one.arm for one in entry.results)
    if arms != sorted(records):
        raise UserError("The entry's results are not those of the bundle's protections.")
    results = [
        one.arm
        for one, other in zip(entry.results, remeasured(trial, entry), strict=True)
        if not (
            _close(one.model_dump(), other.model_dump()) and _at_its_level(one, records[one.arm])
        )
    ]
    yield Recomputed(kind="of the entry's results", compared=len(arms), differ=tuple(results))


def _at_its_level(one: Measured, record: dict[str, Any] | None) -> bool:
    """Whether a result's level is its arm's, and its budget the published files'."""
    if record is None or one.level == OWN:
        return record is None and (one.level, one.budget) == (OWN, "")
    return one.arm.endswith(f"-{one.level}") and read_budget(one.budget) == _budget(record)


def _budget(record: dict[str, Any]) -> Budget:
    """A protection's budget as it was recorded: its class may be a plugin's, which isn't here."""
    fields = record.get("fields")
    if not isinstance(fields, Mapping) or "budget" not in fields:
        return Protection.from_record(record).budget
    try:
        return read_budget(fields["budget"])
    except ValueError:
        raise UserError(
            f"The bundle records {shortened(fields['budget'])} as a budget: run its bench again."
        ) from None


def _close(one: object, other: object) -> bool:
    """Whether plain data agree, numbers to a millionth."""
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    return one == other


def _calibration(found: dict[str, Any] | None) -> Calibration | None:
    """The thresholds of a manifest that judge a model's edits."""
    try:
        return None if found is None else Calibration.model_validate(found)
    except ValidationError as error:
        raise UserError(explain(error, "The bundle's thresholds", Calibration)) from None


def _words(point: Point) -> str:
    return ", ".join(map(str, point))


def _works(record: Record, device: str | None) -> list[Work]:
    """The bundle's trial as plans whose published files are given, with the models that edit.

    Raises:
        UserError: a model whose files here are others than the bundle's, files that are missing, or
            a bundle of a kind that can't be verified.
    """
    manifest, trial = record.manifest, _without_protections(record.manifest)
    known = (manifest.model, *manifest.models)
    if len(known) != 1 + len(trial.models):
        raise UserError("The bundle's manifest has other models than its trial.")
    models = models_of(trial, device=device, dtype=manifest.precision)
    for model, one in zip(models, known, strict=True):
        if model.content_hash != one.content_hash:
            raise UserError(f"The bundle was made on another {one.name} than is here.")
    plan = _plan(record, trial, models[0])
    works = [(plan, models[0])]
    others = lay_out_others(plan, models[1:])
    for (other, model), one in zip(others, manifest.models, strict=True):
        found = _calibration(one.calibration)
        works.append((replace(other, batch=one.batch, calibration=found), model))
    return works


def _plan(record: Record, trial: Trial, model: EditModel) -> Plan:
    """The plan of the bundle's own model."""
    manifest, released = record.manifest, _released(record)
    photos = {
        photo.name: TrialPhoto(released[photo.name, ORIGINAL], group=photo.group)
        for photo in manifest.photos
        if (photo.name, ORIGINAL) in released
    }
    plan = plan_components(trial, photos, model)
    given = {
        (name, arm.label): TrialPhoto(released[name, arm.label])
        for name in photos
        for arm in manifest.arms
        if arm.kind in ("protection", "placebo") and (name, arm.label) in released
    }
    return replace(
        plan,
        arms={arm.label: arm for arm in manifest.arms},
        given=given,
        calibration=_calibration(manifest.calibration),
    )


def _released(record: Record) -> dict[tuple[str, str], Photo]:
    """Every published file of the bundle, by photo and arm."""
    digests = {photo.name: photo.digest for photo in record.manifest.photos}
    found: dict[tuple[str, str], Photo] = {}
    for entry in record.index:
        at = entry.image, entry.arm
        if at not in found and entry.released and entry.transform == "none":
            image = from_png(_read(record, entry.released))
            known = digest(image)
            if entry.arm == ORIGINAL and known != digests.get(entry.image):
                raise UserError(f"The bundle's photo {entry.image} is not its manifest's.")
            found[at] = Photo(entry.image, image, None, (), "PNG", False, None, known)
    return found


def _read(record: Record, relative: str | None) -> bytes:
    data = record.picture(relative)
    if data is None:
        raise UserError(f"The bundle lacks {relative}, or that is damaged.")
    return data


def _add(works: Sequence[Work], points: Iterable[Point]) -> None:
    """Points join the plans of their editors, and their files that of the trial's own model.

    Raises:
        UserError: a point that the bundle's manifest, or its published files, don't cover.
    """
    own = works[0][0]
    for point in points:
        arm = own.arms.get(point.arm)
        given = arm is not None and (
            arm.kind in ("original", "ceiling") or (point.image, point.arm) in own.given
        )
        plan = next((plan for plan, _ in works if point.editor in plan.editors), None)
        if plan is None or not (
            given and point.image in own.photos and point.transform in plan.transforms
        ):
            raise UserError(f"The bundle's index has {_words(point)}, which its manifest lacks.")
        add_cell(plan, point)
        reception_of(own, point.image, point.arm, point.transform)


class _Again:
    """A plan of a bundle's trial, and a store that lacks a part of its edits."""

    def __init__(self, record: Record, plan: Plan, model: EditModel, store: FolderStore) -> None:
        self.record, self.plan, self.model, self.store = record, plan, model, store

    def compare(self, progress: Progress) -> list[Recomputed]:
        """Make the plan's edits and scores again, and compare them with the bundle's."""
        self._fill_in()
        compute(self.plan, self.store, self.model, progress)
        cells = self.plan.cells
        edits = {cell.edit: cell for cell in cells}
        received = {
            source: cell
            for cell in cells
            if (source := self.plan.edits[cell.edit].source) and cell.transform != "none"
        }
        return [
            self._pictures("received pictures", received, "received"),
            self._pictures("edits", edits, "edited"),
            self._scores(rows(self.plan, self.store)),
        ]

    def _fill_in(self) -> None:
        """Take from the bundle the pictures that the edits are held against."""
        again = {cell.edit for cell in self.plan.cells}
        sources = {self.plan.edits[edit].source for edit in again}
        for cell in self.plan.cells:
            for edit, entry in self._compared_with(cell):
                source = self.plan.edits[edit].source
                if edit not in again:
                    self.store.write_levels(edit, levels_from_png(_read(self.record, entry.edited)))
                if edit not in again and source is not None and source not in sources:
                    self.store.write_levels(
                        source, levels_from_png(_read(self.record, entry.received))
                    )

    def _compared_with(self, cell: Cell) -> Iterable[tuple[str, IndexEntry]]:
        """The edits that a cell is held against, each with its pictures in the bundle."""
        clean = cell.point._replace(arm=ORIGINAL, transform="none")
        points = {cell.control: cell.point._replace(arm=ORIGINAL), cell.clean: clean}
        seeds = self.plan.trial.floor_seeds
        points |= {
            edit: clean._replace(seed=seed)
            for edit, seed in zip(cell.floor, seeds if cell.floor else (), strict=True)
        }
        return [(edit, self._entry(point)) for edit, point in points.items()]

    def _entry(self, point: Point) -> IndexEntry:
        if point not in self.record.by_point:
            raise UserError(f"The bundle's index lacks {_words(point)}.")
        return self.record.by_point[point]

    def _pictures(self, kind: str, cells: Mapping[str, Cell], which: str) -> Recomputed:
        differ = []
        for made, cell in cells.items():
            theirs = levels_from_png(_read(self.record, getattr(self._entry(cell.point), which)))
            if not alike(self.store.read_levels(made), theirs):
                differ.append(_words(cell.point))
        return Recomputed(kind=kind, compared=len(cells), differ=tuple(differ))

    def _scores(self, found: Iterable[Row]) -> Recomputed:
        known = {row.key: row.value for row in self.record.rows}
        metrics = {one.label for one in self.record.manifest.metrics}
        share, unit = SCORE
        compared, differ = 0, []
        for row in found:
            if row.metric.removesuffix(".distance") not in metrics:
                continue  # usable; or what thresholds of the trial's own took the place of
            compared += 1
            if row.key not in known:
                differ.append(f"{_words(Point(*row.key[:6]))} lacks {row.metric}")
                continue
            theirs = known[row.key]
            if row.value is None or theirs is None:
                agree = row.value == theirs
            else:
                agree = abs(row.value - theirs) <= share * abs(theirs) + unit
            if not agree:
                differ.append(f"{_words(Point(*row.key[:6]))}, {row.metric} to {row.reference}")
        return Recomputed(kind="scores", compared=compared, differ=tuple(differ))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures (H, W, 3) agree to one level, but for a few values."""
    if one.shape != other.shape:
        return False
    apart = np.abs(one.astype(int) - other) > 1
    return bool(apart.mean() <= BYTES_THAT_DIFFER)


def _without_protections(manifest: Manifest) -> Trial:
    """The bundle's trial, whose protections are not made again."""
    primary = manifest.trial.trial.primary.model_copy(update={"arms": ()})
    written = manifest.trial.as_written | {
        "protections": (),
        "names": {},
        "files": {},
        "budgets": (),
        "plugins": (),
        "batch": manifest.batch,
        "primary": primary.model_dump(exclude_unset=True),
    }
    written.pop("calibration", None)
    trial = make_trial(written, "The bundle's trial")
    if trial.mask is not None or manifest.collections or manifest.made:
        raise UserError("Only bundles of trials that edit photos without masks can be verified.")
    return trial
