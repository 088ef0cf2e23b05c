"""Edits made elsewhere as a trial's folder: scored, kept and reported like brittle's own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch

from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.errors import Unavailable, UserError, printable
from brittle.images import digest
from brittle.metrics import Calibration, Keep, Metric
from brittle.models import EditModel
from brittle.progress import Progress, silent
from brittle.record.arms import GRAY, ORIGINAL, Arm
from brittle.record.manifest import ELSEWHERE, Manifest, Model, PhotoEntry
from brittle.record.record import IndexEntry, Record
from brittle.record.store import FolderStore, artifact
from brittle.sources.edits_table import (
    Point,
    TableEdit,
    Unknown,
    groups,
    parse_transform,
    protections,
    read_edits,
)
from brittle.sources.external_edits import SIDE, PictureReader, original_key
from brittle.trial.manifest import declared
from brittle.trial.plan import cell_key, check_clips, fill_primary
from brittle.trial.results import index
from brittle.trial.run import gather
from brittle.trial.scoring import score
from brittle.trial.tasks import Cell, ModelIdentity, Plan


class Elsewhere(Editor):
    """Whatever made the edits; it can't be run from here."""

    name: ClassVar[str] = ELSEWHERE

    by: str = ""


def score_edits(
    table: Path,
    directory: Path,
    *,
    by: str = "",
    model: EditModel | None = None,
    clip: str | None = None,
    calibration: Path | None = None,
    progress: Progress = silent,
) -> Record:
    """Score a table's edits into a folder, which then is a trial's like any other.

    Args:
        table: the table, as `read_edits` reads it.
        directory: a new folder, or one that holds a table's scores: it is brought up to date.
        by: what made the edits, in words.
        model: whose prompt classifier, thresholds and size are used; None: neither, and 512 px.
        clip: a CLIP for `follow` and `keep`, as those metrics take it; not beside thresholds.
        calibration: a file of thresholds in the place of the model's.
        progress: told of the scores.

    Raises:
        UserError: as `read_edits`; a picture that can't be read or has another size; a folder that
            holds something else; a CLIP beside thresholds, or one that isn't there.
    """
    entries = read_edits(table)
    store = FolderStore(directory)
    found = store.manifest
    if found is not None and found.made != ELSEWHERE:
        raise UserError(f"{directory} holds a trial that was run: choose a new folder with --out.")
    editor = Elsewhere(by=by)
    thresholds, _ = judged = _thresholds(editor, model, calibration)
    if thresholds and clip is not None:
        raise UserError(
            f"Edits are judged by {' and '.join(thresholds.metrics)}, which thresholds rest on: "
            "leave clip out."
        )
    if clip is not None:
        _check_clip(clip, model)
    pictures = PictureReader(store, model)
    with store.at_work():
        edits = {entry.point: pictures.edit(entry) for entry in entries}
        plan = _plan(table, entries, editor, model, clip, judged)
        plan.photos.update(pictures.photos(entries))
        plan.cells.extend(_cells(plan, edits))
        _note_unedited(plan, store, edits, pictures.digests)
        notes = [*pictures.notes(), *_notes(plan, entries)]
        said = _manifest(plan, pictures.longest, notes, groups(entries))
        said = said.model_copy(update={"noted": store.noted})
        store.forget_results()  # of a former table, which a kill would leave beside this manifest
        store.write_manifest(said)
        score(plan, store, model, progress)
        said = store.add_notes(said, store.mended())
        return gather([plan], store, said, _with_originals)


def _check_clip(source: str, model: EditModel | None) -> None:
    """Load it, where scores will: without one, they would lack after all of the work."""
    metric, picture = Keep(clip=source), torch.zeros(1, 3, 64, 64)
    check_clips([metric])
    try:
        metric.score(picture, picture, model=model)
    except Unavailable as error:
        said = str(error).rstrip(".")
        raise UserError(f"{metric}: {said}: name a CLIP that you have.") from None


def _plan(
    table: Path,
    entries: Sequence[TableEdit],
    editor: Elsewhere,
    model: EditModel | None,
    clip: str | None,
    judged: tuple[Calibration | None, str],
) -> Plan:
    """The trial that the table would have been; ``judged``: by which thresholds, or why by none."""
    thresholds, lacking = judged
    suffix = "" if clip is None else f":clip={clip}"
    rests_on = list(thresholds.metrics) if thresholds else [f"follow{suffix}", f"keep{suffix}"]
    metrics = map(Metric.parse, ("perceptual", "ssim", "psnr", *rests_on))
    by_text = {str(metric): metric for metric in metrics}
    labels = dict.fromkeys(entry.transform for entry in entries)
    transforms = {label: parse_transform(label) for label in ("none", *labels)}
    trial = Trial(
        title=f"Edits made elsewhere: {printable(table.name)}",
        photos=printable(table.name),
        model=ELSEWHERE,
        protections=tuple(protections(entries)),
        placebos=(),
        transforms=tuple(transforms),
        editors=(str(editor),),
        prompts=tuple(dict.fromkeys(entry.prompt for entry in entries)),
        seeds=tuple(sorted({entry.seed for entry in entries})),
        floor_seeds=(),
        metrics=tuple(by_text),
    )
    named = dict.fromkeys([ORIGINAL, *(entry.arm for entry in entries)])
    return Plan(
        trial,
        {},
        {},
        ModelIdentity(
            editor.by or "edits made elsewhere", "", "", SIDE if model is None else model.size
        ),
        arms={label: Arm.named(label) for label in named},
        protections={},
        placebos={},
        transforms=transforms,
        editors={str(editor): editor},
        metrics=by_text,
        primary=fill_primary(trial, list(transforms), by_text, [str(editor)]),
        calibration=thresholds,
        not_calibrated=lacking,
    )


def _thresholds(
    editor: Elsewhere, model: EditModel | None, path: Path | None
) -> tuple[Calibration | None, str]:
    """Thresholds of another editor, lent to this one; or None and why there are none."""
    try:
        if path is not None:
            found = Calibration.load(path)
        elif model is not None:
            found = Calibration.of(model)
        else:
            raise Unavailable(
                "edits made elsewhere have no thresholds of their own (--calibration names a file, "
                "--model embedded lends its own)"
            )
    except Unavailable as error:
        if path is not None:
            raise UserError(f"{path}: {error}.") from None
        return None, str(error)
    first = found.thresholds[0]
    lent = tuple(
        one.model_copy(update={"editor": str(editor), "mask": "none"})
        for one in found.thresholds
        if (one.editor, one.mask) == (first.editor, first.mask)
    )
    return found.model_copy(update={"thresholds": lent}), ""


def _cells(plan: Plan, edits: dict[Point, str]) -> list[Cell]:
    """A cell for each edit, and for the gray picture under every transform that it passes."""
    editor = next(iter(plan.editors))
    made = dict(edits)
    for photo, arm, transform, prompt, seed in edits:
        gray = edits.get((photo, GRAY, "none", prompt, seed))
        moved = plan.transforms[transform].geometry.moves
        if arm == ORIGINAL and gray is not None and not moved:
            made.setdefault((photo, GRAY, transform, prompt, seed), gray)
    cells = []
    for photo, arm, transform, prompt, seed in sorted(made):
        edited = made[photo, arm, transform, prompt, seed]
        control = made[photo, ORIGINAL, transform, prompt, seed]
        clean = made[photo, ORIGINAL, "none", prompt, seed]
        floor = tuple(
            made[photo, ORIGINAL, "none", prompt, other]
            for other in plan.trial.seeds
            if other != seed and (photo, ORIGINAL, "none", prompt, other) in made
        )
        first = arm == ORIGINAL and transform == "none"
        compared = [edited, control, clean, *(floor if first else ())]
        of = plan.photos[photo].digest if photo in plan.photos else ""
        cells.append(
            Cell(
                cell_key(of, plan.transforms[transform], prompt, compared),
                *(photo, arm, transform, editor, prompt, seed),
                *(edited, control, clean, floor if first else ()),
            )
        )
    return cells


def _note_unedited(
    plan: Plan, store: FolderStore, edits: dict[Point, str], digests: Mapping[str, str]
) -> None:
    """Note which edits of an untouched photo are the photo itself."""
    for (photo, arm, transform, *_), edit in edits.items():
        if (arm, transform) != (ORIGINAL, "none") or photo not in plan.photos:
            continue
        if digests[edit] == digest(plan.photos[photo].image):
            store.write_note(edit, {"unchanged": True})


def _notes(plan: Plan, entries: Sequence[TableEdit]) -> list[str]:
    """What nobody could know from the numbers alone."""
    notes = [
        "The edits were made elsewhere: what brittle can't check is that arm and control had the "
        "same settings, and that transforms were what the table says.",
        "Which comparisons carry a verdict was not declared before the edits were made: they are "
        "brittle's usual ones that the table has.",
    ]
    arms = {entry.arm for entry in entries}
    if not any(arm.kind == "placebo" for arm in plan.arms.values()):
        notes.append(
            "There is no placebo. Without one it is unknown how far noise of the protection's "
            "size, or chance alone, moves an edit: effect, reach and verdicts are withheld."
        )
    else:
        notes.append(
            "The placebo is the table's own: brittle did not see whether it has the protection's "
            "size."
        )
    if GRAY not in arms:
        notes.append("There are no edits of a gray picture: without this ceiling, no reach.")
    own = [str(one) for one in plan.transforms.values() if isinstance(one, Unknown)]
    if own:
        notes.append(
            f"Transforms that brittle does not know, taken to leave pixels in place: "
            f"{', '.join(own)}."
        )
    if plan.calibration is not None:
        notes.append(
            "The thresholds of usable edits were measured on another editor's edits; only a "
            "person's marks (brittle report DIR --rate SHEET) can say whether they hold here."
        )
    return notes


def _with_originals(plan: Plan) -> list[IndexEntry]:
    """The index; an unprotected photo's entries with the photo, where it was given."""
    return [_with_original(plan, one) for one in index(plan)]


def _with_original(plan: Plan, entry: IndexEntry) -> IndexEntry:
    if entry.arm != ORIGINAL or entry.image not in plan.photos:
        return entry
    path = artifact(original_key(plan.photos[entry.image].photo)).as_posix()
    return replace(entry, released=path, received=path if entry.transform == "none" else None)


def _manifest(plan: Plan, size: int, notes: Sequence[str], grouped: Mapping[str, str]) -> Manifest:
    names = dict.fromkeys(cell.subject for cell in plan.cells)
    return Manifest(
        **declared(plan, notes),
        made=ELSEWHERE,
        model=Model(name=plan.model.name, size=size),
        photos=tuple(_photo(plan, name, grouped.get(name, "")) for name in names),
    ).published()


def _photo(plan: Plan, name: str, group: str) -> PhotoEntry:
    if name not in plan.photos:
        return PhotoEntry(name=name, group=group)
    photo = plan.photos[name].photo
    height, width = photo.image.shape[-2:]
    return PhotoEntry(
        name=name,
        group=group,
        digest=photo.digest,
        width=width,
        height=height,
        notes=(*photo.notes, "compared at the size of its edits"),
        source_format=photo.source_format,
        jpeg_traces=photo.jpeg_traces,
    )
