"""What a record knows beyond scores: how its files were made, by the notes of their making."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from brittle.analysis.half_life import ladders
from brittle.data import Data
from brittle.record.arms import ORIGINAL

if TYPE_CHECKING:
    from brittle.metrics import Thresholds
    from brittle.record.manifest import ComponentEntry, Manifest, PhotoEntry
    from brittle.record.record import Record


class ProtectedFile(Data):
    """What is known about the making of one protected file; None: not known."""

    photo: str
    arm: str
    first_loss: float | None = None
    last_loss: float | None = None
    gradient_vanished: bool | None = None
    """Whether its gradient was zero in at least half of the steps."""
    used: float | None = None
    """Distance of the saved file from the original over the budget's radius; 1: all of it."""
    saved_as_optimised: bool | None = None


class ThresholdErrors(Data):
    """How unsure the thresholds of a photo and prompt are: standard errors over other photos."""

    follow: tuple[str, float]
    """What names the threshold of ``follow``, and its error: edits that share one move together."""
    keep: tuple[str, float]
    """The same of ``keep``."""


class UsableFrom(Data):
    """From which scores on an edit counts as usable."""

    follow: str
    """The metric, as one types it."""
    keep: str
    """The metric, as one types it."""
    least: dict[str, dict[str, tuple[float, float]]]
    """By photo and prompt, the least of ``follow`` and of ``keep``."""
    errors: dict[str, dict[str, ThresholdErrors]] = Field(default_factory=dict)
    """By photo and prompt, where the calibration knows them."""
    photos: int = 0
    """How many calibration photos the thresholds come from; the fewest, of several sets."""


class Evidence(Data):
    """What is known beyond scores."""

    protected: tuple[ProtectedFile, ...] = ()
    idle: tuple[str, ...] = ()
    """Transforms from which every picture came out exactly as it went in."""
    not_edited: tuple[str, ...] = ()
    """Transforms that were tried without edits: an audit compares what the encoder sees."""
    unedited: int = 0
    """How many edits are exactly the pictures that were to be edited."""
    jpeg_traces: tuple[str, ...] = ()
    """Photos in files of other formats that show traces of JPEG compression."""
    cut_prompts: tuple[str, ...] = ()
    """Prompts whose end had no effect."""
    codecs: dict[str, dict[str, str]] = Field(default_factory=dict)
    """For a transform without the parameter that changes, what its half-life depends on beside
    it: encoder, subsampling."""
    bits_a_pixel: dict[str, float] = Field(default_factory=dict)
    """For a transform that makes a file: bits a pixel of it, mean over the unprotected photos."""
    usable_from: UsableFrom | None = None
    """The thresholds of the primary editor's edits; None: not at hand."""


def evidence_of(record: "Record") -> Evidence:
    """Gather what is known of a trial's files; of what nobody noted, nothing is said."""
    ladder = list(_jpegs(record))
    return Evidence(
        protected=tuple(_protected(record)),
        idle=tuple(_idle(record)),
        unedited=sum(
            bool(record.note(path).get("unchanged"))
            for path in {entry.edited for entry in record.index}
        ),
        jpeg_traces=tuple(
            photo.name
            for photo in record.manifest.photos
            if photo.jpeg_traces and photo.source_format not in ("JPEG", "MPO")
        ),
        cut_prompts=record.manifest.cut_prompts,
        codecs={same: _codec(record, jpeg) for same, jpeg in ladder},
        bits_a_pixel=_bits_a_pixel(record, {jpeg.label for _, jpeg in ladder}),
        usable_from=_usable_from(record.manifest),
    )


def _protected(record: "Record") -> Iterator[ProtectedFile]:
    protections = set(record.manifest.protections)
    made = {
        (entry.image, entry.arm): entry.released
        for entry in record.index
        if entry.arm in protections and entry.released
    }
    for (photo, arm), path in sorted(made.items()):
        note = record.note(path)
        yield ProtectedFile(
            photo=photo,
            arm=arm,
            first_loss=note.get("first_loss"),
            last_loss=note.get("last_loss"),
            gradient_vanished=note.get("gradient_vanished"),
            used=note.get("budget_used"),
            saved_as_optimised=_holds(record, path, note["digest"]) if "digest" in note else None,
        )


def _holds(record: "Record", relative: str, expected: str) -> bool:
    """Whether a saved picture, read back, has the pixels that were optimised and rounded."""
    from brittle.images import digest, from_png

    data = record.picture(relative)
    try:
        return data is not None and digest(from_png(data)) == expected
    except (OSError, ValueError, SyntaxError):  # no picture at all any more
        return False


def _idle(record: "Record") -> Iterator[str]:
    # What passes a gray picture may change nothing of it: it is gray before and after.
    ceilings = {arm.label for arm in record.manifest.arms if arm.kind == "ceiling"}
    received: dict[str, set[str]] = {}
    for entry in record.index:
        if entry.received and entry.transform != "none" and entry.arm not in ceilings:
            received.setdefault(entry.transform, set()).add(entry.received)
    for transform, paths in received.items():
        if all(record.note(path).get("unchanged") for path in paths):
            yield transform


def _jpegs(record: "Record") -> Iterator[tuple[str, "ComponentEntry"]]:
    """The trial's JPEGs that differ in quality, with what stays the same of them."""
    if record.manifest.made:  # what edits made elsewhere went through is not known
        return
    components = {one.label: one for one in record.manifest.transforms}
    for (same, parameter), rungs in ladders(components).items():
        if parameter == "quality" and components[rungs[0][1]].name == "jpeg":
            for _, label in rungs:
                yield same, components[label]


def _codec(record: "Record", jpeg: "ComponentEntry") -> dict[str, str]:
    codecs = record.manifest.codecs
    said = {"subsampling": str(jpeg.fields["subsampling"])}
    if codecs:
        said["encoder"] = f"libjpeg-turbo {codecs['libjpeg-turbo']} (Pillow {codecs['pillow']})"
    return dict(sorted(said.items()))


def _bits_a_pixel(record: "Record", jpegs: set[str]) -> dict[str, float]:
    """What was noted when each unprotected photo was saved; nothing where one has no note."""
    saved: dict[str, set[str]] = {}
    for entry in record.index:
        if entry.arm == ORIGINAL and entry.transform in jpegs and entry.received:
            saved.setdefault(entry.transform, set()).add(entry.received)
    found = {}
    for label, paths in saved.items():
        bits = [record.note(path).get("bits_a_pixel", np.nan) for path in sorted(paths)]
        if np.isfinite(bits).all():
            found[label] = float(np.mean(bits))
    return found


def _usable_from(manifest: "Manifest") -> UsableFrom | None:
    """The thresholds of each photo and prompt; those of another metric than the first's are not."""
    found = {photo.name: _thresholds(manifest, photo) for photo in manifest.photos}
    known = {photo: one for photo, one in found.items() if one is not None}
    if not known:
        return None
    first = next(iter(known.values()))
    same = {
        photo: one
        for photo, one in known.items()
        if (one.follow, one.keep) == (first.follow, first.keep)
    }
    return UsableFrom(
        follow=first.follow,
        keep=first.keep,
        least={
            photo: {
                prompt: (one.tau_follow[asked], one.tau_keep)
                for prompt, asked in _asked(one, manifest.prompts)
            }
            for photo, one in same.items()
        },
        errors={
            photo: dict(_errors(one, manifest.prompts))
            for photo, one in same.items()
            if one.errors is not None
        },
        photos=min(one.n for one in same.values()),
    )


def _errors(
    thresholds: "Thresholds", prompts: Iterable[str]
) -> Iterator[tuple[str, ThresholdErrors]]:
    errors, size = thresholds.errors, thresholds.size
    for prompt, asked in _asked(thresholds, prompts) if errors else ():
        if errors and asked in errors.tau_follow:
            yield (
                prompt,
                ThresholdErrors(
                    follow=(f"follow, {asked}, {size} px", errors.tau_follow[asked]),
                    keep=(f"keep, {size} px", errors.tau_keep),
                ),
            )


def _thresholds(manifest: "Manifest", photo: "PhotoEntry") -> "Thresholds | None":
    from pydantic import ValidationError

    from brittle.editors import Editor
    from brittle.errors import Unavailable, UserError
    from brittle.metrics.thresholds import Calibration, mask_kind

    editors = {one.label: one.record for one in manifest.editors}
    if manifest.calibration is None or not editors:
        return None
    try:
        editor = Editor.from_record(editors[manifest.primary.editor or next(iter(editors))])
        mask = mask_kind(manifest.trial.resolved.get("mask")) if editor.needs_mask else "none"
        shown = min(manifest.model.size, max(photo.width, photo.height) or manifest.model.size)
        return Calibration.model_validate(manifest.calibration).find(str(editor), mask, size=shown)
    except (Unavailable, UserError, ValidationError):  # or an editor of a version that is no more
        return None


def _asked(thresholds: "Thresholds", prompts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The prompts that have valid thresholds, each with the name of that of `follow`."""
    from brittle.errors import Unavailable

    for prompt in prompts:
        try:
            asked = thresholds.asked(prompt)
        except Unavailable:
            continue
        if not thresholds.why_not(asked):
            yield prompt, asked
