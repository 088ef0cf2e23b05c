"""Whether a bundle's numbers come out again: a random part of its edits and scores, made anew.

Received pictures, edits and scores are computed from the bundle's published files, and what follows
from its table alone is checked in whole: which edits are usable, and an entry's numbers. How the
published files were made is not repeated: it is what a submission claims, and may take any tool.
"""

import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from brittle.analysis.conclusions import summarise_record
from brittle.analysis.finished import Finished
from brittle.benching.declaration import OWN, title
from brittle.benching.entry import Entry, Measured
from brittle.benching.measuring import digest_of, remeasured, told
from brittle.budgets import Budget, read_budget
from brittle.component import explain
from brittle.data import Data
from brittle.declaration.trial import Trial, make_trial
from brittle.editors import Editor
from brittle.errors import Unavailable, UserError, shortened
from brittle.images import Photo, digest, from_png, levels_from_png
from brittle.metrics import Calibration
from brittle.models import EditModel, load_model
from brittle.progress import Progress, silent
from brittle.protections import Protection
from brittle.record.arms import ORIGINAL
from brittle.record.bundle import unpack_into
from brittle.record.manifest import Manifest, OtherModel
from brittle.record.record import IndexEntry, Point, Record
from brittle.record.rows import Row
from brittle.record.store import FolderStore
from brittle.sources.photos import TrialPhoto
from brittle.trial.other_models import Work, lay_out_others
from brittle.trial.plan import add_cell, plan_components, reception_of
from brittle.trial.results import rows
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
        parts = [_usable_follows(record), _scored(record)]
        if entry is not None:
            parts += _entry_follows(record, entry)
        works, store = _works(record, device), FolderStore(Path(folder) / "again")
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


def _usable_follows(record: Record) -> Recomputed:
    """Whether the table's judgements follow from its own scores and the manifest's thresholds."""
    manifest, trial = record.manifest, record.manifest.trial.trial
    editors = {one.label: str(Editor.from_record(one.record)) for one in record.manifest.editors}
    scored = {row.key: row.value for row in record.rows}
    sides = {photo.name: max(photo.width, photo.height) for photo in record.manifest.photos}

    def judged(row: Row) -> float | None:
        model, calibration = manifest.model_of(row.editor), _calibration(manifest, row.editor)
        if calibration is None or row.editor not in editors or row.image not in sides:
            return None
        size = min(model.size, sides[row.image])
        try:
            found = calibration.find(editors[row.editor], trial.mask or "none", size=size)
            follow, keep = (
                scored.get((*row.key[:6], metric, "photo")) for metric in (found.follow, found.keep)
            )
            if follow is None or keep is None:
                return None
            return found.usable(follow, keep, row.prompt)
        except Unavailable:
            return None

    compared, differ = 0, []
    for row in record.rows:
        if row.metric == "usable" and row.value is not None:
            compared += 1
            if judged(row) != row.value:
                differ.append(_words(Point(*row.key[:6])))
    return Recomputed(kind="judgements of usable edits", compared=compared, differ=tuple(differ))


def _scored(record: Record) -> Recomputed:
    """Whether every edit of the index has scores in the table.

    Those of the unprotected photo as it is are what others are held against.
    """
    edited = {
        entry.point
        for entry in record.index
        if entry.cell and (entry.arm, entry.transform) != (ORIGINAL, "none")
    }
    without = sorted(edited - {Point(*row.key[:6]) for row in record.rows})
    return Recomputed(
        kind="edits with their scores", compared=len(edited), differ=tuple(map(_words, without))
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
    if record is None:
        return one.level == OWN
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


def _calibration(manifest: Manifest, editor: str) -> Calibration | None:
    """The thresholds that judge an editor's edits."""
    model = manifest.model_of(editor)
    found = model.calibration if isinstance(model, OtherModel) else manifest.calibration
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
    models = [
        load_model(name, size=one.size, device=device, dtype=manifest.precision)
        for name, one in zip((trial.model, *trial.models), known, strict=True)
    ]
    for model, one in zip(models, known, strict=True):
        if model.content_hash != one.content_hash:
            raise UserError(f"The bundle was made on another {one.name} than is here.")
    plan = _plan(record, trial, models[0])
    works = [(plan, models[0])]
    others = lay_out_others(plan, models[1:])
    for (other, model), one in zip(others, manifest.models, strict=True):
        found = _calibration(manifest, one.editors[0])
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
        calibration=_calibration(manifest, ""),
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
        metrics = {row.metric for row in self.record.rows}  # one that is here may have lacked there
        share, unit = SCORE
        compared, differ = 0, []
        for row in found:
            if row.metric == "usable" or row.metric not in metrics:
                continue
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
    written = manifest.trial.as_written | {
        "protections": (),
        "names": {},
        "files": {},
        "budgets": (),
        "plugins": (),
        "batch": manifest.batch,
        "primary": manifest.primary.model_copy(update={"arms": ()}).model_dump(),
    }
    written.pop("calibration", None)
    trial = make_trial(written, "The bundle's trial")
    if trial.mask is not None or manifest.collections or manifest.made:
        raise UserError("Only bundles of trials that edit photos without masks can be verified.")
    return trial
